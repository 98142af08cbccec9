"""Data that an earlier run of a drill lost, if the newest run does not tell of it. Lists show the newest run of each drill, so
without this the loss would be forgotten as soon as the drill runs again.

Nothing records whether the data was entered again, so the texts tell only what the earlier run reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from drillbook.journal.run_state import RunState
from drillbook.report import folders, own_end
from drillbook.report.figures import one_line
from drillbook.sdk.fact_names import REMOVED, REPLACED
from drillbook.sdk.run_names import short

if TYPE_CHECKING:
    from drillbook.judge.result import Result
    from drillbook.judge.shortfall import Outcome

Run = TypeVar("Run")
FACTS = tuple(f'"{name}"'.encode() for name in (REMOVED, REPLACED))
"""Names of the facts without which no step counts data that did not come back, as a result or a journal contains them."""
FEW_DRILLS = 2
"""Number of drills of a suite that a clause about their losses names. More drills are only counted."""
ABORTED, HEAD = b'"verdict": "aborted"', 4096
"""Verdict of an aborted run, as the first ``HEAD`` bytes of a result contain it."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Data that did not come back in an earlier run. ``lost``: short clause, such as ``at least 12 rows lost``."""

    run: str
    started: str
    lost: str

    @property
    def name(self) -> str:
        """Part of the run's name that selects this run, such as ``table-dropped-3f2a``."""
        return short(self.run)


def superseded(runs: Sequence[Run], lost: Callable[[Run], str], passed: Callable[[Run], bool]) -> list[Run]:
    """Return the earlier runs of a drill that lost data, newest first. ``runs``: all its runs in one environment, newest first.

    The runs are searched from the one before the newest back to the last one that passed. A loss of this passed run counts only
    if the newest run lost nothing: a drill that loses data at every run tells so in its newest one.
    """
    lossy: list[Run] = []
    for run in runs[1:]:
        if passed(run):
            return [*lossy, run] if lost(run) and not lost(runs[0]) else lossy
        if lost(run):
            lossy.append(run)
    return lossy


def of_states(states: Sequence[tuple[RunState, bool]], known: Mapping[str, str]) -> tuple[Loss, ...]:
    """Return the losses of the earlier runs of a drill. ``states``: all its runs in one environment, newest first, each with
    True if it passed; see ``superseded``. ``known``: clauses of ``of_state`` that the task already has, by the name of the run.
    """

    @cache  # it may read a journal
    def lost(state: RunState) -> str:
        name = state.folder.name
        return known[name] if name in known else of_state(state)

    lossy = superseded(states, lambda run: lost(run[0]), lambda run: run[1]) if states[1:] else ()
    return tuple(Loss(state.folder.name, folders.begun(state.folder.name), lost(state)) for state, _ in lossy)


def with_hidden(losses: Sequence[Loss], run: str, started: str, lost: str, *, passed: bool) -> tuple[Loss, ...]:
    """Return the earlier losses of a drill when an unfinished run takes the place of its newest run, which thereby becomes an earlier
    one. ``losses``: those before it. ``lost``: its own loss. ``passed``: True if it passed; nothing before it then counts.
    """
    own = (Loss(run, started, lost),) if lost else ()
    return own if passed else (*own, *losses)


def told(losses: Sequence[Loss]) -> str:
    """Return a phrase about the newest of ``losses``, and the number of all. It is empty if there are none."""
    if losses[1:]:
        return f"{len(losses)} earlier runs reported losses, the newest {losses[0].lost}"
    return f"earlier run reported {losses[0].lost}" if losses else ""


def of_state(state: RunState) -> str:
    """Return a clause about the service's data that did not come back in a run, such as ``at least 12 rows lost``. It is empty if
    no such loss is known. Rows of canaries do not count: they are no data of the service.

    The journal is read only if the run was aborted and then recovered, because the recovery may have restored the data.
    """
    try:
        raw = state.result.data
        lines = own_end.recovered_lines(state.folder) if ABORTED in raw[:HEAD] else []
        if not any(name in text for text in (raw, *lines) for name in FACTS):
            return ""
        return _lost(state.result.parsed(), lines)
    except (OSError, ValueError, AttributeError, TypeError):
        return ""


def of_drills(losses: Iterable[tuple[str, str]]) -> str:
    """Return a clause about the data that the drills of a suite lost, such as ``at least 12 rows lost in table-dropped``. ``losses``:
    name of each drill, and its own clause, which is empty if it lost nothing.
    """
    lossy = {drill: lost for drill, lost in losses if lost}
    if len(lossy) == 1:
        return "".join(f"{lost} in {one_line(drill)}" for drill, lost in lossy.items())
    few = len(lossy) <= FEW_DRILLS
    return f"data lost in {' and '.join(map(one_line, lossy)) if few else f'{len(lossy)} drills'}" if lossy else ""


def of_result(result: Result) -> str:
    """Return the clause of ``of_state`` for a judged run, whose result contains the steps of its recoveries."""
    from drillbook.judge.later_steps import lasting  # noqa: PLC0415  slow to load

    return _clause(lasting(result.steps, result.later_steps))


def _lost(result: Mapping[str, Any], lines: Sequence[bytes]) -> str:
    from drillbook.judge.later_steps import lasting  # noqa: PLC0415  slow to load
    from drillbook.report import recovery_steps, remarks  # noqa: PLC0415  slow to load

    return _clause(lasting(remarks.steps_of(result.get("steps") or ()), recovery_steps.of_lines(lines)))


def _clause(steps: Iterable[Outcome]) -> str:
    from drillbook.judge import shortfall  # noqa: PLC0415  slow to load

    return " and ".join(one_line(short.lost) for short in shortfall.shortfalls(steps))
