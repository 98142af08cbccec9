"""The task ``trust``; the module ``cli.ask_trust`` implements it."""

from __future__ import annotations

from invoke.context import Context

from drillbook.cli.current_project import here
from drillbook.cli.task_class import task
from drillbook.cli.task_exit import Dry, is_dry, told
from drillbook.errors import UsageError


@task(
    help={
        "show": "only show the items, and the digest to use in DRILLBOOK_TRUST",
        "yes": "trust the items without a question",
        "revoke": "remove the record that you trust this project",
        "json": "print the items as JSON",
        "inventory": "path of an inventory outside this project, to be trusted with the project",
    }
)
@told(Dry.TELLS)
def trust(
    context: Context, show: bool = False, yes: bool = False, revoke: bool = False, *, json: bool = False, inventory: str = ""
) -> int:
    """Show and trust the project's plugins and commands. A check or diagnosis skips commands that you do not trust."""
    from drillbook.cli import ask_trust, dry_run  # noqa: PLC0415  keeps start-up fast

    if revoke and (yes or show or json):
        raise UsageError("--revoke cannot be combined with other options")
    if show and yes:
        raise UsageError("--show and --yes exclude each other")
    if json and not (show or yes):
        raise UsageError("--json cannot ask for a confirmation", hint="add --show, or --yes")
    if is_dry(context):
        return ask_trust.trust(here(), inventory, ask=False, as_json=json) or (0 if json else dry_run.tell())
    if revoke:
        return ask_trust.revoke(here(spare=True), inventory)
    return ask_trust.trust(here(spare=show), inventory, yes=yes, ask=not show, as_json=json)
