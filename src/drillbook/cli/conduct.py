"""From a name to a finished run folder: plan it, run it, judge it, write its reports. The composition root."""

from __future__ import annotations

import json
import os
import platform
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from drillbook import __version__
from drillbook.attestation import anchors, places, statement
from drillbook.attestation.manifests import ManifestKeys
from drillbook.attestation.statement import Sealer
from drillbook.engine.hold import Hold
from drillbook.engine.leases import Owner
from drillbook.engine.liveness import controller
from drillbook.engine.open_hosts import Hosts
from drillbook.engine.recovery import in_the_way
from drillbook.engine.runner import Runner
from drillbook.engine.steps import Stage
from drillbook.engine.stop_requests import Stop, watching
from drillbook.errors import DrillbookError, JournalError, PlanError, Unreported, UsageError
from drillbook.events.holds import TraceMissed, TraceSent
from drillbook.events.runs import RunSession, Session
from drillbook.exits import Exit
from drillbook.findings import Finding
from drillbook.hosts.open import open_host
from drillbook.inventory.inventory import Inventory
from drillbook.journal.journal import FILE, Journal, Observer, read
from drillbook.journal.own_writes import Written
from drillbook.judge import earlier_runs
from drillbook.judge.judge import judge
from drillbook.judge.result import EXIT, Residue, RunView, SuiteResult, Verdict
from drillbook.notify.messenger import Messenger
from drillbook.plan import approval, guard, needed, planner
from drillbook.plan.planner import Plan
from drillbook.plan.spec import Drill, Suite
from drillbook.project.project import Project
from drillbook.redact import Redactor
from drillbook.report import publish
from drillbook.sdk.host import Host
from drillbook.sdk.run_folder import RunFolder
from drillbook.signing import account, keys
from drillbook.signing.texts import Look
from drillbook.telemetry import export, spans

WORST = (Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.ABORTED, Verdict.REFUSED, Verdict.PASSED)
"""Verdicts of a suite's drills from worst to best; the suite has the worst."""


@runtime_checkable
class Connects(Protocol):
    """A host that can be connected before its first command."""

    def open(self) -> None:
        """Connect. Raises HostError."""


