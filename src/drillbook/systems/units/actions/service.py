"""Actions on units of a host's service manager: read their state, stop, start and kill them, and check a service's port."""

from __future__ import annotations

import socket
import time
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from drillbook.errors import CouldNotVerify, HostError, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Fault, Place, Read, Undo, Write
from drillbook.sdk.host import printable
from drillbook.sdk.log_times import host_clock
from drillbook.sdk.manager import Argv, UnitState, manager_of
from drillbook.sdk.manager.right import need_right
from drillbook.sdk.service import Service
from drillbook.sdk.temporary_unit import TemporaryUnit
from drillbook.systems.units import unit_log

NEARLY_S = 2.0
"""The wait for a unit ends this number of seconds before the deadline. The state of the unit is then reported, even if the
unit is still starting.
"""
CONNECT_S = 5.0
EARLY_S = 0.3
"""Seconds to wait after a connection was accepted. A tunnel to a closed port also accepts a connection, but closes the
connection within this time.
"""
ServiceName = Annotated[str, Field(description="Name of a service in the inventory that has a `unit`.")]


def _unit(ctx: Context, name: str) -> str:
    service = ctx.service(name, Service)
    if not service.unit:
        raise NotReady(
            f"the service {name!r} has no `unit` in the inventory",
            hint="set `unit` of the service to its name in the host's service manager",
        )
    return service.unit


def _state(ctx: Context, name: str) -> UnitState:
    return manager_of(ctx.host).state(ctx.host, _unit(ctx, name), ctx.deadline)


def _can_ask(ctx: Context, name: str) -> None:
    """Check that the service manager knows the unit. Raises NotReady otherwise."""
    try:
        _state(ctx, name)
    except CouldNotVerify as error:
        raise NotReady(error.message, hint=error.hint) from None


def _can_change(ctx: Context, name: str) -> None:
    """Check that the service manager knows the unit, and lets this account start and stop it. Raises NotReady otherwise."""
    _can_ask(ctx, name)
    need_right(ctx, _unit(ctx, name))


def _start(ctx: Context, name: str) -> tuple[Argv, ...]:
    """Return the command that starts the unit, and the commands that this command runs by `sudo`."""
    manager, unit = manager_of(ctx.host), _unit(ctx, name)
    return (manager.start(unit), *manager.by_sudo("start", unit))


def _stop(ctx: Context, name: str) -> tuple[Argv, ...]:
    """Return the command that stops the unit. After it, return the commands that it runs itself by `sudo`."""
    manager, unit = manager_of(ctx.host), _unit(ctx, name)
    return (manager.stop(unit), *manager.by_sudo("stop", unit))


class Status(Read):
    """Compare the state of a service's unit with the wanted state."""

    service: ServiceName
    state: Annotated[Literal["running", "stopped"], Field(description="Wanted state of the unit.")] = "running"

    def ready(self, ctx: Context) -> None:
        """Check that the service manager knows the unit."""
        _can_ask(ctx, self.service)

    def commands(self, ctx: Context) -> tuple[Argv, ...]:
        """Return no command, because `ready` has already asked for the state."""
        return ()

    def run(self, ctx: Context) -> Facts:
        """Facts: ``unit``, ``state``, ``word`` (the manager's own name of the state), ``pid``."""
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


class Answers(Read):
    """Check that a service without a unit answers at its port, at its Unix socket, or at the host and port of its URL."""

    PLACE = Place.CONTROLLER
    TIMEOUT = 15.0

    service: Annotated[str, Field(description="Name of a service in the inventory that has a port, a Unix socket or a URL.")]

    def ready(self, ctx: Context) -> None:
        """Check that the service has a port, a Unix socket or a URL in the inventory."""
        _address(ctx.service(self.service, Service))

    def run(self, ctx: Context) -> Facts:
        """Facts: ``answers`` (true or false), ``address`` and ``port`` of the connection, ``seconds``, ``why`` (the reason
        if ``answers`` is false). For a Unix socket ``address`` is its path, and ``port`` is null.
        """
        service = ctx.service(self.service, Service)
        address, port = _address(service)
        where = f"{address}:{port}" if port else address
        start, why = time.monotonic(), ""
        try:
            self._connect(ctx, service, address, port or 0)
        except (OSError, HostError) as error:
            why = getattr(error, "strerror", None) or str(error)
        seconds = round(time.monotonic() - start, 6)
        facts: Facts = {"answers": not why, "address": address, "port": port, "seconds": seconds, "why": why}
        if why:
            raise StepFailed(
                f"{self.service} does not answer at {where}: {why}",
                facts=facts,
                findings=[finding("port-state", title=where, wanted="open", measured=why)],
            )
        return facts

    def _connect(self, ctx: Context, service: Service, address: str, port: int) -> None:
        """Open and close a connection. Raises OSError when no connection can be opened. Raises HostError when the service's
        host cannot be used.
        """
        patience = max(0.1, min(CONNECT_S, ctx.deadline.remaining()))
        if service.socket or service.listens:
            with ctx.reach(service) as place, socket.create_connection(place, timeout=patience) as session:
                _hear(session, service.greeting, patience)
        else:
            with socket.create_connection((address, port), timeout=patience) as session:
                _hear(session, b"" if _encrypted(service) else service.greeting, patience)


