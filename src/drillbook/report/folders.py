"""Facts about a run that are read without reading the whole journal.

These facts are the start, verdict and end of the run, and whether it is still going on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drillbook.events.content import ENDS
from drillbook.journal.journal import FILE, alive
from drillbook.journal.json_values import json_object
from drillbook.journal.run_files import RESULT
from drillbook.sdk.run_names import RUN_ID

__all__ = ["alive", "begun", "first_event", "last_word", "start_in", "suite_of", "verdict"]

TAIL = 8192
"""Number of bytes read first from the end of a journal.

These bytes almost always contain the event that ended the run.
"""


def suite_of(folder: str) -> str:
    """Return the folder of the suite in which a run's ``folder`` lies. The result is empty when the run belongs to no
    suite.
    """
    outer = folder.rpartition("/")[0]
    return outer if RUN_ID.fullmatch(outer.rpartition("/")[2]) else ""


def begun(run: str) -> str:
    """Return the start of a run in UTC, in the time format of journals. The start is read from the name of the run.

    The result is empty when ``run`` does not have the form of such a name.
    """
    match = RUN_ID.fullmatch(run)
    return start_in(match) if match else ""


def start_in(name: re.Match[str]) -> str:
    """Return the start of a run in UTC. ``name``: match of a regular expression with the run's name. Its first seven groups
    are the parts of the time, from year to millisecond.

    The start is written with microseconds, as in a journal. So times from names and times from journals can be sorted
    together as texts.
    """
    return "{}-{}-{}T{}:{}:{}.{}000Z".format(*name.groups()[:7])


def verdict(folder: Path) -> str:
    """Return the verdict of the run or suite in ``folder``. Return an empty text if its result file cannot be read."""
    try:
        return str(json_object((folder / RESULT).read_bytes()).get("verdict") or "")
    except OSError:
        return ""


def first_event(folder: Path) -> dict[str, Any]:
    """Return the first event of a run's journal. The result is empty when the event cannot be read."""
    try:
        with (folder / FILE).open("rb") as file:
            return json_object(file.readline())
    except OSError:
        return {}


def last_word(folder: Path) -> dict[str, Any] | None:
    """Return the data of the newest event that ended the run or its recovery.

    The result is None if the journal has no such event yet.
    """
    try:
        with (folder / FILE).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            end = next(_ends(file.read()), None)
            if end is None and size > TAIL:
                file.seek(0)
                end = next(_ends(file.read()), None)
    except OSError:
        return None
    return end


def _ends(data: bytes) -> Iterator[dict[str, Any]]:
    """Yield the data of the events that ended the run or a recovery, newest first. ``data``: lines of a journal. An incomplete
    last line is ignored."""
    for line in reversed(data.split(b"\n")[:-1]):
        if any(f'"{kind}"'.encode() in line for kind in ENDS):
            event = json_object(line)
            if event.get("kind") in ENDS and isinstance(event.get("data"), dict):
                yield event["data"]
