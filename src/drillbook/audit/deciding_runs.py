"""The run whose verdict counts for its drill."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from drillbook.judge.verdicts import UNSUCCESSFUL, Verdict

DECIDED = (Verdict.PASSED, Verdict.FAILED)
"""Verdicts of runs that end the time in which an earlier failed run counts."""


class Drilled(Protocol):
    """Interface of an object that describes a run: it has the name of the drill and the verdict of the run."""

    @property
    def drill(self) -> str:
        """Name of the drill."""
        ...

    @property
    def verdict(self) -> str:
        """Verdict of the run."""
        ...


Run = TypeVar("Run", bound=Drilled)


def deciding(runs: Iterable[Run]) -> dict[str, Run]:
    """Return the run whose verdict counts for each drill. The key of each entry is the name of the drill. ``runs``: oldest
    first.

    A failed run counts until a later run of the drill passes or fails. In any other case, the newest run counts; but a refused run
    tried nothing, so a run before it that began and did not end well counts (``verdicts.without_refused``).
    """
    run_by_drill: dict[str, Run] = {}
    for run in runs:
        known = run_by_drill.get(run.drill)
        hidden = known is not None and run.verdict == Verdict.REFUSED and known.verdict in UNSUCCESSFUL
        if known is None or not (hidden or (known.verdict == Verdict.FAILED and run.verdict not in DECIDED)):
            run_by_drill[run.drill] = run
    return run_by_drill
