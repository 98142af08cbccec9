"""Drills of a project that restore a routine backup, which is a backup that the drill itself did not take."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drillbook.errors import DrillbookError
from drillbook.language import strict, template
from drillbook.plan.planner import Plan
from drillbook.project.project import Project
from drillbook.report.restore_steps import restores_source
from drillbook.sdk.action import Effect, find


def of(project: Project, plan: Plan) -> tuple[str, ...] | None:
    """Return the names of other drills that restore a routine backup. Only drills with the same service as ``plan`` count,
    and only if they may run in the plan's environment.

    Drills that change the least in their phase `backup` come first. Returns None when ``plan`` itself takes no backup. The
    files are read without a check, and a file that cannot be read is left out.
    """
    if all(step.effect is Effect.READ for step in plan.phase("backup")):
        return None
    others = {name: path for name, path in project.drill_names().items() if name != plan.drill}
    found = [one for name, path in others.items() if (one := _routine(name, path, plan))]
    return tuple(one.name for one in sorted(found, key=lambda one: (one.writes, one.name)))


@dataclass(frozen=True, slots=True)
class _Routine:
    name: str
    writes: int


def _routine(name: str, path: Path, plan: Plan) -> _Routine | None:
    try:
        # most files are of other services, and need no parsing
        if not re.search(rf"^service: *[\"']?{re.escape(plan.service)}\b", path.read_text(encoding="utf-8"), re.MULTILINE):
            return None
        written = strict.load(path).value
    except (DrillbookError, OSError, ValueError):
        return None
    guard = written.get("guard")
    allowed = guard.get("environments") if isinstance(guard, Mapping) else None
    if written.get("service") != plan.service or (allowed and plan.inventory.environment not in allowed):
        return None
    backup = list(_steps(written.get("backup")))
    read = _found(backup)
    if not any(_restores_routine(action, params, read) for _, action, params in _steps(written.get("restore"))):
        return None
    return _Routine(name, sum(not _reads(action) for _, action, _ in backup))


def _found(backup: Sequence[tuple[str, str, Mapping[str, Any]]]) -> set[str]:
    """Return the names under which read-only steps of the phase ``backup`` save their facts.

    Steps that read a backup which the drill itself took are left out.
    """
    read: set[str] = set()
    own: set[str] = set()
    for save, action, params in backup:
        taken = not _reads(action) or not own.isdisjoint(_names(params.get("from")))
        (own if taken else read).add(save)
    return read - own - {""}


def _names(text: object) -> set[str]:
    """Return the names to which the expressions in ``text`` refer. Empty for other values, and for wrong syntax."""
    try:
        return {name for name, *_ in template.references(text)} if isinstance(text, str) else set()
    except ValueError:
        return set()


def _steps(phase: object) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Return the steps of a phase as written: the name under which the facts are saved, the action, and its parameters."""
    for one in phase if isinstance(phase, Sequence) and not isinstance(phase, str) else ():
        if not isinstance(one, Mapping):
            continue
        if "parallel" in one:
            yield from _steps(one["parallel"])
        action = next((key for key in one if "." in key), "")
        params = one.get(action)
        yield str(one.get("save") or ""), action, params if isinstance(params, Mapping) else {}


def _reads(action: str) -> bool:
    try:
        return find(action).EFFECT is Effect.READ
    except DrillbookError:
        return False


def _restores_routine(action: str, params: Mapping[str, Any], read: set[str]) -> bool:
    """Return True when a step restores a backup from a backup source, or a backup that a read-only step found.

    ``read``: names under which read-only steps of the phase `backup` save their facts.
    """
    if restores_source(action):
        return True
    return not read.isdisjoint(_names(params.get("from")))
