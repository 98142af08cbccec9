"""The task ``trust``; the module ``cli.trust`` carries it out."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from drillbook.cli.invoking import Dry, is_dry, told
from drillbook.cli.place import here
from drillbook.errors import UsageError


@task(
    help={
        "show": "only show it, and its digest for DRILLBOOK_TRUST",
        "yes": "trust it without a question",
        "revoke": "trust nothing of this project any more",
        "json": "print what was found as JSON",
        "inventory": "path of an inventory that lies outside this project, to be trusted with it",
    }
)
@told(Dry.TELLS)
def trust(
    context: Context, show: bool = False, yes: bool = False, revoke: bool = False, *, json: bool = False, inventory: str = ""
) -> int:
    """Show which commands of the project a check or a diagnosis executes, and its plugins, and trust them; else they are left out."""
    from drillbook.cli import dry_run  # noqa: PLC0415  keeps start-up fast
    from drillbook.cli import trust as desk  # noqa: PLC0415  keeps start-up fast

    if revoke and (yes or show or json):
        raise UsageError("--revoke stands alone")
    if show and yes:
        raise UsageError("--show and --yes exclude each other")
    if json and not (show or yes):
        raise UsageError("--json does not ask", hint="add --show, or --yes")
    if is_dry(context):
        return desk.trust(here(), inventory, ask=False, as_json=json) or (0 if json else dry_run.tell())
    if revoke:
        return desk.revoke(here(spare=True), inventory)
    return desk.trust(here(spare=show), inventory, yes=yes, ask=not show, as_json=json)
