"""Trust state of a project. While the project is not trusted, checks and diagnoses skip the commands that this module
lists.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property
from pathlib import Path

from drillbook.diagnosis.tree import Tree
from drillbook.inventory.inventory import Inventory
from drillbook.plan import needed_services
from drillbook.plan.planner import Plan
from drillbook.project.project import Project
from drillbook.trust import items, trust_record
from drillbook.trust.items import Item, Source
from drillbook.trust.scan import Scan, brought, of_lab, of_tree, relative, scan, tree_files
from drillbook.trust.trust_record import Record


class Trust:
    """Trust state of ``project`` when it is used with one inventory. It lists the commands that are not trusted.

    Files are read only when they are needed.
    """

    def __init__(self, project: Project, inventory: str) -> None:
        """Store the project, and find its inventory. ``inventory``: name of an inventory of the project, or path of an
        inventory file outside the project.
        """
        self.project = project
        self.name, self.outside = inventory, outside(project, inventory)

    @cached_property
    def scan(self) -> Scan:
        """All commands of the project that read-only tasks would execute."""
        return scan(self.project, self.outside)

    @cached_property
    def record(self) -> Record | None:
        """Record of trust in the project, or None when there is no record. Raises Unusable when the record cannot be
        used.
        """
        return trust_record.read(self.project.root, self.outside)

    @cached_property
    def doubt(self) -> str:
        """Reason why the project is not trusted. The text is empty when the project is trusted, or when it contains
        nothing to execute.
        """
        if not self.scan.items:
            return ""
        return trust_record.doubt(self.project.root, self.outside, self.scan.digest, several=False)

    def of_plan(self, plan: Plan) -> tuple[Item, ...]:
        """Return the commands and secrets of ``plan`` that a check skips because they are not trusted."""
        path = self.project.drill_names().get(plan.drill)
        file = relative(path, self.project.root) if path else plan.drill
        own = (
            items.of_plan(plan, Source(file, self.project.root)) if path is None or brought(self.project.root, path) else ()
        )
        return self._left([*own, *self._secrets(plan.inventory, needed_services.of_plan(plan))])

    def of_diagnosis(self, inventory: Inventory, trees: Iterable[Tree], services: Collection[str]) -> tuple[Item, ...]:
        """Return the untrusted commands and secrets, which a diagnosis of ``services`` with ``trees`` therefore skips."""
        names = {tree.tree for tree in trees if list(items.of_tree(tree, "", {}))}
        files = tree_files(self.project.root)
        own = [files[name] for name in sorted(names) if name in files]
        commands = [item for path in own for item in of_tree(self.project.root, path, [])]
        return self._left([*commands, *self._secrets(inventory, services)])

    def of_lab(self, inventory: Inventory) -> tuple[Item, ...]:
        """Return the files of the Docker lab that are not trusted. If the result is not empty, the lab must not be
        started.
        """
        return self._left(list(of_lab(self.project.root)) if inventory.lab == "docker" else [])

    def _secrets(self, inventory: Inventory, services: Collection[str]) -> list[Item]:
        return list(items.of_inventory(inventory, self.project.root, self.name, services))

    def _left(self, skipped: list[Item]) -> tuple[Item, ...]:
        return tuple(skipped) if skipped and self.doubt else ()

    def bar(self, inventory: Inventory) -> None:
        """Forbid reading those secrets of ``inventory`` that a program supplies. Do nothing when the project is trusted."""
        secrets = {**inventory.secrets_of(inventory.services), **inventory.secrets_of_hosts()}
        programs = [secret for secret in secrets.values() if secret.source == "command"]
        if programs and self.doubt:
            for secret in programs:
                secret.bar(self.doubt)


def outside(project: Project, inventory: str) -> str:
    """Return the path of ``inventory`` if it is a file outside of the project's folder `inventory/`.

    The result is empty for inventories of the project.
    """
    if not inventory.endswith((".yml", ".yaml")):
        return ""
    path = Path(inventory).resolve()
    own = path.parent == (project.root / "inventory").resolve() and path.suffix == ".yml"
    return "" if own else str(path)
