"""Service manager Docker. The units of a host are containers, which the program ``docker`` controls.

A container may have a restart policy (``always``, ``unless-stopped``, ``on-failure``). After a kill by process id, the
engine restarts such a container. After ``docker stop`` and ``docker kill``, the engine does not restart it until somebody
starts it; see docs.docker.com/engine/containers/start-containers-automatically.
"""

from __future__ import annotations

import json
from datetime import datetime

from drillbook.sdk.host import Deadline, Host, once_more
from drillbook.sdk.manager.unit import Argv, Manager, UnitState

SETTLED_S = 1.0
"""Seconds that a container must have run to count as running, since a broken container exits soon after its start."""
_STATES = {
    "running": "running",
    "created": "stopped",
    "exited": "stopped",
    "dead": "failed",
    "restarting": "starting",
    "removing": "stopping",
    "paused": "paused",
}
# UNIT DOCKER...: print the engine's state of the container, the time, and the container's processes with their pids on the
# host. If the host is itself a container, the engine reports other pids than the host.
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
# UNIT DOCKER...: print the pid of the container's main process on the host: the pid reported by the engine, if the host has
# this process; otherwise the pid of the container's oldest process.
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
        """Return the docker command that starts the container ``unit``."""
        return (*self._tool(), "start", "--", unit)

    def stop(self, unit: str) -> Argv:
        """Return the docker command that stops the container ``unit``."""
        return (*self._tool(), "stop", "--", unit)

    def passing(self, host: Host, unit: str, deadline: Deadline) -> str:
        """Return the reason why the container cannot be started again after a stop, or an empty text if it can be started.

        The only reason is that the container was made with ``--rm``. The engine removes such a container when it exits.
        """
        what = "{{.HostConfig.AutoRemove}}"
        look = (*self._tool(), "inspect", "--type", "container", "--format", what, "--", unit)
        seen = once_more(lambda: host.run(look, deadline=deadline))
        return (
            "the container was created with --rm, so the engine removes it when it stops"
            if seen.text.strip() != "false"
            else ""
        )

    def query(self, unit: str) -> Argv:
        """Return the command that prints the state of the container ``unit``. ``read`` parses its output."""
        return ("sh", "-c", _QUERY, "sh", unit, *self._tool())

    def read(self, unit: str, text: str) -> UnitState | None:
        """Parse the state of the container ``unit`` in the output of ``query``.

        Return None when docker does not know the container.
        """
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
        """Return the command that prints the process id of the main process of the container ``unit``."""
        return ("sh", "-c", _MAIN, "sh", unit, *self._tool())

    def kill(self, seen: UnitState) -> Argv:
        """Return the engine's own kill command. The engine does not restart a container that was killed by this command."""
        return (*self._tool(), "kill", "--signal", "KILL", "--", seen.unit)

    def log(self, unit: str) -> Argv:
        """Return the command that shows the end of the log of the container ``unit``."""
        return (*self._tool(), "logs", "--tail", "50", "--", unit)

    def tail(self, unit: str, lines: int) -> tuple[Argv, ...]:
        """Return the command that prints the last ``lines`` lines of both output streams of the container."""
        return (("sh", "-c", 'exec "$@" 2>&1', "sh", *self._tool(), "logs", "--tail", str(lines), "--", unit),)


_ENDED = (0, 130, 137, 143)
"""Exit statuses of a container that ended normally (0), or was ended by the signal INT, KILL or TERM."""


def _age(started: str, now: float) -> float:
    """Return the seconds from ``started`` to ``now``. Both are times by the clock of the engine's machine."""
    try:
        return now - datetime.fromisoformat(started[:26].rstrip("Z") + "+00:00").timestamp()
    except ValueError:
        return SETTLED_S


def _main(stats: list[str], pid: int) -> int | None:
    """Return the id that the container's main process has on the host.

    The id is ``pid`` if the host has a process with this id. Otherwise, it is the id of the oldest process of the
    container.
    """
    processes: dict[int, tuple[int, int]] = {}
    for line in stats:
        before, _, after = line.rpartition(")")
        fields = after.split()
        if before.partition(" ")[0].isdigit() and len(fields) > 19:
            processes[int(before.partition(" ")[0])] = (int(fields[1]), int(fields[19]))
    if pid in processes:
        return pid
    tops = {number: started for number, (parent, started) in processes.items() if parent not in processes}
    return min(tops, key=lambda top: (tops[top], top), default=None)
