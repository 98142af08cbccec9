"""Checks the abort conditions during a run, each on its own schedule. The first condition that fails ends the run.

A condition also fails when several checks in a row got no answer in time. The field ``tries`` is the number of these checks.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from drillbook.engine.step_context import Stage
from drillbook.engine.steps import build
from drillbook.errors import DrillbookError, StepFailed
from drillbook.events.holds import GuardCondition, GuardTripped, OfCondition
from drillbook.findings import Finding, finding
from drillbook.inventory.inventory import CONTROLLER
from drillbook.language import explaining, template
from drillbook.plan.limits import PlannedCondition
from drillbook.plan.planned_step import PlannedProbe, PlannedStep
from drillbook.sdk.action import Action, Context, Facts
from drillbook.sdk.deadline import under
from drillbook.sdk.host import Deadline, Host, printable
from drillbook.sdk.probe import Availability, find_probe

REACH_EVERY_S = 2.0
REACH_TIMEOUT_S = 5.0
REACH_TRIES = 2
"""Number of failed checks in a row after which a host in ``guard.hosts`` counts as unreachable, so that the run ends."""
PROBE_TIMEOUT_S = 1.0
GRACE_S = 2.0
"""Seconds that are added to the timeout of a check. A check that takes even longer counts as unanswered."""
STOP_S = 5.0
TEXT = 400

State = Literal["good", "bad", "unreadable"]


@dataclass(frozen=True, slots=True)
class Reading:
    """Result of one check.

    ``state``: state of the condition; ``measured``: the measurement, or the error, as text.
    """

    state: State
    measured: str = ""


@dataclass(slots=True)
class Eye:
    """One abort condition on one host, with its schedule and its latest state.

    It also counts the checks in a row that got no answer.
    """

    id: str
    title: str
    host: str
    ask: Callable[[Deadline, Path], Reading]
    wanted: str
    every_s: float
    hold_s: float
    timeout_s: float
    tries: int
    state: State | None = field(default=None, init=False)
    misses: int = field(default=0, init=False)
    since: float | None = field(default=None, init=False)
    """Monotonic time at which the first check that was not good began. None while the condition is good.
    """

    def saw(self, reading: Reading, began: float, ended: float) -> str:
        """Record the result of a check.

        Return the reason why the run must end, or an empty text when this result does not end the run.
        """
        self.state = reading.state
        if reading.state == "good":
            self.misses, self.since = 0, None
            return ""
        self.since = began if self.since is None else self.since
        self.misses = self.misses + 1 if reading.state == "unreadable" else 0
        if self.misses >= self.tries:
            return f"the condition could not be checked {self.misses} times in a row: {reading.measured}"
        lasted = ended - self.since
        if reading.state == "bad" and lasted >= self.hold_s:
            return reading.measured + (f" (not good for {lasted:.1f} s)" if self.hold_s else "")
        return ""


class Watch:
    """The abort conditions of a run.

    Call ``first`` before any fault, and then ``start``. Call ``stop`` before the undo.
    """

    def __init__(self, stage: Stage, on_trip: Callable[[Finding], object] | None = None) -> None:
        """Prepare to check the abort conditions of the plan of ``stage``.

        When a condition trips, ``on_trip`` is called and the stage's stop flag is set. The flag ends the run.
        """
        self.stage = stage
        self.eyes = list(_eyes(stage))
        self._on_trip = on_trip
        self._forward = stage.cancel
        """Stop flag of the phases before the undo. This flag is set when an abort condition trips.

        For the undo, the stage gets another stop flag, so that an abort condition cannot stop the undo.
        """
        self._halt = threading.Event()
        self._lock = threading.Lock()
        self._finding: Finding | None = None
        self._threads: list[threading.Thread] = []

    @property
    def tripped(self) -> Finding | None:
        """Finding about the condition that ended the run, with the measurement and its time.

        It is None if no condition ended the run.
        """
        return self._finding

    def first(self) -> list[Finding]:
        """Check each condition before the first fault. Return a finding for each condition that is not good.

        A check that gets no answer is repeated. At most ``tries`` checks of a condition are made.
        """
        with ThreadPoolExecutor(max_workers=max(1, min(16, len(self.eyes))), thread_name_prefix="guard") as pool:
            return [problem for problem in pool.map(self._first, self.eyes) if problem]

    def _first(self, eye: Eye) -> Finding | None:
        reading = Reading("unreadable")
        for number in range(eye.tries):
            if number and self.stage.cancel.wait(min(1.0, eye.every_s)):
                break
            asked = _Asking(eye, self.stage.cancel)
            reading = asked.answer if asked.done.wait(eye.timeout_s + GRACE_S) else _silent(eye)
            if reading.state != "unreadable":
                break
        if reading.state == "good":
            return None
        return finding(
            "not-ready",
            title=f"abort condition: {eye.title}",
            wanted=eye.wanted,
            measured=self._clean(reading.measured),
            step=eye.id,
            host=eye.host,
        )

    def start(self) -> None:
        """Check each condition on its schedule, in separate threads, until ``stop`` is called."""
        for eye in self.eyes:
            thread = threading.Thread(target=self._watch, args=(eye,), name=f"{eye.id}@{eye.host}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Stop the checks, so that no condition ends the run any more.

        It is safe to call this twice, or without ``start``.
        """
        with self._lock:
            self._halt.set()
        until = time.monotonic() + STOP_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _watch(self, eye: Eye) -> None:
        while not self._halt.is_set():
            began = time.monotonic()
            asked = _Asking(eye, self._halt)
            while not asked.done.wait(eye.timeout_s + GRACE_S):
                if self._saw(eye, _silent(eye), began):
                    return
            if self._saw(eye, asked.answer, began):
                return
            self._halt.wait(max(0.0, began + eye.every_s - time.monotonic()))

    def _saw(self, eye: Eye, reading: Reading, began: float) -> bool:
        """Record the result of a check. Return True when the condition of ``eye`` needs no further checks."""
        with self._lock:
            if self._halt.is_set() or self._finding is not None:
                return True
            before, ended = eye.state, time.monotonic()
            why = eye.saw(reading, began, ended)
            measured = self._clean(why or reading.measured)
            if reading.state != (before or "good"):
                self._note(GuardCondition(condition=eye.id, title=eye.title, state=reading.state, measured=measured), eye)
            if not why:
                return False
            self._finding = finding(
                "guard-tripped",
                title=eye.title,
                wanted=eye.wanted,
                measured=f"{measured}; at {_now()}",
                step=eye.id,
                host=eye.host,
            )
        self._note(
            GuardTripped(
                condition=eye.id,
                title=eye.title,
                measured=measured,
                wanted=eye.wanted,
                not_good_for_s=round(ended - (eye.since or began), 3),
            ),
            eye,
            sync=True,
        )
        if self._on_trip:
            self._on_trip(self._finding)
        self._forward.set()
        return True

    def _note(self, what: OfCondition, eye: Eye, *, sync: bool = False) -> None:
        """Journal an event. If the journal cannot be written, end the run."""
        try:
            self.stage.journal.append(what, host=eye.host, sync=sync)
        except DrillbookError:
            self._forward.set()

    def _clean(self, text: str) -> str:
        return printable(self.stage.redactor.text(text), limit=TEXT)


