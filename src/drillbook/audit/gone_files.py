"""Next steps for a drill whose file is no longer in ``drills/``. It cannot run again until the file is back."""

from __future__ import annotations

import shlex

from drillbook.audit.content import Audit
from drillbook.audit.records import IN_PROGRESS
from drillbook.audit.run_rows import RunRow, recover
from drillbook.installation.program_name import NEUTRAL
from drillbook.judge.verdicts import UNFINISHED

GONE = "its file is gone from drills/"
RETIRE_THOSE = f"; retire those whose file is gone from drills/ (`{NEUTRAL} schedule.retire`)"
"""End of the next step of several drills, if the file of one of them is gone."""


def is_gone(audit: Audit, drill: str) -> bool:
    """Return True if the drills of the project are known, and ``drill`` is not among them."""
    return bool(audit.drills) and drill not in {known.name for known in audit.drills}


def step(drill: str) -> str:
    """Return the next step for ``drill``: retire it, or put its file back."""
    return (
        f"{GONE}: retire the drill (`{NEUTRAL} schedule.retire {shlex.quote(drill)} --reason TEXT`), "
        "or put the file back and run it again"
    )


def after(audit: Audit, run: RunRow) -> tuple[str, bool] | None:
    """Return the next step after ``run``, which did not pass, and False: more than a repetition is needed. The result is None if the
    file of its drill is there, and while the run is in progress.
    """
    if run.reason == IN_PROGRESS or not is_gone(audit, run.drill):
        return None
    undo = f"recover the run with {recover(run.run)}; " if run.shown == UNFINISHED else ""
    return f"{undo}{step(run.drill)}", False
