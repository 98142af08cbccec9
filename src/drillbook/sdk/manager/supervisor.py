"""Service manager supervisor. The units are programs in ``supervisord.conf``, which ``supervisorctl`` controls."""

from __future__ import annotations

import re

from drillbook.sdk.manager.unit import Argv, Manager, UnitState

_STATES = {
    "RUNNING": "running",
    "STARTING": "starting",
    "STOPPING": "stopping",
    "STOPPED": "stopped",
    "EXITED": "stopped",
    "FATAL": "failed",
    "BACKOFF": "starting",
}
_START = 'unit=$1; shift; "$@" start "$unit" || "$@" status "$unit"'

# UNIT SUDO SUPERVISORCTL...: print the main process and kill it. The pid is no argument, so that a rule of sudoers matches
# every run. SUDO begins the command that kills; it is empty without sudo.
_KILL = """
unit=$1 sudo=$2; shift 2
pid=$("$@" pid "$unit") || exit
case $pid in *[!0-9]* | 0 | 1 | '') echo "$unit has no process to kill: $pid" >&2; exit 1 ;; esac
echo "$pid"
$sudo kill -KILL "$pid"
"""


class Supervisor(Manager):
    """The supervisord of one host."""

    def _tool(self) -> Argv:
        return (*self.sudo, "supervisorctl", *(("-c", self.config.config) if self.config.config else ()))

    def start(self, unit: str) -> Argv:
        """Return the supervisorctl command that starts the program ``unit``."""
        return ("sh", "-c", _START, "sh", unit, *self._tool())

    def stop(self, unit: str) -> Argv:
        """Return the supervisorctl command that stops the program ``unit``."""
        return (*self._tool(), "stop", unit)

    def query(self, unit: str) -> Argv:
        """Return the command that prints the state of the program ``unit``. ``read`` parses its output."""
        return (*self._tool(), "status", unit)

    def read(self, unit: str, text: str) -> UnitState | None:
        """Parse the state of the program ``unit`` in the output of ``query``.

        Return None when supervisorctl does not know the program.
        """
        match = re.search(rf"^{re.escape(unit)}\s+([A-Z]+)(?:\s+pid (\d+))?", text, re.MULTILINE)
        if match is None:
            return None
        return UnitState(unit, _STATES.get(match[1], "failed"), match[1], int(match[2]) if match[2] else None)

    def main(self, unit: str) -> Argv:
        """Return the command that prints the process id of the main process of the program ``unit``."""
        return (*self._tool(), "pid", unit)

    def kill(self, seen: UnitState) -> Argv:
        """Return the command that sends SIGKILL to the main process of the program."""
        super().kill(seen)
        return ("sh", "-c", _KILL, "sh", seen.unit, " ".join(self.sudo), *self._tool())

    def log(self, unit: str) -> Argv:
        """Return the command that shows the end of the log of the program ``unit``."""
        return (*self._tool(), "tail", unit, "stderr")

    def tail(self, unit: str, lines: int) -> tuple[Argv, ...]:
        """Return one command for each output stream. Each prints about ``lines`` lines.

        supervisorctl counts bytes, so a line is assumed to have 300 bytes.
        """
        return tuple((*self._tool(), "tail", f"-{lines * 300}", unit, stream) for stream in ("stderr", "stdout"))
