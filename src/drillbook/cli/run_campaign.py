"""Runs or resumes a campaign, and prints its progress to the terminal."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drillbook import __version__
from drillbook.attestation import sign_runs
from drillbook.attestation.sign_runs import Sealer
from drillbook.campaign import artefacts, campaign_record, continuing, place, scorecard, sites
from drillbook.campaign.artefacts import Artefacts
from drillbook.campaign.attempt import Job
from drillbook.campaign.campaign_record import CampaignState, Intent
from drillbook.campaign.coordinator import Coordinator, Stopping
from drillbook.campaign.executor import Executor
from drillbook.campaign.processes import Processes
from drillbook.campaign.scheduler import SiteState, waves
from drillbook.campaign.sites import SitesFile
from drillbook.cli import campaign_matrix, campaign_view, dry_run, needed_extras, site_approvals, site_plans
from drillbook.cli.console import console
from drillbook.cli.render import shown_path
from drillbook.cli.run_identity import header, new_run_id, operator
from drillbook.cli.site_plans import SitePlan
from drillbook.errors import UsageError
from drillbook.events.campaigns import CampaignResumed, CampaignStarted
from drillbook.exits import Exit
from drillbook.installation import extras
from drillbook.installation.program_name import as_called
from drillbook.journal.journal import Journal
from drillbook.journal.run_files import PAGE
from drillbook.plan.spec import Suite
from drillbook.project import run_index, settings
from drillbook.project.project import Project
from drillbook.report.figures import count, shown


@dataclass(frozen=True, slots=True)
class Wish:
    """Options of a new campaign."""

    drill: str
    sites: str
    at_most: int = 0
    """Maximum number of sites that are drilled at the same time. When it is 0, the number in the sites file is used."""
    confirm: str = ""
    only: str = ""
    """Name of the only site to drill. An empty text means all sites of the file."""

    def file(self, project: Project) -> SitesFile:
        """Read the sites file. Raises UsageError when no sites file was named, or when the file is invalid."""
        if not self.sites:
            raise UsageError(
                "a campaign needs --sites",
                hint="invoke campaign NAME --sites FILE or GROUP; see `Campaigns` in the documentation",
            )
        sites_file = sites.load(project.root, self.sites)
        sites_file = sites_file.single(self.only) if self.only else sites_file
        return sites_file.model_copy(update={"at_most": self.at_most}) if self.at_most else sites_file


def start(project: Project, wish: Wish, on: str) -> int:
    """Begin a campaign and run it to its end. Returns the exit status of the campaign."""
    file = wish.file(project)
    return _begin(project, wish, file, lambda: executor_of(on, project, file.at_most))


def collect(project: Project, wish: Wish, folder: str) -> int:
    """Make a campaign from the runs that CI jobs stored in ``folder``. Returns the exit status of the campaign.

    Raises UsageError in three cases: ``folder`` is not a folder, the environment does not name the CI pipeline, or the
    sites file is invalid.
    """
    if not Path(folder).is_dir():
        raise UsageError(
            f"{folder} is not a folder", hint="--artefacts must name the folder that contains the artefacts of all jobs"
        )
    pipeline = os.environ.get(artefacts.PIPELINE_VARIABLE, "")
    if not pipeline:
        raise UsageError(
            f"{artefacts.PIPELINE_VARIABLE} does not name the CI pipeline, so runs of an older "
            "pipeline could be taken for runs of this pipeline",
            hint=(
                "set this variable to the same value in all jobs of a pipeline, as `invoke campaign --matrix` "
                "does; see `Campaigns` in the documentation"
            ),
        )
    now, succeeded = artefacts.attempt_of_pipeline(), artefacts.all_succeeded()
    runs_by_site, problems = artefacts.found_in(Path(folder), wish.drill, pipeline, now, succeeded=succeeded)
    for text in problems:
        console().print(shown(f"not used: {text}"), soft_wrap=True)
    executor, file = Artefacts(runs_by_site), wish.file(project)
    passed = tuple(
        name for name in file.sites if name in runs_by_site and runs_by_site[name].ending.state is SiteState.PASSED
    )

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
    """Plan the drill on every site, write the first event, and run the campaign. ``executed``: function that returns the
    executor, which carries out the jobs of the campaign.
    """
    settings.load(project.root)
    needed_extras.require()
    suite = isinstance(project.drill(wish.drill), Suite)
    campaign = new_run_id(wish.drill)
    folder = campaign_record.folder_of(project.ready_reports(), campaign)
    try:
        planned = site_plans.made(project, wish.drill, file, folder / "sites")
        approved = site_approvals.first(project, wish.drill, planned, folder)
        own, counted = place.name_of(project.root), artefacts.attempt_of_pipeline()
        executor = executed()
        journal = campaign_record.create(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    started = CampaignStarted(
        **header(operator()),
        campaign=campaign,
        drill=wish.drill,
        suite=suite,
        confirm=wish.confirm,
        executor=executor.name,
        approval=approved,
        place=own,
        pipeline=os.environ.get(artefacts.PIPELINE_VARIABLE, ""),
        attempt=counted,
        **_rules_and_sites(file, planned),
    )
    journal.append(started, sync=True)
    return _run(project, folder, journal, executor, new_run)


def _rules_and_sites(file: SitesFile, planned: Mapping[str, SitePlan]) -> dict[str, Any]:
    data = file.model_dump(mode="json", by_alias=True)
    sites = data.pop("sites")
    plans = {name: {"path": planned[name].path, "plans": planned[name].digests} for name in sites}
    return {"rules": data, "sites": tuple({"name": name, **plans[name], **entry} for name, entry in sites.items())}


def resume(project: Project, name: str, on: str) -> int:
    """Continue a campaign whose controller died or was stopped. Returns the exit status of the campaign.

    First, examine each site where a run was started and has no known end. Then start the drills of the remaining sites. If the
    approval of the campaign has expired, raise NotReady after the first part, and start nothing.
    """
    folder = campaign_record.find(project.reports, name)
    journal = campaign_record.resume(folder)
    state = campaign_record.fold(journal.before.events)
    if state.finished:
        journal.close()
        console().print(shown(f"{folder.name} has ended, so there is nothing to resume"))
        return state.finished.exit
    try:
        own = place.name_of(project.root)
        continuing.refuse(state, own, on)
        renewal = site_approvals.renewed(project, state, folder, datetime.now(UTC))
        if renewal.refusal and not state.open:
            raise renewal.refusal
        executor = executor_of(on, project, state.file.at_most)
    except BaseException:
        journal.close()
        raise
    resumed = CampaignResumed(**header(operator()), executor=executor.name, approval=renewal.digest, place=own)
    journal.append(resumed, sync=True)
    if renewal.refusal is None:
        return _run(project, folder, journal, executor)
    _run(project, folder, journal, executor, stopping=Stopping(1))  # only the sites whose end is unknown
    raise renewal.refusal


def tell(project: Project, wish: Wish) -> int:
    """Print the sites in each wave of a campaign, and change nothing. Raises UsageError when the options or the sites
    file are invalid.
    """
    file = wish.file(project)
    plannable = project.drill(wish.drill)
    parts = waves(file.rules(), file.scheduled())
    kind = "suite" if isinstance(plannable, Suite) else "drill"
    sites.inventories(project.root, file)
    return dry_run.tell(
        f"would run the {kind} {wish.drill} on {count(len(file.sites), 'site')}, at most {file.at_most} at once",
        *(f"wave {number}: {', '.join(part)}" for number, part in enumerate(parts, 1)),
    )


def print_matrix(project: Project, wish: Wish, kind: str) -> int:
    """Print the definition of CI jobs that run a campaign. Raises UsageError when the options or the sites file are
    invalid.
    """
    file = wish.file(project)
    project.drill(wish.drill)
    sys.stdout.write(campaign_matrix.rendered(kind, wish.drill, file, wish.sites, wish.confirm))
    return Exit.OK


def _run(
    project: Project,
    folder: Path,
    journal: Journal,
    executor: Executor,
    new_run: Callable[[str], str] | None = None,
    *,
    stopping: Stopping | None = None,
) -> int:
    state = campaign_record.fold(campaign_record.read(folder))
    stopping, out = stopping or Stopping(), console()
    names, jobs = new_run or (lambda _: new_run_id(state.start.drill)), _jobs(project, state)
    try:
        with _stoppable(stopping):
            out.print(shown(f"{folder.name}: {count(len(state.start.sites), 'site')}, by {executor.name}"), style="bold")
            for line in executor.told():
                out.print(shown(line), soft_wrap=True)
            with campaign_view.watching(out, state) as view:
                Coordinator(state, journal, executor, jobs, names, stopping=stopping, saw=view.saw).run()
    finally:
        executor.close()
        journal.close()
    return _reported(project, folder, state, journal)


def _reported(project: Project, folder: Path, state: CampaignState, journal: Journal) -> int:
    """Write and sign the report of a campaign, and print the result. Returns the exit status of the campaign."""
    out, finished = console(), state.finished
    scorecard.write(folder, state)
    runs = [end.run for end in state.ends.values() if end.head]
    run_index.write(project, latest=max(runs, default=""))
    if why := _sealed(project, folder, state, journal):
        out.print(shown(f"not signed: {why}"), style="yellow", soft_wrap=True)
    if finished is None:
        sites = count(len(state.start.sites), "site")
        again = continuing.command(state, place.name_of(project.root))
        out.print(shown(as_called(f"stopped after {len(state.ends)} of {sites}; to continue: {again}")), soft_wrap=True)
        return Exit.REFUSED
    told = ", ".join(f"{number} {name}" for name, number in sorted(finished.sites.items()))
    out.print(shown(f"{state.stopped}\n{told}" if state.stopped else told), style="bold")
    out.print(shown(f"report: {shown_path(folder / PAGE)}"), soft_wrap=True)
    return finished.exit


def _sealed(project: Project, folder: Path, state: CampaignState, journal: Journal) -> str:
    """Sign the folder of an ended campaign in the same way as the folder of a run. Returns the reason when it could not
    be signed, and otherwise an empty text.
    """
    if state.finished is None:
        return ""
    events = campaign_record.read(folder)
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
    """Return a function that makes the job of a site. The function takes the name of the site and the intent. The intent is
    the event that the campaign wrote before it started the run at this site.
    """
    groups = {site.name: site.groups for site in state.file.scheduled()}
    file, paths, plans, start = state.file, state.inventories, state.plans, state.start
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
            plans=plans[site],
            version=__version__,
            approved=bool(state.approval),
        )

    return job


def executor_of(on: str, project: Project, at_most: int) -> Executor:
    """Return the executor, which carries out the jobs of a campaign. ``on``: the address of a Dask scheduler, ``local``, or
    an empty text for child processes. Raises UsageError when the executor cannot be used.
    """
    if not on:
        return Processes(place=place.name_of(project.root))
    extras.require("fleet", "--on")
    from drillbook.campaign import connecting  # noqa: PLC0415  an extra, and slow to load

    return connecting.fleet_of(on, project.root, at_most)


@contextmanager
def _stoppable(stopping: Stopping) -> Iterator[None]:
    """Stop the campaign at Ctrl-C. After the first Ctrl-C, no further site is started. After the second
    Ctrl-C, the running drills are stopped too.
    """

    def answer(*_: object) -> None:
        stopping.level = min(stopping.level + 1, 2)
        said = (
            "press Ctrl-C again to stop the running drills"
            if stopping.level == 1
            else "the running drills undo their changes"
        )
        sys.stderr.write(f"no further site is started; {said}\n")

    before = {number: signal.signal(number, answer) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
