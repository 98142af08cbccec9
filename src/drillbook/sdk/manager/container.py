"""Containers as the units of a host, ruled by its ``docker`` program.

A container whose engine starts it again by itself (restart policy ``always``, ``unless-stopped``, ``on-failure``) is left
alone by the engine after ``docker stop`` and ``docker kill``, until somebody starts it
(docs.docker.com/engine/containers/start-containers-automatically); after its process was killed by its number it is not.
"""

from __future__ import annotations

import json
from datetime import datetime

from drillbook.sdk.host import Deadline, Host, once_more
from drillbook.sdk.manager.unit import Argv, Manager, UnitState

SETTLED_S = 1.0
"""How long a container must have run to be called running: one that cannot work ends at once."""
_STATES = {
    "running": "running",
    "created": "stopped",
    "exited": "stopped",
    "dead": "failed",
    "restarting": "starting",
    "removing": "stopping",
    "paused": "paused",
}
# UNIT DOCKER...: what the engine says of the container, the time, and the host's own view of the container's processes.
# Where the host is itself a container, the engine's number of a process is not the one that it has there.
_QUERY = """
unit=$1; shift
seen=$("$@" inspect --type container --format '{{.Id}} {{json .State}}' -- "$unit") || exit 1
printf '%s\\n' "$seen"
date -u +%s.%N
for file in $(grep -ls -- "${seen%% *}" /proc/[0-9]*/cgroup); do
  head -c 2000 -- "${file%cgroup}stat" 2>/dev/null
done
exit 0
"""
# UNIT DOCKER...: the number of the container's main process as the host has it: the engine's, where the host has that one,
# else that of the container's oldest process.
_MAIN = """
unit=$1; shift
seen=$("$@" inspect --type container --format '{{.State.Pid}} {{.Id}}' -- "$unit") || exit 1
for file in $(grep -ls -- "${seen#* }" /proc/[0-9]*/cgroup); do
  one=${file#/proc/} one=${one%/cgroup}
  test "$one" != "${seen%% *}" || { echo "0 $one"; break; }
  start=$(sed "s/.*) //" "/proc/$one/stat" 2>/dev/null | cut -d " " -f 20)
  test -z "$start" || echo "$start $one"
done | sort -n | head -n 1 | cut -d " " -f 2
"""


class Docker(Manager):
    """The Docker engine of one host."""

    def _tool(self) -> Argv:
        return (*self.sudo, "docker")

    def start(self, unit: str) -> Argv:
        """See Manager."""
        return (*self._tool(), "start", "--", unit)

    def stop(self, unit: str) -> Argv:
        """See Manager."""
        return (*self._tool(), "stop", "--", unit)

    def passing(self, host: Host, unit: str, deadline: Deadline) -> str:
        """See Manager: the engine removes a container made with ``--rm`` when it ends."""
        what = "{{.HostConfig.AutoRemove}}"
        look = (*self._tool(), "inspect", "--type", "container", "--format", what, "--", unit)
        seen = once_more(lambda: host.run(look, deadline=deadline))
        return "the container was made with --rm, so it is gone once it ends" if seen.text.strip() != "false" else ""

    def query(self, unit: str) -> Argv:
        """See Manager."""
        return ("sh", "-c", _QUERY, "sh", unit, *self._tool())

    def read(self, unit: str, text: str) -> UnitState | None:
        """See Manager."""
        lines = text.splitlines()
        try:
            said = json.loads(lines[0].partition(" ")[2])
            status, code, now = str(said["Status"]), int(said["ExitCode"]), float(lines[1])
        except (IndexError, ValueError, KeyError, TypeError):
            return None
        state, word = _STATES.get(status, status), status
        if status == "exited":
            state = "stopped" if code in _ENDED else "failed"
            word = f"exited ({code}{', out of memory' if said.get('OOMKilled') else ''})"
        elif status == "running":
            state = "starting" if _age(str(said.get("StartedAt")), now) < SETTLED_S else state
            word = f"running ({said['Health']['Status']})" if said.get("Health") else status
        there = status in ("running", "paused")
        return UnitState(unit, state, word, _main(lines[2:], int(said.get("Pid", 0))) if there else None)

    def main(self, unit: str) -> Argv:
        """See Manager."""
        return ("sh", "-c", _MAIN, "sh", unit, *self._tool())

    def kill(self, seen: UnitState) -> Argv:
        """The command that kills the container: by the engine, which otherwise may start it again by itself."""
        return (*self._tool(), "kill", "--signal", "KILL", "--", seen.unit)

    def log(self, unit: str) -> Argv:
        """See Manager."""
        return (*self._tool(), "logs", "--tail", "50", "--", unit)

    def tail(self, unit: str, lines: int) -> tuple[Argv, ...]:
        """See Manager; both streams of the container in one."""
        return (("sh", "-c", 'exec "$@" 2>&1', "sh", *self._tool(), "logs", "--tail", str(lines), "--", unit),)


_ENDED = (0, 130, 137, 143)
"""Statuses of a container that ended well, or by the signal that stopped it: INT, KILL, TERM."""


def _age(started: str, now: float) -> float:
    """Seconds since ``started``, by the clock of the engine's machine."""
    try:
        return now - datetime.fromisoformat(started[:26].rstrip("Z") + "+00:00").timestamp()
    except ValueError:
        return SETTLED_S


def _main(stats: list[str], pid: int) -> int | None:
    """The main process by the host's own number: the engine's when the host has it, else the container's first."""
    found: dict[int, tuple[int, int]] = {}
    for line in stats:
        before, _, after = line.rpartition(")")
        fields = after.split()
        if before.partition(" ")[0].isdigit() and len(fields) > 19:
            found[int(before.partition(" ")[0])] = (int(fields[1]), int(fields[19]))
    if pid in found:
        return pid
    tops = {one: started for one, (parent, started) in found.items() if parent not in found}
    return min(tops, key=lambda one: (tops[one], one), default=None)
