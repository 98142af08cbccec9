"""Executor of a campaign whose sites were drilled by CI jobs. It drills nothing itself, and takes the runs from the
artefacts of these jobs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from drillbook.campaign import attempt, campaign_record, transfer, worker
from drillbook.campaign.attempt import CAMPAIGNS, RECORD, Ending, Job
from drillbook.campaign.campaign_record import CampaignState
from drillbook.campaign.scheduler import SiteState
from drillbook.campaign.transfer import TransferError
from drillbook.errors import JournalError, UsageError
from drillbook.journal.journal import FILE
from drillbook.report.figures import count

PIPELINE_VARIABLE = "DRILLBOOK_PIPELINE"
"""Environment variable with the name of the CI pipeline. All jobs of one pipeline have the same value."""
AS_JOBS = (
    "unset it, or set it in the same way as the jobs that `invoke campaign --matrix github` writes; see `Campaigns` in the "
    "documentation"
)
"""Hint about a variable with a wrong value."""
ATTEMPT_VARIABLE = "DRILLBOOK_ATTEMPT"
"""Environment variable with the number of the present attempt of the CI pipeline. When jobs of a pipeline are run again, the
name of the pipeline remains, and this number grows.
"""
NEEDS_VARIABLE = "DRILLBOOK_NEEDS"
"""Environment variable of the CI job that collects the results. It contains the results of all other jobs of the present
attempt. Its format is GitHub's context `needs` in JSON.
"""


@dataclass(frozen=True, slots=True)
class Artefact:
    """Artefact of the CI job that drilled a site. ``ending``: result of this drill, read from the journal that the job
    wrote.
    """

    ending: Ending
    campaign: Path
    """Folder of the campaign that the CI job ran for this one site. It is below the folder `reports` of the job."""
    tool: str = ""
    """Name and version of the Drillbook that made the plan of the site's drill in the CI job. It is empty in older journals."""
    older: str = ""
    """Note for a run from an older attempt of the pipeline. It names this attempt and its date. It is empty when the run is
    from the present attempt.
    """

    @property
    def reports(self) -> Path:
        """Folder with the runs of the CI job."""
        return self.campaign.parents[1]


def attempt_of_pipeline() -> int:
    """Return the number of the present attempt of the CI pipeline, or 0 when the environment does not contain the number.
    Raises UsageError when the environment contains another text.
    """
    text = os.environ.get(ATTEMPT_VARIABLE, "")
    if text and not (text.isascii() and text.isdigit()):
        raise UsageError(
            f"{ATTEMPT_VARIABLE} is {text!r}, which is not the number of an attempt",
            hint=AS_JOBS,
        )
    return int(text or 0)


def all_succeeded() -> bool:
    """Return True when the environment shows that every job of the present attempt succeeded. When the environment does not
    contain the results of the jobs, return False. Raises UsageError when the information cannot be read.
    """
    text = os.environ.get(NEEDS_VARIABLE, "")
    if not text:
        return False
    try:
        results = [str(job["result"]) for job in json.loads(text).values()]
    except (ValueError, AttributeError, TypeError, KeyError):
        raise UsageError(
            f"{NEEDS_VARIABLE} does not contain the results of jobs",
            hint=AS_JOBS,
        ) from None
    return bool(results) and set(results) == {"success"}


def found_in(
    folder: Path, drill: str, pipeline: str, now: int = 0, *, succeeded: bool = False
) -> tuple[dict[str, Artefact], list[str]]:
    """Find the artefacts of ``pipeline`` in ``folder``. Returns the newest artefact of each site, with the name of the site
    as the key, and the reasons why other artefacts cannot be used.

    ``now``: number of the present attempt of the pipeline; 0 when it is unknown. ``succeeded``: True when every job of this
    attempt is known to have succeeded. If a site failed in an older attempt, that result is used. If a site passed in an older
    attempt, that result is used only when ``succeeded`` is True. Otherwise this attempt may have drilled the site again, and
    this drill may have been interrupted.
    """
    artefacts: dict[str, Artefact] = {}
    problems: list[str] = []
    for campaign, state in _campaigns(folder, drill, pipeline, problems):
        for site in state.start.sites:  # an earlier run shows nothing about a later one that did not end
            artefacts.pop(site["name"], None)
        for name, ending in state.ends.items():
            older = _older(state, now)
            if older and (why := _unusable(ending, now, succeeded=succeeded)):
                problems.append(f"{campaign}: the result of the site {name} is from {older} and is not used: {why}")
                continue
            note = f"this result is from {older}, because attempt {now} made no run of this site" if older else ""
            artefacts[name] = Artefact(ending, campaign, state.start.tool, note)
    return artefacts, problems


def _campaigns(folder: Path, drill: str, pipeline: str, problems: list[str]) -> list[tuple[Path, CampaignState]]:
    """Return the campaigns in ``folder`` that belong to ``drill`` and ``pipeline``. The oldest attempt comes first. For
    each other campaign in the folder, the reason why it is not used is added to ``problems``.
    """
    campaigns = []
    for path in sorted(folder.glob(f"**/{CAMPAIGNS}/[!.]*/{RECORD}/{FILE}")):
        try:
            state = campaign_record.fold(campaign_record.read(path.parents[1]))
        except JournalError as error:
            problems.append(f"{path}: {error.message}")
            continue
        if state.start.drill != drill:
            problems.append(f"{path}: this is a campaign of {state.start.drill}, not of {drill}")
        elif state.start.pipeline != pipeline:
            where = f"in the pipeline {state.start.pipeline}" if state.start.pipeline else "outside of a pipeline"
            began = f"the campaign began on {state.began:%Y-%m-%d} {where}, but the present pipeline is {pipeline}"
            sites = ", ".join(sorted(state.ends)) or "none"
            problems.append(f"{path}: this campaign is not used, because {began}; sites with a result: {sites}")
        else:
            campaigns.append((path.parents[1], state))
    return sorted(campaigns, key=lambda campaign: (campaign[1].start.attempt, campaign[0].name))


