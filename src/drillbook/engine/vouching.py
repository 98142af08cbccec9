"""Checks the signature of a backup before a step uses it."""

from __future__ import annotations

from drillbook.engine.step_context import Stage
from drillbook.errors import CouldNotVerify
from drillbook.sdk import manifest_signatures
from drillbook.sdk.action import Action, Context, Effect, Facts


def vouched(stage: Stage, action: Action, context: Context) -> tuple[Action, Facts]:
    """Check that the signature of the backup is trusted. Return two values: ``action`` with the digest of the backup added
    to its parameters, and the facts of this check.

    Raises CouldNotVerify when the signature is not trusted. There is one exception: once this run may have damaged
    something by a fault, a restore uses the backup in spite of the untrusted signature. The fact ``unvouched`` then
    contains the reason why the signature is not trusted.
    """
    action, doubt = manifest_signatures.pinned(action, context)
    if doubt and (action.effect is Effect.READ or not stage.journal.patient):
        raise CouldNotVerify(
            f"{action.name()}: {doubt}; the backup was not used",
            hint="take a new backup. If this backup is known to be good, add its digest to its location: s3://...#sha256=HEX",
        )
    return action, {"unvouched": doubt} if doubt else {}
