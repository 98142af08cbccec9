"""Who is told what of one run, and whether it arrived: messages go out beside the run and hold up nothing of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from drillbook.attestation import anchors
from drillbook.errors import DrillbookError, JournalError
from drillbook.events.event import Event
from drillbook.events.holds import ContactMissed, ContactTold
from drillbook.events.runs import RunEndedEarly, RunFinished, RunStarted
from drillbook.judge.result import Result
from drillbook.notify import sending, wording
from drillbook.notify.sending import NotDelivered
from drillbook.notify.wording import Message
from drillbook.plan.planner import Plan
from drillbook.values import Secret

DEADLINE_S = 10.0
"""A message that has not arrived by then counts as not delivered."""

Record = Callable[[ContactMissed | ContactTold], object]
"""Writes down that a contact was told, or not: the journal's ``append``."""


@dataclass(slots=True)
class _Telling:
    """One message on its way to one contact by one service."""

    contact: str
    occasion: str
    number: int
    due: float
    kind: str = ""
    over: bool = False
    done: threading.Event = field(default_factory=threading.Event)

    def told(self) -> ContactTold:
        """Record of its arrival; never the address."""
        return ContactTold(contact=self.contact, occasion=self.occasion, way=self.number, service=self.kind)

    def missed(self, why: str) -> ContactMissed:
        """Record that it did not arrive; never the address."""
        return ContactMissed(contact=self.contact, occasion=self.occasion, way=self.number, service=self.kind, message=why)


class Messenger:
    """Tells the contacts of one run; ``saw`` is an observer of its journal."""

    def __init__(
        self, plan: Plan, run: str, report: str, record: Record, deadline_s: float | None = None, *, folder: str = ""
    ) -> None:
        """``report`` is the path of the report-to-be; ``deadline_s`` holds for each message, in seconds (DEADLINE_S).

        ``folder`` is the run's, relative to ``reports/``; with it each message is an anchor of the journal as it is then.
        """
        self.plan, self.run, self.report = plan, run, report
        self._folder = folder
        self._last: Event | None = None
        self._record, self._deadline_s = record, DEADLINE_S if deadline_s is None else deadline_s
        self._lock = threading.Lock()
        self._under_way: list[_Telling] = []
        if self.wanted():
            with suppress(NotDelivered):  # each message then says so
                sending.prepare()

    def wanted(self, occasion: str = "") -> bool:
        """Is there a contact to be told of ``occasion``, or of anything?"""
        return any(
            contact.notify and (not occasion or occasion in contact.on) for contact in self.plan.inventory.contacts.values()
        )

    def saw(self, event: Event) -> None:
        """Send what ``event`` is the occasion for; returns at once, and raises nothing."""
        self._last = event
        match event.what:
            case RunStarted(operator=operator) if self.wanted("start"):
                self._tell("start", wording.start(self.plan, self.run, operator))
            case RunEndedEarly(why="aborted", message=message) if self.wanted("abort"):
                self._tell("abort", wording.abort(self.plan, self.run, message))
            case RunFinished(residue=residue) if residue and self.wanted("residue"):
                self._tell("residue", wording.residue(self.plan, self.run, residue))

    def ended(self, result: Callable[[], Result]) -> None:
        """Tell how the run ended, and wait for all messages, each until its deadline; nothing is left to be put back."""
        if self.wanted("end"):
            with suppress(JournalError):  # the run itself tells that its record is lost
                self._tell("end", wording.end(self.plan, result(), self.report))
        self._settle()

    def recovered(self, result: Result, last: Event | None = None) -> None:
        """Tell what a recovery of the run achieved, and wait for the messages; ``last`` is the last event of its journal."""
        self._last = last
        if result.settled:
            self._tell("residue", wording.settled(self.plan, result.run, result.settled, self.report))
        elif result.residue:
            self._tell("residue", wording.residue(self.plan, self.run, [one.model_dump() for one in result.residue]))
        else:
            self._tell("end", wording.end(self.plan, result, self.report, recovered=True))
        self._settle()

    def _tell(self, occasion: str, message: Message) -> None:
        if self._folder and (last := self._last):
            line = anchors.told(self.run, self._folder, last.seq + 1, last.hash, last.at)
            message = replace(message, text=f"{message.text}\n{line}")
        for name, contact in self.plan.inventory.contacts.items():
            for number, way in enumerate(contact.notify if occasion in contact.on else (), 1):
                telling = _Telling(name, occasion, number, time.monotonic() + self._deadline_s)
                self._under_way.append(telling)
                threading.Thread(
                    target=self._deliver, args=(telling, way, message), daemon=True, name=f"tell-{name}-{occasion}"
                ).start()

    def _deliver(self, telling: _Telling, way: Secret, message: Message) -> None:
        why = ""
        try:
            telling.kind = sending.kind_of(way)
            sending.deliver(way, message)
        except NotDelivered as error:
            why = str(error)
        self._over(telling, why)

    def _over(self, telling: _Telling, why: str) -> None:
        """Write down how a message ended, once: the thread that sends it, or whoever lost patience, whichever is first."""
        with self._lock:
            if telling.over:
                return
            telling.over = True
            with suppress(DrillbookError, OSError):  # a full disk is told elsewhere
                self._record(telling.missed(why) if why else telling.told())
        telling.done.set()

    def _settle(self) -> None:
        for telling in self._under_way:
            try:
                arrived = telling.done.wait(max(0.0, telling.due - time.monotonic()))
            except KeyboardInterrupt:  # whoever presses Ctrl-C does not want to wait; the reports are still to be written
                arrived = False
            if not arrived:
                self._over(telling, f"no answer within {self._deadline_s:g} s")
