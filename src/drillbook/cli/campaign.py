"""Run or resume a campaign with output to a terminal."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from drillbook.attestation import sign_runs
from drillbook.attestation.sign_runs import Sealer
from drillbook.campaign import artefacts, place, record, scorecard, sites
from drillbook.campaign.artefacts import Artefacts
from drillbook.campaign.attempt import Ending, Job
from drillbook.campaign.coordinator import Coordinator, Stopping
from drillbook.campaign.executor import Executor
from drillbook.campaign.processes import Processes
from drillbook.campaign.progress import Progress
from drillbook.campaign.record import CampaignState, Intent
from drillbook.campaign.scheduler import SiteState, waves
from drillbook.campaign.sites import SitesFile
from drillbook.cli import campaign_matrix, dry_run
from drillbook.cli.console import console
from drillbook.cli.orchestration import Orchestrator
from drillbook.cli.render import shown_path
from drillbook.cli.run_identity import header, new_run_id, operator
from drillbook.cli.views import ignore
from drillbook.errors import DrillbookError, UsageError
from drillbook.events.campaigns import CampaignResumed, CampaignStarted
from drillbook.exits import Exit
from drillbook.installation import extras
from drillbook.journal.journal import Journal
from drillbook.plan.spec import Suite
from drillbook.project.project import Project
from drillbook.report import publish
from drillbook.report.figures import count, shown

TELL_S = 10.0
"""Shortest time in seconds between two lines about the progress."""
SHAPES = {SiteState.PASSED: "✓", SiteState.FAILED: "✗", SiteState.REFUSED: "–", SiteState.UNKNOWN: "?"}


@dataclass(frozen=True, slots=True)
class Wish:
    """Options of a new campaign."""

    drill: str
    sites: str
    at_most: int = 0
    """Number of sites at once; 0: that of the sites file."""
    confirm: str = ""
    only: str = ""
    """One site of the file; empty for all."""

    def file(self, project: Project) -> SitesFile:
        """Read the sites. Raises UsageError."""
        if not self.sites:
            raise UsageError("a campaign needs --sites", hint="campaign NAME --sites FILE or GROUP; see docs/campaigns.md")
        found = sites.load(project.root, self.sites)
        found = found.single(self.only) if self.only else found
        return found.model_copy(update={"at_most": self.at_most}) if self.at_most else found


def start(project: Project, wish: Wish, on: str) -> int:
    """Begin a campaign and run it to its end; returns its exit status."""
    file = wish.file(project)
    return _begin(project, wish, file, lambda: executor_of(on, project, file.at_most))


def collect(project: Project, wish: Wish, folder: str) -> int:
    """Make a campaign of the runs that jobs of CI left in ``folder``; returns its exit status. Raises UsageError."""
    if not Path(folder).is_dir():
        raise UsageError(f"{folder} is no folder", hint="--artefacts names the folder with the artefacts of all jobs")
    found, problems = artefacts.found_in(Path(folder), wish.drill)
    for text in problems:
        console().print(shown(f"not used: {text}"), soft_wrap=True)
    executor, file = Artefacts(found), wish.file(project)
    passed = tuple(name for name in file.sites if name in found and found[name].ending.state is SiteState.PASSED)

    def run(site: str) -> str:
        return executor.run_of(site) or new_run_id(wish.drill)

    return _begin(project, wish, file.unlimited(passed[:1] or tuple(file.sites)), lambda: executor, run)


def _begin(
    project: Project,
    wish: Wish,
    file: SitesFile,
    executed: Callable[[], Executor],
    new_run: Callable[[str], str] | None = None,
) -> int:
    """Plan the drill on every site, write the first event, and run the campaign by the executor that ``executed`` makes."""
    found = project.drill(wish.drill)
    campaign = new_run_id(wish.drill)
    folder = record.folder_of(project.ready_reports(), campaign)
    try:
        paths = _planned(project, wish.drill, file, folder)
        executor = executed()
        journal = record.create(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    data = file.model_dump(mode="json", by_alias=True)
    journal.append(
        CampaignStarted(
            **header(operator()),
            campaign=campaign,
            drill=wish.drill,
            suite=isinstance(found, Suite),
            rules={key: data[key] for key in data if key != "sites"},
            sites=tuple({"name": name, "path": paths[name], **entry} for name, entry in data["sites"].items()),
            confirm=wish.confirm,
            executor=executor.name,
        ),
        sync=True,
    )
    return _run(project, folder, journal, executor, new_run)


def resume(project: Project, name: str, on: str) -> int:
    """Continue a campaign whose controller died or was stopped; returns the exit status of the campaign."""
    folder = record.find(project.reports, name)
    journal = record.resume(folder)
    state = record.fold(journal.before.events)
    if state.finished:
        journal.close()
        console().print(shown(f"{folder.name} has ended; nothing to resume"))
        return state.finished.exit
    try:
        _reachable(project, state, on)
        executor = executor_of(on, project, state.file.at_most)
    except BaseException:
        journal.close()
        raise
    journal.append(CampaignResumed(**header(operator()), executor=executor.name), sync=True)
    return _run(project, folder, journal, executor)


def tell(project: Project, wish: Wish) -> int:
    """Print the waves of a campaign; changes nothing. Raises UsageError."""
    file = wish.file(project)
    found = project.drill(wish.drill)
    parts = waves(file.rules(), file.scheduled())
    kind = "suite" if isinstance(found, Suite) else "drill"
    sites.inventories(project.root, file)
    return dry_run.tell(
        f"would run the {kind} {wish.drill} on {count(len(file.sites), 'site')}, at most {file.at_most} at once",
        *(f"wave {number}: {', '.join(part)}" for number, part in enumerate(parts, 1)),
    )


def print_matrix(project: Project, wish: Wish, kind: str) -> int:
    """Print the jobs of CI that run a campaign. Raises UsageError."""
    file = wish.file(project)
    project.drill(wish.drill)
    sys.stdout.write(campaign_matrix.rendered(kind, wish.drill, file, wish.sites, wish.confirm))
    return Exit.OK


def _planned(project: Project, drill: str, file: SitesFile, folder: Path) -> dict[str, str]:
    """Write the inventories of the sites, and plan the drill on each, so that no mistake is found half-way. Raises UsageError."""
    (folder / "sites").mkdir(mode=0o700, parents=True)
    paths = sites.write_inventories(file, folder / "sites", sites.inventories(project.root, file))
    found = project.drill(drill)
    for name, path in paths.items():
        try:
            Orchestrator(project, project.inventory(path), ignore).plans(found)
        except DrillbookError as error:
            raise UsageError(f"the drill cannot be planned on the site {name}: {error.message}", hint=error.hint) from None
    return paths


def _run(
    project: Project, folder: Path, journal: Journal, executor: Executor, new_run: Callable[[str], str] | None = None
) -> int:
    state = record.fold(journal.before.events or record.read(folder))
    stopping, out = Stopping(), console()
    total = len(state.start.sites)
    out.print(shown(f"{folder.name}: {count(total, 'site')}, by {executor.name}"), style="bold")
    for line in executor.told():
        out.print(shown(line), soft_wrap=True)

    progress, told_at = Progress(total, len(state.ends)), [time.monotonic()]

    def saw(ending: Ending) -> None:
        why = f": {ending.message}" if ending.message else ""
        text = f"{SHAPES[ending.state]} {ending.site} {ending.state} ({len(state.ends)} of {total}){why}"
        out.print(shown(text), soft_wrap=True)
        progress.saw(datetime.now(UTC), drilled=ending.state is not SiteState.REFUSED)
        if time.monotonic() - told_at[0] >= TELL_S:
            told_at[0] = time.monotonic()
            out.print(shown(progress.text()), style="dim", soft_wrap=True)

    controller = Coordinator(
        state,
        journal,
        executor,
        _jobs(project, state),
        new_run or (lambda _: new_run_id(state.start.drill)),
        stopping=stopping,
        saw=saw,
    )
    try:
        with _stoppable(stopping):
            controller.run()
    finally:
        executor.close()
        journal.close()
    return _reported(project, folder, state, journal)


def _reported(project: Project, folder: Path, state: CampaignState, journal: Journal) -> int:
    """Write and sign the report of a campaign, and tell its result; returns the exit status."""
    out, finished = console(), state.finished
    scorecard.write(folder, state)
    runs = [end.run for end in state.ends.values() if end.head]
    publish.write_index(project.reports, latest=max(runs, default=""))
    if why := _sealed(project, folder, state, journal):
        out.print(shown(f"not signed: {why}"), style="yellow", soft_wrap=True)
    if finished is None:
        sites = count(len(state.start.sites), "site")
        out.print(shown(f"stopped after {len(state.ends)} of {sites}; go on: campaign --resume {folder.name}"))
        return Exit.REFUSED
    told = ", ".join(f"{number} {name}" for name, number in sorted(finished.sites.items()))
    out.print(shown(f"{state.stopped}\n{told}" if state.stopped else told), style="bold")
    out.print(shown(f"report: {shown_path(folder / 'report.html')}"), soft_wrap=True)
    return finished.exit


def _sealed(project: Project, folder: Path, state: CampaignState, journal: Journal) -> str:
    """Sign what a campaign left, as runs are signed; returns the reason if it could not be signed."""
    if state.finished is None:
        return ""
    events = record.read(folder)
    runs = [{"site": end.site, "run": end.run, "state": str(end.state), "head": end.head} for end in state.ends.values()]
    content = {
        "run": state.start.campaign,
        "campaign": state.start.drill,
        "verdict": state.finished.state,
        "exit": state.finished.exit,
        "started": events[0].at,
        "finished": events[-1].at,
        "operator": state.start.operator,
        "events": len(events),
        "head": events[-1].hash,
        "runs": runs,
    }
    before = len(journal.before.events)
    return sign_runs.seal_campaign(folder, content, [[0, before - 1]] if before else [], Sealer(project.root, operator()))


def _jobs(project: Project, state: CampaignState) -> Callable[[str, Intent], Job]:
    """Return the function that makes the job of a site."""
    groups = {site.name: site.groups for site in state.file.scheduled()}
    file, paths, start = state.file, state.inventories, state.start
    entries = {name: entry.model_dump(mode="json", include={"inventory", "set"}) for name, entry in file.sites.items()}
    labels = {name: file.labels(name) for name in file.sites}

    def job(site: str, intent: Intent) -> Job:
        return Job(
            start.campaign,
            site,
            intent.run,
            start.drill,
            start.suite,
            paths[site],
            str(project.root.resolve()),
            confirm=start.confirm,
            groups=groups[site],
            labels=labels[site],
            entry=entries[site],
            place=intent.place,
            previous=intent.hash,
        )

    return job


def executor_of(on: str, project: Project, at_most: int) -> Executor:
    """Make the executor that ``--on`` names. Raises UsageError."""
    if not on:
        return Processes()
    extras.require("fleet", "--on")
    from drillbook.campaign import connecting  # noqa: PLC0415  slow to load, and of an extra

    return connecting.fleet_of(on, project.root, at_most)


def _reachable(project: Project, state: CampaignState, on: str) -> None:
    """Refuse to examine sites here that were started elsewhere. Raises UsageError."""
    own = place.here(project.root).number
    away = {intent.place for intent in state.open.values() if place.number_of(intent.place) not in ("", own)}
    if away and not on:
        raise UsageError(
            f"sites whose end is unknown were started at {', '.join(sorted(away))}",
            hint=f"resume with the workers there: campaign --resume {state.start.campaign} --on tls://SCHEDULER:PORT",
        )


@contextmanager
def _stoppable(stopping: Stopping) -> Iterator[None]:
    """Stop the campaign at Ctrl-C: first start no further site, then also stop the sites that run."""

    def answer(*_: object) -> None:
        stopping.level = min(stopping.level + 1, 2)
        said = (
            "press Ctrl-C again to stop the running drills"
            if stopping.level == 1
            else "the running drills undo their changes"
        )
        sys.stderr.write(f"no further site starts; {said}\n")

    before = {number: signal.signal(number, answer) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
