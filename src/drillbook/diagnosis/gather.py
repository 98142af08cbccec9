"""Runs the checks of a diagnosis in parallel under one deadline.

Each check starts as soon as the results that it uses are known.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from drillbook.diagnosis import scope
from drillbook.diagnosis.scope import Case
from drillbook.diagnosis.tree import Check
from drillbook.errors import DrillbookError, StepFailed
from drillbook.inventory.inventory import CONTROLLER, Inventory
from drillbook.language import explaining, template
from drillbook.sdk.action import Action, Context, Place, find
from drillbook.sdk.deadline import under
from drillbook.sdk.host import Deadline, Host, printable
from drillbook.sdk.service import kind_of
from drillbook.values import canonical

GRACE_S = 1.0
"""Extra seconds that a check gets after its timeout. In this time, the check can report the timeout itself."""
WEIGHING_S = 1.0
"""Seconds at the end of the time limit that are kept free for ranking causes. If the limit is less than 20 s, a twentieth
of it is kept free instead.
"""
LISTEN_S = 0.2
"""Interval, in seconds, at which a waiting diagnosis checks whether it was cancelled."""
Status = Literal["made", "left out", "not made"]


@dataclass(frozen=True, slots=True)
class Made:
    """Outcome of one check for one service.

    ``facts``: facts that the action of the check returned; ``seconds``: duration of the action.
    """

    case: Case
    check: Check
    status: Status
    facts: dict[str, Any] = field(default_factory=dict)
    ok: bool = False
    message: str = ""
    seconds: float = 0.0


@dataclass(slots=True)
class _Question:
    """An action to run on one host. Its result answers every check in ``asked_by``."""

    action: Action
    host: str
    service: str
    timeout_s: float
    asked_by: list[tuple[Case, Check]]
    until: float = 0.0


class Gathering:
    """Runs the checks of several cases. An action that several checks share runs only once.

    A case is a tree applied to a service.
    """

    def __init__(
        self,
        ctx: Context,
        inventory: Inventory,
        cases: Sequence[Case],
        within_s: float,
        barred: Mapping[tuple[str, ...], str] | None = None,
        *,
        as_service: Callable[[str, str], Host] | None = None,
    ) -> None:
        """Prepare to run the checks of ``cases`` with the context ``ctx``.

        All checks end within ``within_s`` seconds from this call, even when an action hangs. ``barred``: checks that must
        not run. Each key is a pair of a tree and the name of a check, and each value is the reason. ``as_service``: function
        that returns a host whose commands run as the account of a service.
        """
        self.ctx, self.inventory, self.barred, self.as_service = ctx, inventory, barred or {}, as_service
        end = min(time.monotonic() + within_s, ctx.deadline.at) - min(WEIGHING_S, within_s / 20)
        self.deadline = Deadline(end, ctx.deadline.cancel)
        self.static = {case: scope.names(inventory, case) for case in cases}
        self.made: dict[tuple[Case, str], Made] = {}
        self._waiting = [(case, check) for case in cases for check in case.tree.checks]
        self._running: dict[str, _Question] = {}
        self._answered: dict[str, Made] = {}
        self._answers: queue.SimpleQueue[tuple[str, Made]] = queue.SimpleQueue()

    def run(self) -> dict[tuple[Case, str], Made]:
        """Run all checks, and return an outcome for every check."""
        while True:
            self._begin()
            if not self._running:
                break
            self._collect()
        for case, check in self._waiting:
            self._settle(case, check, "not made", "no time was left for the check")
        return self.made

    def names(self, case: Case) -> dict[str, Any]:
        """Return the variables that expressions of ``case`` can use at this moment.

        Some variables exist before the first check, such as ``service``. Each finished check adds one variable.
        """
        facts = {
            check.id: {"ok": made.ok, "message": made.message, **made.facts}
            for check in case.tree.checks
            if (made := self.made.get((case, check.id))) and made.status == "made"
        }
        return {**self.static[case], **facts}

    def _settle(self, case: Case, check: Check, status: Status, why: str) -> None:
        self.made[case, check.id] = Made(case, check, status, message=why)

    def _begin(self) -> None:
        """Start or skip every check whose inputs are known. The inputs of a check are the results of other checks.

        A skipped check may be the last missing input of another check. Therefore, the search is repeated until it finds no
        further checks.
        """
        before = -1
        while before != len(self._waiting):
            before = len(self._waiting)
            for case, check in list(self._waiting):
                if all((case, other) in self.made for other in _sees(check)):
                    self._waiting.remove((case, check))
                    self._try(case, check)

    def _try(self, case: Case, check: Check) -> None:
        if why := self.barred.get((case.tree.tree, check.id)):
            return self._settle(case, check, "not made", f"the check was skipped, because {why}")
        kinds = {kind_of(service) for service in self.inventory.services.values() if not service.missing}
        lacking = [kind for kind in check.words.needs if kind not in kinds]
        if lacking:
            return self._settle(case, check, "left out", f"the inventory has no service of kind {', '.join(lacking)}")
        for other in _sees(check):
            if self.made[case, other].status != "made":
                return self._settle(case, check, "left out", f"the check depends on {other}, and that check did not run")
        names = self.names(case)
        try:
            if check.words.when is not None and not template.expression(check.words.when, names):
                return self._settle(case, check, "left out", f"the condition of the check is false: {check.words.when}")
            params = template.evaluate(check.params, names)
            action = explaining.validated(find(check.action), check.params, params)
        except ValueError as error:
            seen = [self.made[case, other] for other in sorted(_sees(check))]
            failed = [f"{outcome.check.id} failed: {outcome.message}" for outcome in seen if not outcome.ok]
            return self._settle(case, check, "not made", printable("; ".join(failed) or str(error), limit=300))
        named = str(params.get("service", ""))
        return self._ask(case, check, action, named if named in self.inventory.services else case.service)

    def _ask(self, case: Case, check: Check, action: Action, service: str) -> None:
        about = self.inventory.services[service]
        host = CONTROLLER if action.PLACE is Place.CONTROLLER else about.host
        if not self.deadline.remaining():
            return self._settle(case, check, "not made", "no time was left for the check")
        account = str(about.become) if about.become else ""
        key = canonical([check.action, action.model_dump(mode="json"), host, account]).decode()
        if key in self._answered:
            self.made[case, check.id] = replace(self._answered[key], case=case, check=check)
        elif key in self._running:
            self._running[key].asked_by.append((case, check))
        else:
            seconds = min(float(check.words.timeout), self.deadline.remaining())
            self._running[key] = _Question(
                action, host, service, seconds, [(case, check)], time.monotonic() + seconds + GRACE_S
            )
            # a daemon thread, since a hanging target must not keep the process alive
            threading.Thread(
                target=self._answer, args=(key, self._running[key], case, check), name=f"check {check.id}", daemon=True
            ).start()
        return None

    def _answer(self, key: str, question: _Question, case: Case, check: Check) -> None:
        begun = time.monotonic()
        status: Status = "made"
        facts: dict[str, Any] = {}
        message, ok = "", True
        try:
            deadline = Deadline(begun + question.timeout_s, self.deadline.cancel)
            deadline.check()
            named = partial(self.as_service, question.service) if self.as_service else self.ctx.host_named
            ctx = replace(self.ctx, host=named(question.host), host_named=named, deadline=deadline)
            with under(deadline):
                facts = question.action.run(ctx)
        except StepFailed as error:
            facts, ok, message = error.facts, False, error.message
        except Exception as error:  # noqa: BLE001  after any error the check counts as not made
            status, ok = "not made", False
            message = error.message if isinstance(error, DrillbookError) else f"{type(error).__name__}: {error}"
        text = printable(self.ctx.redactor.text(message), limit=300)
        made = Made(case, check, status, self.ctx.redactor.value(facts), ok, text, time.monotonic() - begun)
        self._answers.put((key, made))

    def _collect(self) -> None:
        """Wait for the outcome of the next action, and store it for each check that needs the action. Mark checks that
        exceeded their time limit.
        """
        now = time.monotonic()
        next_end = min(*(running.until for running in self._running.values()), self.deadline.at)
        try:
            key, made = self._answers.get(timeout=max(0.01, min(next_end - now, LISTEN_S)))
        except queue.Empty:
            self._give_up()
            return
        if question := self._running.pop(key, None):
            self._answered[key] = made
            for case, check in question.asked_by:
                self.made[case, check.id] = replace(made, case=case, check=check)
        self._give_up()

    def _give_up(self) -> None:
        now, over = time.monotonic(), self.deadline.remaining() <= 0 or self.deadline.cancel.is_set()
        for key, question in list(self._running.items()):
            if over or now >= question.until:
                del self._running[key]
                lost = Made(*question.asked_by[0], "not made", message=f"no answer within {question.timeout_s:.1f} s")
                self._answered[key] = lost
                for case, check in question.asked_by:
                    self.made[case, check.id] = replace(lost, case=case, check=check)


def _sees(check: Check) -> set[str]:
    """Return the names of the other checks that supply facts to ``check``."""
    texts = [(check.words.when, True)] if check.words.when is not None else []
    texts += [(text, False) for text in template.texts(check.params) if template.is_template(text)]
    names = {reference[0] for text, bare in texts for reference in template.references(text, bare=bare)}
    return names - {"service", "host", "the", "peer"}
