"""Finds the time at which a run itself ended, if a recovery continued its journal hours or days later."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from drillbook.journal.journal import FILE
from drillbook.journal.json_values import json_object
from drillbook.report.folders import TAIL

STARTED, FINISHED, END = b'"recovery.started"', b'"recovery.finished"', b'"run.finished"'
"""Kinds of the events of a recovery, and of the end of a run, as a journal contains them. The models of these events are not
imported, because this would take too long for a list of drills. A test compares these texts with the models.
"""


def of(folder: Path) -> str:
    """Return the time of the end of the run itself, if a recovery continued the journal. If its controller died before this end,
    return the time of the last event that it wrote. The result is empty for every other run, and when the journal cannot be
    read.
    """
    return of_lines(recovered_lines(folder))


def recovered_lines(folder: Path) -> list[bytes]:
    """Return the lines of the journal of a run, if a recovery continued it. The result is empty for every other run, and when
    the journal cannot be read.

    Only the last bytes of the journal are read for a run without a recovery.
    """
    try:
        with (folder / FILE).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL))
            if FINISHED not in file.read():
                return []
            file.seek(0)
            return file.readlines()
    except OSError:
        return []


def of_lines(lines: Iterable[bytes]) -> str:
    """Return the time at which the run itself ended, before a recovery added its lines to the journal; see ``of``. The
    result is empty if no recovery did so.
    """
    last = end = ""
    for line in lines:
        event = json_object(line)
        if STARTED in line and event.get("kind") == STARTED.strip(b'"').decode():
            return end or last
        last = str(event.get("at") or last)
        if END in line and event.get("kind") == END.strip(b'"').decode():
            end = last
    return ""
