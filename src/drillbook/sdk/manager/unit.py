"""Base of service managers: the state of a unit, and the operations of every service manager."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import finding
from drillbook.sdk.host import Deadline, Host, ManagerConfig, once_more, shown

Argv = tuple[str, ...]
ENDED_S = 2.5
"""Seconds for which a unit must be down to count as permanently down. A service manager that restarts a unit does it sooner.
"""


@dataclass(frozen=True, slots=True)
class UnitState:
    """State of a unit: ``state`` is ``running``, ``stopped`` or ``failed``, or a transition such as ``starting``.

    ``word`` is the name that the manager itself gives to the state. ``pid`` is the process id of the main process on the
    host. ``pid`` is None when there is no main process, or when the host cannot see the process.
    """

    unit: str
    state: str
    word: str
    pid: int | None

    @property
    def exited(self) -> bool:
        """True for a systemd unit that is active although it has no process, such as Debian's `postgresql`."""
        return self.word.startswith("active (exited") and self.pid is None


@dataclass(frozen=True, slots=True)
class Manager(ABC):
    """The service manager of one host."""

    config: ManagerConfig

    @property
    def sudo(self) -> Argv:
        """Prefix of the manager's commands: ``sudo -n`` if the inventory sets `sudo`, otherwise empty."""
        return ("sudo", "-n") if self.config.sudo else ()

    @abstractmethod
    def start(self, unit: str) -> Argv:
        """Return the command that starts ``unit``.

        The command also succeeds when the unit already runs, so that it can be used as an undo.
        """

    @abstractmethod
    def stop(self, unit: str) -> Argv:
        """Return the command that stops ``unit`` in the ordinary way."""

    @abstractmethod
    def query(self, unit: str) -> Argv:
        """Return the command that prints the state of ``unit``. ``read`` parses its output."""

    @abstractmethod
    def read(self, unit: str, text: str) -> UnitState | None:
        """Parse the state of ``unit`` in the output of ``query``. Return None when the manager does not know the unit."""

    @abstractmethod
    def main(self, unit: str) -> Argv:
        """Return the command that prints the process id of the unit's main process on the host.

        If there is no main process, the command prints 0 or nothing.
        """

    @abstractmethod
    def log(self, unit: str) -> Argv:
        """Return the command that shows the end of the unit's log. Messages to the operator contain this command."""

    @abstractmethod
    def tail(self, unit: str, lines: int) -> tuple[Argv, ...]:
        """Return the commands that print the last ``lines`` lines of the unit's log: one for the whole log, or one for each
        stream.
        """

    @abstractmethod
    def kill(self, seen: UnitState) -> Argv:
        """Return the command that sends SIGKILL to the unit's main process.

        The command prints the pid of this process if the manager reports the pid. The command is the same in every run.
        Raises StepFailed when no main process is known.
        """
        if not seen.pid:
            raise StepFailed(f"{seen.unit} is {seen.word}: it has no process to kill")
        return ()

    def by_sudo(self, verb: str, unit: str) -> tuple[Argv, ...]:
        """Return the commands that a script of this manager starts by `sudo`. ``verb``: operation of the script: `start`,
        `stop` or `kill`.

        The result is empty when the operation needs no script, or when its script does not use `sudo`.
        """
        return ()

    def denied(self, host: Host, unit: str, deadline: Deadline) -> str:
        """Return the reason why the account may not start and stop ``unit``.

        The reason is empty when the account may do this, or when this is unknown.
        """
        return ""

    def passing(self, host: Host, unit: str, deadline: Deadline) -> str:
        """Return the reason why ``unit`` cannot be started again after a stop, or an empty text if it can be started."""
        return ""

    def reviving(self, host: Host, unit: str, deadline: Deadline) -> tuple[str, ...]:
        """Return the running units that would start ``unit`` again after a stop, such as timers and sockets."""
        return ()

    def together(self, host: Host, unit: str, deadline: Deadline) -> tuple[str, ...]:
        """Return the running units that stop together with ``unit``. A unit is left out if the manager itself starts it
        again when ``unit`` starts.
        """
        return ()

    def back(self, host: Host, unit: str, deadline: Deadline) -> tuple[Argv, ...]:
        """Return the commands that start ``unit`` and the units that were stopped together with it.

        Raises HostError when the host cannot be used.
        """
        return (self.start(unit), *(self.start(other) for other in self.together(host, unit, deadline)))

    def restart(self, host: Host, unit: str, deadline: Deadline) -> UnitState:
        """Stop ``unit`` if it runs. Then start it, and also the units that were stopped together with it. Wait until all of
        them run.

        Raises StepFailed when a unit does not run.
        """
        others = self.together(host, unit, deadline)
        self.ensure(host, unit, "stopped", deadline)
        seen = self.ensure(host, unit, "running", deadline)
        for other in others:
            self.ensure(host, other, "running", deadline)
        return seen

    def state(self, host: Host, unit: str, deadline: Deadline) -> UnitState:
        """Query the state of ``unit``. Raises CouldNotVerify when the manager does not know the unit or does not answer."""
        output = once_more(lambda: host.run(self.query(unit), deadline=deadline))
        known = self.read(unit, output.text)
        if known is None:
            said = (output.text + " " + output.stderr.decode("utf-8", "replace")).strip()
            raise CouldNotVerify(
                f"{host.name}: the service manager does not report the state of {unit!r}: {said[:300]}",
                hint="check that `unit` in the inventory is correct, and that the service manager runs",
            )
        return known

    def ensure(self, host: Host, unit: str, wanted: str, deadline: Deadline) -> UnitState:
        """Start or stop ``unit``, and wait until it has the state ``wanted`` (``running`` or ``stopped``). A unit that
        already has this state is left alone.

        Raises StepFailed with a finding when the unit does not reach the state before the deadline. Also raises it when the
        unit has failed and its manager does not restart it. A unit that could not be started again is not stopped:
        StepFailed is raised instead.
        """
        state = self.state(host, unit, deadline)
        if _is(state, wanted):
            return state
        if wanted == "stopped" and (why := self.passing(host, unit, deadline)):
            raise StepFailed(f"{host.name}: {unit} was not stopped: {why}")
        output = host.run(self.start(unit) if wanted == "running" else self.stop(unit), deadline=deadline)
        ended_at = 0.0
        while not _is(state := self.state(host, unit, deadline), wanted):
            # The manager may be about to restart the failed unit.
            ended_at = (ended_at or time.monotonic()) if state.state == "stopped" else 0.0
            ended = ended_at and time.monotonic() - ended_at > ENDED_S
            if ended or state.state == "failed" or deadline.remaining() < 0.2:
                said = (output.stdout + output.stderr).decode("utf-8", "replace").strip()[-400:]
                log = shown(self.log(unit))
                raise StepFailed(
                    f"{unit} is {state.word}, not {wanted}: {said}; on {host.name}, its log: {log}",
                    findings=[
                        finding(
                            "service-state",
                            title=unit,
                            wanted=wanted,
                            measured=f"{state.word}: {said}",
                            host=host.name,
                            remedy=f"Read the log of the unit, on {host.name}: {log}",
                        )
                    ],
                )
            deadline.wait(0.05)
        return state


def _is(state: UnitState, wanted: str) -> bool:
    return state.state == wanted or (wanted == "stopped" and state.state == "failed")
