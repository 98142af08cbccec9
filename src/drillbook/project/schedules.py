"""Reads the schedules of a project's drills and suites from their files. Actions are not loaded, so that tasks which
list drills stay fast.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from drillbook.installation.program_name import program
from drillbook.plan.permitted import permits
from drillbook.plan.schedule import Schedule
from drillbook.plan.window import Window
from drillbook.project.project import Project
from drillbook.project.quick_check import first_mistake
from drillbook.values import Duration

_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_EXPRESSION = re.compile(r"\bservices\.(\w+)")
_RESTORE = re.compile(r"^\s*-?\s*\w+\.(?:\w*restore\w*|recover|extract)\s*:", re.MULTILINE)
"""Pattern of a line with an action that restores data, such as ``- backup.restore:``."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """The fields of a drill or suite that are needed for lists and for due dates."""

    name: str
    title: str = ""
    suite: bool = False
    services: tuple[str, ...] = ()
    """Service of the drill. For a suite, these are the services of its drills."""
    environments: tuple[str, ...] | None = None
    """Environments in which the drill or suite may run. The value is None when this is unknown, for example for a suite with a
    drill that cannot be read.
    """
    every: Duration | None = None
    grace: Duration | None = None
    windows: tuple[tuple[Window, ...], ...] = ()
    drills: tuple[str, ...] = ()
    uses: frozenset[str] = frozenset()
    """Names of all services that the drill uses. Services that appear only in an expression are included. A suite uses the
    services of all its drills.
    """
    restores: bool = False
    """True when the drill restores data. For a suite, True when one of its drills restores data."""
    broken: str = ""
    """Reason why the file cannot be read, or why its schedule is invalid. The text is empty when the file is valid."""
    planned_by: str = ""
    """Word for the files whose schedules also ask for runs of this one, which has none itself: ``its suite``, or ``its drills``
    if all drills of a suite have a schedule. Otherwise empty."""
    mistake: str = ""
    """First mistake in the other parts of the file, such as an unknown action, if the schedule itself is valid. The text is
    empty when no mistake was found.
    """

    @property
    def schedule(self) -> Schedule | None:
        """Schedule of the drill or suite. It is None when the key `every` is missing."""
        return Schedule.of(self.every, self.grace, self.windows)


def read(project: Project) -> list[Scheduled]:
    """Read the schedule of each drill and suite of ``project``. The result is sorted by name. If a file cannot be read,
    the field ``broken`` holds the reason.
    """
    names = project.drill_names()
    by_name = {name: _read(name, path, tuple(names)) for name, path in names.items()}
    wanted = [_with_drills(scheduled, by_name) if scheduled.suite else scheduled for scheduled in by_name.values()]
    return [replace(scheduled, planned_by=_planned_by(scheduled, by_name)) for scheduled in wanted]


def _planned_by(scheduled: Scheduled, known: Mapping[str, Scheduled]) -> str:
    if scheduled.every is not None:
        return ""
    if scheduled.suite:
        drills = [known[name].every for name in scheduled.drills if name in known]
        return "its drills" if drills and None not in drills else ""
    return "its suite" if any(suite.every and scheduled.name in suite.drills for suite in known.values()) else ""


def _permitted_by_all(guards: Sequence[Sequence[str]]) -> tuple[str, ...]:
    places = {place for environments in guards for place in environments}
    return tuple(sorted(place for place in places if all(permits(environments, place) for environments in guards)))


def _with_drills(suite: Scheduled, known: Mapping[str, Scheduled]) -> Scheduled:
    """Return ``suite`` with the services and windows of its drills, and with the environments in which all these drills may
    run.
    """
    drills = [known[name] for name in suite.drills if name in known]
    unread = next((drill.name for drill in drills if drill.broken or drill.mistake), "")
    allowed = [drill.environments for drill in drills if drill.environments is not None]
    return Scheduled(
        suite.name,
        suite.title,
        True,
        tuple(dict.fromkeys(service for drill in drills for service in drill.services)),
        _permitted_by_all(allowed) if allowed else None,
        suite.every,
        suite.grace,
        tuple(group for drill in drills for group in drill.windows),
        suite.drills,
        frozenset(service for drill in drills for service in drill.uses),
        any(drill.restores for drill in drills),
        suite.broken,
        mistake=suite.mistake or (f"the drill {unread} of this suite cannot be read" if unread else ""),
    )


def _read(name: str, path: Path, known: Sequence[str]) -> Scheduled:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        value = yaml.load(text, Loader=_LOADER)  # noqa: S506  a loader that makes texts, lists and mappings alone
    except OSError as error:
        return Scheduled(name, broken=f"{path.name}: {error.strerror}")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        return Scheduled(name, _title(text), "\nsuite:" in f"\n{text}", broken=f"{path.name}{where}: {error.problem}")
    except yaml.YAMLError as error:
        return Scheduled(name, _title(text), broken=f"{path.name}: {error}")
    if not isinstance(value, dict) or not isinstance(value.get("title"), str):
        return Scheduled(name, broken=f"{path.name}: the file has no title")
    scheduled = _of(name, value, path)
    mistake = "" if scheduled.broken else first_mistake(value, path, text, known)
    return replace(scheduled, mistake=mistake, uses=frozenset(_services(value)), restores=bool(_RESTORE.search(text)))


def _services(value: Any) -> Iterator[str]:
    """Yield the names of services in a part of a drill: values of the key ``service``, and services in expressions."""
    if isinstance(value, dict):
        yield from (name for name in (value.get("service"),) if isinstance(name, str))
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _services(part)
    elif isinstance(value, str):
        yield from _EXPRESSION.findall(value)


def _title(text: str) -> str:
    match = re.search(r"^title:(.*)$", text, re.MULTILINE)
    return match[1].strip().strip("\"'") if match else ""


def _of(name: str, value: dict[str, Any], path: Path) -> Scheduled:
    written = value.get("guard")
    guard = written if isinstance(written, dict) else {}
    suite = "suite" in value and "drill" not in value
    wrong: list[str] = []

    def parsed(key: str, make: Callable[[Any], Any], text: Any, otherwise: Any) -> Any:
        if text is None:
            return otherwise
        try:
            return make(text)
        except (ValueError, ValidationError, TypeError):
            wrong.append(key)
            return otherwise

    every, grace = (parsed(key, Duration.parse, value.get(key), None) for key in ("every", "grace"))
    windows = parsed("guard.windows", lambda all_: tuple(map(Window.model_validate, all_)), guard.get("windows"), ())
    environments = guard.get("environments")
    service = value.get("service")
    return Scheduled(
        name,
        value["title"],
        suite,
        (service,) if isinstance(service, str) else (),
        None if suite else tuple(environments) if isinstance(environments, list) else ("lab",),
        every,
        grace,
        (windows,) if windows else (),
        tuple(drill for drill in value.get("drills") or () if isinstance(drill, str)) if suite else (),
        broken=f"{path.name}: {' and '.join(wrong)} cannot be read; see {program()} drill.plan {name}" if wrong else "",
    )


def any_of(wanted: Sequence[Scheduled]) -> bool:
    """Return True when a drill or suite in ``wanted`` has a schedule, or cannot be read."""
    return any(scheduled.every or scheduled.broken for scheduled in wanted)
