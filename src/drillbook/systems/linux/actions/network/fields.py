"""Which traffic a fault means, and how its commands are run on the host."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk.action import Context
from drillbook.sdk.host import Output

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Argv = tuple[str, ...]


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise ValueError(f"{text!r} is no address and no network; write it as 10.0.0.7 or 10.0.0.0/24") from None


Peer = Annotated[
    str,
    AfterValidator(_network),
    Field(description="Address or network of the other side, such as 10.0.0.7; names are not resolved."),
]
PeerPort = Annotated[int | None, Field(ge=1, le=65535, description="Port of the other side; none: all.")]
OwnPort = Annotated[int | None, Field(ge=1, le=65535, description="Port of the host itself; none: all.")]

# An account that is not root's often has no sbin on its PATH, and sudo may have another PATH again.
FIND = "PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export PATH; "
_RIGHT = 'while read -r key value; do test "$key" != CapEff: || echo "$value"; done < /proc/self/status'
_NET_ADMIN = 1 << 12


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is meant: packets between the host and ``peer`` (None: anybody), by ports, in some directions."""

    peer: Network | None
    peer_port: int | None
    own_port: int | None
    protocol: str
    incoming: bool
    outgoing: bool

    @property
    def families(self) -> tuple[int, ...]:
        """IP versions that are concerned."""
        return (self.peer.version,) if self.peer else (4, 6)


def sudo(ctx: Context) -> Argv:
    """What a command needs in front to have root's rights, as for the service manager."""
    return ("sudo", "-n") if ctx.host.target.manager.sudo else ()


def script(ctx: Context, text: str, *words: str) -> Argv:
    """A shell script as a command of its own, with positional arguments and the host's system tools on PATH."""
    return (*sudo(ctx), "sh", "-c", FIND + text, "sh", *words)


def root(ctx: Context, text: str, *words: str, **options: Any) -> Output:
    """Run a script with root's rights; see Host.run for ``options``."""
    return ctx.run(*script(ctx, text, *words), **options)


def has(ctx: Context, tool: str) -> bool:
    """Is a system tool there?"""
    return root(ctx, 'command -v "$1" >/dev/null', tool).ok


def need_right(ctx: Context) -> None:
    """Raise NotReady unless commands may change the host's network."""
    output = root(ctx, _RIGHT)
    try:
        held = int(output.text, 16) & _NET_ADMIN
    except ValueError:
        held = 0
    if not held:
        said = output.stderr.decode("utf-8", "replace").strip()[:200]
        raise NotReady(
            f"{ctx.host.name}: the right CAP_NET_ADMIN is missing{f': {said}' if said else ''}",
            hint="log in as root, or allow sudo without a password and set `manager: {sudo: true}`; "
            "in a container add the capability NET_ADMIN; without it use `relay.*`",
        )


def number_of(ctx: Context) -> str:
    """Eight hexadecimal digits that name what this step of this run makes on a host."""
    return hashlib.sha256(f"{ctx.run_id} {ctx.step}".encode()).hexdigest()[:8]


def comment_of(ctx: Context) -> str:
    """By what a person who finds it knows whose it is."""
    return f"drillbook {ctx.run_id} {ctx.step}"[:120]


# ADDRESS PORT: connects, and says after how many microseconds where the shell can tell.
_CONNECT = """
exec timeout -k 1 "$3" bash -c '
  start=${EPOCHREALTIME/[.,]/}
  exec 3<>"/dev/tcp/$0/$1" || exit 1
  end=${EPOCHREALTIME/[.,]/}
  echo $((${end:-0} - ${start:-0}))' "$1" "$2"
"""
CONNECT_S = 2


def can_try(ctx: Context, traffic: Traffic) -> bool:
    """Can the host try a connection? It must be one address and port over TCP, and bash and timeout be there."""
    one = traffic.peer is not None and traffic.peer.num_addresses == 1
    if not one or traffic.peer_port is None or traffic.own_port is not None or traffic.protocol == "udp":
        return False
    return ctx.run("sh", "-c", "command -v bash && command -v timeout").ok


def tries(ctx: Context, traffic: Traffic) -> tuple[str, float] | None:
    """A real connection from the host to the other side: ``connects``, ``hangs`` or ``refused``, and its seconds.

    None where none can be tried. Raises CouldNotVerify when it fails in another way.
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
        f"{ctx.host.name}: a connection to {traffic.peer.network_address}:{traffic.peer_port} fails: {said.strip()[-300:]}"
    )


def must_connect(ctx: Context, traffic: Traffic) -> float | None:
    """Seconds of a connection before the fault; None where none can be tried. Raises NotReady when it does not work."""
    try:
        seen = tries(ctx, traffic)
    except CouldNotVerify as error:
        raise NotReady(f"{error.message}, before anything was broken") from None
    if seen is not None and seen[0] != "connects":
        raise NotReady(
            f"{ctx.host.name}: a connection to {traffic.peer}, port {traffic.peer_port}, {seen[0]} "
            "before anything was broken",
            hint="see why; a fault on a path that does not work proves nothing",
        )
    return None if seen is None else seen[1]
