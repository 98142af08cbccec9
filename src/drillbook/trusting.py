"""The task ``trust``; the module ``trust.desk`` carries it out."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from drillbook.errors import UsageError
from drillbook.invoking import Dry, is_dry, told
from drillbook.project import Project


@task(help={"show": "only show it, and its digest for DRILLBOOK_TRUST", "yes": "trust it without a question",
            "revoke": "trust nothing of this project any more", "json": "print what was found as JSON",
            "inventory": "path of an inventory that lies outside this project, to be trusted with it"})
@told(Dry.TELLS)
def trust(context: Context, show: bool = False, yes: bool = False, revoke: bool = False, *, json: bool = False,
          inventory: str = "") -> int:
    """Show which commands of the project a check or a diagnosis executes, and trust them; else these leave them out."""
    from drillbook import rehearsal  # noqa: PLC0415  keeps start-up fast
    from drillbook.trust import desk  # noqa: PLC0415

    if revoke and (yes or show or json):
        raise UsageError("--revoke stands alone")
    if show and yes:
        raise UsageError("--show and --yes exclude each other")
    if json and not (show or yes):
        raise UsageError("--json does not ask", hint="add --show, or --yes")
    if is_dry(context):
        return desk.trust(Project.here(), inventory, ask=False, as_json=json) or (0 if json else rehearsal.tell())
    if revoke:
        return desk.revoke(Project.here(), inventory)
    return desk.trust(Project.here(), inventory, yes=yes, ask=not show, as_json=json)
