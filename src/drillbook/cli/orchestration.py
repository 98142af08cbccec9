"""Executes a plan from start to end. It runs the plan, judges the run, writes the reports, and signs the folder of the
run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from drillbook.attestation import anchor_lines, anchor_places, sign_runs
from drillbook.attestation.manifests import ManifestKeys
from drillbook.attestation.sign_runs import Sealer
from drillbook.campaign.expected_plans import expected
from drillbook.cli import permitted_inventory, run_trace, sudoers
from drillbook.cli.access import connect, redactor_for
from drillbook.cli.lost_record import unrecorded, unreported
from drillbook.cli.run_identity import given_run_id, header, of_campaign, operator, previous_head
from drillbook.engine import pruning
from drillbook.engine.leases import Owner
from drillbook.engine.liveness import controller
from drillbook.engine.locks_and_leases import Hold
from drillbook.engine.open_hosts import Hosts
from drillbook.engine.recovery import in_the_way
from drillbook.engine.runner import Runner
from drillbook.engine.step_context import Stage
from drillbook.engine.stop_requests import Held, Stop, by_signals, watching
from drillbook.errors import JournalError, PlanError
from drillbook.events.runs import RunStarted
from drillbook.events.session import RunSession
from drillbook.exits import Exit
from drillbook.findings import Finding
from drillbook.inventory.inventory import Inventory
from drillbook.journal.journal import Journal, Observer, read
from drillbook.journal.own_writes import Written
from drillbook.journal.run_files import PAGE
from drillbook.journal.run_state import RunStates
from drillbook.judge import earlier_runs
from drillbook.judge.judge import judge
from drillbook.judge.result import Residue, RunView, SuiteResult
from drillbook.judge.verdicts import Verdict
from drillbook.notify.messenger import Messenger
from drillbook.plan import approval, campaign_approval, guard
from drillbook.plan.planner import Plan
from drillbook.plan.schedule import Schedule
from drillbook.plan.spec import Drill, Suite
from drillbook.project import planning, routine_restores, run_index
from drillbook.project.finished_runs import rejudged
from drillbook.project.project import Project
from drillbook.report import index_notice, publish
from drillbook.sdk.earlier_results import EarlierStep
from drillbook.sdk.run_folder import RunFolder
from drillbook.signing import keys
from drillbook.signing.texts import Files, Look
from drillbook.telemetry import export, spans


@dataclass(frozen=True, slots=True)
class Orchestrator:
    """Runs drills and suites of one project on one inventory."""

    project: Project
    inventory: Inventory
    observer: Observer
    confirm: str | None = ""
    """Environment that the operator confirmed with --confirm. ``None`` if no confirmation is needed, for example in a check."""
    attested: dict[str, str | None] = field(default_factory=dict)
    """Digests of the attestations that were written so far. The key of each digest is the name of the run's folder. An
    attestation holds the signed digests of a run's files.
    """
    missed: list[str] = field(default_factory=list)
    """Messages about anchors (copies of hashes) and timestamps that could not be obtained. Each message has the reason."""
    schedules: dict[str, Schedule] = field(default_factory=dict)
    """Schedules of the planned drills. The key of each schedule is the name of the drill. A run records its schedule in
    its first event.
    """
    differences: list[Finding] = field(default_factory=list)
    """Findings about plans that differ from the plans of the campaign. If there are any, no drill of this process starts."""
    named: str = ""
    """Name or path of the inventory, as the user wrote it. It is recorded in the first event of a run, and used in the
    commands that the report suggests.
    """
    runs: RunStates = field(default_factory=RunStates)
    """States of the runs that have ended. Each journal is read once after its end, and then judged, shown and signed."""
    held: Held = field(default_factory=Held)
    """Signals of the operating system, such as the one of Ctrl-C. They take effect only after the reports are written."""

    def plans(self, drill: Drill | Suite) -> list[Plan]:
        """Return the plan of a drill, or the plans of all drills of a suite. All plans are made before the first drill
        runs, so that mistakes are found early.
        """
        made = [self._planned(drill)] if isinstance(drill, Drill) else self._of_suite(drill)
        if site := expected():
            self.differences.extend(site.differences(made, self.project.root))
        return made

    def _of_suite(self, suite: Suite) -> list[Plan]:
        drills = [planning.load(self.project, name, self.inventory) for name in suite.drills]
        for drill in drills:
            if isinstance(drill, Suite):
                raise PlanError(
                    f"the suite {suite.suite!r} names the suite {drill.suite!r}, but a suite must name only drills"
                )
        return [self._planned(drill) for drill in drills if isinstance(drill, Drill)]

    def _planned(self, drill: Drill) -> Plan:
        head = drill.head
        if schedule := Schedule.of(head.every, head.grace, [head.guard.windows]):
            self.schedules[drill.name] = schedule
        return planning.plan(self.project, drill, self.inventory)

    def run(self, plan: Plan, parent: Path | None = None) -> tuple[Path, RunView]:
        """Run a plan and write its reports. Returns the folder and the judged result of the run.

        Raises UsageError, before the run starts, when a configured place for anchors (copies of hashes) is invalid.
        """
        anchor_places.places(self.project.reports)
        redactor = redactor_for(plan)
        run_id, suite = given_run_id(plan.drill), parent.name if parent else ""
        folder = (parent or self.project.ready_reports()) / run_id
        earlier = RunStates()
        prev = previous_head(self.project, run_id, earlier)
        journal = Journal(
            folder, redactor, origin=time.monotonic(), prev=prev, observer=self.observer, place=_new_folder(folder)
        )
        messenger = self._messenger(plan, folder, journal)
        journal.also(written := Written())
        self._watch(journal, messenger)
        hosts = Hosts(lambda name: connect(self.inventory, name))
        refusals, approved = self.allowed(plan, folder)
        run = {"id": run_id, "started": datetime.now(UTC).isoformat(timespec="seconds"), "operator": operator()}
        stop = Stop()
        hold = Hold(plan, journal, hosts.get, _owner(plan, run), stop)
        traced = (suite or run_id) if export.endpoint() else ""
        stage = Stage(plan, journal, hosts.get, folder, run, redactor, traced=traced, hold=hold, vouchers=self._vouchers)
        stage.earlier, stage.drilled = self._earlier(plan, folder)
        stage.runs, stage.recorded = self.project.runs, partial(sudoers.of_last_run, self.project, plan)
        with self.held.back(stop):
            try:
                with watching(stop, folder, self.project.reports, journal=journal):
                    vouch = self._vouching(plan, folder, written, {**run, "previous_head": prev}, approved)
                    runner = Runner(stage, hosts.open, stop, refusals, header=self._head(plan, run, approved), vouch=vouch)
                    runner.history, runner.before = self._history(plan, folder), self._before(plan, folder, earlier)
                    residue = runner.run()
                self._after(stage, messenger, suite, stop)
                gone = journal.displaced()
            finally:
                stage.pool.shutdown(wait=False)
                hosts.close()
                journal.close()
            return folder, self._report(folder, written, run["operator"], residue, gone, alone=parent is None)

    def _after(self, stage: Stage, messenger: Messenger, suite: str, stop: Stop) -> None:
        """Notify contacts, send the trace of the ended run, and remove old backups from stores with a retention rule.

        A run that was asked to stop removes no backups, so that its report is written at once. ``stop``: request to stop. If
        it arrives while backups are removed, the removal ends early.
        """
        # Read while the journal is still written: what follows adds events, so `_report` reads it again after its end.
        result = cache(lambda: judge(read(stage.journal.path)).result)
        with by_signals(stop, stage.journal):
            messenger.ended(result)
            run_trace.send(stage.journal, stage.run["id"], suite)
            if not self.held.stopped:
                pruning.prune(stage, lambda: [*self.project.runs(), *self.project.lost()], result, stop.flag)

    def _head(self, plan: Plan, run: dict[str, str], approved: dict[str, Any] | None) -> RunSession:
        schedule = self.schedules.get(plan.drill)
        return {
            **header(run["operator"]),
            "approval": approved,
            "schedule": schedule.as_data() if schedule else None,
            "inventory": self.named,
            "routine": routine_restores.of(self.project, plan),
        }

    @property
    def _vouchers(self) -> ManifestKeys:
        return ManifestKeys(self.project.root)

    def _messenger(self, plan: Plan, folder: Path, journal: Journal) -> Messenger:
        place = anchor_lines.relative(folder, self.project.reports)
        return Messenger(plan, folder.name, str(folder / PAGE), journal.append, folder=place)

    def _watch(self, journal: Journal, messenger: Messenger) -> None:
        """Pass the events of the run to the messenger. The first event adds the run to the notice in the index."""
        journal.also(messenger.saw)
        if not of_campaign():
            journal.also(lambda event: index_notice.write(self.project.reports) if event.kind == RunStarted.KIND else None)

    def _report(
        self, folder: Path, written: Written, by: str, residue: Sequence[Residue], gone: str, *, alone: bool
    ) -> RunView:
        """Judge a finished run, write its reports, and sign its folder. Raises Unreported when this fails.

        ``gone``: reason why the journal is no longer in its folder, or an empty text if the journal is there.
        ``alone``: True for a run that is not part of a suite. After such a run, the index of all reports is written too.
        """
        if gone:
            raise unrecorded(folder, gone, residue)
        state = self.runs.of(folder)  # read after the journal was closed, and handed on from here
        try:
            view = judge(state.history)
            rendered = publish.write_run(folder, view)
            sign_runs.seal_run(state, view, rendered, self._sealer(by), written=written)
            self.attested[folder.name] = sign_runs.written_digest(folder)
            state.forget_events()
            if alone and not of_campaign():
                run_index.write(self.project, latest=folder.name)
        except OSError as error:
            raise unreported(folder, error, residue) from None
        except JournalError as error:
            raise unrecorded(folder, error.message, residue) from None
        return view

    def _history(self, plan: Plan, folder: Path) -> Callable[[], list[dict[str, Any]]] | None:
        """Return a function that reads the data sizes which were measured by earlier runs. Returns None when the plan measures
        no sizes.
        """
        if not earlier_runs.collects(plan):
            return None
        return lambda: earlier_runs.capacity([other for other in self.project.runs() if other != folder], plan)

    def _before(self, plan: Plan, folder: Path, states: RunStates) -> Callable[[], list[dict[str, Any]]]:
        """Return a function that reads the newest earlier runs of the same drill. The report compares this run with
        them.

        ``states``: states of the runs that were read already. The returned function clears them after its use, to free
        memory.
        """

        def read_once() -> list[dict[str, Any]]:
            others = [other for other in self.project.runs() if other.name < folder.name]
            try:
                return earlier_runs.same_drill(others, plan, states)
            finally:
                states.clear()

        return read_once

    def _earlier(
        self, plan: Plan, folder: Path
    ) -> tuple[Callable[[str, str], EarlierStep | None], Callable[[datetime], str]]:
        """Return two functions that search earlier runs: for the newest passed step with a given action and service, and for the
        drill that ran at a given time and took backups of the service. ``folder``: folder of this run, which is not searched.
        """

        def others() -> list[Path]:
            return [other for other in self.project.runs() if other != folder]

        return (
            lambda action, service: earlier_runs.last_step(others(), plan, action, service),
            lambda at: earlier_runs.drill_at(others(), plan, at),
        )

    def _sealer(self, by: str, occasion: str = "run") -> Sealer:
        return Sealer(self.project.root, by, occasion, self.missed)

    def _vouching(
        self, plan: Plan, folder: Path, written: Written, run: dict[str, Any], approved: dict[str, Any] | None
    ) -> Callable[[str], None]:
        """Return a function that signs the journal while the run is in progress. After the
        signing has failed once, further calls of this function do nothing.
        """
        said = {
            "run": run["id"],
            "drill": plan.drill,
            "environment": self.inventory.environment,
            "started": run["started"],
            "operator": run["operator"],
            "plan_digest": plan.digest,
            "previous_head": run["previous_head"],
        }
        failed: list[str] = []
        approver = str((approved or {}).get("key", ""))

        def vouch(occasion: str) -> None:
            sealer = self._sealer(run["operator"], occasion)
            if not failed and (why := sign_runs.checkpoint(folder, written, sealer, said, approver)):
                failed.append(why)

        return vouch

    def allowed(self, plan: Plan, folder: Path | None = None) -> tuple[list[Finding], dict[str, Any] | None]:
        """Return the reasons to refuse the drill, and the data of its approval. No host is contacted."""
        now = datetime.now(UTC)
        looked = look(self.project, plan, now)
        instead = permitted_inventory.instead(self.project, plan)
        refusals = guard.check(plan, now=now, confirm=self.confirm, approval=looked, instead=instead)
        others = [other for other in self.project.open_runs() if other != folder]
        return [*self.differences, *refusals, *in_the_way(plan, others)], looked.facts() if looked else None

    def run_suite(self, suite: Suite, plans: Sequence[Plan], between: Callable[[RunView], None]) -> tuple[Path, SuiteResult]:
        """Run the drills of a suite one after another, and write a report about the suite.

        The suite continues after a failed drill. It ends after a drill that was asked to stop, or that left changes in place.
        ``between``: function that is called with the result of each finished run.
        """
        folder = self.project.ready_reports() / given_run_id(suite.suite)
        started, began_ns, began = datetime.now(UTC), time.time_ns() // 1_000_000 * 1_000_000, time.monotonic()
        with self.held.back(Stop()):
            views, unseen = self._runs_of(plans, folder, between)
            result = self._report_suite(suite, folder, views, (started, began_ns, began))
        if unseen:
            raise unseen
        return folder, result

    def _runs_of(
        self, plans: Sequence[Plan], folder: Path, between: Callable[[RunView], None]
    ) -> tuple[list[RunView], OSError | None]:
        """Run the plans of a suite, until a run is stopped or leaves changes in place. Returns the runs, and the error that
        ``between`` raised, or None. Such an error occurs, for example, when the terminal was closed.
        """
        views: list[RunView] = []
        for plan in plans:
            _, view = self.run(plan, parent=folder)
            views.append(view)
            try:
                between(view)
            except OSError as error:
                return views, error
            if view.result.residue or view.result.verdict is Verdict.ABORTED or self.held.stopped:
                break
        return views, None

    def _report_suite(
        self, suite: Suite, folder: Path, views: Sequence[RunView], begun: tuple[datetime, int, float]
    ) -> SuiteResult:
        """Judge a finished suite, write its reports, and sign its folder.

        ``begun``: time at which the suite began, as a time in UTC, as nanoseconds since 1970, and as a reading of the
        monotonic clock.
        """
        started, began_ns, began = begun
        start = SuiteResult(
            run=folder.name,
            suite=suite.suite,
            title=suite.title,
            environment=self.inventory.environment,
            verdict=Verdict.INCONCLUSIVE,
            exit=Exit.UNVERIFIED,
            started=_utc(started),
            finished=_utc(datetime.now(UTC)),
            drills=suite.drills,
            runs=(),
        )
        result = rejudged(start, views)
        if export.endpoint():
            whole = spans.of_suite(folder.name, suite.suite, began_ns, time.monotonic() - began, str(result.verdict))
            with suppress(export.NotExported):  # the run of each drill has already reported a collector that is down
                export.export(folder.name, whole)
        rendered = publish.write_suite(folder, result, views)
        sign_runs.seal_suite(folder, result, rendered, self._sealer(operator()), attested=self.attested, runs=self.runs)
        if not of_campaign():
            run_index.write(self.project, latest=folder.name)
        return result


def _owner(plan: Plan, run: dict[str, str]) -> Owner:
    return Owner(run=run["id"], operator=run["operator"], controller=controller(), drill=plan.drill)


def _new_folder(folder: Path) -> RunFolder:
    """Create the folder of a run under a hidden name. It gets its real name when the first event is written. Raises
    JournalError when the folder cannot be created.
    """
    try:
        return RunFolder.make(folder)
    except OSError as error:
        raise JournalError(f"{folder} cannot be created: {error.strerror}; nothing was touched") from None


def look(project: Project, plan: Plan, now: datetime) -> Look | None:
    """Check the approval of the plan ``plan``, and return the result. Returns ``None`` when the plan needs no approval.

    In a campaign, an approval of the plans of all sites is accepted too, if it lists this plan.
    """
    if not guard.needs_approval(plan):
        return None
    by, key, site = operator(), keys.fingerprint_of(project.root), expected()
    own = approval.look(plan, project.root, now=now, operator=by, signing=key)
    if own.refusal is None or site is None or not site.approval:
        return own
    return campaign_approval.look(plan, site.site, Files.at(Path(site.approval)), now=now, operator=by, signing=key)


def _utc(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
