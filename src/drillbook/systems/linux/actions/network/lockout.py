"""The lockout guard: a fault of the network must never take away the way by which it is put back."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from drillbook.errors import DrillbookError, NotReady, StepFailed
from drillbook.sdk.action import Context
from drillbook.sdk.host import Deadline
from drillbook.systems.linux.actions.network.fields import Network, Traffic

BANNER_S = 3.0
PATH_S = 10.0
UNDO_S = 30.0
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Way:
    """How the controller is connected: its address as the host sees it, and where the host's SSH server is."""

    controller: Address
    address: str
    port: int


def _address(text: str) -> Address:
    found = ipaddress.ip_address(text.partition("%")[0])
    return found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found


def way_of(ctx: Context) -> Way:
    """The SSH connection of this very step. Raises NotReady where it cannot be told, or where there is none."""
    if ctx.host.target.local:
        raise NotReady(
            f"{ctx.host.name} is the controller itself: it must reach every host of the drill",
            hint="inject the fault on the other side",
        )
    text = ctx.run("sh", "-c", 'printf %s "$SSH_CONNECTION"').text
    try:
        controller, _, address, port = text.split()
        return Way(_address(controller), address, int(port))
    except ValueError:
        raise NotReady(
            f"{ctx.host.name}: its SSH server does not tell who is connected (SSH_CONNECTION is {text[:100]!r}), "
            "so the controller cannot be kept out of the fault",
            hint="use OpenSSH's sshd there",
        ) from None


def refuse_lockout(ctx: Context, way: Way, traffic: Traffic) -> None:
    """Raise NotReady when the fault would concern the controller, or the SSH port."""
    peer: Network | None = traffic.peer
    if peer is not None and way.controller in peer:
        raise NotReady(
            f"{ctx.host.name}: {peer} includes the controller ({way.controller}), which would be locked out",
            hint="name the address of the other side alone",
        )
    if traffic.own_port == way.port:
        raise NotReady(f"{ctx.host.name}: port {way.port} is that of its SSH server", hint="name another port")
    if peer is None and traffic.own_port is None and traffic.peer_port is None:
        raise NotReady(f"{ctx.host.name}: neither `peer` nor a port says which traffic is meant", hint="name one")


@contextmanager
def _places(ctx: Context, way: Way) -> Iterator[list[tuple[str, int]]]:
    """Where a new connection to the host's SSH server can be tried from here."""
    target = ctx.host.target
    if target.gateway:
        with ctx.host_named(target.gateway).forward(target.address or target.name, target.port or 22) as port:
            yield [("127.0.0.1", port)]
    else:
        yield [(target.address or target.name, target.port or way.port), (way.address.partition("%")[0], way.port)]


def second_path(ctx: Context, way: Way, *, within: float) -> bool:
    """Does a new connection from here reach the host's SSH server, at the latest after ``within`` seconds?"""
    until = time.monotonic() + within
    with _places(ctx, way) as places:
        while True:
            for place in places:
                try:
                    with socket.create_connection(place, timeout=BANNER_S) as sock:
                        if sock.recv(4) == b"SSH-":
                            return True
                except OSError:
                    continue
            if time.monotonic() > until:
                return False
            ctx.deadline.wait(0.2)


def rehearse(ctx: Context, way: Way, undo: tuple[tuple[str, ...], ...]) -> None:
    """Before the fault: a second path is there, and the undo can be carried out. Raises StepFailed."""
    if not second_path(ctx, way, within=0.0):
        raise StepFailed(f"{ctx.host.name}: no second connection to its SSH server could be made; nothing was done")
    for argv in undo:
        output = ctx.run(*argv)
        if not output.ok:
            said = output.stderr.decode("utf-8", "replace").strip()[-300:]
            raise StepFailed(f"{ctx.host.name}: the undo was rehearsed and failed, so nothing was done: {said}")


def still_reachable(ctx: Context, way: Way, undo: tuple[tuple[str, ...], ...]) -> None:
    """After the fault: the second path is still there, or the fault is taken back at once. Raises StepFailed."""
    try:
        reached = second_path(ctx, way, within=PATH_S)
    except DrillbookError:
        reached = False
    if reached:
        return
    for argv in undo:
        ctx.host.run(argv, deadline=Deadline.after(UNDO_S)).check()
    raise StepFailed(f"{ctx.host.name}: with the fault no new SSH connection could be made; it was taken back at once")
