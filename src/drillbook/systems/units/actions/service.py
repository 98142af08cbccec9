"""Units of a host's service manager: ask, stop, start, kill."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Fault, Read, Undo, Write
from drillbook.sdk.host import printable
from drillbook.sdk.manager import UnitState, manager_of
from drillbook.sdk.service import Service

NEARLY_S = 2.0
"""Seconds before the deadline at which a unit that comes to no rest is told as it is."""
ServiceName = Annotated[str, Field(description="Name of a service of the inventory that has a `unit`.")]


def _unit(ctx: Context, name: str) -> str:
    service = ctx.service(name, Service)
    if not service.unit:
        raise NotReady(
            f"the service {name!r} names no `unit` in the inventory",
            hint="add `unit:` with its name in the host's service manager",
        )
    return service.unit


def _state(ctx: Context, name: str) -> UnitState:
    return manager_of(ctx.host).state(ctx.host, _unit(ctx, name), ctx.deadline)


def _can_ask(ctx: Context, name: str) -> None:
    """Raise NotReady unless the service manager knows the unit."""
    try:
        _state(ctx, name)
    except CouldNotVerify as error:
        raise NotReady(error.message, hint=error.hint) from None


class Status(Read):
    """Compare the state of a service's unit with the wanted one."""

    service: ServiceName
    state: Annotated[Literal["running", "stopped"], Field(description="The wanted state.")] = "running"

    def ready(self, ctx: Context) -> None:
        """The service manager must know the unit."""
        _can_ask(ctx, self.service)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``unit``, ``state``, ``word`` (the manager's), ``pid``."""
        seen = _state(ctx, self.service)
        facts: Facts = {"unit": seen.unit, "state": seen.state, "word": seen.word, "pid": seen.pid}
        as_wanted = seen.state == self.state or (self.state == "stopped" and seen.state == "failed")
        if not as_wanted:
            raise StepFailed(
                f"{seen.unit} is {seen.word}, not {self.state}",
                facts=facts,
                findings=[finding("service-state", title=seen.unit, wanted=self.state, measured=seen.word)],
            )
        return facts


class Start(Write):
    """Start a service's unit and wait until it runs; nothing happens when it runs already."""

    UNDO = ("nothing",)

    service: ServiceName

    def ready(self, ctx: Context) -> None:
        """The service manager must know the unit."""
        _can_ask(ctx, self.service)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``unit``, ``pid``."""
        seen = manager_of(ctx.host).ensure(ctx.host, _unit(ctx, self.service), "running", ctx.deadline)
        return {"unit": seen.unit, "pid": seen.pid}

    def undo(self, ctx: Context) -> Undo:
        """A running service is what is wanted."""
        return Undo.nothing("a running service is the wanted state")


class TryStart(Write):
    """Start a service's unit, as its manager or somebody in a hurry does; whether it comes up is a fact, and no failure."""

    UNDO = ("nothing",)

    service: ServiceName

    def ready(self, ctx: Context) -> None:
        """The service manager must know the unit."""
        _can_ask(ctx, self.service)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``unit``, ``state``, ``word`` (the manager's), ``started``."""
        ctx.run(*manager_of(ctx.host).start(_unit(ctx, self.service)))
        while (seen := _state(ctx, self.service)).state not in ("running", "stopped", "failed"):
            if ctx.deadline.remaining() < NEARLY_S:
                break  # its manager starts it over and over
            ctx.deadline.wait(0.1)
        return {"unit": seen.unit, "state": seen.state, "word": seen.word, "started": seen.state == "running"}

    def undo(self, ctx: Context) -> Undo:
        """A running service is what is wanted."""
        return Undo.nothing("a running service is the wanted state")


class Restart(Write):
    """Stop a service's unit if it runs, start it, and wait until it runs: it reads its settings anew.

    What its manager stops together with it, such as units of systemd that require it, is started again as well.
    """

    UNDO = ("nothing",)

    service: ServiceName

    def ready(self, ctx: Context) -> None:
        """The service manager must know the unit."""
        _can_ask(ctx, self.service)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``unit``, ``pid``, ``pid_before`` (of the process that was stopped, or none)."""
        before = _state(ctx, self.service)
        seen = manager_of(ctx.host).restart(ctx.host, _unit(ctx, self.service), ctx.deadline)
        return {"unit": seen.unit, "pid": seen.pid, "pid_before": before.pid}

    def undo(self, ctx: Context) -> Undo:
        """A running service is what is wanted."""
        return Undo.nothing("a running service is the wanted state")


class _Down(Fault):
    """What stopping and killing share: the unit is down until somebody starts it."""

    UNDO = ("commands",)

    service: ServiceName

    def ready(self, ctx: Context) -> None:
        """The unit must run now, or there is nothing to break."""
        _can_ask(ctx, self.service)
        seen = _state(ctx, self.service)
        if seen.state != "running":
            raise NotReady(
                f"{ctx.host.name}: {seen.unit} is {seen.word} before the drill; it must run",
                hint=f"start the unit {seen.unit} and find out why it was down",
            )
        manager = manager_of(ctx.host)
        if why := manager.passing(ctx.host, seen.unit, ctx.deadline):
            raise NotReady(f"{ctx.host.name}: {seen.unit}: {why}", hint="make it so that it can be started again")
        if others := manager.reviving(ctx.host, seen.unit, ctx.deadline):
            raise NotReady(
                f"{ctx.host.name}: {seen.unit} would be started again by {', '.join(others)}, which runs",
                hint="break something that stays broken, or stop that before the drill",
            )

    def undo(self, ctx: Context) -> Undo:
        """Start the unit, and what its manager stops together with it."""
        return Undo.by_commands(*manager_of(ctx.host).back(ctx.host, _unit(ctx, self.service), ctx.deadline))

    def active(self, ctx: Context) -> bool:
        """True while the unit does not run, also while it is on its way there or back."""
        return _state(ctx, self.service).state != "running"


class Stop(_Down):
    """Stop a service's unit in its ordinary way, as a wrong deployment or an operator does."""

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``unit``, ``word`` (the manager's word for its state)."""
        seen = manager_of(ctx.host).ensure(ctx.host, _unit(ctx, self.service), "stopped", ctx.deadline)
        return {"unit": seen.unit, "word": seen.word}


class Kill(_Down):
    """Kill a service's main process with SIGKILL, as the kernel does when memory is short; nobody restarts it."""

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``unit``, ``pid`` of the killed process."""
        seen = _state(ctx, self.service)
        ctx.run(*manager_of(ctx.host).kill(seen)).check()
        return {"unit": seen.unit, "pid": seen.pid}


MOST_ERRORS = 20
_ERROR = re.compile(
    r"(?<![.\w])(?:error|critical|fatal|panic|exception|traceback|refused|denied|missing|killed|"
    r"out of memory|no space left|already in use|too many|timed? ?out)\b|"
    r"^[\w.]+(?:Error|Exception)(?::|$)",
    re.IGNORECASE,
)


class Log(Read):
    """The last lines of a service's log as its service manager keeps it, and those of them that tell of errors."""

    service: ServiceName
    lines: Annotated[int, Field(ge=1, le=1000, description="How many lines.")] = 100

    def ready(self, ctx: Context) -> None:
        """The service manager must know the unit."""
        _can_ask(ctx, self.service)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``lines`` (of 300 characters at most), ``errors`` (the last 20 that differ), ``last_error``."""
        unit, manager = _unit(ctx, self.service), manager_of(ctx.host)
        outputs = [ctx.run(*argv) for argv in manager.tail(unit, self.lines)]
        if not any(output.ok for output in outputs):
            said = printable(outputs[0].stderr or outputs[0].stdout, limit=300)
            raise CouldNotVerify(
                f"{ctx.host.name}: the log of {unit!r} cannot be read: {said}",
                hint="check `unit` in the inventory, and that the user may read its log",
            )
        text = "\n".join(output.text for output in outputs if output.ok)
        lines = [printable(line, limit=300) for line in text.splitlines() if line.strip()][-self.lines :]
        errors = list(dict.fromkeys(line for line in reversed(lines) if _ERROR.search(line)))[:MOST_ERRORS][::-1]
        return {"unit": unit, "lines": lines, "errors": errors, "last_error": errors[-1] if errors else ""}
