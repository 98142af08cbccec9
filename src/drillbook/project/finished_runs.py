"""Judges finished runs again from their journals, and finds the suites to which they belong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from drillbook.errors import JournalError
from drillbook.exits import Exit
from drillbook.journal.run_files import RESULT
from drillbook.journal.run_state import RunState, RunStates
from drillbook.judge.judge import judge
from drillbook.judge.result import RunView, SuiteResult
from drillbook.judge.verdicts import EXIT, Verdict

WORST = (Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.ABORTED, Verdict.REFUSED, Verdict.PASSED)
"""Verdicts of drills, from the worst to the best. A suite has the worst verdict of its drills."""


def judged(state: RunState) -> RunView:
    """Judge a run again from its journal. Raises JournalError when the journal cannot be read, or is not the journal of
    a run.
    """
    history = state.history
    try:
        return judge(history)
    except Exception as error:
        raise JournalError(
            f"the journal of {state.folder.name} cannot be judged: {type(error).__name__}: {error}",
            hint="the journal was changed, or written by another version",
        ) from error


def suite_of(folder: Path, runs: RunStates) -> SuiteResult | None:
    """Return the result of the suite to which the run in ``folder`` belongs. Returns None when the run does not belong
    to a suite, or when the suite has no result yet. ``runs``: states of all runs and suites that this task reads.
    """
    if not (folder.parent / RESULT).is_file():
        return None
    data = runs.of(folder.parent).result.current().parsed()
    return SuiteResult.model_validate(data) if "suite" in data else None


def rejudged(suite: SuiteResult, views: Sequence[RunView]) -> SuiteResult:
    """Return ``suite`` with a new verdict: the worst verdict of its drills. If a drill did not run, the verdict is at best
    ``inconclusive``. ``views``: the drills' runs, judged again.
    """
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
