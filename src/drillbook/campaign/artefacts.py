"""Executor of a campaign whose sites were drilled by jobs of CI: it takes the runs from the artefacts that the jobs left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from drillbook.campaign import attempt, record, transfer, worker
from drillbook.campaign.attempt import CAMPAIGNS, RECORD, Ending, Job
from drillbook.campaign.scheduler import SiteState
from drillbook.campaign.transfer import TransferError
from drillbook.errors import JournalError
from drillbook.journal.journal import FILE


@dataclass(frozen=True, slots=True)
class Artefact:
    """Artefact of the job of a site: the end of the site by the journal of its own campaign, and the folder of its runs."""

    ending: Ending
    campaign: Path
    """Folder of the campaign of this one site; the reports of the job are above it."""

    @property
    def reports(self) -> Path:
        """Folder of the runs of the job."""
        return self.campaign.parents[1]


def found_in(folder: Path, drill: str) -> tuple[dict[str, Artefact], list[str]]:
    """Artefacts in ``folder`` by site, the newest of each, and the reasons why others are not used."""
    found: dict[str, Artefact] = {}
    problems: list[str] = []
    paths = folder.glob(f"**/{CAMPAIGNS}/[!.]*/{RECORD}/{FILE}")
    for path in sorted(paths, key=lambda path: path.parents[1].name):
        try:
            state = record.fold(record.read(path.parents[1]))
        except JournalError as error:
            problems.append(f"{path}: {error.message}")
            continue
        if state.start.drill != drill:
            problems.append(f"{path}: it is a campaign of {state.start.drill}, not of {drill}")
            continue
        found |= {site: Artefact(ending, path.parents[1]) for site, ending in state.ends.items()}
    return found, problems


class Artefacts:
    """Carries out nothing: each job ends with what its artefact holds, and without an artefact as unknown."""

    name = "artefacts of CI"

    def __init__(self, found: Mapping[str, Artefact]) -> None:
        """Take the artefacts by site."""
        self._found = found
        self._ended: list[Ending] = []

    def run_of(self, site: str) -> str:
        """Name of the run of a site; empty when its job left none."""
        return self._found[site].ending.run if site in self._found else ""

    def who(self, job: Job) -> str:
        """Name this machine: the runs are copied to it."""
        del job
        return ""

    def submit(self, job: Job) -> None:
        """Copy the run of a site here, and judge it from its journal."""
        try:
            self._ended.append(self._taken(job))
        except (TransferError, OSError) as error:
            self._ended.append(attempt.unknown(job, f"the artefact cannot be used: {error}"))

    def _taken(self, job: Job) -> Ending:
        one = self._found.get(job.site)
        if one is None:
            return attempt.unknown(job, "its job left no artefact: it did not run, or was interrupted")
        source, target = one.reports / one.ending.run, Path(job.root) / "reports" / job.run
        if not one.ending.head:  # the drill left no run
            return one.ending if one.ending.state is not SiteState.PASSED else attempt.unknown(job, "its run is missing")
        for here, there in ((target, source), (job.folder.with_name(one.campaign.name), one.campaign)):
            if not here.exists():
                _copy(here, there)
        own = attempt.judged(job)
        if own.head != one.ending.head:
            return attempt.unknown(job, "the run in the artefact has another last event than the journal of its campaign")
        return own

    def wait(self, timeout_s: float) -> list[Ending]:
        """Return the jobs that ended; they all did."""
        del timeout_s
        found, self._ended = self._ended, []
        return found

    def cancel(self, job: Job) -> None:
        """Do nothing: no drill runs here."""

    def told(self) -> list[str]:
        """Count the artefacts."""
        return [f"artefacts of {len(self._found)} sites"]

    def close(self) -> None:
        """Do nothing: there is nothing to release."""


def _copy(target: Path, source: Path) -> None:
    transfer.fetch(target, worker.files_of(source), lambda wanted: worker.pieces_of(source, wanted))
