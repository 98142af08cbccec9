"""The work of ``schedule.run``. It starts the drills and suites that are due. It records drills that were missed or
could not begin, and notifies the contacts.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Literal

from drillbook.cli import run, schedule_waits, write_metrics
from drillbook.cli.run_output import Manner, tell_held
from drillbook.cli.schedule_waits import Wait
from drillbook.engine.stop_requests import Held
from drillbook.errors import DrillbookError, UsageError, escaped
from drillbook.exits import Exit
from drillbook.installation.program_name import as_called
from drillbook.inventory.inventory import Inventory
from drillbook.notify import alarm, heartbeat
from drillbook.notify.sending import NotDelivered
from drillbook.plan.schedule import Schedule, State
from drillbook.project import due, needed_inventories, recorded_schedules, run_index, schedule_record, schedules, settings
from drillbook.project.due_row import DueRow
from drillbook.project.project import Project
from drillbook.project.schedule_record import MISSED, NOT_BEGUN, Entry
from drillbook.project.schedules import Scheduled
from drillbook.report.figures import moment

WORST = (Exit.RESIDUE, Exit.FAILED, Exit.UNVERIFIED, Exit.USAGE, Exit.REFUSED)
"""Exit statuses of the started runs, in order from the worst to the best."""
URGENT = (State.DUE, State.OVERDUE, State.NEVER)
LEAST_PAUSE_S = 3600.0
"""Shortest pause, in seconds, between two attempts of the same drill. If the interval of its schedule is
shorter, this interval is used instead.
"""
LOCK = ".schedule.lock"


@dataclass(slots=True)
class Tick:
    """One execution of ``schedule.run`` on one inventory, at the time ``now``."""

    project: Project
    inventory_name: str
    now: datetime
    inventory: Inventory | None = None
    dry: bool = False
    """True when drills are only listed and not started. In this case, a lab that is not running is not started either."""
    broken: str = ""
    """Reason why the inventory cannot be used. The text is empty when it can be used."""
    mistakes: str = ""
    """Mistakes in the settings of the project. As long as there are any, neither a drill nor a lab is started."""
    statuses: list[int] = field(default_factory=list)
    tried: set[str] = field(default_factory=set)
    waits: list[Wait] = field(default_factory=list)
    """Drills and suites that are due, but are not tried again yet. They are found again by each call of ``pending``."""
    held: Held = field(default_factory=lambda: Held(tell_held))
    """Signals of the operating system, such as the one of Ctrl-C. During a run, they take effect only after the reports of the
    run are written.
    """

    def run(self) -> int:
        """Start each drill and suite that is due and may begin now. Suites are started first, because a passed suite
        also proves its drills. Nothing more is started after a signal. Returns the worst exit status.
        """
        self._check_settings()
        recorded_schedules.note(self.project, self.now)
        run_index.refresh(self.project)
        while not self.held.signalled and (row := next(self.pending(), None)) is not None:
            self.tried.add(row.drill)
            self._start(row)
        schedule_waits.tell(self.project, [wait for wait in self.waits if self._may_be_here(wait.row)])
        self._missed()
        if not self.mistakes:
            write_metrics.refresh(self.project)
        status = next((worst for worst in WORST if worst in self.statuses), Exit.OK)
        self._beat(status)
        return status

    def _check_settings(self) -> None:
        """Read the settings of the project once, before anything is started. So a mistake in them is reported early, and
        only once.
        """
        try:
            settings.usable(self.project.root)
        except DrillbookError as error:
            self.mistakes = as_called(str(error))
            _say(self.mistakes)
            self.statuses.append(error.exit_status)

    def pending(self) -> Iterator[DueRow]:
        """Yield the drills and suites that are due, may begin now, and were not tried recently. Suites come first."""
        known = {planned.name: planned for planned in schedules.read(self.project)}
        rows = due.read(self.project, self.now).rows
        attempts = schedule_record.newest(schedule_record.read(self.project.reports)[0], NOT_BEGUN)
        self.waits.clear()
        for row in sorted(rows, key=lambda row: not row.suite):
            if row.state not in URGENT or not row.drill or row.drill in self.tried:
                continue
            schedule = known[row.drill].schedule
            if schedule is None or not schedule.open(self.now):
                continue
            if wait := _wait(row, schedule, attempts, self.now):
                self.waits.append(wait)
                continue
            if not self._here(row, known[row.drill]):
                continue
            yield row

    def _here(self, row: DueRow, wanted: Scheduled) -> bool:
        """Return True when ``row`` belongs to the environment of this inventory, and its drill or suite ``wanted`` could pass
        there. Also return True when the inventory cannot be read, so that ``_start`` reports the mistake.
        """
        if self.inventory is None and not self.broken:
            try:
                name = self.inventory_name
                load = (
                    self.project.inventory
                    if self.dry or self.mistakes
                    else partial(run.inventory_of, self.project, note=lambda _: None)
                )
                self.inventory = load(name)
            except DrillbookError as error:
                self.broken = as_called(str(error))
        if self.inventory is None:
            return True
        here, allowed = self.inventory.environment, wanted.environments
        if row.environment:
            return row.environment == here
        return (allowed is None or here in allowed) and not needed_inventories.read(self.project).unmet(wanted, here)

    def _may_be_here(self, row: DueRow) -> bool:
        """Return False if ``row`` certainly belongs to another environment than that of this inventory. No lab is started."""
        try:
            here = (self.inventory or self.project.inventory(self.inventory_name)).environment
        except DrillbookError:
            return True
        return row.environment in ("", here)

    def _start(self, row: DueRow) -> None:
        try:
            if why := self.mistakes or self.broken:
                raise UsageError(why)
            self.statuses.append(run.drill(self.project, row.drill, self.inventory_name, Manner.QUIET, held=self.held))
        except DrillbookError as error:
            self.statuses.append(error.exit_status)
            text = as_called(str(error))
            said = f"the settings in {settings.FILE} cannot be used" if self.mistakes else text
            _say(f"{row.drill} could not begin: {said}")
            self._record(_entry(row, NOT_BEGUN, text, self.now))

    def _missed(self) -> None:
        """Record each drill that is overdue or has never passed, and notify the contacts. The same due time of a drill is
        recorded only once.
        """
        entries = [noted for noted in schedule_record.read(self.project.reports)[0] if noted.kind == MISSED]
        known = {(*noted.subject, noted.due) for noted in entries}
        for row in due.read(self.project, self.now).rows:
            entry = _entry(row, MISSED, _late(row), self.now)
            if row.state in (State.OVERDUE, State.NEVER) and (*entry.subject, entry.due) not in known:
                self._record(entry)

    def _record(self, entry: Entry) -> None:
        try:
            schedule_record.append(self.project.ready_reports(), entry)
        except OSError as error:
            _say(f"{schedule_record.FILE} cannot be written: {error.strerror}")
            self.statuses.append(Exit.UNVERIFIED)
        for problem in alarm.tell(self.inventory, entry) if self.inventory else ():
            _say(problem)

    def _beat(self, status: int) -> None:
        """Send the heartbeat of the project if every started run passed, and if `drill.due` would exit with 0.

        ``status``: worst exit status of the started runs.
        """
        if status or (url := settings.load(self.project.root).heartbeat) is None or due.read(self.project, self.now).status:
            return
        try:
            heartbeat.beat(url)
        except NotDelivered as error:
            _say(f"the heartbeat was not delivered: {error}")


def _late(row: DueRow) -> str:
    if row.state is State.NEVER:
        return "no run has passed yet" if row.drill else "no run has proven a restore yet"
    if not row.drill:
        return f"overdue since {row.overdue_since}; the last proven restore began at {row.proven[:16]}Z"
    return f"overdue since {row.overdue_since}; the last passed run began at {row.passed[:16]}Z"


def _entry(row: DueRow, kind: Literal["missed", "not begun"], message: str, now: datetime) -> Entry:
    at = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Entry(at, kind, row.drill, row.service, row.environment, row.due, escaped(message))


def _wait(row: DueRow, schedule: Schedule, attempts: dict[tuple[str, str], Entry], now: datetime) -> Wait | None:
    """Return the time before which the drill is not tried again, or None if it may be tried now.

    A drill that is due only because a run failed is not tried before its schedule asks for a run, so that a person can look at
    the failed run first. A drill that was tried recently is not tried again either. Attempts before the last passed run do not
    count. An attempt is recent for one hour, or for the interval `every` of the schedule if that is shorter. If the duration
    `grace` of the schedule is longer than this, the attempt is recent for `grace`.
    """
    passed = moment(row.passed)
    if row.state is State.DUE and passed is not None and now < (due := schedule.due(passed)):
        return Wait(row, due, "a person looks at the failed run first")
    before = attempts.get((row.drill, row.environment))
    times = [moment(row.last_started) if row.last_started > row.passed else None, moment(before.at) if before else None]
    pause = max(float(schedule.grace), min(float(schedule.every), LEAST_PAUSE_S))
    until = max((at + timedelta(seconds=pause) for at in times if at is not None), default=now)
    why = "its grace after this run" if float(schedule.grace) == pause else "the pause after this run"
    return Wait(row, until, f"{why} is not over") if now < until else None


def tick(project: Project, inventory_name: str, now: datetime | None = None) -> int:
    """Start the drills and suites that are due. Returns the worst exit status of the started runs. Does nothing while
    another call with the same inventory is running or waiting. Waits while a call with another inventory is running,
    because the timers of all inventories fire at the same time.
    """
    with _alone(project, inventory_name) as alone:
        if not alone:
            return Exit.OK
        return Tick(project, inventory_name, now or datetime.now(UTC)).run()


def pending(project: Project, inventory_name: str, now: datetime | None = None) -> Iterable[str]:
    """Return the names of the drills and suites that ``tick`` would start. Suites come first. Raises InventoryError when the
    settings of the project are invalid, and SecretError when the URL of the heartbeat cannot be read."""
    settings.usable(project.root)
    return [row.drill for row in Tick(project, inventory_name, now or datetime.now(UTC), dry=True).pending()]


@contextlib.contextmanager
def _alone(project: Project, inventory_name: str) -> Iterator[bool]:
    word = hashlib.sha256(os.fsencode(inventory_name)).hexdigest()[:8]
    with _opened(project, f"{LOCK}-{word}") as own, _opened(project, LOCK) as shared:
        try:
            fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        fcntl.flock(shared, fcntl.LOCK_EX)
        yield True


@contextlib.contextmanager
def _opened(project: Project, name: str) -> Iterator[int]:
    descriptor = os.open(project.ready_reports() / name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _say(text: str) -> None:
    sys.stderr.write(f"error: {escaped(text)}\n")
