"""Collects all commands in a project's files that read-only tasks would execute, and computes a digest of them.

The commands are not executed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from drillbook.diagnosis import FOLDER, trees
from drillbook.errors import DrillbookError
from drillbook.inventory.inventory import Inventory
from drillbook.language import strict
from drillbook.plan import planner
from drillbook.plan.spec import DIAGNOSIS, Drill, ProbeUse
from drillbook.project.project import Project
from drillbook.sdk import discovery
from drillbook.trust import items
from drillbook.trust.items import Item, Source
from drillbook.values import canonical, digest

LAB = "lab"
"""Folder of a project with the files of its Docker lab. If this lab is not running, a check starts it."""


@dataclass(frozen=True, slots=True)
class Scan:
    """Result of a scan.

    The items are in the order of their files. ``unread``: messages about files that could not be read.
    """

    items: tuple[Item, ...]
    unread: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Digest of all items. It is the same on every machine that has the same files."""
        return digest(canonical(sorted(item.digest for item in self.items)))


def scan(project: Project, outside: str = "") -> Scan:
    """Scan every drill, tree and inventory of ``project``.

    ``outside``: inventory file outside the project. If it is given, it is scanned too.
    """
    unread: list[str] = []
    inventories = dict(_inventories(project, outside, unread))
    merged: dict[items.Key, Item] = {}
    for item in _every(project, inventories, unread):
        before = merged.get(item.key)
        merged[item.key] = replace(before, on={**before.on, **item.on}) if before else item
    return Scan(tuple(sorted(merged.values(), key=_order)), tuple(unread))


def _order(item: Item) -> tuple[str, int, items.Key]:
    file, _, line = item.where.rpartition(":")
    return file, int(line) if line.isdecimal() else 0, item.key


def _inventories(project: Project, outside: str, unread: list[str]) -> Iterator[tuple[str, Inventory]]:
    names = [path.stem for path in sorted((project.root / "inventory").glob("*.yml"))]
    for name in [*names, *([outside] if outside else [])]:
        try:
            yield name, project.inventory(name)
        except DrillbookError as error:
            unread.append(f"inventory {name}: {error.message}")


def _every(project: Project, inventories: dict[str, Inventory], unread: list[str]) -> Iterator[Item]:
    for name, inventory in inventories.items():
        yield from items.of_inventory(inventory, project.root, name)
        if inventory.lab == "docker":
            yield from of_lab(project.root)
    for name, path in project.drill_names().items():
        if brought(project.root, path):
            yield from _drill(project, name, path, inventories, unread)
    for path in sorted(tree_files(project.root).values()):
        yield from of_tree(project.root, path, unread)


def tree_files(root: Path) -> dict[str, Path]:
    """Find the project's diagnosis trees, in its folder `drills/` and in its plugins. Return the path of each tree, with
    the name of the tree as the key.
    """
    shipped = {name: path for name, path in discovery.shipped("trees").items() if brought(root, path)}
    return {**shipped, **{path.stem: path for path in (root / "drills" / FOLDER).glob("*.yml")}}


def brought(root: Path, path: Path) -> bool:
    """Return True when the file ``path`` is in the folder `drills/` or `plugins/` of the project, and not in an
    installed package.
    """
    return any(path.is_relative_to(root / folder) for folder in ("drills", "plugins"))


def _drill(project: Project, name: str, path: Path, inventories: dict[str, Inventory], unread: list[str]) -> Iterator[Item]:
    """Yield the commands of a drill that a check would execute. The drill is planned on each inventory; inventories on
    which this fails are skipped.
    """
    try:
        drill = project.drill(name)
    except DrillbookError as error:
        unread.append(f"{relative(path, project.root)}: {error.message}")
        return
    if not isinstance(drill, Drill) or not _holds_code(drill):
        return
    for key, inventory in inventories.items():
        with suppress(DrillbookError):
            yield from items.of_plan(planner.make(drill, inventory), Source(relative(path, project.root), project.root, key))


def _holds_code(drill: Drill) -> bool:
    """Return True when a check of ``drill`` could execute a command from the drill's file. The search for untrusted items
    makes plans only for drills of this kind.
    """
    steps = [
        *(step for phase in drill.phases.values() for step in phase),
        *(condition.use for condition in drill.conditions if not isinstance(condition.use, ProbeUse)),
    ]
    probes = [*drill.probes, *(condition.use for condition in drill.conditions if isinstance(condition.use, ProbeUse))]
    return any(step.action.CODE or step.action.READY_CODE or step.action.name() == DIAGNOSIS for step in steps) or any(
        use.probe.CODE for use in probes
    )


def of_tree(root: Path, path: Path, unread: list[str]) -> Sequence[Item]:
    """Return the items of the diagnosis tree in the file ``path``.

    If the file cannot be used, a message is added to ``unread``.
    """
    try:
        tree, document = trees.load(path), strict.load(path)
    except DrillbookError as error:
        unread.append(f"{relative(path, root)}: {error.message}")
        return []
    lines = {check.id: document.where(("checks", check.id), key=True).line for check in tree.checks}
    return list(items.of_tree(tree, relative(path, root), lines))


def of_lab(root: Path) -> Iterator[Item]:
    """Yield one item for the project's Docker lab if its images and containers are made from files of the project."""
    folder = root / LAB
    if not (folder / "compose.yml").exists():
        return
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    digests = {relative(path, root): digest(path.read_bytes()) for path in files}
    yield Item(
        ("lab",), f"{LAB}/compose.yml:1", "docker compose", f"up, with the {len(digests)} files in {LAB}/", {}, {}, digests
    )


def relative(path: Path, root: Path) -> str:
    """Return ``path`` relative to the project's folder ``root``."""
    return os.path.relpath(path, root)
