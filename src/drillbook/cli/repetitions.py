"""Next step of a drill or suite that must run again, as `drill.list` shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drillbook.cli import short_list
from drillbook.installation.program_name import program

if TYPE_CHECKING:
    from drillbook.project.due_row import DueRow
    from drillbook.project.newest_runs import Ended
    from drillbook.project.schedules import Scheduled


def again(wanted: Scheduled, last: Ended | None, row: DueRow | None) -> str:
    """Return the next step of a drill or suite that must run again. The text is empty for any other drill or suite, and if
    its file cannot be read.
    """
    if last is None or wanted.broken or wanted.mistake:
        return ""
    if not short_list.must_run_again(last.verdict, row.state if row else None):
        return ""
    from drillbook.cli import due_steps  # noqa: PLC0415  keeps start-up fast

    return due_steps.run_it_again(row) if row else f"again: {program()} drill {wanted.name}"