@dataclass(frozen=True, slots=True)
class Conductor:
    """Runs drills and suites of one project on one inventory."""

    project: Project
    inventory: Inventory
    observer: Observer
    confirm: str | None = ""
    """The environment that the operator confirmed; ``None``: they are not asked."""
    attested: dict[str, str | None] = field(default_factory=dict)
    """Digests of the attestations that were written for the runs, by folder."""
    missed: list[str] = field(default_factory=list)
    """Anchors and timestamps of what was signed that could not be had, each with the reason."""

    def plans(self, found: Drill | Suite) -> list[Plan]:
        """The plan of a drill, or of every drill of a suite, so that all are checked before the first one runs."""
        if isinstance(found, Drill):
            return [planner.make(found, self.inventory)]
        drills = [self.project.drill(name) for name in found.drills]
        for drill in drills:
            if isinstance(drill, Suite):
                raise PlanError(f"the suite {found.suite!r} names the suite {drill.suite!r}; a suite names drills")
        return [planner.make(drill, self.inventory) for drill in drills if isinstance(drill, Drill)]

    def run(self, one: Plan, parent: Path | None = None) -> tuple[Path, RunView]:
        """Run a plan; returns the run's folder and what the judge says. The reports are written.

        Raises UsageError, before anything begins, for a place of anchors that is none.
        """
        places.places(self.project.reports)
        redactor = redactor_for(one)
        run_id, suite = new_run_id(one.drill), parent.name if parent else ""
        folder = (parent or self.project.ready_reports()) / run_id
        prev = previous_head(self.project, run_id)
        journal = Journal(
            folder, redactor, origin=time.monotonic(), prev=prev, observer=self.observer, place=new_folder(folder)
        )
        messenger = Messenger(
            one, run_id, str(folder / "report.html"), journal.append, folder=anchors.relative(folder, self.project.reports)
        )
        written = Written()
        journal.also(written)
        journal.also(messenger.saw)
        hosts = Hosts(lambda name: connect(self.inventory, name))
        refusals, approved = self.allowed(one, folder)
        run = {"id": run_id, "started": datetime.now(UTC).isoformat(timespec="seconds"), "operator": operator()}
        stop = Stop()
        owner = Owner(run=run_id, operator=run["operator"], controller=controller(), drill=one.drill)
        stage = Stage(
            one,
            journal,
            hosts.get,
            folder,
            run,
            redactor,
            traced=(suite or run_id) if export.endpoint() else "",
            hold=Hold(one, journal, hosts.get, owner, stop),
            vouchers=ManifestKeys(self.project.root),
        )
        try:
            with watching(stop, folder, self.project.reports, journal=journal):
                head: RunSession = {**header(run["operator"]), "approval": approved}
                residue = Runner(
                    stage,
                    hosts.open,
                    head,
                    stop,
                    refusals,
                    self._history(one, folder),
                    self._vouching(one, folder, written, {**run, "previous_head": prev}),
                ).run()
            messenger.ended(lambda: judge(read(journal.path)).result)
            send_trace(journal, run_id, suite)
            gone = journal.displaced()
        finally:
            hosts.close()
            journal.close()
        if gone:
            raise unrecorded(folder, gone, residue)
        return folder, self._report(folder, written, run["operator"], residue, alone=parent is None)

    def _report(self, folder: Path, written: Written, by: str, residue: Sequence[Residue], *, alone: bool) -> RunView:
        """Judge a run that has ended, write its reports and sign them; ``alone``: it is no run of a suite.

        Raises Unreported.
        """
        try:
            view = judge(read(folder / FILE))
            publish.write_run(folder, view)
            statement.seal_run(folder, view, self._sealer(by), written=written)
            self.attested[folder.name] = statement.written_digest(folder)
            if alone:
                publish.write_index(self.project.reports, latest=folder.name)
        except OSError as error:
            raise unreported(folder, error, residue) from None
        except JournalError as error:
            raise unrecorded(folder, error.message, residue) from None
        return view

    def _history(self, one: Plan, folder: Path) -> Callable[[], list[dict[str, Any]]] | None:
        """What tells a run at its end of the sizes that earlier runs measured; None when it measures none."""
        if not earlier_runs.collects(one):
            return None
        return lambda: earlier_runs.capacity([other for other in self.project.runs() if other != folder], one)

    def _sealer(self, by: str, occasion: str = "run") -> Sealer:
        return Sealer(self.project.root, by, occasion, self.missed)

    def _vouching(self, one: Plan, folder: Path, written: Written, run: dict[str, Any]) -> Callable[[str], None]:
        """Sign the head of a run while it goes on; a key that could not be used once is not tried again before the end."""
        said = {
            "run": run["id"],
            "drill": one.drill,
            "environment": self.inventory.environment,
            "started": run["started"],
            "operator": run["operator"],
            "plan_digest": one.digest,
            "previous_head": run["previous_head"],
        }
        failed: list[str] = []

        def vouch(occasion: str) -> None:
            sealer = self._sealer(run["operator"], occasion)
            if not failed and (why := statement.checkpoint(folder, written, sealer, said)):
                failed.append(why)

        return vouch

    def allowed(self, one: Plan, folder: Path | None = None) -> tuple[list[Finding], dict[str, Any] | None]:
        """Why the drill may not begin now, before any host is asked; and the approval that it has."""
        now = datetime.now(UTC)
        found = look(self.project, one, now)
        refusals = guard.check(one, now=now, confirm=self.confirm, approval=found)
        others = [other for other in (*self.project.runs(), *self.project.lost()) if other != folder]
        return [*refusals, *in_the_way(one, others)], found.facts() if found else None

    def run_suite(self, suite: Suite, plans: Sequence[Plan], between: Callable[[RunView], None]) -> tuple[Path, SuiteResult]:
        """Run the drills of a suite, one after another; one report over all.

        Goes on after a failed drill, not after one that was aborted or left residue; ``between`` sees each view.
        """
        run_id = new_run_id(suite.suite)
        folder = self.project.ready_reports() / run_id
        started, began_ns, began = datetime.now(UTC), time.time_ns() // 1_000_000 * 1_000_000, time.monotonic()
        views: list[RunView] = []
        for one in plans:
            _, view = self.run(one, parent=folder)
            views.append(view)
            between(view)
            if view.result.residue or view.result.verdict is Verdict.ABORTED:
                break
        start = SuiteResult(
            run=run_id,
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
            whole = spans.of_suite(run_id, suite.suite, began_ns, time.monotonic() - began, str(result.verdict))
            with suppress(export.NotExported):  # where the collector is down each drill has told it
                export.export(run_id, whole)
        publish.write_suite(folder, result, views)
        statement.seal_suite(folder, result, self._sealer(operator()), self.attested)
        publish.write_index(self.project.reports, latest=folder.name)
        return folder, result


def send_trace(journal: Journal, run: str, suite: str = "") -> None:
    """Send the trace of a run that has ended to the collector, if one is named; the journal says whether it arrived.

    A run of a ``suite`` is part of that one's trace.
    """
    where = export.endpoint()
    if not where:
        return
    with suppress(DrillbookError, OSError):  # a full disk is told elsewhere
        try:
            history = read(journal.path)
            found = spans.of_run(history.events, str(judge(history).result.verdict))
            export.export(run, found, suite=suite)
            journal.append(TraceSent(to=where, spans=len(found)))
        except export.NotExported as error:
            journal.append(TraceMissed(to=where, message=str(error)))


def unreported(folder: Path, error: OSError, residue: Sequence[Residue]) -> Unreported:
    """The error for a run whose reports cannot be written: it still says what the run has left."""
    return Unreported(
        f"the report of {folder.name} cannot be written: {error.strerror or error}; {_state(residue)}",
        hint=f"make {folder.parent} writable again (a full disk: free some space), then: invoke drill.recover {folder.name}",
    )


def unrecorded(folder: Path, why: str, residue: Sequence[Residue]) -> Unreported:
    """The error for a run whose journal was taken away or changed: only here it is said what the run has left."""
    hint = (
        "no command can put it back any more: do by hand what is said above"
        if residue
        else "look at what it touched, and at who changed it"
    ) + f"; then move what is left of {folder} out of reports/"
    return Unreported(
        f"the record of {folder.name} is lost: {why}; nobody can show later what it did; {_state(residue)}", hint=hint
    )


def _state(residue: Sequence[Residue]) -> str:
    left = "".join(f"\n{one.host}: {one.what}: {one.why}\n{one.by_hand}" for one in residue)
    return f"not everything could be put back:{left}" if residue else "everything was put back"


def connect(inventory: Inventory, name: str) -> Host:
    """The host ``name`` of ``inventory``, connected. Raises HostError."""
    host = open_host(inventory.target(name), targets=inventory.hosts)
    if isinstance(host, Connects):
        host.open()
    return host


def redactor_for(one: Plan) -> Redactor:
    """The redactor of a run of ``one``; the secrets of the services that it works with are read now.

    Raises SecretError, and UsageError when a secret stands in the plan in plain text.
    """
    redactor = Redactor(())
    redactor.learn(*one.inventory.revealed(needed.of_plan(one), redactor.learn))
    plain = one.model_dump(mode="json")
    if redactor.value(plain) != plain:
        raise UsageError(
            "a secret of the inventory also stands in plain text in the drill or the inventory, "
            "so it cannot be hidden in the journal",
            hint="a password that is an ordinary word is no secret: change it",
        )
    return redactor


def rejudged(suite: SuiteResult, views: Sequence[RunView]) -> SuiteResult:
    """``suite`` with the worst verdict of its drills; a drill that did not run makes it inconclusive at best."""
    verdicts = {view.result.verdict for view in views}
    if len(views) < len(suite.drills) or Verdict.NOT_RUN in verdicts:
        verdicts.add(Verdict.INCONCLUSIVE)
    verdict = next(worst for worst in WORST if worst in verdicts)
    residue = any(view.result.residue for view in views)
    runs: list[dict[str, Any]] = [
        {
            "run": view.result.run,
            "drill": view.result.drill,
            "folder": view.result.run,
            "verdict": view.result.verdict,
            "exit": view.result.exit,
            "objectives": view.result.model_dump(mode="json")["objectives"],
        }
        for view in views
    ]
    return suite.model_copy(
        update={"verdict": verdict, "exit": Exit.RESIDUE if residue else EXIT[verdict], "runs": tuple(runs)}
    )


def _utc(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def new_run_id(name: str) -> str:
    """A name for a run's folder that sorts by time: UTC to the millisecond, drill, and four random hex digits."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}Z-{name}-{secrets.token_hex(2)}"


def new_folder(folder: Path) -> RunFolder:
    """Make a run's folder, which is hidden until its first event is written. Raises JournalError."""
    try:
        return RunFolder.make(folder)
    except OSError as error:
        raise JournalError(f"{folder} cannot be made: {error.strerror}; nothing was touched") from None


def operator() -> str:
    """Name of the operator: the account that the kernel tells, or what a pipeline says in DRILLBOOK_OPERATOR."""
    return os.environ.get("DRILLBOOK_OPERATOR") or f"{account.name()}@{platform.node()}"


def look(project: Project, one: Plan, now: datetime) -> Look | None:
    """The approval of ``one``; ``None`` when it needs none."""
    if not guard.needs_approval(one):
        return None
    return approval.look(one, project.root, now=now, operator=operator(), signing=keys.fingerprint_of(project.root))


def header(who: str) -> Session:
    """Controller and operator of a run or of its recovery, for its first event."""
    return {
        "tool": f"drillbook {__version__}",
        "operator": who,
        "account": account.told(),
        "controller": f"{platform.node()}, {platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }


def previous_head(project: Project, run_id: str) -> str | None:
    """Hash of the last event of the newest run before ``run_id``, so that no run can be left out unnoticed."""
    for folder in reversed([folder for folder in project.runs() if folder.name < run_id]):
        try:
            return read(folder / "journal.jsonl").head
        except JournalError:
            continue
    return None


def judged(folder: Path) -> RunView:
    """Judge a run again from its journal. Raises JournalError when that cannot be read, or is not one of a run."""
    history = read(folder / "journal.jsonl")
    try:
        return judge(history)
    except Exception as error:
        raise JournalError(
            f"the journal of {folder.name} cannot be judged: {type(error).__name__}: {error}",
            hint="it was changed, or written by another version",
        ) from error


def suite_of(folder: Path) -> SuiteResult | None:
    """The suite that a run's folder lies in, if any."""
    path = folder.parent / "result.json"
    if not path.is_file():
        return None
    data = json.loads(path.read_text(encoding="utf-8"))
    return SuiteResult.model_validate(data) if "suite" in data else None
