"""Whether what reading would execute of a project is trusted, and what of it is left out where it is not."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property
from pathlib import Path

from drillbook.diagnosis.tree import Tree
from drillbook.inventory.inventory import Inventory
from drillbook.plan import needed
from drillbook.plan.planner import Plan
from drillbook.project.project import Project
from drillbook.trust import items, record
from drillbook.trust.items import Item, Source
from drillbook.trust.record import Record
from drillbook.trust.scan import Scan, brought, of_lab, of_tree, relative, scan, tree_files


class Trust:
    """What is trusted of ``project`` when it is read with one inventory; files are looked at when it is asked for."""

    def __init__(self, project: Project, inventory: str) -> None:
        """``inventory`` is a name, or the path of one outside the project's own."""
        self.project = project
        self.name, self.outside = inventory, outside(project, inventory)

    @cached_property
    def scan(self) -> Scan:
        """All that reading would execute."""
        return scan(self.project, self.outside)

    @cached_property
    def record(self) -> Record | None:
        """What was trusted before. Raises Unusable."""
        return record.read(self.project.root, self.outside)

    @cached_property
    def doubt(self) -> str:
        """Why it is not trusted; empty: it is."""
        if not self.scan.items:
            return ""
        return record.doubt(self.project.root, self.outside, self.scan.digest, several=False)

    def of_plan(self, plan: Plan) -> tuple[Item, ...]:
        """The commands and secrets of ``plan`` that a check leaves out, since nobody trusts them."""
        path = self.project.drill_names().get(plan.drill)
        file = relative(path, self.project.root) if path else plan.drill
        own = (
            items.of_plan(plan, Source(file, self.project.root)) if path is None or brought(self.project.root, path) else ()
        )
        return self._left([*own, *self._secrets(plan.inventory, needed.of_plan(plan))])

    def of_diagnosis(self, inventory: Inventory, trees: Iterable[Tree], services: Collection[str]) -> tuple[Item, ...]:
        """The same of a diagnosis that applies ``trees`` with ``services``."""
        names = {tree.tree for tree in trees if list(items.of_tree(tree, "", {}))}
        files = tree_files(self.project.root)
        own = [files[name] for name in sorted(names) if name in files]
        found = [item for path in own for item in of_tree(self.project.root, path, [])]
        return self._left([*found, *self._secrets(inventory, services)])

    def of_lab(self, inventory: Inventory) -> tuple[Item, ...]:
        """The same of the lab that a check starts."""
        return self._left(list(of_lab(self.project.root)) if inventory.lab == "docker" else [])

    def _secrets(self, inventory: Inventory, services: Collection[str]) -> list[Item]:
        return list(items.of_inventory(inventory, self.project.root, self.name, services))

    def _left(self, found: list[Item]) -> tuple[Item, ...]:
        return tuple(found) if found and self.doubt else ()

    def bar(self, inventory: Inventory) -> None:
        """See to it that no program for a secret of ``inventory`` is run, if it is not trusted."""
        programs = [secret for secret in inventory.secrets_of(inventory.services).values() if secret.source == "command"]
        if programs and self.doubt:
            for secret in programs:
                secret.bar(self.doubt)


def outside(project: Project, inventory: str) -> str:
    """The path of ``inventory`` when it is none of the files in the project's `inventory/`; else empty."""
    if not inventory.endswith((".yml", ".yaml")):
        return ""
    path = Path(inventory).resolve()
    own = path.parent == (project.root / "inventory").resolve() and path.suffix == ".yml"
    return "" if own else str(path)
