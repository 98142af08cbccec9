"""A unit of a service manager, and what every kind of manager can do with one."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import finding
from drillbook.sdk.host import Deadline, Host, ManagerConfig, once_more, shown

Argv = tuple[str, ...]
ENDED_S = 2.5
"""How long a unit must be seen ended until nobody is taken to start it again."""


@dataclass(frozen=True, slots=True)
class UnitState:
    """State of a unit: ``state`` is ``running``, ``stopped`` or ``failed``, or the way there, such as ``starting``.

    ``word`` is the manager's own word for it; ``pid`` is its main process as the host numbers it, None when there is none or
    the host does not see it.
    """

    unit: str
    state: str
    word: str
    pid: int | None


@dataclass(frozen=True, slots=True)
class Manager(ABC):
    """The service manager of one host."""

    config: ManagerConfig

    @property
    def sudo(self) -> Argv:
        """What its commands need in front."""
        return ("sudo", "-n") if self.config.sudo else ()

    @abstractmethod
    def start(self, unit: str) -> Argv:
        """The command that starts ``unit``; succeeds when it runs already, so that it can be an undo."""

    @abstractmethod
    def stop(self, unit: str) -> Argv:
        """The command that stops ``unit`` in its ordinary way."""

    @abstractmethod
    def query(self, unit: str) -> Argv:
        """The command whose output ``read`` understands."""

    @abstractmethod
    def read(self, unit: str, text: str) -> UnitState | None:
        """The state that the output of ``query`` tells; None when the manager does not know the unit."""

    @abstractmethod
    def main(self, unit: str) -> Argv:
        """The command that prints the number of the unit's main process, as the host has it; 0 or nothing: there is none."""

    @abstractmethod
    def log(self, unit: str) -> Argv:
        """The command that shows a person the end of the unit's log."""

    @abstractmethod
    def tail(self, unit: str, lines: int) -> tuple[Argv, ...]:
        """The commands that print the last ``lines`` lines of the unit's log: one, or one for each stream."""

    def kill(self, seen: UnitState) -> Argv:
        """The command that ends the unit's main process with SIGKILL. Raises StepFailed when there is none to be seen."""
        if not seen.pid:
            raise StepFailed(f"{seen.unit} is {seen.word}: there is no process to kill")
        return (*self.sudo, "kill", "-KILL", str(seen.pid))

    def passing(self, host: Host, unit: str, deadline: Deadline) -> str:
        """Why ``unit`` could not be started again once it is stopped; empty: it could."""
        return ""

    def reviving(self, host: Host, unit: str, deadline: Deadline) -> tuple[str, ...]:
        """What runs now and would start ``unit`` again by itself after it was stopped."""
        return ()

    def together(self, host: Host, unit: str, deadline: Deadline) -> tuple[str, ...]:
        """Units that run now, and that the manager stops when ``unit`` is stopped but does not start again with it."""
        return ()

    def back(self, host: Host, unit: str, deadline: Deadline) -> tuple[Argv, ...]:
        """The commands that put back what runs now, once ``unit`` was stopped or has ended. Raises HostError."""
        return (self.start(unit), *(self.start(one) for one in self.together(host, unit, deadline)))

    def restart(self, host: Host, unit: str, deadline: Deadline) -> UnitState:
        """Stop ``unit`` unless it is down, start it and what is stopped with it, and wait. Raises StepFailed."""
        others = self.together(host, unit, deadline)
        self.ensure(host, unit, "stopped", deadline)
        seen = self.ensure(host, unit, "running", deadline)
        for other in others:
            self.ensure(host, other, "running", deadline)
        return seen

    def state(self, host: Host, unit: str, deadline: Deadline) -> UnitState:
        """The state of ``unit`` now. Raises CouldNotVerify when the manager does not know it or does not answer."""
        output = once_more(lambda: host.run(self.query(unit), deadline=deadline))
        known = self.read(unit, output.text)
        if known is None:
            said = (output.text + " " + output.stderr.decode("utf-8", "replace")).strip()
            raise CouldNotVerify(
                f"{host.name}: the service manager does not tell the state of {unit!r}: {said[:300]}",
                hint="check `unit` in the inventory and that the service manager runs",
            )
        return known

    def ensure(self, host: Host, unit: str, wanted: str, deadline: Deadline) -> UnitState:
        """Start or stop ``unit`` unless it is in the ``wanted`` state (``running`` or ``stopped``), and wait until it is.

        Raises StepFailed with a finding when it does not get there before the deadline, and as soon as it is seen that
        the unit has ended and is not started again.
        """
        state = self.state(host, unit, deadline)
        if _is(state, wanted):
            return state
        if wanted == "stopped" and (why := self.passing(host, unit, deadline)):
            raise StepFailed(f"{host.name}: {unit} was not stopped: {why}")
        output = host.run(self.start(unit) if wanted == "running" else self.stop(unit), deadline=deadline)
        ended_at = 0.0
        while not _is(state := self.state(host, unit, deadline), wanted):
            # A unit that ended may be about to be started again by its manager.
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
                            remedy=f"Read its log, on {host.name}: {log}",
                        )
                    ],
                )
            deadline.wait(0.05)
        return state


def _is(state: UnitState, wanted: str) -> bool:
    return state.state == wanted or (wanted == "stopped" and state.state == "failed")
