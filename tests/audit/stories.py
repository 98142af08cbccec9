"""Records of whole years of drills, written with the real Journal and a clock that tests set."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

from drillbook.cli import run_identity
from drillbook.inventory import inventory
from drillbook.journal import journal, suspension
from drillbook.journal.journal import Journal
from drillbook.journal.run_state import RunState, RunStates
from drillbook.plan import planner, spec
from drillbook.plan.schedule import Schedule
from drillbook.project import finished_runs
from drillbook.project.project import Project
from drillbook.redact import Redactor
from drillbook.report import publish
from tests.contents import content
from tests.judge.story import ACKS, DRILL, SAMPLES, Story, grid
from tests.plan.test_planner import HOSTS

DOWN = DRILL.replace("drill: sample", "drill: api-down").replace("A sample", "The API is down").replace(", rpo: 1s", "")
REHEARSE = """\
drill: rehearse
title: The nightly archive restores
service: site
objectives: {}
guard: {environments: [lab]}
backup:
  - backup.check: {service: nightly}
restore:
  - backup.restore: {service: copy, from: nightly}
verify:
  - backup.measure: {service: nightly}
"""
SITE = """\
environment: lab
hosts:
  app-1: {address: 127.0.0.1, port: 2201}
  spare-1: {address: 127.0.0.1, port: 2203}
services:
  site: {kind: folder, host: app-1, path: /var/www}
  copy: {kind: folder, host: spare-1, sandbox: {}, not_drilled: a sandbox}
backups:
  nightly: {kind: tar, service: site, host: spare-1, at: /var/backups, not_drilled: a backup}
"""
BASIS = "time of the last change of the file on spare-1"
HOSTILE = "<script>alert(1)</script> \x1b[31m {{ 7*7 }} \u202egnp | `x` [b](javascript:1) & \"'"
SLOW = [*grid(5.0, 10.1, True), *grid(10.1, 16.4, False), *grid(16.4, 20.0, True)]
LEFT = {"step": "inject.1", "host": "app-1", "what": "service.kill", "why": "no answer", "by_hand": "start it"}


class Run(Story):
    """Journal of one run in a project; the end of the `with` block closes it."""

    def __init__(self, book, begun, drill="sample", text=DRILL, suite="", operator="ann@ops", prev=None, hosts=HOSTS):
        self.book, self.begun, self.operator = book, begun, operator
        begun_at = datetime.fromisoformat(begun).replace(tzinfo=UTC)
        self.at = begun_at
        self.id = f"{begun_at:%Y%m%dT%H%M%S}.000Z-{drill}-{len(book.runs):04x}"
        self.folder = book.reports / suite / self.id
        self.folder.mkdir(parents=True)
        book.runs.append(self)
        (book.root / f"{drill}.yml").write_text(text)
        (book.root / "hosts.yml").write_text(hosts)
        read = spec.load(book.root / f"{drill}.yml")
        self.plan = planner.make(read, inventory.load(book.root / "hosts.yml"))
        schedule = Schedule.of(read.head.every, read.head.grace, [read.head.guard.windows])
        with clock(self.at, 0.0):
            before = prev or run_identity.previous_head(Project(book.root), self.id, RunStates())
            self.journal = Journal(self.folder, Redactor([]), origin=0.0, prev=before)
        self.add(
            0.0,
            "run.started",
            run=self.id,
            plan=self.plan.model_dump(mode="json"),
            plan_digest=self.plan.digest,
            tool="drillbook 0",
            operator=operator,
            controller="here",
            **({"schedule": schedule.as_data()} if schedule else {}),
        )

    def add(self, at, kind, step=None, host=None, /, **data):
        with clock(self.at, at):
            self.journal.append(content(kind, data), step=step, host=host)
        return self

    def resumed(self, at, operator="bob@ops"):
        """Add a recovery on another day that undoes the remaining changes."""
        self.journal.close()
        self.at = datetime.fromisoformat(at).replace(tzinfo=UTC)
        with clock(self.at, 0.0):
            self.journal = Journal.resume(self.folder, Redactor([]), origin=0.0)
        self.add(0.0, "recovery.started", operator=operator, tool="drillbook 0")
        return self.add(2.0, "recovery.finished", residue=[])

    @property
    def path(self):
        return self.folder / "journal.jsonl"

    def close(self):
        self.journal.close()
        return self

    def slow(self):
        """Add a run that recovered, but later than its objective."""
        return self.fault().availability(*SLOW).canary(ACKS, [[1, 400]]).late().end()

    def late(self):
        self.add(11.0, "phase.started", phase="restore")
        self.step(11.0, 16.0, "restore.1", "app-1", effect="write")
        self.add(16.0, "phase.ended", phase="restore", status="done").add(16.0, "phase.started", phase="verify")
        self.step(16.5, 17.0, "verify.1", "controller")
        return self.add(18.0, "phase.ended", phase="verify", status="done")

    def rehearsal(
        self,
        seconds=4.25,
        loss=129.2,
        error=2.0,
        *,
        measured=True,
        backup="www-1.tar.gz",
        restore="done",
        taken_at="",
        restored="www-1.tar.gz",
    ):
        """Add a rehearsal of a backup that the team's own tools took."""
        self.phase(0.5, 1.0, "backup").add(1.0, "phase.started", phase="restore")
        taken = {"taken_at": taken_at} if taken_at else {}
        told = {
            "backup": {"id": restored, "basis": BASIS, **taken},
            "seconds": {"total": seconds},
            "used_bytes": 3 << 20,
        }
        self.step(1.0, 6.0, "restore.1", "spare-1", restore, effect="write", **told, in_place=False)
        self.add(6.0, "phase.ended", phase="restore", status=restore)
        if restore == "done":
            self.add(6.0, "phase.started", phase="verify")
            told = {"backup": backup, "loss_s": loss, "error_s": error, "basis": BASIS} if measured else {}
            self.step(6.5, 7.0, "verify.1", "spare-1", **told).add(8.0, "phase.ended", phase="verify", status="done")
        return self.end()

    def lossy(self):
        """Add a run that passed, but restored a backup of its own time, in which rows of a table are missing."""
        self.fault().availability(*SAMPLES).canary(ACKS, [[1, 400]]).add(11.0, "phase.started", phase="restore")
        told = {"replaced_data": {"rows of t in db": 20}, "restored_data": {"rows of t in db": 5}}
        taken = {"made": {"manifest": "m-1"}, "backup": {"taken_at": self.at.isoformat()}}
        self.step(11.0, 12.0, "restore.1", "app-1", effect="write", **told, **taken)
        self.add(12.0, "phase.ended", phase="restore", status="done").add(12.0, "phase.started", phase="verify")
        self.step(12.5, 13.0, "verify.1", "controller")
        return self.add(14.0, "phase.ended", phase="verify", status="done").end()

    def refused(self, message="the system is not ready"):
        return self.add(1.0, "ended.early", why="refused", message=message, findings=[]).end()

    def not_run(self, message="the drill needs metrics, but it is not installed: install it by `--inventory docker`"):
        """Add the end of a run that tried nothing, because this machine lacks a service."""
        return self.add(0.1, "ended.early", why="not run here", message=message, findings=[]).end()

    def unproven(self):
        return self.fault(active=None).availability(*SAMPLES).canary(ACKS, [[1, 400]]).recovery().end()


