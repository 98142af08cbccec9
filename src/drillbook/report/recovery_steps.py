"""Reads the steps that the recoveries of a run carried out. Only the lines of its journal are used, and no models of its events,
so the index reads many journals fast.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from drillbook.journal.json_values import json_object
from drillbook.report.own_end import STARTED
from drillbook.report.remarks import Step

BEGUN, DONE, FAILED = b"step.started".decode(), "done", "failed"
"""Kinds of the events that tell the begin and the outcome of a step. A test compares them with the models of these events."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """Recoveries of a run. Both fields are empty for a run without a recovery."""

    end: str = ""
    """Time at which the run itself ended; see ``own_end``."""
    steps: Sequence[Step] = ()
    """Steps that the recoveries carried out."""


def of_lines(lines: Iterable[bytes]) -> list[Step]:
    """Return the steps that the recoveries of a run carried out, each with its last outcome. The result is empty for a run
    without a recovery. ``lines``: lines of the journal of the run.
    """
    steps: dict[tuple[str, str], Step] = {}
    recovering = False
    for line in lines:
        if not recovering and STARTED not in line:
            continue
        event = json_object(line)
        recovering = recovering or event.get("kind") == STARTED.strip(b'"').decode()
        told = event.get("data")
        key, data = (str(event.get("step")), str(event.get("host"))), told if isinstance(told, dict) else {}
        if event.get("kind") == BEGUN:
            steps[key] = Step(key[0], str(data.get("action", "")), "unknown", {})
        elif event.get("kind") in (DONE, FAILED) and key in steps:
            steps[key] = Step(key[0], steps[key].action, _status(str(event["kind"]), data), data.get("facts") or {})
    return list(steps.values())


def _status(kind: str, data: dict[str, Any]) -> str:
    return DONE if kind == DONE else "allowed" if data.get("allowed") else str(data.get("outcome", FAILED))
