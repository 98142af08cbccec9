"""Contract checks for tests of a plugin. They verify the declarations of a system.

Such a test is ``assert problems(SYSTEM) == []``; see docs/plugins.md. The checks contact no host. Tests of the actions
themselves need a real server. ``source_problems`` checks backup sources.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from drillbook.errors import DrillbookError
from drillbook.findings import Kind
from drillbook.language import strict, template
from drillbook.sdk import discovery, entries, examples, plugin_check, plugin_loading, rehearsal
from drillbook.sdk.action import Action
from drillbook.sdk.backup_source import BackupSource
from drillbook.sdk.discovery import System
from drillbook.sdk.looks import Look
from drillbook.sdk.probe import Availability, Canary, Probe
from drillbook.sdk.sandbox import Sandboxed
from drillbook.sdk.source_contract import Artefact, source_problems

__all__ = ["Artefact", "problems", "source_problems"]

UNDO_KINDS = {"commands", "action", "restore", "nothing"}
_FAMILY = re.compile(r"[a-z][a-z0-9_]*")
_KIND = re.compile(r"[a-z][a-z0-9_-]*")
_CODE = re.compile(r"[a-z][a-z0-9-]*")


def problems(system: System, drills: Path | None = None) -> list[str]:
    """Return one line for each problem in the declarations of a system. The line names the class, the field or the file.

    Drills in the folder ``drills`` also count as examples of actions.
    """
    if wrong := plugin_loading.mistake(system):
        return [wrong]
    try:
        with discovery.registered(system):
            plugin_check.check_tables(system)
            return [
                *_names(system),
                *_classes(system),
                *_services(system),
                *_findings(system),
                *_files(system),
                *_rehearsals(system),
                *_looks(system),
                *_examples(system, drills),
            ]
    except (DrillbookError, TypeError) as error:
        return [str(error)]


def _names(system: System) -> Iterator[str]:
    for part, pattern in (("actions", _FAMILY), ("probes", _FAMILY), ("services", _KIND)):
        for name in getattr(system, part):
            if not pattern.fullmatch(name):
                yield f"{part}: {name!r} is not a valid name: use lower-case letters, digits and underscores"
    if not (importlib.import_module(system.package).__doc__ or "").strip():
        yield f"{system.package} has no docstring"


def _classes(system: System) -> Iterator[str]:
    parts: tuple[tuple[str, type[Any]], ...] = (("actions", Action), ("probes", Probe))
    for part, kind in parts:
        for family in getattr(system, part):
            names = [name for name in discovery.known_names(kind) if name.startswith(f"{family}.")]
            if not names:
                yield f"{part}: the module or package of the family {family!r} defines no {part}"
            for name in names:
                yield from (f"{name}: {wrong}" for wrong in _of_class(discovery.find(name, kind)))


def _of_class(cls: type[Any]) -> Iterator[str]:
    yield from _said(cls)
    yield from _fields(cls)
    if issubclass(cls, Action):
        if odd := set(cls.UNDO) - UNDO_KINDS:
            yield f"{sorted(odd)[0]!r} is not a kind of undo"
    elif not issubclass(cls, Availability | Canary):
        yield "the probe is derived neither from Availability nor from Canary"


def _said(cls: type[Any]) -> Iterable[str]:
    text = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
    if not text:
        return ["has no docstring"]
    first = text.splitlines()[0]
    return (
        [] if first.endswith((".", "?", "!")) else [f"the first line of the class's docstring is not a sentence: {first!r}"]
    )


def _fields(model: type[BaseModel]) -> Iterator[str]:
    for name, info in model.model_fields.items():
        if not info.description and name != "kind":
            yield f"field {name!r} has no description"
    try:
        model.model_json_schema()
    except Exception as error:  # noqa: BLE001  a plugin's own type may raise any error
        yield f"the JSON Schema of the class cannot be generated: {error}"


def _services(system: System) -> Iterator[str]:
    for kind in system.services:
        model = discovery.service_class(kind)
        yield from (f"service kind {kind}: {wrong}" for wrong in (*_said(model), *_fields(model)))


def _findings(system: System) -> Iterator[str]:
    if not system.findings:
        return
    module = importlib.import_module(importlib.util.resolve_name(system.findings, system.package))
    for code, kind in module.FINDINGS.items():
        if not isinstance(kind, Kind) or not kind.title or not kind.remedy:
            yield f"finding {code!r} needs a severity, a title and a remedy"
        if not _CODE.fullmatch(code):
            yield f"finding {code!r} has no valid code: use lower-case letters, digits and hyphens"


def _files(system: System) -> Iterator[str]:
    for part in ("trees", "drills", "examples"):
        paths = system.files(part)
        if getattr(system, part) and not paths:
            yield f"{part}: the folder {system.folder(part)} contains no YAML file (*.yml)"
        for path in paths:
            try:
                strict.load(path)
            except DrillbookError as error:
                yield str(error)


def _looks(system: System) -> Iterator[str]:
    known = plugin_loading.table(system, "looks", "LOOKS", Look) if system.looks else {}
    for kind in sorted(known.keys() - {*system.services}):
        yield f"LOOKS: the system does not define the kind of service {kind!r}"


def _rehearsals(system: System) -> Iterator[str]:
    for path in system.files(rehearsal.FOLDER):
        try:
            template = rehearsal.read(path)
        except DrillbookError as error:
            yield error.message
            continue
        for kind, base in ((template.source, BackupSource), (template.service, Sandboxed)):
            if kind not in discovery.service_kinds() or not issubclass(discovery.service_class(kind), base):
                yield f"{path}: {kind!r} is not a kind of {'backup source' if base is BackupSource else 'service with a sandbox'}"


def _examples(system: System, drills: Path | None) -> Iterator[str]:
    """Check that each action has an example. Also check that the examples contain no parameter that the action does not
    accept.
    """
    for path in examples.files(system):
        try:
            _check_steps(strict.load(path))
        except DrillbookError as error:
            yield str(error)
    known = [name for name in discovery.known_names(Action) if name.partition(".")[0] in system.actions]
    for name in known:
        if text := examples.declared(name):
            yield from _declared_example(name, text)
        elif examples.of(name, drills) is None:
            yield f"{name}: no drill shows it; set `EXAMPLE`, or add a drill to the folder `examples` of its system"


def _declared_example(name: str, text: str) -> Iterator[str]:
    """Check the example that the action ``name`` declares."""
    try:
        document = strict.parse(text, f"EXAMPLE of {name}")
        _check_steps(document)
    except DrillbookError as error:
        yield str(error)
        return
    steps = [step for phase in document.value.values() if isinstance(phase, list) for step in phase]
    if not any(name in step for step in steps):
        yield f"{name}: the attribute EXAMPLE of the action has no step with this action"


def _check_steps(document: strict.Document) -> None:
    """Check the parameters of each step in ``document``. Raises an error with the place of the first mistake."""
    for phase, steps in document.value.items():
        for index, step in enumerate(steps if isinstance(steps, list) else ()):
            name = next((key for key in step if "." in key), "")
            place: strict.Place = (phase, index, name)
            model = entries.find_class(document, name, place, Probe if phase == "probes" else Action)
            params = step[name] or {}
            dynamic = frozenset(key for key, value in params.items() if template.has_template(value))
            entries.check_params(document, model, params, dynamic, place)
