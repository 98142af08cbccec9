"""Service managers: the commands that ask, start, stop and kill a unit, for supervisor and systemd."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import finding
from drillbook.host import Deadline, Host, ManagerConfig, shown

Argv = tuple[str, ...]
ENDED_S = 2.5
"""How long a unit must be seen ended until nobody is taken to start it again."""


@dataclass(frozen=True, slots=True)
class UnitState:
    """State of a unit: ``state`` is ``running``, ``stopped`` or ``failed``; ``word`` is the manager's own word for it."""

    unit: str
    state: str
    word: str
    pid: int | None


@dataclass(frozen=True, slots=True)
class Manager:
    """The service manager of one host."""

    config: ManagerConfig

    def _tool(self) -> Argv:
        sudo: Argv = ("sudo", "-n") if self.config.sudo else ()
        if self.config.kind == "supervisor":
            return (*sudo, "supervisorctl", *(("-c", self.config.config) if self.config.config else ()))
        return (*sudo, "systemctl", *(("--user",) if self.config.user else ()))

    def start(self, unit: str) -> Argv:
        """The command that starts ``unit``; succeeds when it runs already, so that it can be an undo."""
        if self.config.kind == "supervisor":
            script = 'unit=$1; shift; "$@" start "$unit" || "$@" status "$unit"'
            return ("sh", "-c", script, "sh", unit, *self._tool())
        return (*self._tool(), "start", unit)

    def stop(self, unit: str) -> Argv:
        """The command that stops ``unit`` in its ordinary way."""
        return (*self._tool(), "stop", unit)

    def query(self, unit: str) -> Argv:
        """The command whose output ``state`` understands."""
        if self.config.kind == "supervisor":
            return (*self._tool(), "status", unit)
        return (*self._tool(), "show", "-p", "LoadState,ActiveState,SubState,MainPID", unit)

    def state(self, host: Host, unit: str, deadline: Deadline) -> UnitState:
        """The state of ``unit`` now. Raises CouldNotVerify when the manager does not know it or does not answer."""
        output = host.run(self.query(unit), deadline=deadline)
        known = _supervisor(unit, output.text) if self.config.kind == "supervisor" else _systemd(unit, output.text)
        if known is None:
            said = (output.text + " " + output.stderr.decode("utf-8", "replace")).strip()
            raise CouldNotVerify(f"{host.name}: the service manager does not tell the state of {unit!r}: {said[:300]}",
                                 hint="check `unit` in the inventory and that the service manager runs")
        return known

    def ensure(self, host: Host, unit: str, wanted: str, deadline: Deadline) -> UnitState:
        """Start or stop ``unit`` unless it is in the ``wanted`` state (``running`` or ``stopped``), and wait until it is.

        Raises StepFailed with a finding when it does not get there before the deadline, and as soon as it is seen that
        the unit has ended and is not started again.
        """
        state = self.state(host, unit, deadline)
        if _is(state, wanted):
            return state
        output = host.run(self.start(unit) if wanted == "running" else self.stop(unit), deadline=deadline)
        ended_at = 0.0
        while not _is(state := self.state(host, unit, deadline), wanted):
            # A unit that ended may be about to be started again by its manager.
            ended_at = (ended_at or time.monotonic()) if state.state == "stopped" else 0.0
            ended = ended_at and time.monotonic() - ended_at > ENDED_S
            if ended or state.state == "failed" or deadline.remaining() < 0.2:
                said = (output.stdout + output.stderr).decode("utf-8", "replace").strip()[-400:]
                log = shown(self.log(unit))
                raise StepFailed(f"{unit} is {state.word}, not {wanted}: {said}; on {host.name}, its log: {log}", findings=[
                    finding("service-state", title=unit, wanted=wanted, measured=f"{state.word}: {said}", host=host.name,
                            remedy=f"Read its log, on {host.name}: {log}")])
            deadline.wait(0.05)
        return state

    def log(self, unit: str) -> Argv:
        """The command that shows a person the end of the unit's log."""
        if self.config.kind == "supervisor":
            return (*self._tool(), "tail", unit, "stderr")
        sudo: Argv = ("sudo", "-n") if self.config.sudo else ()
        return (*sudo, "journalctl", *(("--user",) if self.config.user else ()), "-n", "50", "-u", unit)

    def tail(self, unit: str, lines: int) -> tuple[Argv, ...]:
        """The commands that print the last ``lines`` lines of the unit's log: one, or one for each stream."""
        if self.config.kind == "supervisor":
            return tuple((*self._tool(), "tail", f"-{lines * 300}", unit, stream) for stream in ("stderr", "stdout"))
        sudo: Argv = ("sudo", "-n") if self.config.sudo else ()
        user = ("--user",) if self.config.user else ()
        return ((*sudo, "journalctl", *user, "--no-pager", "-q", "-o", "short-iso", "-n", str(lines), "-u", unit),)


def _is(state: UnitState, wanted: str) -> bool:
    return state.state == wanted or (wanted == "stopped" and state.state == "failed")


def _supervisor(unit: str, text: str) -> UnitState | None:
    match = re.search(rf"^{re.escape(unit)}\s+([A-Z]+)(?:\s+pid (\d+))?", text, re.MULTILINE)
    if match is None:
        return None
    words = {"RUNNING": "running", "STARTING": "starting", "STOPPING": "stopping", "STOPPED": "stopped"}
    words |= {"EXITED": "stopped", "FATAL": "failed", "BACKOFF": "starting"}
    return UnitState(unit, words.get(match[1], "failed"), match[1], int(match[2]) if match[2] else None)


def _systemd(unit: str, text: str) -> UnitState | None:
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if values.get("LoadState") not in ("loaded", "masked") or "ActiveState" not in values:
        return None
    words = {"active": "running", "reloading": "running", "inactive": "stopped", "failed": "failed"}
    active = values["ActiveState"]
    pid = int(values.get("MainPID", "0"))
    return UnitState(unit, words.get(active, active), f"{active} ({values.get('SubState', '')})", pid or None)


def manager_of(host: Host) -> Manager:
    """The service manager that the inventory names for ``host``."""
    return Manager(host.target.manager)
