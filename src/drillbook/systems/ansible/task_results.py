"""Results of a playbook, task by task. They are read from the report of Ansible's callback plugin `junit`.

Source: https://docs.ansible.com/ansible/latest/collections/ansible/builtin/junit_callback.html.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from drillbook.errors import CouldNotVerify
from drillbook.sdk.host import printable

MOST_TASKS = 20
"""Maximum number of tasks in each of the facts ``slowest`` and ``failed``."""
_NAME = re.compile(r"\[(?P<host>[^\]]*)\] (?P<task>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TaskResult:
    """Outcome of one task on one host. ``seconds`` is the duration that Ansible measured."""

    host: str
    task: str
    outcome: str
    """Outcome of the task: ``ok``, ``skipped`` or ``failed``."""
    seconds: float


def parse(report: bytes) -> list[TaskResult]:
    """Parse the report of the callback plugin. Raises CouldNotVerify when the report is incomplete."""
    try:
        root = ET.fromstring(report)  # noqa: S314  written by Ansible on the step's host; expat has no external entities
    except ET.ParseError as error:
        raise CouldNotVerify(f"the report of Ansible's tasks cannot be read: {error}") from None
    return list(_results(root))


def _results(root: ET.Element) -> Iterator[TaskResult]:
    for case in root.iter("testcase"):
        match = _NAME.fullmatch(case.get("name", ""))
        failed = case.find("failure") is not None or case.find("error") is not None
        outcome = "failed" if failed else "skipped" if case.find("skipped") is not None else "ok"
        host, task = (match["host"], match["task"]) if match else ("", case.get("name", ""))
        yield TaskResult(printable(host), printable(task.strip(), limit=200), outcome, float(case.get("time") or 0))


def facts(results: Sequence[TaskResult]) -> dict[str, Any]:
    """Return these facts: ``hosts`` (for each host, the numbers of tasks that were ok, skipped and failed), ``tasks``
    (number of tasks), ``slowest`` (list of the slowest tasks), and ``failed`` (list of the first failed tasks).
    """
    hosts: dict[str, dict[str, int]] = {}
    for result in results:
        counts = hosts.setdefault(result.host, {"ok": 0, "skipped": 0, "failed": 0})
        counts[result.outcome] += 1
    slowest = sorted((result for result in results if result.outcome != "skipped"), key=lambda result: -result.seconds)[
        :MOST_TASKS
    ]
    failed = [result for result in results if result.outcome == "failed"][:MOST_TASKS]
    return {
        "hosts": hosts,
        "tasks": len(results),
        "slowest": [{"task": result.task, "host": result.host, "seconds": round(result.seconds, 3)} for result in slowest],
        "failed": [{"task": result.task, "host": result.host} for result in failed],
    }
