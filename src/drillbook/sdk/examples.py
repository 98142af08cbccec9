"""Examples of actions and probes. An example consists of some steps or a probe of a drill. The action or probe declares its
example, or the example is taken from a drill.

Drills of the system that defines the action or probe are searched first, and then other drills.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from drillbook.errors import UnknownName
from drillbook.sdk import discovery
from drillbook.sdk.action import Action
from drillbook.sdk.discovery import System
from drillbook.sdk.probe import Probe

NOT_DRILLS = "diagnosis"
"""Name of a subfolder in folders of drills. The files in this subfolder are diagnosis trees, not drills."""
_ALIAS = re.compile(r"\s[&*][a-z]")
"""Pattern for an anchor or an alias of YAML. A step that contains either cannot be read without the rest of its file."""


@dataclass(frozen=True, slots=True)
class Example:
    """Example of an action or probe.

    The example of an action is a step of a drill, together with the earlier steps that supply its parameters. The example of
    a probe is an item of the drill's ``probes``. ``drill``: name of the drill. It is empty when the action or probe itself
    declares the example.
    """

    drill: str
    text: str


@dataclass(frozen=True, slots=True)
class _Step:
    """One step or probe of a drill, as text with its indentation. The phase of a probe is ``probes``."""

    phase: str
    action: str
    save: str
    text: str


def of(name: str, drills: Path | None = None, kind: type[Action] | type[Probe] = Action) -> Example | None:
    """Return the example that the action or probe ``name`` declares. If it declares none, return the shortest example
    in a drill. ``kind``: tells whether ``name`` is an action or a probe, because one name can be both.

    The first part of ``name`` tells the system to which the action or probe belongs, such as `postgres`. The drills that
    come with this system are searched first, and then the drills in the folder ``drills``. The result is None when no drill
    contains ``name``.
    """
    if text := declared(name, kind):
        return Example("", text)
    for steps in (_own(name.partition(".")[0], kind), _inside(drills) if drills else ()):
        examples = [
            Example(drill, _shown(every, step))
            for drill, every in steps
            for step in every
            if step.action == name and (step.phase == Probe.PART) == (kind is Probe) and not _ALIAS.search(step.text)
        ]
        if examples:
            return min(examples, key=lambda example: len(example.text.splitlines()))
    return None


def declared(name: str, kind: type[Action] | type[Probe] = Action) -> str:
    """Return the example that the class of the action or probe ``name`` declares. The result is empty when the
    class or its example does not exist.
    """
    try:
        cls: type[Action] | type[Probe] = discovery.find(name, kind)
    except UnknownName:
        return ""
    return inspect.cleandoc(cls.EXAMPLE)


def files(system: System) -> list[Path]:
    """Files of the system's example drills, sorted."""
    return system.files("examples")


def _own(family: str, kind: type[Action] | type[Probe]) -> list[tuple[str, tuple[_Step, ...]]]:
    """Find the system that defines the actions or probes of ``family``. Return the name and the steps of each of its drills
    and examples.
    """
    systems = [system for system in discovery.systems() if family in getattr(system, kind.PART)]
    paths = [path for system in systems for part in ("examples", "drills") for path in system.files(part)]
    return [(path.stem, _steps(path)) for path in paths]


@cache
def _inside(top: Path) -> list[tuple[str, tuple[_Step, ...]]]:
    """Return the name and the steps of each drill in a folder."""
    paths = [path for path in sorted(top.rglob("*.yml")) if path.relative_to(top).parts[0] != NOT_DRILLS]
    return [(path.stem, _steps(path)) for path in paths]


@cache
def _steps(path: Path) -> tuple[_Step, ...]:
    """Return the steps and the probes of the drill in the file ``path``. Steps in parallel groups are left out."""
    text = path.read_text(encoding="utf-8")
    top = yaml.compose(text, Loader=yaml.SafeLoader)
    phases = top.value if isinstance(top, yaml.MappingNode) else []
    lists = [(key.value, node.value) for key, node in phases if isinstance(node, yaml.SequenceNode)]
    return tuple(step for phase, nodes in lists for step in _of_phase(phase, nodes, text.splitlines()))


def _of_phase(phase: str, nodes: Iterable[yaml.Node], lines: list[str]) -> Iterator[_Step]:
    for node in nodes:
        if not isinstance(node, yaml.MappingNode):
            continue
        keys = {str(key.value): value for key, value in node.value}
        action = next((key for key in keys if "." in key), "")
        own = lines[node.start_mark.line : node.end_mark.line + (node.end_mark.column > node.start_mark.column)]
        while own and (not own[-1].strip() or own[-1].lstrip().startswith("#")):
            own.pop()
        save = str(keys["save"].value) if "save" in keys else ""
        yield _Step(phase, action, save, "\n".join(own))


def _shown(steps: tuple[_Step, ...], step: _Step) -> str:
    """Return YAML text with ``step``, and with every earlier step whose saved results it needs. Each step is below its phase."""
    wanted, included = [step], {step}
    while wanted:
        text = wanted.pop().text
        used = [other for other in steps if other.save and re.search(rf"\b{other.save}\.", text)]
        wanted += [other for other in used if other not in included]
        included.update(used)
    chosen = [other for other in steps if other in included]
    phases = dict.fromkeys(other.phase for other in chosen)
    return "\n".join(f"{phase}:\n" + "\n".join(other.text for other in chosen if other.phase == phase) for phase in phases)
