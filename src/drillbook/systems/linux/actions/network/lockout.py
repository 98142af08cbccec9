"""Protection against lockout. A network fault must not cut off the SSH connection that its undo needs."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from drillbook.errors import DrillbookError, NotReady, StepFailed
from drillbook.sdk.action import Context
from drillbook.sdk.host import Deadline, printable
from drillbook.systems.linux.actions.network.fields import Network, Traffic

BANNER_S = 3.0
PATH_S = 10.0
UNDO_S = 30.0
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Way:
    """The controller's SSH connection to a host: address of the controller as the host sees it, address and port of the SSH
    server.
    """

    controller: Address
    address: str
    port: int


def _address(text: str) -> Address:
    address = ipaddress.ip_address(text.partition("%")[0])
    return address.ipv4_mapped or address if isinstance(address, ipaddress.IPv6Address) else address


# sudo removes the variable; root reads it from the parent processes, of which one is the SSH user's shell.
_CONNECTION = r"""
text=$SSH_CONNECTION pid=$$
while test -z "$text" && test "${pid:-0}" -gt 1; do
  pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status")
  text=$(tr '\0' '\n' < "/proc/$pid/environ" | sed -n 's/^SSH_CONNECTION=//p' | head -n 1)
done 2>/dev/null
printf %s "$text"
"""


def way_of(ctx: Context) -> Way:
    """Return the controller's SSH connection to the step's host. Raises NotReady when no connection is known."""
    if ctx.host.target.local:
        raise NotReady(
            f"{ctx.host.name} is the controller itself, and this fault could cut it off from the hosts of the drill",
            hint="inject the fault on the host at the other end of the path",
        )
    text = ctx.run("sh", "-c", _CONNECTION).text
    try:
        controller, _, address, port = text.split()
        return Way(_address(controller), address, int(port))
    except ValueError:
        raise NotReady(
            f"{ctx.host.name}: its SSH server does not report the client's address (SSH_CONNECTION is {text[:100]!r}), "
            "so the controller cannot be exempted from the fault",
            hint="use OpenSSH's sshd on this host",
        ) from None


def refuse_lockout(ctx: Context, way: Way, traffic: Traffic) -> None:
    """Raise NotReady when a fault that affects ``traffic`` could lock out the controller.

    There are three such cases: the traffic includes the controller's address, the traffic includes the host's SSH port, or
    ``traffic`` selects neither a peer nor a port.
    """
    peer: Network | None = traffic.peer
    if peer is not None and way.controller in peer:
        raise NotReady(
            f"{ctx.host.name}: {peer} includes the controller ({way.controller}), which would be locked out",
            hint="set `peer` to an address or a network that does not include the controller",
        )
    if traffic.own_port == way.port:
        raise NotReady(
            f"{ctx.host.name}: port {way.port} is the port of its SSH server, which the undo needs",
            hint="choose another port",
        )
    if peer is None and traffic.own_port is None and traffic.peer_port is None:
        raise NotReady(
            f"{ctx.host.name}: the traffic is not selected: neither `peer` nor a port is given",
            hint="set `peer`, `peer_port` or `own_port`",
        )


@contextmanager
def _places(ctx: Context, way: Way) -> Iterator[list[tuple[str, int]]]:
    """Yield the addresses at which a new connection to the host's SSH server can be tried."""
    target = ctx.host.target
    if target.gateway:
        with ctx.host_named(target.gateway).forward(target.address or target.name, target.port or 22) as port:
            yield [("127.0.0.1", port)]
    else:
        yield [(target.address or target.name, target.port or way.port), (way.address.partition("%")[0], way.port)]


def second_path(ctx: Context, way: Way, *, within: float) -> bool:
    """Return True when a new connection reaches the host's SSH server in time. ``within``: number of seconds to wait."""
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
    """Try two things before the fault: open a second SSH connection, and run the undo.

    Raises StepFailed when the connection or the undo fails.
    """
    if not second_path(ctx, way, within=0.0):
        raise StepFailed(
            f"{ctx.host.name}: no second connection to its SSH server could be made; the fault was not injected"
        )
    for argv in undo:
        output = ctx.run(*argv)
        if not output.ok:
            said = printable(output.stderr.strip(), limit=300)
            raise StepFailed(f"{ctx.host.name}: the undo was rehearsed and failed, so the fault was not injected: {said}")


def still_reachable(ctx: Context, way: Way, undo: tuple[tuple[str, ...], ...]) -> None:
    """Check after the fault that a new SSH connection works. If the connection fails, undo the fault at once, and raise
    StepFailed.
    """
    try:
        reached = second_path(ctx, way, within=PATH_S)
    except DrillbookError:
        reached = False
    if reached:
        return
    for argv in undo:
        ctx.host.run(argv, deadline=Deadline.after(UNDO_S)).check()
    raise StepFailed(f"{ctx.host.name}: with the fault no new SSH connection could be made; the fault was undone at once")