def _older(state: CampaignState, now: int) -> str:
    """Return a text with the number and the date of a campaign's attempt. The text is empty for the present attempt, whose
    number is ``now``.
    """
    number = state.start.attempt
    if number >= now:
        return ""
    return f"{f'attempt {number}' if number else 'an unknown attempt'} of {state.began:%Y-%m-%d}"


def _unusable(ending: Ending, now: int, *, succeeded: bool) -> str:
    """Return the reason why the result of a site in an older attempt cannot be used. The reason is empty when the result
    can be used.
    """
    if ending.state is SiteState.FAILED or (ending.state is SiteState.PASSED and succeeded):
        return ""
    if ending.state is SiteState.PASSED:
        return (
            f"the run passed, but attempt {now} made no run of this site, and {NEEDS_VARIABLE} does not show that all jobs of "
            f"attempt {now} succeeded; run the failed jobs again until all succeed, or run all jobs again"
        )
    return f"the run ended with the state {ending.state}, and attempt {now} made no run of this site"


class Artefacts:
    """Executor for sites whose drills run in CI. The CI service runs the drill of each site and stores the run in an artefact.
    This executor starts nothing: it reads the artefact, and reports the result of the run as the outcome of the site. The
    outcome of a site without an artefact is unknown.
    """

    name = "artefacts of CI"

    def __init__(self, artefacts: Mapping[str, Artefact]) -> None:
        """Store the artefacts. The key of each artefact is the name of its site."""
        self._artefacts = artefacts
        self._ended: list[Ending] = []

    def run_of(self, site: str) -> str:
        """Return the name of the run of a site. The result is empty when the CI job of the site left no run."""
        return self._artefacts[site].ending.run if site in self._artefacts else ""

    def who(self, job: Job) -> str:
        """Return an empty name, which means that the run of the site is on this machine."""
        del job
        return ""

    def submit(self, job: Job) -> None:
        """Copy the run of a site to this machine, and judge the run from its journal."""
        try:
            self._ended.append(self._taken(job))
        except (TransferError, OSError) as error:
            self._ended.append(attempt.unknown(job, f"the artefact cannot be used: {error}"))

    def _taken(self, job: Job) -> Ending:
        artefact = self._artefacts.get(job.site)
        if artefact is None:
            return attempt.unknown(
                job,
                (
                    "the CI job of this site left no artefact in this attempt of the pipeline: the job did not run, or it was "
                    "interrupted"
                ),
            )
        source, target = artefact.reports / artefact.ending.run, Path(job.root) / "reports" / job.run
        if not artefact.ending.head:  # the drill left no run
            return (
                artefact.ending
                if artefact.ending.state is not SiteState.PASSED
                else attempt.unknown(job, "the run of this site is missing in the artefact")
            )
        for here, there in ((target, source), (job.folder.with_name(artefact.campaign.name), artefact.campaign)):
            if not here.exists():
                _copy(here, there)
        own = attempt.judged(job)
        if own.head != artefact.ending.head:
            return attempt.unknown(
                job,
                (
                    "the last event of the run in the artefact differs from the last event that the journal of the "
                    "campaign recorded"
                ),
            )
        own_tool = f"drillbook {job.version}"
        if artefact.tool and job.version and artefact.tool != own_tool and own.state is not SiteState.REFUSED:
            differs = f"the CI job planned this site with {artefact.tool}, but the campaign is planned with {own_tool}"
            return replace(own, state=SiteState.REFUSED, message=differs)
        return _noted(job, own, artefact) if artefact.older else own

    def wait(self, timeout_s: float) -> list[Ending]:
        """Return the results of all jobs that were submitted since the last call. These results exist already, so nothing is
        awaited.
        """
        del timeout_s
        endings, self._ended = self._ended, []
        return endings

    def cancel(self, job: Job) -> bool:
        """Do nothing, because no drill is running."""
        del job
        return True

    def told(self) -> list[str]:
        """Return one line with the number of artefacts."""
        return [f"artefacts of {count(len(self._artefacts), 'site')}"]

    def close(self) -> None:
        """Do nothing, because there is nothing to release."""


def _noted(job: Job, own: Ending, artefact: Artefact) -> Ending:
    """Return the result of a site whose run is from an older attempt of the CI pipeline. ``own``: the result as read from the
    run.

    The returned result has a note about the older attempt. Its state is `unknown` when the run passed, but the CI job did not
    record that the site passed.
    """
    if own.state is SiteState.PASSED and artefact.ending.state is not SiteState.PASSED:
        return attempt.unknown(job, f"the CI job did not record that this site passed; {artefact.older}")
    return replace(own, message="; ".join(filter(None, (own.message, artefact.older))))


def _copy(target: Path, source: Path) -> None:
    transfer.fetch(target, worker.files_of(source), lambda wanted: worker.pieces_of(source, wanted))
