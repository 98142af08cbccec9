"""Comparing what a proof says that a backup is of with what an action works on, as the gate does."""

from __future__ import annotations

from drillbook.sdk.identity import Identity


def holds(proof, action, ctx) -> bool | None:
    """Return True when the backup with the facts ``proof`` is of the service that ``action`` works on now."""
    backup = Identity.read(proof["identity"])
    assert len(backup.manifest) == 64
    return backup.equals(action.subject(ctx))