class _Asking:
    """One running check of an abort condition. Each check has its own thread, so that a check that hangs delays
    no other check.
    """

    def __init__(self, eye: Eye, cancel: threading.Event) -> None:
        self.done = threading.Event()
        self.answer = Reading("unreadable")
        threading.Thread(
            target=self._ask, args=(eye, Deadline.after(eye.timeout_s, cancel)), daemon=True, name=f"{eye.id}@{eye.host}"
        ).start()

    def _ask(self, eye: Eye, deadline: Deadline) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="drillbook-guard-") as folder:
                self.answer = eye.ask(deadline, Path(folder))
        except StepFailed as error:
            self.answer = Reading("bad", error.message)
        except Exception as error:  # noqa: BLE001  any other error of a check leaves the state of the condition unknown
            self.answer = Reading(
                "unreadable", error.message if isinstance(error, DrillbookError) else f"{type(error).__name__}: {error}"
            )
        finally:
            self.done.set()


def _silent(eye: Eye) -> Reading:
    return Reading("unreadable", f"no answer within {eye.timeout_s:g} s")


def _now() -> str:
    return datetime.now(UTC).strftime("%H:%M:%S UTC")


def _eyes(stage: Stage) -> Iterator[Eye]:
    guard = stage.plan.guard
    for condition in guard.conditions:
        yield from _condition(stage, condition)
    for host in guard.hosts:
        yield Eye(
            id=f"guard.host.{host}",
            title=f"{host} must stay reachable",
            host=host,
            ask=_reach(stage, host),
            wanted=f"the command `true` succeeds on {host}",
            every_s=REACH_EVERY_S,
            hold_s=0.0,
            timeout_s=REACH_TIMEOUT_S,
            tries=REACH_TRIES,
        )