class Book:
    """Folder of reports of a project, to which tests add runs."""

    def __init__(self, root):
        self.root, self.runs = Path(root), []
        (self.root / "drills").mkdir(exist_ok=True)
        self.reports = Project(self.root).ready_reports()

    def run(self, begun, **how):
        return Run(self, begun, **how)


@contextmanager
def clock(at, seconds):
    """Clocks that the journal reads, set by the test: wall clock and monotonic clock."""
    real_now, real_time = journal._now, journal.time
    journal._now = lambda: (at + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    journal.time = suspension.time = SimpleNamespace(monotonic=lambda: seconds)
    try:
        yield
    finally:
        journal._now, journal.time = real_now, real_time
        suspension.time = real_time


def quiet(book):
    """Three passed runs in a row, nothing else."""
    for month in (1, 2, 3):
        book.run(f"2026-0{month}-10T09:00:00").good().close()
    return book


def year(book):
    """A year with everything that can happen in an honest record."""
    book.run("2025-12-05T09:00:00").good().close()
    book.run("2026-01-12T09:00:00").good().close()
    suite = "20260210T085959.000Z-quarterly-00aa"
    book.run("2026-02-10T09:00:00", suite=suite).slow().close()
    book.run("2026-02-10T09:10:00", drill="api-down", text=DOWN, suite=suite, operator="ci").good().close()
    book.run("2026-04-02T09:00:00").refused().close()
    killed = book.run("2026-05-03T09:00:00").availability(*SAMPLES).fault()
    killed.close()
    book.run("2026-05-04T09:00:00", drill="api-down", text=DOWN).slow().close()
    killed.resumed("2026-05-05T08:00:00").close()
    text = DRILL.replace("rto: 5s", "rto: 8s")
    book.run("2026-07-06T09:00:00", text=text).good().close()
    book.run("2026-08-07T09:00:00", text=text, operator="ci").unproven().close()
    left = book.run("2026-09-08T09:00:00", drill="api-down", text=DOWN)
    left.fault().availability(*SAMPLES).recovery(verify="failed").end([LEFT]).close()
    book.run("2026-11-09T09:00:00", text=text).good().close()
    book.run("2027-01-11T09:00:00").good().close()
    return book


def one_day(book):
    """A period in progress with all its runs on one day: two runs of a drill with lost rows, and one whose controller died."""
    text = DRILL.replace("sample", "table-dropped")
    for number in (1, 2):
        suite = f"20261126T{number:02}5959.000Z-quarterly-0{number}aa"
        book.run(f"2026-11-26T0{number + 1}:00:00", suite=suite).good().close()
        book.run(f"2026-11-26T0{number + 1}:10:00", drill="table-dropped", text=text, suite=suite).lossy().close()
        book.run(f"2026-11-26T0{number + 1}:20:00", drill="api-down", text=DOWN, suite=suite).good().close()
    killed = book.run("2026-11-26T11:00:00", drill="table-dropped", text=text)
    killed.fault().availability(*SAMPLES).canary(ACKS, [[1, 400]]).close()
    killed.resumed("2026-11-26T12:00:00").close()
    return book


def hostile(book):
    """Names, reasons and operators that contain markup or control characters."""
    text = DRILL.replace("title: A sample", 'title: "<b>x</b>"')
    book.run("2026-01-12T09:00:00", text=text, operator=HOSTILE).refused(HOSTILE).close()
    left = book.run("2026-02-12T09:00:00", text=text, operator=HOSTILE)
    left.fault().availability(*SAMPLES).recovery().end([LEFT | {"what": HOSTILE, "host": HOSTILE, "why": HOSTILE}]).close()
    return book


def render_all(book):
    """Write the reports of every run, as the end of a run does."""
    for run in book.runs:
        publish.write_run(run.folder, finished_runs.judged(RunState(run.folder)))
