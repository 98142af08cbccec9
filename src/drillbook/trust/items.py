"""Code in a project's files that read-only commands execute: shell commands, SQL statements, and programs that print
secrets.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drillbook.diagnosis.tree import Tree
from drillbook.inventory.inventory import Inventory
from drillbook.language import template
from drillbook.plan.plan import Plan
from drillbook.plan.planned_step import PlannedProbe, PlannedStep
from drillbook.plan.spec import DIAGNOSIS
from drillbook.sdk.action import Action, Place, find
from drillbook.sdk.probe import find_probe
from drillbook.trust.shipped import SHIPPED
from drillbook.values import Secret, canonical, digest

Key = tuple[str, ...]
TOOL = "tool"
HEALTH = "health command"
BACKUP = "backup command"
SILENCING = ("!command", TOOL, HEALTH, BACKUP)
"""Kinds of commands that are needed to examine a service. For example, a program that prints a secret is needed to log in.

While a command of one of these kinds is untrusted, no host is contacted.
"""
_WORD = re.compile(r"[^\s'\"`=;|&<>(){}$,]+")
_ASIDE = ("effect", "exit", "service")
"""Parameters of a step that are not shown when a person is asked to trust the step. They need not be shown: ``effect`` and
``exit`` execute nothing, and ``service`` is already shown as the place of execution.
"""
PLACES = ("host", "address", "port", "url", "container", "engine", "database", "user", "run_as", "become")
"""Fields of a service. They decide where a command is executed: the host and the user."""


@dataclass(frozen=True, slots=True)
class Item:
    """One command, statement or program in the project's files that a read-only task would execute."""

    key: Key
    """Key of the step, check, secret, tool or lab to which the item belongs. Items with equal keys are merged, even if they
    come from several inventories.
    """
    where: str
    """File and line in which the item is written. The path of the file is relative to the project."""
    kind: str
    text: str
    content: dict[str, Any]
    """Content of the item, such as the parameters of its step. It is one of the parts that ``digest`` covers."""
    on: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """For each inventory: the hosts or services on which the item is executed."""
    files: dict[str, str] = field(default_factory=dict)
    """Project files that the item names. Each key is the path of a file, and each value is the digest of the file."""

    @property
    def digest(self) -> str:
        """Digest of the item.

        The digest covers the key, the kind, the content, the places and the files. It does not cover the line number.
        """
        on = {name: list(places) for name, places in self.on.items()}
        return digest(canonical([list(self.key), self.kind, self.content, on, self.files]))


@dataclass(frozen=True, slots=True)
class Source:
    """Origin of a plan: the path of the drill's file in the project, the folder of the project, and the name of the
    inventory.
    """

    file: str
    root: Path
    inventory: str = ""


def of_plan(plan: Plan, source: Source) -> Iterator[Item]:
    """Yield the items that a check of ``plan`` would execute on its hosts."""
    steps = [
        *((step.id, step, step.phase == "ready") for step in plan.steps),
        *((condition.id, condition.step, True) for condition in plan.guard.conditions if condition.step),
    ]
    for key, step, runs in steps:
        if texts := _executed(step, plan.diagnosis, runs=runs):
            yield _of_step(("step", plan.drill, key), step, "; ".join(texts), plan, source)
    for key, probe in [
        *((probe.id, probe) for probe in plan.probes),
        *((condition.id, condition.probe) for condition in plan.guard.conditions if condition.probe),
    ]:
        code = find_probe(probe.name).CODE
        if code and probe.params.get(code) is not None and not shipped(probe.params[code]):
            yield _of_probe(("step", plan.drill, key), probe, code, plan, source)


def _executed(step: PlannedStep, trees: tuple[Tree, ...], *, runs: bool) -> list[str]:
    """Return the code that a check of the drill executes for ``step``. This is the code of the step's `ready` check.

    When ``runs`` is true, the check of the drill also executes the code of the step itself.
    """
    kind: type[Action] = find(step.action)
    names = [name for name in (kind.CODE if runs else "", kind.READY_CODE) if name and step.params.get(name) is not None]
    texts = [_text(step.params, name) for name in names if not shipped(step.params[name])]
    if runs and step.action == DIAGNOSIS:
        texts += [item.text for tree in trees for item in of_tree(tree, "", {})]
    return texts


