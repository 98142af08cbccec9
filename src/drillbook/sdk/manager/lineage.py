"""Lineage of a process: its parents and its control groups, by which it is known as one of a unit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from drillbook.sdk.manager.unit import UnitState

SCRIPT = """
lineage() {
  sed 's/^/group /' "/proc/$1/cgroup"
  parent=$1
  while test "${parent:-0}" -gt 1; do
    parent=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$parent/status" 2>/dev/null)
    echo "parent $parent"
  done
}
"""
"""A function of the POSIX shell: ``lineage PID`` prints lines that ``Lineage.read`` reads. See proc(5)."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """The numbers of the parents of a process, and its control groups as ``/proc/PID/cgroup`` lists them."""

    parents: frozenset[int]
    groups: tuple[str, ...]

    @classmethod
    def read(cls, lines: Iterable[str]) -> Self:
        """The lineage in ``lines``, which may hold others as well."""
        pairs = [line.partition(" ")[::2] for line in lines]
        return cls(
            frozenset(int(value) for key, value in pairs if key == "parent" and value.strip().isdecimal()),
            tuple(value for key, value in pairs if key == "group"),
        )

    def is_of(self, unit: UnitState, pid: int | None) -> bool:
        """Is the process ``pid`` of ``unit``: its main process, a child of that, or one in its control group?"""
        names = (unit.unit, f"{unit.unit}.service")
        return (unit.pid is not None and unit.pid in self.parents | {pid}) or any(
            part in names for line in self.groups for part in line.split("/")
        )