def _hear(session: socket.socket, greeting: bytes, patience: float) -> None:
    """Send ``greeting`` and wait for an answer. Without a greeting, only check that the connection is not closed at once.

    A tunnel to a closed port accepts a connection and then closes it at once. Raises OSError when the connection is closed,
    or when no answer arrives in time.
    """
    session.settimeout(patience if greeting else EARLY_S)
    try:
        if greeting:
            session.sendall(greeting)
        ended = not session.recv(1)
    except TimeoutError:
        if greeting:
            raise TimeoutError(f"no answer within {patience:g} s") from None
        return
    if ended:
        raise ConnectionError("the connection was closed at once")


def _encrypted(service: Service) -> bool:
    return _url(service).startswith("https:")


def _url(service: Service) -> str:
    return str(getattr(service, "url", "") or getattr(service, "endpoint", ""))


def _address(service: Service) -> tuple[str, int | None]:
    """Return the address and the port of ``service``. For a Unix socket, return its path and None.

    Raises NotReady when the service has no port, no Unix socket and no URL in the inventory.
    """
    if service.socket:
        return service.socket, None
    if service.listens:
        return service.listens
    parts = urlsplit(_url(service))
    if not parts.hostname:
        raise NotReady(f"the inventory names neither a port nor a URL of {service.name}", hint="add a port or a URL")
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


class Start(Write):
    """Start a service's unit and wait until it runs. If it already runs, do nothing."""

    UNDO = ("nothing",)

    service: ServiceName

    def ready(self, ctx: Context) -> None:
        """Check that the service manager knows the unit, and lets this account change it."""
        _can_change(ctx, self.service)

    def commands(self, ctx: Context) -> tuple[Argv, ...]:
        """Return the command that starts the unit."""
        return _start(ctx, self.service)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``unit``, ``pid`` of its main process."""
        seen = manager_of(ctx.host).ensure(ctx.host, _unit(ctx, self.service), "running", ctx.deadline)
        return {"unit": seen.unit, "pid": seen.pid}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because the service should stay running."""
        return Undo.nothing("a running service is the wanted state")


class Serve(TemporaryUnit):
    """Start a service's unit for the duration of this drill, and wait until it runs. The undo stops the unit."""

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``unit``, ``pid`` of its main process."""
        seen = manager_of(ctx.host).ensure(ctx.host, _unit(ctx, self.service), "running", ctx.deadline)
        return {"unit": seen.unit, "pid": seen.pid}


class TryStart(Write):
    """Try to start a service's unit, as its manager or a hasty operator would.

    If the unit does not start, the step does not fail. The fact `started` is then false.
    """

    UNDO = ("nothing",)

    service: ServiceName

    def ready(self, ctx: Context) -> None:
        """Check that the service manager knows the unit, and lets this account change it."""
        _can_change(ctx, self.service)

    def commands(self, ctx: Context) -> tuple[Argv, ...]:
        """Return the command that starts the unit."""
        return _start(ctx, self.service)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``unit``, ``state``, ``word`` (the manager's own name of that state), ``started`` (true when the unit
        runs).
        """
        ctx.run(*manager_of(ctx.host).start(_unit(ctx, self.service)))
        while (seen := _state(ctx, self.service)).state not in ("running", "stopped", "failed"):
            if ctx.deadline.remaining() < NEARLY_S:
                break  # the manager goes on restarting the unit
            ctx.deadline.wait(0.1)
        return {"unit": seen.unit, "state": seen.state, "word": seen.word, "started": seen.state == "running"}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because the service should stay running."""
        return Undo.nothing("a running service is the wanted state")


class Restart(Write):
    """Stop a service's unit if it runs, start it, and wait until it runs. The service then reads its settings again.

    A manager may stop other units together with this unit, such as units of systemd that require it. These other units are
    started again as well.
    """

    UNDO = ("nothing",)

    service: ServiceName

    def ready(self, ctx: Context) -> None:
        """Check that the service manager knows the unit, and lets this account change it."""
        _can_change(ctx, self.service)

    def commands(self, ctx: Context) -> tuple[Argv, ...]:
        """Return the commands that stop and start the unit."""
        return (*_stop(ctx, self.service), *_start(ctx, self.service))

    def run(self, ctx: Context) -> Facts:
        """Facts: ``unit``, ``pid``, ``pid_before`` (pid of the process that was stopped, or null if none ran)."""
        before = _state(ctx, self.service)
        seen = manager_of(ctx.host).restart(ctx.host, _unit(ctx, self.service), ctx.deadline)
        return {"unit": seen.unit, "pid": seen.pid, "pid_before": before.pid}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because the service should stay running."""
        return Undo.nothing("a running service is the wanted state")


