"""Rules about the phases in which a step may be.

Faults are allowed only in `inject`, and must not have `allow_failure`. In `ready`, in `diagnose` and in the guard, only
read-only steps are allowed.
"""

from __future__ import annotations

from typing import Protocol

from drillbook.errors import SourceError
from drillbook.language import template
from drillbook.language.mistakes import Mistakes
from drillbook.language.strict import Place
from drillbook.plan.spec import Step
from drillbook.sdk.action import Effect


class Fail(Protocol):
    """Function that makes the error for a position in the drill's file."""

    def __call__(self, place: Place, message: str, hint: str = "", *, key: bool = False) -> SourceError:
        """Return an error for the position ``place``. The caller raises it."""


def check(step: Step, phase: str, effect: Effect, fail: Fail) -> None:
    """Check that ``step`` may be in ``phase``. Faults are allowed only in `inject`. In `ready`, in `diagnose` and in
    the guard, only read-only steps are allowed.

    Raises the error for the first mistake of the step. This error contains the other mistakes. ``fail``: function that makes
    an error.
    """
    name = step.action.name()
    if template.has_template(step.params.get("effect")):
        message = "the effect of a step must be known before the run"
        raise fail((*step.place, name, "effect"), message, "write `read`, `write` or `fault`, not an expression")
    mistakes = Mistakes()
    mistakes.of(_place, step, phase, effect, fail)
    if effect is Effect.FAULT and step.keywords.allow_failure:
        message = "`allow_failure` is not allowed for a fault, because the drill proves nothing without its fault"
        mistakes.errors.append(fail((*step.place, "allow_failure"), message, "remove `allow_failure`", key=True))
    mistakes.report()


def _place(step: Step, phase: str, effect: Effect, fail: Fail) -> None:
    name = step.action.name()
    if effect is not Effect.READ:
        _changes(step, phase, fail)
    if effect is Effect.FAULT:
        _breaks(step, phase, fail)
    if effect is not Effect.READ and phase == "ready":
        message = f"{name} makes changes, but the phase `ready` allows only read-only steps"
        raise fail((*step.place, name), message, "move the step to a later phase", key=True)


def _changes(step: Step, phase: str, fail: Fail) -> None:
    name = step.action.name()
    place = (*step.place, name)
    if phase == "guard":
        message = f"{name} makes changes, but a condition must be read-only"
        raise fail(place, message, "use a read-only action, or a probe", key=True)
    if template.is_template(step.params.get("service")):
        raise fail(
            (*place, "service"),
            (
                "the service that a step changes must be known before the run, because its lock and the limits of "
                "the guard depend on it"
            ),
            "write the name of the service, not an expression",
        )
    if phase == "diagnose":
        message = f"{name} makes changes, but a diagnosis must be read-only"
        raise fail(place, message, "move the step to another phase", key=True)


def _breaks(step: Step, phase: str, fail: Fail) -> None:
    name = step.action.name()
    if phase != "inject":
        message = f"{name} is a fault; faults are allowed only in `inject`, not in `{phase}`"
        raise fail((*step.place, name), message, "move the step to `inject`", key=True)
