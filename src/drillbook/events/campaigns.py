"""Events of a campaign's journal: its sites, an intent for each site before it starts, and its end."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from drillbook.events.content import Content, Json
from drillbook.events.runs import Begun

Site = Annotated[str, Field(description="Name of the site.")]


class CampaignStarted(Begun):
    """The campaign began: always the first line of its journal."""

    KIND: ClassVar[str] = "campaign.started"

    campaign: Annotated[str, Field(description="Name of the campaign.")]
    drill: Annotated[str, Field(description="Name of the drill or suite.")]
    suite: Annotated[bool, Field(description="True when `drill` is the name of a suite.")]
    rules: Annotated[Json, Field(description="Limits of the campaign, as in the sites file.")]
    sites: Annotated[
        tuple[Json, ...],
        Field(description="Each site: `name`, `inventory`, `set`, `groups`, `windows`, as in the sites file."),
    ]
    confirm: Annotated[str, Field(description="Environment that the operator confirmed; empty without.")] = ""
    executor: Annotated[str, Field(description="The part that carries out the drills, such as `processes`.")] = ""


class CampaignResumed(Begun):
    """Another process continues the campaign; sites whose end is unknown are examined before any other starts."""

    KIND: ClassVar[str] = "campaign.resumed"

    executor: Annotated[str, Field(description="The part that carries out the drills, such as `processes`.")] = ""


class SiteIntended(Content):
    """A site is about to start; the event is on disk before the start. Without a `site.ended`, the end of the site is unknown."""

    KIND: ClassVar[str] = "site.intended"

    site: Site
    run: Annotated[str, Field(description="Name of the run, which is also the name of its folder in `reports/`.")]
    place: Annotated[
        str, Field(description="Place that carries out the drill: number, machine and project; empty for this machine.")
    ] = ""


class SiteEnded(Content):
    """A site ended; its state, and the state of its run."""

    KIND: ClassVar[str] = "site.ended"

    site: Site
    state: Annotated[str, Field(description="`passed`, `failed`, `refused` or `unknown`.")]
    run: Annotated[str, Field(description="Name of the run; empty when the site was never started.")] = ""
    verdict: Annotated[str, Field(description="Verdict of the run; empty without a run.")] = ""
    residue: Annotated[int, Field(description="Number of changes that could not be undone.")] = 0
    head: Annotated[
        str, Field(description="Hash of the last event of the run's journal; of a suite, those of its drills, by commas.")
    ] = ""
    objectives: Annotated[Json, Field(description="Objectives with their measurements, as in `result.json`.")] = {}
    message: Annotated[str, Field(description="Reason of a state other than `passed`.")] = ""


class CampaignStopped(Content):
    """No further site starts; sites that run are waited for."""

    KIND: ClassVar[str] = "campaign.stopped"

    why: Annotated[str, Field(description="The reason in one sentence.")]


class CampaignFinished(Content):
    """Every site ended: the last event of a campaign."""

    KIND: ClassVar[str] = "campaign.finished"

    sites: Annotated[dict[str, int], Field(description="Number of sites by state.")]
    state: Annotated[str, Field(description="Worst state of a site.")]
    exit: Annotated[int, Field(description="Exit status of the campaign.")]