def _of_step(key: Key, step: PlannedStep, text: str, plan: Plan, source: Source) -> Item:
    lab = bool(plan.inventory.lab)
    hosts = [_host(plan.inventory, name, lab=lab) for name in step.hosts]
    places = hosts if find(step.action).PLACE is Place.HOSTS else [_service(plan.inventory, step.params, lab=lab)]
    content = {"file": source.file, "action": step.action, "params": step.params, "when": step.when or "", "text": text}
    content |= {"become": step.become} if step.become is not None else {}
    line = step.line.rpartition(":")[2]
    return Item(
        key,
        f"{source.file}:{line}",
        step.action,
        text,
        content,
        {source.inventory: tuple(places)},
        named(step.params, source.root),
    )


def _of_probe(key: Key, probe: PlannedProbe, code: str, plan: Plan, source: Source) -> Item:
    """Return the item for the code, such as SQL, that a probe executes. `drill.check` executes this code once, to take a
    sample, but only if the code is trusted.

    ``code``: name of the parameter that contains this code.
    """
    return Item(
        key,
        f"{source.file}:{probe.line.rpartition(':')[2]}",
        probe.name,
        _text(probe.params, code),
        {"file": source.file, "action": probe.name, "params": probe.params},
        {source.inventory: (_service(plan.inventory, probe.params, lab=bool(plan.inventory.lab)),)},
        named(probe.params, source.root),
    )


def of_tree(tree: Tree, file: str, lines: Mapping[str, int]) -> Iterator[Item]:
    """Yield the items that a diagnosis with ``tree`` would execute. ``lines``: line number of each check of the tree in
    ``file``.
    """
    for check in tree.checks:
        code = find(check.action).CODE
        if code and check.params.get(code) is not None and not shipped(check.params[code]):
            yield Item(
                ("check", tree.tree, check.id),
                f"{file}:{lines.get(check.id, 1)}",
                check.action,
                _text(check.params, code),
                {"file": file, "action": check.action, "params": check.params},
            )


def of_inventory(inventory: Inventory, root: Path, name: str, services: Iterable[str] | None = None) -> Iterator[Item]:
    """Yield an item for each piece of code of ``services``. There are four kinds of code: programs that print secrets, health
    commands, commands that print a backup and only read, and tools in the project.

    By default, ``services`` are all services of the inventory.
    """
    wanted = list(inventory.services if services is None else services)
    for place, secret in {**inventory.secrets_of(wanted), **inventory.secrets_of_hosts()}.items():
        if secret.source == "command":
            yield _of_secret(place, secret, root, name)
    file = name if name.endswith((".yml", ".yaml")) else f"inventory/{name}.yml"
    for key in wanted:
        on = _service(inventory, {"service": key}, lab=bool(inventory.lab))
        argv = getattr(inventory.services[key], "check", ())
        if isinstance(argv, tuple) and argv:  # in a backup source, this field may be a method
            shown = f"{shlex.join(argv)}  (for services.{key}.check)"
            entry = ("health", name, f"services.{key}.check")
            yield Item(entry, f"{file}:1", HEALTH, shown, {"argv": list(argv)}, {name: (on,)}, named(argv, root))
        argv = getattr(inventory.services[key], "at", ())
        if isinstance(argv, tuple) and getattr(inventory.services[key], "only_reads", None):  # `drill.check` starts it
            shown = f"{shlex.join(argv)}  (for backups.{key}.at)"
            entry = ("backup", name, f"backups.{key}.at")
            yield Item(entry, f"{file}:1", BACKUP, shown, {"argv": list(argv)}, {name: (on,)}, named(argv, root))
        for tool in ("bin", "program"):
            path = getattr(inventory.services[key], tool, "")
            if isinstance(path, str) and path and (files := _tools(path, root)) is not None:
                yield Item(
                    ("tool", name, f"services.{key}.{tool}"),
                    f"{file}:1",
                    TOOL,
                    f"{path}  (for services.{key}.{tool})",
                    {},
                    {name: (on,)},
                    files,
                )