class _Down(Fault):
    """Base of the faults `service.stop` and `service.kill`. The unit stays down until somebody starts it again."""

    UNDO = ("commands",)

    service: ServiceName

    def ready(self, ctx: Context) -> None:
        """Check that the unit runs, and that the manager can start it again after a stop."""
        _can_change(ctx, self.service)
        seen = _state(ctx, self.service)
        if seen.state != "running":
            raise NotReady(
                f"{ctx.host.name}: {seen.unit} is {seen.word} before the drill, but it must run",
                hint=f"start the unit {seen.unit} and find out why it was down",
            )
        manager = manager_of(ctx.host)
        if why := manager.passing(ctx.host, seen.unit, ctx.deadline):
            raise NotReady(
                f"{ctx.host.name}: {seen.unit}: {why}", hint="change the unit so that it can be started again after a stop"
            )
        if others := manager.reviving(ctx.host, seen.unit, ctx.deadline):
            raise NotReady(
                f"{ctx.host.name}: {seen.unit} would be started again by {', '.join(others)}, which is active",
                hint="choose a unit that stays down, or stop the other unit before the drill",
            )

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that starts the unit again. It also starts the units that the manager stopped together with this
        unit.
        """
        return Undo.by_commands(*manager_of(ctx.host).back(ctx.host, _unit(ctx, self.service), ctx.deadline))

    def active(self, ctx: Context) -> bool:
        """Return True while the unit is down, or is still starting or stopping."""
        return _state(ctx, self.service).state != "running"


class Stop(_Down):
    """Stop a service's unit in the ordinary way, as an operator or a wrong deployment would."""

    def commands(self, ctx: Context) -> tuple[Argv, ...]:
        """Return the command that stops the unit."""
        return _stop(ctx, self.service)

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``unit``, ``word`` (the state of the unit, in the words of its manager)."""
        seen = manager_of(ctx.host).ensure(ctx.host, _unit(ctx, self.service), "stopped", ctx.deadline)
        return {"unit": seen.unit, "word": seen.word}


class Kill(_Down):
    """Kill a service's main process with SIGKILL, as the kernel does when memory is short. The unit stays down afterwards."""

    def commands(self, ctx: Context) -> tuple[Argv, ...]:
        """Return the command that kills the main process of the unit, and the commands that this command runs by `sudo`."""
        manager, seen = manager_of(ctx.host), _state(ctx, self.service)
        return (manager.kill(seen), *manager.by_sudo("kill", seen.unit))

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``unit``, ``pid`` of the killed process."""
        seen = _state(ctx, self.service)
        told = ctx.run(*manager_of(ctx.host).kill(seen)).check().text.partition("\n")[0]
        return {"unit": seen.unit, "pid": int(told) if told.isdecimal() else seen.pid}


class Log(Read):
    """Read the last lines of a service's log from its service manager, and find the lines that report errors."""

    service: ServiceName
    lines: Annotated[int, Field(ge=1, le=1000, description="Number of lines.")] = 100

    def ready(self, ctx: Context) -> None:
        """Check that the service manager knows the unit."""
        _can_ask(ctx, self.service)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``unit``, ``lines`` (the lines of the log, each cut to 300 characters), ``errors`` (the last 20 different
        lines with errors), ``last_error``, ``last_error_age_s`` (null when its time is unknown), ``older_errors``.

        Old errors do not explain a present fault. They are therefore in ``older_errors`` and not in ``errors``. In a
        diagnosis during a drill, errors from before the disruption are old. Outside a drill, errors older than an hour are
        old.

        Ages are measured by the host's clock. For a time without a zone, no age is computed. Such a line counts as old only if
        its time is old in every zone. A line without a time is judged by the nearest lines above and below it that have a time.
        It counts as old only if both are old.
        """
        unit, manager = _unit(ctx, self.service), manager_of(ctx.host)
        outputs = [ctx.run(*argv) for argv in manager.tail(unit, self.lines)]
        if not any(output.ok for output in outputs):
            said = printable(outputs[0].stderr or outputs[0].stdout, limit=300)
            raise CouldNotVerify(
                f"{ctx.host.name}: the log of {unit!r} cannot be read: {said}",
                hint="check that `unit` in the inventory is correct, and that the user may read the log of this unit",
            )
        texts = [output.text for output in outputs if output.ok]
        return {"unit": unit} | unit_log.facts(texts, self.lines, host_clock(ctx), ctx.evidence_since)
