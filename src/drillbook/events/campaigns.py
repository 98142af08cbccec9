"""Events in the journal of a campaign: the start of the campaign with all its sites, the announcement of each site before
the site starts, and the end of each site.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from drillbook.events.content import Content, Json
from drillbook.events.runs import Begun

Site = Annotated[str, Field(description="Name of the site.")]


class CampaignStarted(Begun):
    """The campaign began. This is always the first event of its journal."""

    KIND: ClassVar[str] = "campaign.started"

    campaign: Annotated[str, Field(description="Name of the campaign.")]
    drill: Annotated[str, Field(description="Name of the drill or suite.")]
    suite: Annotated[
        bool, Field(description=("True when `drill` is the name of a suite, and false when it is the name of a drill."))
    ]
    rules: Annotated[Json, Field(description="Limits of the campaign as in the sites file.")]
    sites: Annotated[
        tuple[Json, ...],
        Field(
            description=(
                "All sites. Each has the keys `name`, `inventory`, `set`, `groups` and `windows` with their values in the sites "
                "file, `path` (path of the inventory), and `plans` (digest of the plan of each drill)."
            )
        ),
    ]
    confirm: Annotated[
        str, Field(description=("Environment that the operator confirmed; empty when the operator confirmed none."))
    ] = ""
    executor: Annotated[
        str, Field(description=("Name of the executor, which carries out the drills. For example, `processes`."))
    ] = ""
    approval: Annotated[
        str, Field(description="Digest of the approval of all sites (`approval.json`); empty without one.")
    ] = ""
    place: Annotated[
        str,
        Field(
            description=(
                "Machine that began the campaign, and its project folder, as `NUMBER@MACHINE:FOLDER`. The number "
                "identifies this folder on this machine. Empty in older journals."
            )
        ),
    ] = ""
    pipeline: Annotated[
        str, Field(description="Name of the CI pipeline whose job runs the campaign; empty outside of a pipeline.")
    ] = ""
    attempt: Annotated[
        int,
        Field(
            description=(
                "Number of the attempt to run the pipeline. The first attempt has the number 1. The number grows when jobs "
                "are run again. It is 0 in older journals, and where the CI service counts no attempts."
            )
        ),
    ] = 0


class CampaignResumed(Begun):
    """Another process continues the campaign. It examines the sites whose end is unknown before it starts any other site."""

    KIND: ClassVar[str] = "campaign.resumed"

    executor: Annotated[
        str, Field(description=("Name of the executor, which carries out the drills. For example, `processes`."))
    ] = ""
    approval: Annotated[
        str,
        Field(description="Digest of the renewed approval (`approval.json`); empty when the approval did not change."),
    ] = ""
    place: Annotated[
        str,
        Field(
            description=(
                "Machine that continues the campaign, and its project folder, as `NUMBER@MACHINE:FOLDER`. The number "
                "identifies this folder on this machine. Empty in older journals."
            )
        ),
    ] = ""


class SiteIntended(Content):
    """A site is about to start.

    The event is on disk before the start. If no `site.ended` follows for this site, the end of the site is unknown.
    """

    KIND: ClassVar[str] = "site.intended"

    site: Site
    run: Annotated[str, Field(description="Name of the run. It is also the name of the run's folder in `reports/`.")]
    place: Annotated[
        str,
        Field(
            description=(
                "Machine that carries out the drill, and its project folder, as `NUMBER@MACHINE:FOLDER`. The number "
                "identifies this folder on this machine. Empty for a run that `campaign.collect` took from the artefacts of a "
                "pipeline. In older journals, also empty for a drill on the machine that ran the campaign."
            )
        ),
    ] = ""


class SiteEnded(Content):
    """A site ended. The event contains the state of the site, and the state of its run."""

    KIND: ClassVar[str] = "site.ended"

    site: Site
    state: Annotated[str, Field(description="`passed`, `failed`, `refused` or `unknown`.")]
    run: Annotated[str, Field(description="Name of the run; empty when the site was never started.")] = ""
    verdict: Annotated[str, Field(description="Verdict of the run; empty when there was no run.")] = ""
    residue: Annotated[int, Field(description="Number of changes of the run that could not be undone.")] = 0
    head: Annotated[
        str,
        Field(
            description=(
                "Hash of the last event of the run's journal. For a suite: the hashes of the last events of all "
                "its drills, separated by commas."
            )
        ),
    ] = ""
    objectives: Annotated[
        Json,
        Field(
            description=(
                "Objectives of the drill with their measurements, as in `result.json`. An RPO has a `mark` when it was measured "
                "with a backup that the run itself made. Such an RPO does not prove the objective."
            )
        ),
    ] = {}
    message: Annotated[str, Field(description="Reason for a state other than `passed`.")] = ""


class CampaignStopped(Content):
    """The campaign starts no further site, and waits for the sites that run."""

    KIND: ClassVar[str] = "campaign.stopped"

    why: Annotated[str, Field(description="The reason in one sentence.")]


class CampaignFinished(Content):
    """Every site ended. This is the last event of a campaign."""

    KIND: ClassVar[str] = "campaign.finished"

    sites: Annotated[dict[str, int], Field(description="Number of sites for each state.")]
    state: Annotated[str, Field(description="Worst state among all sites.")]
    exit: Annotated[int, Field(description="Exit status of the campaign.")]