def _tools(path: str, root: Path) -> dict[str, str] | None:
    """Find a tool's files in the project. Return the digest of each file, with its path as the key.

    Returns None for a tool outside the project, and for a tool in Drillbook's own environment.
    """
    whole, own = root.resolve(), Path(sys.prefix).resolve()
    digests: dict[str, str] = {}
    inside = False
    for real in {_real(base / path) for base in (whole, Path.cwd())} - {None}:
        if real is None or not real.is_relative_to(whole) or real.is_relative_to(own):
            continue
        inside = True
        for candidate in [real] if real.is_file() else sorted(real.rglob("*")):
            if inner := _inside(candidate, whole):
                with inner.open("rb") as file:
                    digests[os.path.relpath(candidate, whole)] = hashlib.file_digest(file, "sha256").hexdigest()
    return dict(sorted(digests.items())) if inside else None


def _real(path: Path) -> Path | None:
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):
        return None


def _of_secret(place: str, secret: Secret, root: Path, name: str) -> Item:
    argv = [secret.name] if isinstance(secret.name, str) else list(secret.name)
    file, _, line = secret.where.rpartition(":")
    relative = os.path.relpath(file, root) if file else name
    return Item(
        ("secret", name, place),
        f"{relative}:{line or 1}",
        "!command",
        f"{shlex.join(argv)}  (for {place})",
        {"argv": argv},
        {name: ("this machine",)},
        named(argv, root),
    )


def shipped(text: object) -> bool:
    """Return True when ``text`` is equal to a statement in Drillbook's own drills or diagnosis trees. Return False for a
    text with expressions.
    """
    return isinstance(text, str) and not template.is_template(text) and of_text(text) in SHIPPED


def of_text(text: str) -> str:
    """Return the SHA-256 digest of a statement in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def _text(params: Mapping[str, Any], code: str) -> str:
    """Return the text of an item. ``params``: the parameters of the step, probe or check. The text begins with the value of
    the parameter whose name is ``code``: a list of words is quoted as in a shell, a text is unchanged, and any other value
    is JSON. The other parameters follow as JSON, except those in ``_ASIDE``.
    """
    value = params[code]
    words = isinstance(value, list | tuple) and all(isinstance(word, str) for word in value)
    text = shlex.join(value) if words else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    rest = {key: item for key, item in params.items() if key != code and key not in _ASIDE}
    return text + (f"  ({json.dumps(rest, ensure_ascii=False, default=str)})" if rest else "")


def _host(inventory: Inventory, name: str, *, lab: bool) -> str:
    target = inventory.target(name)
    account = f" as {target.become}" if target.become else ""
    if target.local:
        return f"{name}, this machine{account}"
    where = f"{target.user}@{target.address or name}:{target.port or 22}" if not lab else "of the lab"
    return f"{name}, {where}{account}{f' through {target.gateway}' if target.gateway else ''}"


def _service(inventory: Inventory, params: Mapping[str, Any], *, lab: bool) -> str:
    """Return a text that lists the services in ``params`` with their addresses.

    For services of a lab, the addresses are left out, because the ports of a lab vary.
    """
    names = [str(params[key]) for key in ("service", "database") if str(params.get(key)) in inventory.services]
    told = []
    for name in names:
        service = dict(inventory.services[name])
        where = ", ".join(f"{key} {service[key]}" for key in PLACES if service.get(key) not in (None, "")) if not lab else ""
        told.append(f"{name} ({where or 'of the lab'}; on {_host(inventory, service['host'], lab=lab)})")
    return "; ".join(told) or f"the service {params.get('service')}"


def named(value: Any, root: Path) -> dict[str, str]:
    """Find the project's files that ``value`` names, such as a script in a command. Return the digest of each file, with its
    path as the key.

    A command that runs a script is trusted only together with the content of the script, which the digest represents. Empty
    files are left out.
    """
    digests: dict[str, str] = {}
    whole = root.resolve()
    for word in set(_words(value)):
        for base in {whole, Path.cwd()}:
            path = _inside(base / word, whole)
            if path is not None:
                with path.open("rb") as file:
                    digests[str(path.relative_to(whole))] = hashlib.file_digest(file, "sha256").hexdigest()
    return dict(sorted(digests.items()))


def _inside(path: Path, root: Path) -> Path | None:
    try:
        real = path.resolve()
        named = real.is_relative_to(root) and real.is_file() and os.access(real, os.R_OK)
        return real if named and real.stat().st_size else None
    except (OSError, ValueError, RuntimeError):
        return None


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from (value, *_WORD.findall(value))
    elif isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _words(inner)
