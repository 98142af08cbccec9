"""The task ``campaign``; the module ``cli.campaign`` implements it."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from drillbook.cli.optional_names import OptionalNameTask
from drillbook.cli.place import here
from drillbook.cli.task_exit import Dry, is_dry, told
from drillbook.errors import UsageError


@task(
    klass=OptionalNameTask,
    positional=["name"],
    help={
        "name": "drill or suite; with --resume a campaign (default: the newest)",
        "sites": "sites file (.yml), or a group of the sites in sites.yml",
        "at_most": "number of sites that are drilled at once (default: that of the sites file, or 20)",
        "on": "workers of Dask: tls://SCHEDULER:PORT, or local (default: processes of this machine)",
        "confirm": "name of the environment: required if the environment is protected",
        "resume": "continue a campaign: examine the sites whose end is unknown, then drill the rest",
    },
)
@told(Dry.TELLS)
def campaign(
    context: Context,
    name: str | None = None,
    sites: str = "",
    at_most: int = 0,
    on: str = "",
    *,
    confirm: str = "",
    resume: bool = False,
) -> int:
    """Run a drill or suite on many sites, in waves; the exit status is that of the worst site."""
    from drillbook.cli import campaign as campaigns  # noqa: PLC0415  keeps start-up fast

    project = here()
    if resume:
        if is_dry(context):
            raise UsageError("--dry and --resume exclude each other", hint="read the report of the campaign instead")
        return campaigns.resume(project, name or "", on)
    if not name:
        raise UsageError("the name of a drill or suite is missing", hint="campaign NAME --sites FILE")
    wish = campaigns.Wish(name, sites, at_most, confirm)
    if is_dry(context):
        return campaigns.tell(project, wish)
    return campaigns.start(project, wish, on)