def _condition(stage: Stage, condition: PlannedCondition) -> Iterator[Eye]:
    times: dict[str, Any] = {"every_s": condition.every_s, "hold_s": condition.for_s, "tries": condition.tries}
    wanted = f"good, and never bad for {condition.for_s:g} s or longer" if condition.for_s else "good at every check"
    if probe := condition.probe:
        yield Eye(
            id=condition.id,
            title=condition.title,
            host=CONTROLLER,
            ask=_probe(stage, condition.id, probe),
            wanted=wanted,
            timeout_s=_probe_timeout(stage, probe),
            **times,
        )
    elif step := condition.step:
        for host in step.hosts:
            yield Eye(
                id=condition.id,
                title=condition.title,
                host=host,
                ask=_step(stage, step, host),
                wanted=", ".join(step.expect) or wanted,
                timeout_s=step.timeout_s,
                **times,
            )


def _probe_timeout(stage: Stage, probe: PlannedProbe) -> float:
    try:
        return float(_made(stage, probe).timeout)
    except ValueError:
        return PROBE_TIMEOUT_S


def _made(stage: Stage, probe: PlannedProbe) -> Availability:
    params = template.evaluate(probe.params, stage.names())
    made: Availability = explaining.validated(find_probe(probe.name), probe.params, params)
    return made


def _probe(stage: Stage, condition: str, probe: PlannedProbe) -> Callable[[Deadline, Path], Reading]:
    def ask(deadline: Deadline, folder: Path) -> Reading:
        with under(deadline):
            bad = _made(stage, probe).check(_context(stage, condition, CONTROLLER, deadline, folder))
        return Reading("good") if bad is None else Reading("bad", bad)

    return ask


def _step(stage: Stage, step: PlannedStep, host: str) -> Callable[[Deadline, Path], Reading]:
    def ask(deadline: Deadline, folder: Path) -> Reading:
        action: Action = build(step, stage.names())
        with under(deadline):
            facts = action.run(_context(stage, step.id, host, deadline, folder))
        return _expected(step.expect, facts, stage.names())

    return ask


def _expected(expressions: Sequence[str], facts: Facts, names: Mapping[str, Any]) -> Reading:
    """Evaluate the expressions that an abort condition expects to be true.

    The result is good when all expressions are true, bad when one is false, and unreadable when one cannot be evaluated.
    """
    for text in expressions:
        try:
            held = template.expression(text, {**names, "result": facts})
        except ValueError as error:
            return Reading("unreadable", f"expect: {error}")
        if not held:
            seen = {key: value for key, value in facts.items() if key in text} or facts
            return Reading("bad", f"expected {text}, found {seen}")
    return Reading("good")


def _reach(stage: Stage, host: str) -> Callable[[Deadline, Path], Reading]:
    def ask(deadline: Deadline, folder: Path) -> Reading:
        del folder
        stage.host(host).run(("true",), deadline=deadline).check()
        return Reading("good")

    return ask


def _context(stage: Stage, condition: str, host: str, deadline: Deadline, folder: Path) -> Context:
    """Make a context that does not journal commands.

    Checks run often, and only a change of their result is journalled.
    """

    def named(name: str) -> Host:
        return stage.as_account(name, stage.become(condition, name))

    return Context(
        run_id=stage.run["id"],
        step=condition,
        host=named(host),
        services=stage.plan.inventory.services,
        host_named=named,
        deadline=deadline,
        folder=folder,
        redactor=stage.redactor,
    )
