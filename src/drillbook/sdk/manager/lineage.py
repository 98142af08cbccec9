"""Ancestors and control groups of a process. They show to which unit the process belongs."""

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
"""Functions for POSIX shells. ``lineage PID`` prints the lines that ``Lineage.read`` parses. See proc(5)."""
IN_FOLDER = (
    SCRIPT
    + """
read -r pids
here=$(stat -L -c %d:%i -- "$1") || exit 0
read -r up _ < /proc/uptime
ticks=$(getconf CLK_TCK 2>/dev/null || echo 100)
for pid in $pids; do
  test "$pid" != 0 && test "$(stat -L -c %d:%i "/proc/$pid/cwd" 2>/dev/null)" = "$here" || continue
  start=$(sed 's/.*) //' "/proc/$pid/stat" | cut -d ' ' -f 20)
  own=$(sed -n 's/^NSpid:.*[[:space:]]//p' "/proc/$pid/status")
  age=$(awk -v up="$up" -v start="$start" -v ticks="$ticks" 'BEGIN { print up - start / ticks }')
  echo "process $pid ${own:-$pid} $age"
  lineage "$pid"
  break
done
"""
)
"""Shell script that describes the first process with the working directory FOLDER, its argument. It reads the process ids to
try from one line of standard input. They are not arguments, because a rule of sudo contains all arguments, and the process
ids differ in every run.

The script prints the process id on the host, and the process id that the process itself sees (different in a container). It
also prints the age of the process in seconds, its parents and its control groups.
"""
APART_S = 5.0
"""Tolerance in seconds for the comparison of two ages of a process; see ``same_age``."""
STARTING_S = 30.0
"""Longest accepted time, in seconds, from the start of a server's process to the moment from which the server counts its
uptime. This time is long only on a busy host.
"""


def same_age(told: float, seen: float, between: float) -> bool:
    """Return True when two ages can belong to the same process. All times are in seconds. ``told``: age that a server reported.
    ``seen``: age that the host of the server measured later. ``between``: time from the request to the server until the answer
    of the host.
    """
    return -APART_S <= seen - told <= between + STARTING_S


@dataclass(frozen=True, slots=True)
class Lineage:
    """Process ids of the ancestors of a process, and its control groups as in ``/proc/PID/cgroup``."""

    parents: frozenset[int]
    groups: tuple[str, ...]

    @classmethod
    def read(cls, lines: Iterable[str]) -> Self:
        """Parse the lines that the shell function ``lineage`` prints. Other lines are ignored."""
        pairs = [line.partition(" ")[::2] for line in lines]
        return cls(
            frozenset(int(value) for key, value in pairs if key == "parent" and value.strip().isdecimal()),
            tuple(value for key, value in pairs if key == "group"),
        )

    @property
    def unit(self) -> str:
        """Name of the innermost systemd unit that contains the process, such as `postgresql@17-main.service`.

        It is empty when no unit contains the process.
        """
        units = [part for line in self.groups for part in line.split("/") if part.endswith(".service")]
        return units[-1] if units else ""

    def is_of(self, unit: UnitState, pid: int | None) -> bool:
        """Return True when the process ``pid`` belongs to ``unit``.

        The main process of a unit, all of its descendants, and all processes in the unit's control group belong to the unit.
        """
        names = (unit.unit, f"{unit.unit}.service")
        return (unit.pid is not None and unit.pid in self.parents | {pid}) or any(
            part in names for line in self.groups for part in line.split("/")
        )
