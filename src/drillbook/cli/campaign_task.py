"""The task ``campaign``; the module ``cli.run_campaign`` implements it."""

from __future__ import annotations

from invoke.context import Context

from drillbook.cli.current_project import here
from drillbook.cli.optional_names import OptionalNameTask
from drillbook.cli.task_class import task
from drillbook.cli.task_exit import Dry, is_dry, told
from drillbook.errors import UsageError


@task(
    default=True,
    klass=OptionalNameTask,
    positional=["name"],
    help={
        "name": "name of a drill or suite; with --resume, name of a campaign (default: the newest)",
        "sites": "sites file (.yml), or a group of the sites in sites.yml",
        "at_most": "number of sites that are drilled at once (default: `at_most` of the sites file, or 20)",
        "on": (
            "address of the Dask scheduler whose workers run the drills, as tls://SCHEDULER:PORT; `local` starts a scheduler on "
            "this machine (default: drills run as child processes, without Dask)"
        ),
        "matrix": "print CI jobs that run the campaign, for github or gitlab",
        "only": "name of the only site to drill; every CI job uses this option",
        "confirm": "name of the environment; required if the environment is protected",
        "resume": "continue a campaign: find out how unfinished drills ended, then drill the remaining sites",
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
    matrix: str = "",
    only: str = "",
    confirm: str = "",
    resume: bool = False,
) -> int:
    """Run a drill or suite on many sites, in waves. The exit status is the exit status of the worst site."""
    from drillbook.cli import run_campaign as campaigns  # noqa: PLC0415  keeps start-up fast

    project = here()
    if resume:
        if is_dry(context):
            raise UsageError("--dry and --resume exclude each other", hint="read the report of the campaign instead")
        return campaigns.resume(project, name or "", on)
    wish = campaigns.Wish(_named(name, "invoke campaign NAME --sites FILE"), sites, at_most, confirm, only)
    if matrix:
        return campaigns.print_matrix(project, wish, matrix)
    if is_dry(context):
        return campaigns.tell(project, wish)
    return campaigns.start(project, wish, on)


@task(
    klass=OptionalNameTask,
    positional=["name"],
    help={
        "name": "drill or suite of the campaign",
        "sites": "sites file (.yml), or a group of the sites in sites.yml",
        "until": "duration of the approval, such as 24h; at most 30d",
        "key": "path of your private SSH key, or of the public key when an agent has the private one; default: the first in ~/.ssh",
    },
)
@told(Dry.TELLS)
def approve(context: Context, name: str | None = None, sites: str = "", until: str = "24h", key: str = "") -> int:
    """Sign one approval of the plans of all sites with your SSH key, so that somebody else may run the campaign."""
    from drillbook.cli import campaign_approve  # noqa: PLC0415  keeps start-up fast
    from drillbook.cli import run_campaign as campaigns  # noqa: PLC0415  keeps start-up fast

    project, wish = here(), campaigns.Wish(_named(name, "invoke campaign.approve NAME --sites FILE"), sites)
    if is_dry(context):
        return campaign_approve.tell(project, wish.drill, wish.file(project))
    return campaign_approve.approve(project, wish.drill, wish.file(project), until, key)


@task(
    klass=OptionalNameTask,
    positional=["name"],
    help={
        "name": "drill or suite of the campaign",
        "sites": "sites file (.yml), or a group of the sites in sites.yml",
        "artefacts": "folder that contains the artefacts of all jobs",
    },
)
@told(Dry.REFUSED)
def collect(_: Context, name: str | None = None, sites: str = "", artefacts: str = "artefacts") -> int:
    """Make the record and the report of a campaign from the artefacts of its CI jobs (see `campaign --matrix`)."""
    from drillbook.cli import run_campaign as campaigns  # noqa: PLC0415  keeps start-up fast

    wish = campaigns.Wish(_named(name, "invoke campaign.collect NAME --sites FILE --artefacts FOLDER"), sites)
    return campaigns.collect(here(), wish, artefacts)


def _named(name: str | None, command: str) -> str:
    """Return ``name``. Raises UsageError when it is missing. ``command``: the whole command, for the hint."""
    if not name:
        raise UsageError("the name of a drill or suite is missing", hint=command)
    return name
