"""Fields that select the traffic of a network fault, and functions that run the fault's commands as root on the host."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk.action import Context
from drillbook.sdk.host import Output, printable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Argv = tuple[str, ...]


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise ValueError(f"{text!r} is neither an address nor a network; write it as 10.0.0.7 or 10.0.0.0/24") from None


Peer = Annotated[
    str,
    AfterValidator(_network),
    Field(description="Address or network at the other end of the connections, such as 10.0.0.7. Names are not resolved."),
]
PeerPort = Annotated[
    int | None, Field(ge=1, le=65535, description="Port at the other end of the connections. Default: all ports.")
]
OwnPort = Annotated[int | None, Field(ge=1, le=65535, description="Port of the step's host. Default: all ports.")]

# PATH of users other than root often lacks the sbin directories, and sudo may set yet another PATH.
FIND = "PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export PATH; "
_RIGHT = 'while read -r key value; do test "$key" != CapEff: || echo "$value"; done < /proc/self/status'
_NET_ADMIN = 1 << 12


@dataclass(frozen=True, slots=True)
class Traffic:
    """Traffic that a fault affects: packets between the host and ``peer``, limited by ports, protocol and direction.

    When ``peer`` is None, packets from and to any address are affected.
    """

    peer: Network | None
    peer_port: int | None
    own_port: int | None
    protocol: str
    incoming: bool
    outgoing: bool

    @classmethod
    def to(cls, peer: str, port: int) -> Traffic:
        """Return the TCP traffic between the host and one port of ``peer``, which is an address or a network."""
        return cls(ipaddress.ip_network(peer), port, None, "tcp", incoming=True, outgoing=True)

    @property
    def families(self) -> tuple[int, ...]:
        """IP versions (4, 6) of the selected traffic."""
        return (self.peer.version,) if self.peer else (4, 6)


def sudo(ctx: Context) -> Argv:
    """Return the prefix of commands that run as root. It is `sudo -n` if the inventory sets `sudo` for the service manager,
    and empty otherwise.
    """
    return ("sudo", "-n") if ctx.host.target.manager.sudo else ()


def script(ctx: Context, text: str, *words: str) -> Argv:
    """Return the command that runs the shell script ``text`` with arguments.

    The folders of system tools are added to its PATH.
    """
    return (*sudo(ctx), "sh", "-c", FIND + text, "sh", *words)


def root(ctx: Context, text: str, *words: str, **options: Any) -> Output:
    """Run the shell script ``text`` on the host as root. ``options`` are those of Host.run."""
    return ctx.run(*script(ctx, text, *words), **options)


def has(ctx: Context, tool: str) -> bool:
    """Return True when the system tool ``tool`` exists on the host."""
    return root(ctx, 'command -v "$1" >/dev/null', tool).ok


def need_right(ctx: Context) -> None:
    """Raise NotReady when commands lack CAP_NET_ADMIN. This capability permits changes of the host's network."""
    output = root(ctx, _RIGHT)
    try:
        held = int(output.text, 16) & _NET_ADMIN
    except ValueError:
        held = 0
    if not held:
        said = output.stderr.decode("utf-8", "replace").strip()[:200]
        raise NotReady(
            f"{ctx.host.name}: the capability CAP_NET_ADMIN is missing{f': {said}' if said else ''}",
            hint=(
                "log in as root, or allow sudo without a password and set `manager: {sudo: true}`; in a "
                "container, add the capability NET_ADMIN; if none of these is possible, use `relay.*`"
            ),
        )


def number_of(ctx: Context) -> str:
    """Return eight hexadecimal digits that identify this step of this run."""
    return hashlib.sha256(f"{ctx.run_id} {ctx.step}".encode()).hexdigest()[:8]


def comment_of(ctx: Context) -> str:
    """Return the comment for the rules of this drill, by which people recognise the rules."""
    return f"drillbook {ctx.run_id} {ctx.step}"[:120]


# ADDRESS PORT: connect, and print the duration in microseconds, if the shell has a clock with this resolution.
_CONNECT = """
exec timeout -k 1 "$3" bash -c '
  start=${EPOCHREALTIME/[.,]/}
  exec 3<>"/dev/tcp/$0/$1" || exit 1
  end=${EPOCHREALTIME/[.,]/}
  echo $((${end:-0} - ${start:-0}))' "$1" "$2"
"""
CONNECT_S = 2


def can_try(ctx: Context, traffic: Traffic) -> bool:
    """Return True when the host can try a connection.

    The traffic must have one address and one TCP port, and the host needs bash and timeout.
    """
    single = traffic.peer is not None and traffic.peer.num_addresses == 1
    if not single or traffic.peer_port is None or traffic.own_port is not None or traffic.protocol == "udp":
        return False
    return ctx.run("sh", "-c", "command -v bash && command -v timeout").ok


def tries(ctx: Context, traffic: Traffic) -> tuple[str, float] | None:
    """Try to connect from the host to the peer. Return ``connects``, ``hangs`` or ``refused``, and the duration in seconds.

    Returns None when no connection can be tried. Raises CouldNotVerify when the connection fails in another way.
    """
    if traffic.peer is None or not can_try(ctx, traffic):
        return None
    output = ctx.run("sh", "-c", _CONNECT, "sh", str(traffic.peer.network_address), str(traffic.peer_port), str(CONNECT_S))
    said = output.stderr.decode("utf-8", "replace")
    if output.ok:
        return "connects", int(output.text or 0) / 1e6
    if output.exit in (124, 137) or "timed out" in said:
        return "hangs", float(CONNECT_S)
    if "refused" in said or "reset" in said:
        return "refused", output.seconds
    raise CouldNotVerify(
        f"{ctx.host.name}: a connection to {traffic.peer.network_address}:{traffic.peer_port} fails: "
        f"{printable(said.strip(), limit=300)}"
    )


def must_connect(ctx: Context, traffic: Traffic) -> float | None:
    """Try a connection before the fault, and return its duration in seconds. Returns None if no connection can be tried.

    Raises NotReady when the connection fails.
    """
    try:
        seen = tries(ctx, traffic)
    except CouldNotVerify as error:
        raise NotReady(
            f"{error.message}, even before the fault", hint="repair the path first, or correct `peer` and `peer_port`"
        ) from None
    if seen is not None and seen[0] != "connects":
        raise NotReady(
            f"{ctx.host.name}: a connection to {traffic.peer}, port {traffic.peer_port}, {seen[0]} even before the fault",
            hint="repair the path first: on a broken path a fault has no effect that could be verified",
        )
    return None if seen is None else seen[1]
