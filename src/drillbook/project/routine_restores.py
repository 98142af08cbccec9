"""Finds the drills of a project that restore a routine backup. A routine backup is older than the run of the drill, and
was not made by a drill for its own restore.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drillbook.errors import DrillbookError
from drillbook.language import strict, template
from drillbook.plan.permitted import permits
from drillbook.plan.planner import Plan
from drillbook.project.project import Project
from drillbook.report.restore_steps import restores_source
from drillbook.sdk.action import Effect, find

BY = "taken_by"
"""Parameter of steps that search a store for a backup. It names the drills that take the routine backups."""


def of(project: Project, plan: Plan) -> tuple[str, ...] | None:
    """Return the names of other drills that restore a routine backup. Only drills with the same service as ``plan`` count,
    and only if they may run in the plan's environment.

    A drill does not count if its phase `backup` has a step that changes something in every run: this step may make the
    backup that the drill then restores. A step with `when` is allowed, because it probably makes a backup only if the store
    contains no backup.

    Drills with the fewest changing steps in the phase `backup` come first. Returns None when ``plan`` makes no backup itself,
    because reports suggest these drills only after a run that restored its own backup. The files are not validated, and a file
    that cannot be read is left out.
    """
    if all(step.effect is Effect.READ for step in plan.phase("backup")):
        return None
    others = {name: path for name, path in project.drill_names().items() if name != plan.drill}
    routines = [routine for name, path in others.items() if (routine := _routine(name, path, plan))]
    return tuple(routine.name for routine in sorted(routines, key=lambda routine: (routine.writes, routine.name)))


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
    forbidden = allowed and not permits(allowed, plan.inventory.environment, plan.inventory.lab)
    if written.get("service") != plan.service or forbidden:
        return None
    backup = list(_steps(written.get("backup")))
    if any(not step.conditional and step.writes for step in backup):
        return None
    read = _found(backup)
    if not any(_restores_routine(step, read) for step in _steps(written.get("restore"))):
        return None
    return _Routine(name, sum(step.writes for step in backup))


@dataclass(frozen=True, slots=True)
class _Step:
    """Step as it is written in the file of a drill. ``save``: name under which its facts are saved. ``conditional``: True when
    the step has `when`."""

    save: str
    action: str
    params: Mapping[str, Any]
    conditional: bool

    @property
    def any_drill(self) -> bool:
        """True for a step that searches for backups of any drill. Such a step also finds backups which were made by drills
        for their own restores."""
        try:
            return BY in find(self.action).model_fields and not self.params.get(BY)
        except DrillbookError:
            return False

    @property
    def writes(self) -> bool:
        try:
            return find(self.action).EFFECT is not Effect.READ and self.params.get("effect") != Effect.READ
        except DrillbookError:
            return True


def _found(backup: Sequence[_Step]) -> set[str]:
    """Return the names under which read-only steps of the phase ``backup`` save their facts.

    Two kinds of steps are left out: those that read a backup which the drill itself took, and those that search for backups
    of any drill.
    """
    read: set[str] = set()
    own: set[str] = set()
    for step in backup:
        taken = step.writes or step.any_drill or not own.isdisjoint(_names(step.params.get("from")))
        (own if taken else read).add(step.save)
    return read - own - {""}


def _names(text: object) -> set[str]:
    """Return the names to which the expressions in ``text`` refer. The result is empty if ``text`` is no text, or if an
    expression has wrong syntax."""
    try:
        return {name for name, *_ in template.references(text)} if isinstance(text, str) else set()
    except ValueError:
        return set()


def _steps(phase: object) -> Iterator[_Step]:
    """Return the steps of a phase, also those that run in parallel."""
    for step in phase if isinstance(phase, Sequence) and not isinstance(phase, str) else ():
        if not isinstance(step, Mapping):
            continue
        if "parallel" in step:
            yield from _steps(step["parallel"])
            continue
        action = next((key for key in step if "." in key), "")
        params = step.get(action)
        yield _Step(str(step.get("save") or ""), action, params if isinstance(params, Mapping) else {}, "when" in step)


def _restores_routine(step: _Step, read: set[str]) -> bool:
    """Return True when a step restores a routine backup: a backup from a backup source, or a backup that a read-only step
    has found.

    ``read``: names under which read-only steps of the phase `backup` save their facts.
    """
    return restores_source(step.action) or not read.isdisjoint(_names(step.params.get("from")))
