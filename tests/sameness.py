"""Comparison of a proven backup's origin with the service that an action changes, as in the gate."""

from __future__ import annotations

from drillbook.sdk.identity import Identity


def holds(proof, action, ctx) -> bool | None:
    """Return True when the backup with the facts ``proof`` is of the service that ``action`` currently changes."""
    backup = Identity.read(proof["identity"])
    assert len(backup.manifest) == 64
    return backup.equals(action.subject(ctx))
