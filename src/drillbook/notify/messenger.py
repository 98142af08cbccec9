"""Sends the messages of one run in the background, so that sending does not delay the run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from drillbook.attestation import anchor_lines
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

TOLD = (RunStarted.KIND, RunEndedEarly.KIND, RunFinished.KIND)
"""Kinds of events that may lead to a message."""
DEADLINE_S = 10.0
"""Time limit, in seconds, for the delivery of a message. After this time, the delivery counts as failed."""

Record = Callable[[ContactMissed | ContactTold], object]
"""Function that records whether a message was delivered, for example the method ``append`` of the journal."""


@dataclass(slots=True)
class _Telling:
    """Delivery of one message to one contact through one service URL."""

    contact: str
    occasion: str
    number: int
    due: float
    kind: str = ""
    over: bool = False
    done: threading.Event = field(default_factory=threading.Event)

    def told(self) -> ContactTold:
        """Make the event for a delivered message, without the contact's address."""
        return ContactTold(contact=self.contact, occasion=self.occasion, way=self.number, service=self.kind)

    def missed(self, why: str) -> ContactMissed:
        """Make the event for an undelivered message. It contains the reason, and not the contact's address. ``why``:
        the reason.
        """
        return ContactMissed(contact=self.contact, occasion=self.occasion, way=self.number, service=self.kind, message=why)


class Messenger:
    """Sends messages to the contacts of one run. Its method ``saw`` must be called with every event of the run's journal."""

    def __init__(
        self, plan: Plan, run: str, report: str, record: Record, deadline_s: float | None = None, *, folder: str = ""
    ) -> None:
        """Prepare the messages. ``report``: path at which the report will be written.

        ``deadline_s``: time limit, in seconds, for the delivery of each message. The default is DEADLINE_S. ``folder``:
        folder of the run, relative to ``reports/``. If it is given, each message contains an anchor. An anchor names
        the run, its folder, the number of events in its journal, and the latest hash with its time.
        """
        self.plan, self.run, self.report = plan, run, report
        self._folder = folder
        self._last: Event | None = None
        self._record, self._deadline_s = record, DEADLINE_S if deadline_s is None else deadline_s
        self._lock = threading.Lock()
        self._under_way: list[_Telling] = []
        if self.wanted():
            with suppress(NotDelivered):  # if this fails, the delivery of each message reports the problem
                sending.prepare()

    def wanted(self, occasion: str = "") -> bool:
        """Return True when a contact wants messages about ``occasion``. If ``occasion`` is empty, return True when
        a contact wants any messages.
        """
        return any(
            contact.notify and (not occasion or occasion in contact.on) for contact in self.plan.inventory.contacts.values()
        )

    def saw(self, event: Event) -> None:
        """Send the messages about ``event``. The method returns at once, and raises no errors."""
        self._last = event
        if event.kind not in TOLD:
            return  # the content of other events is not even parsed
        match event.what:
            case RunStarted(operator=operator) if self.wanted("start"):
                self._tell("start", wording.start(self.plan, self.run, operator))
            case RunEndedEarly(why="aborted", message=message) if self.wanted("abort"):
                self._tell("abort", wording.abort(self.plan, self.run, message))
            case RunFinished(residue=residue) if residue and self.wanted("residue"):
                self._tell("residue", wording.residue(self.plan, self.run, residue))

    def ended(self, result: Callable[[], Result]) -> None:
        """Send the message about the end of the run, and wait until each message is delivered or its deadline has
        passed.

        This method must be called after the run has undone its changes.
        """
        if self.wanted("end"):
            with suppress(JournalError):  # the run itself reports that its journal is lost
                self._tell("end", wording.end(self.plan, result(), self.report))
        self._settle()

    def recovered(self, result: Result, last: Event | None = None) -> None:
        """Send the message about the result of a recovery, and wait until it is delivered or its deadline has passed.
        ``last``: last event of the journal.
        """
        self._last = last
        if result.settled:
            self._tell("residue", wording.settled(self.plan, result.run, result.settled, self.report))
        elif result.residue:
            self._tell("residue", wording.residue(self.plan, self.run, [residue.model_dump() for residue in result.residue]))
        else:
            self._tell("end", wording.end(self.plan, result, self.report, recovered=True))
        self._settle()

    def _tell(self, occasion: str, message: Message) -> None:
        if self._folder and (last := self._last):
            line = anchor_lines.told(self.run, self._folder, last.seq + 1, last.hash, last.at)
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
        """Record the outcome of a delivery, unless an outcome is recorded already. ``why``: reason for a failure, or empty
        after a success.

        Two threads call this method for each delivery: the thread that sends the message, and the thread that waits for the
        delivery. The first call counts.
        """
        with self._lock:
            if telling.over:
                return
            telling.over = True
            with suppress(DrillbookError, OSError):  # the journal itself reports a full disk
                self._record(telling.missed(why) if why else telling.told())
        telling.done.set()

    def _settle(self) -> None:
        for telling in self._under_way:
            try:
                arrived = telling.done.wait(max(0.0, telling.due - time.monotonic()))
            except KeyboardInterrupt:  # Ctrl-C ends only this wait: the reports are still written
                arrived = False
            if not arrived:
                self._over(telling, f"no answer within {self._deadline_s:g} s")
