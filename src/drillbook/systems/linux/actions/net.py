"""Actions that check the network path from a host to a peer: name resolution, route, answer, packet filters.

These actions only read.
"""

from __future__ import annotations

import io
import ipaddress
import re
from contextlib import suppress
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from drillbook.errors import CouldNotVerify, HostError, NotReady, PlanError, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Read
from drillbook.sdk.host import Output, printable
from drillbook.sdk.service import Http, Service
from drillbook.systems.linux import filterdumps, packetfilter, peer_selection, unix_answer
from drillbook.systems.linux.actions.network.fields import root
from drillbook.systems.linux.service import Relay

From = Annotated[str | None, Field(description="Service whose host is used when the step names no `hosts`.")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9:._-]{1,253}$")]
ANSWER_S = 3
# NAME: print the addresses of NAME. Exit with 127 if the host has no program that can resolve names.
_RESOLVE = """
if command -v getent >/dev/null; then getent ahosts "$1"
elif command -v python3 >/dev/null; then
  python3 -c 'import socket,sys; [print(i[4][0]) for i in socket.getaddrinfo(sys.argv[1], None)]' "$1" 2>/dev/null
else exit 127; fi
"""
# ADDRESS PORT SECONDS GREETING(hex): print each stage of the connection and exchange; the last line is the result.
_PYTHON = """
import socket, sys
address, port, seconds, greeting = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), bytes.fromhex(sys.argv[4])
try:
    s = socket.create_connection((address, port), timeout=seconds)
    print("connected", flush=True)
    if greeting:
        s.sendall(greeting)
        print("answered" if s.recv(1) else "closed")
    else:
        print("answered")
except socket.timeout:
    print("silence")
except OSError as error:
    print("refused" if error.errno == 111 else "failed: " + str(error.strerror or error))
"""
# ADDRESS PORT SECONDS GREETING(hex): do the same as `_PYTHON`, for hosts without Python. The exit status is 0, or 127 if a program
# is missing.
_BASH = r"""
command -v bash >/dev/null && command -v timeout >/dev/null || exit 127
timeout "$3" bash -c 'exec 3<>"/dev/tcp/$1/$2" || exit 9; echo connected; test -n "$4" || { echo answered; exit; }
  printf "$(printf %s "$4" | sed "s/../\\\\x&/g")" >&3
  if test "$(head -c 1 <&3 | wc -c)" = 1; then echo answered; else echo closed; fi' bash "$1" "$2" "$3" "$4" 2>&1
test "$?" = 124 && echo silence
exit 0
"""
_TRY = 'if command -v python3 >/dev/null; then python3 -c "$5" "$1" "$2" "$3" "$4"; else\n' + _BASH + "\nfi"


class Resolve(Read):
    """Resolve a name on a host with the resolver of that host."""

    service: From = None
    name_: Annotated[Name, Field(alias="name", description="Name to resolve.")]

    def ready(self, ctx: Context) -> None:
        """Check that the host has a program that can resolve names."""
        _need_resolver(ctx)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``addresses``, ``seconds``. Fails when the name has no address."""
        output = ctx.run("sh", "-c", _RESOLVE, "sh", self.name_)
        if output.exit == 127:
            raise CouldNotVerify(
                f"{ctx.host.name}: no program on this host can resolve names", hint="install getent or python3"
            )
        addresses = _addresses(output.text)
        facts: Facts = {"addresses": addresses, "seconds": round(output.seconds, 3)}
        if not addresses:
            raise StepFailed(
                f"{ctx.host.name}: the name {self.name_} has no address",
                facts=facts,
                findings=[finding("expectation", title=self.name_, wanted="an address", measured="none")],
            )
        return facts


def _need_resolver(ctx: Context) -> None:
    if len(ctx.missing("getent", "python3")) == 2:
        raise NotReady(f"{ctx.host.name}: no program on this host can resolve names", hint="install getent or python3")


def _addresses(text: str) -> list[str]:
    addresses = []
    for line in text.splitlines():
        with suppress(ValueError, IndexError):
            addresses.append(str(ipaddress.ip_address(line.split()[0])))
    return list(dict.fromkeys(addresses))[:20]


class _ToPeer(Read):
    """Base of actions that examine the network path from a host to a peer."""

    TIMEOUT = 30.0

    service: From = None
    to: Annotated[str | None, Field(description="Service of the inventory at the other end of the path.")] = None
    address: Annotated[
        Name | None, Field(description=("Name or address of the peer. Set either `address` and `port`, or `to`."))
    ] = None
    port: Annotated[
        int | None, Field(ge=1, le=65535, description=("TCP port of the peer. Set either `address` and `port`, or `to`."))
    ] = None

    @model_validator(mode="after")
    def _one_peer(self) -> Self:
        if not self._elsewhere and (wrong := peer_selection.mistake(self.to, self.address, self.port)):
            raise ValueError(wrong)
        return self

    @property
    def _elsewhere(self) -> bool:
        """True when a field other than `to` and `address` selects the peer."""
        return False

    def _peer(self, ctx: Context) -> tuple[str, int, bytes]:
        """Return the address and the port of the peer, and a request that the peer's server answers. The request is empty
        when Drillbook knows no request for this kind of server.

        A loopback address of another host is replaced by the address of that host. A service of kind `http` may have a `port`
        that differs from the port in its URL. In this case, the connection goes to the service's host and this `port`. The URL
        is not used, because its port may belong to a proxy or to a container engine.
        """
        if self.to is None:
            return str(self.address), int(self.port or 0), b""
        peer = ctx.services.get(self.to)
        if isinstance(peer, Http):
            match = re.match(r"https?://\[?([^/\]:]+)\]?(?::(\d+))?", peer.url)
            default = 443 if peer.url.startswith("https") else 80
            address, port = (match[1], int(match[2] or default)) if match else (peer.url, default)
            if peer.port and peer.port != port:
                return self._from_here(ctx, peer.host, "127.0.0.1"), peer.port, b""
            return address, port, b""
        if peer is not None and peer.socket:
            raise PlanError(f"{ctx.step}: {self.to!r} {_lacks(peer, 'address')}")
        if peer is None or peer.listens is None:
            raise PlanError(f"{ctx.step}: {self.to!r} is not a service with its own address")
        address, port = peer.listens
        behind = ctx.services.get(peer.leads_to, peer)
        return self._from_here(ctx, peer.host, address), port, behind.greeting if behind.listens or behind.socket else b""

    def _from_here(self, ctx: Context, host: str, address: str) -> str:
        """Return the address that the step's host must use to reach ``address`` of the host ``host``.

        If ``host`` is another host, a loopback address is replaced by the network address of ``host``.
        """
        if address in ("127.0.0.1", "::1", "localhost") and host != ctx.host.name:
            with suppress(HostError, KeyError):
                return ctx.host_named(host).target.address or address
        return address

    def _route(self, ctx: Context, address: str) -> str:
        """Return the kernel's route to ``address``. It is empty when the host has no program `ip` (iproute2)."""
        output = ctx.run("sh", "-c", 'PATH=$PATH:/usr/sbin:/sbin; ip route get "$1" 2>&1', "sh", address)
        return printable(" ".join(output.text.split()), limit=200) if output.exit != 127 else ""


def _lacks(service: Service, what: str) -> str:
    """Return the end of an error message: the service has no ``what``, such as an address or a port. If the service has a
    Unix socket, the text names the path of this socket instead.
    """
    if not service.socket:
        return f"has no {what}"
    return f"is reached by its Unix socket {service.socket} on {service.host}, and packet filters do not affect Unix sockets"


class Route(_ToPeer):
    """Check whether a host can reach a peer: resolve the peer's name, find the route, connect, and wait for an answer.

    If Drillbook knows a request for this kind of server, it sends the request and waits for the answer. Otherwise an
    accepted connection is enough. If the service listens on a Unix socket, the action uses this socket on the service's
    host.
    """

    def ready(self, ctx: Context) -> None:
        """Check that the host has programs that can resolve a name and connect. For a Unix socket nothing is checked."""
        peer = ctx.services.get(self.if_known("to") or "")
        if peer is not None and peer.socket:
            return
        _need_resolver(ctx)
        if ctx.missing("python3") and ctx.missing("bash", "timeout"):
            raise NotReady(
                f"{ctx.host.name}: no program on this host can connect to a TCP port",
                hint="install python3, or bash and timeout",
            )

    def run(self, ctx: Context) -> Facts:
        """Facts: ``to``, ``behind``, ``address``, ``port``, ``addresses``, ``route``, ``reached``, ``how``, ``seconds``.

        ``behind`` is the service behind a relay. ``addresses`` are the addresses of the peer's name. ``reached`` is true
        when the peer answered. If Drillbook knows no request for the peer, an accepted connection counts as an answer.
        ``how`` is `answered`, `silence` (no answer in time), `refused`, `closed` (without an answer), `unresolved` (the
        name has no address), or the system's error message. For a Unix socket, ``address`` is the path of the socket, and
        ``port`` is null.

        The step passes even when the peer does not answer. To require an answer, set the step's `expect`.
        """
        peer = ctx.services.get(self.to or "")
        if peer is not None and peer.socket:
            if peer.host != ctx.host.name:
                raise PlanError(
                    f"{ctx.step}: {self.to!r} is reached by its Unix socket {peer.socket}, so it can be reached only from its "
                    f"host {peer.host}"
                )
            how, seconds = unix_answer.ask(ctx, peer)
            asked: Facts = {"to": self.to, "behind": "", "address": peer.socket, "port": None, "addresses": [], "route": ""}
            return asked | {"reached": how == "answered", "how": how, "seconds": seconds}
        address, port, greeting = self._peer(ctx)
        resolved = _with_programs(ctx.run("sh", "-c", _RESOLVE, "sh", address))
        facts: Facts = {
            "to": self.to or f"{address}:{port}",
            "behind": self._behind(ctx),
            "address": address,
            "port": port,
            "addresses": _addresses(resolved.text),
        }
        if not facts["addresses"]:
            return facts | {"route": "", "reached": False, "how": "unresolved", "seconds": 0.0}
        facts["route"] = self._route(ctx, facts["addresses"][0])
        output = _with_programs(ctx.run("sh", "-c", _TRY, "sh", address, str(port), str(ANSWER_S), greeting.hex(), _PYTHON))
        words = [printable(line, limit=200) for line in output.text.splitlines() if line.strip()]
        how = words[-1] if words else "no reason was given"
        if "efused" in how:
            how = "refused"
        return facts | {"reached": how == "answered", "how": how, "seconds": round(output.seconds, 3)}

    def _behind(self, ctx: Context) -> str:
        peer = ctx.services.get(self.to or "")
        return peer.to if isinstance(peer, Relay) else self.to or ""


def _with_programs(output: Output) -> Output:
    """Return ``output`` unchanged. Raises CouldNotVerify when the output shows that the host lacks programs for the check."""
    if output.exit == 127:
        raise CouldNotVerify(
            f"{output.host}: no program on this host can resolve a name or connect",
            hint="install python3, or getent, bash and timeout",
        )
    return output


# TOOL: print the rules of the packet filters, after a line with the name of their tool; nft twice, as JSON and as text.
_FILTERS = """
found=3
for tool in "$1" nft; do
  command -v "$tool" >/dev/null || continue
  found=0
  echo "--- $tool"
  if test "$tool" != nft; then "$tool" || exit 1
  else nft -j list ruleset && printf '\\n--- listing\\n' && nft -a list ruleset || exit 1; fi
done
exit $found
"""
MOST_RULES = 20
MOST_FILTERS = 8 << 20
"""Maximum size in bytes of all packet filter rules. If the rules are larger, none of them are read."""
_OURS = {"name": "drillbook-", "comment": 'comment "drillbook '}
"""Texts that the names or comments of a rule contain if a fault `network.*` made this rule."""


class _Bounded(io.BytesIO):
    """Sink that stores at most one byte more than the limit.

    The additional byte shows that the output was longer than the limit.
    """

    def write(self, piece: Any, /) -> int:
        """Store ``piece`` up to the limit. Return the length of ``piece``, even if not all of it was stored."""
        super().write(bytes(piece)[: max(0, MOST_FILTERS + 1 - self.tell())])
        return len(piece)


class Filters(_ToPeer):
    """Find rules of a host's packet filters (iptables, nft) that drop or reject a TCP connection.

    The connection goes from the host to a peer, or comes from a client to the host.

    The action runs as root, by `sudo -n` if the inventory sets `sudo` of the host's `manager`. It sends no packets. It reads
    the rules, and finds out what they would do with the first packet of the connection, and with the answer to this packet. If
    the host's own address is unknown, the host perhaps only forwards both packets, so the action also examines the rules for
    forwarded packets. A rule is reported as uncertain if it blocks only forwarded packets. A service in a container has a
    network namespace of its own. Its packets are forwarded, usually with another source address, and do not pass the host's
    OUTPUT rules. For such a service, also run this action inside the container. The action does not find drops by other means
    (eBPF, another machine on the path).
    """

    client: Annotated[
        str | None,
        Field(
            description=(
                "Service whose host connects to `service`. Set either `client` or a peer (`to`, or `address` and "
                "`port`). With `client`, the rules on the host of `service` are examined."
            )
        ),
    ] = None

    @property
    def _elsewhere(self) -> bool:
        if self.client is not None and (self.to or self.address or self.port or not self.service):
            raise ValueError("`client` needs `service`, and cannot be combined with `to`, `address` or `port`")
        return self.client is not None

    def ready(self, ctx: Context) -> None:
        """Check that a program on the host can print the rules of the packet filters, and that this user has the right to
        read them.
        """
        try:
            self._tables(ctx, "ip")
        except CouldNotVerify as error:
            try:  # the address of the connection may be of the other family
                self._tables(ctx, "ip6")
            except CouldNotVerify:
                raise NotReady(error.message, hint=error.hint) from None

    def run(self, ctx: Context) -> Facts:
        """Facts: ``address``, ``port``, ``tools``, ``rules`` (the first 20), ``dropping``.

        Each item of ``rules`` has ``tool``, ``table``, ``chain``, ``hook``, ``rule``, ``verdict``, ``certain`` and
        ``drillbook``. ``certain`` is false when the condition of the rule, or of a rule before it, cannot be evaluated.
        ``dropping`` is the number of all rules for which ``certain`` is true; in ``rules``, these come first. ``drillbook`` is
        true when a drill made the rule. Raises CouldNotVerify when the user has no root rights.
        """
        here, peer, port = self._ends(ctx)
        version = next((end.version for end in (peer, here) if end is not None), 4)
        packets = packetfilter.there_and_back(here, peer, port, version, opens=self.client is None)
        tools, tables = self._tables(ctx, "ip" if version == 4 else "ip6")
        hits = packetfilter.hits(tables, packets)
        return {
            "address": str(peer or ""),
            "port": port,
            "tools": tools,
            "dropping": sum(hit.certain for hit in hits),
            "rules": packetfilter.facts(hits, _OURS, MOST_RULES),
        }

    def _ends(self, ctx: Context) -> tuple[packetfilter.Address | None, packetfilter.Address | None, int]:
        """Return the host's address, the peer's address, and the target port of the connection. An unknown address is None."""
        if self.client is not None:
            peer = ctx.service(self.client, Service).host
            known = ctx.host_named(peer).target.address if peer != ctx.host.name else "127.0.0.1"
            addresses = _addresses(known or "")
            address = ipaddress.ip_address(addresses[0]) if addresses else None
            known_here = address and (peer == ctx.host.name or not address.is_loopback)
            return None, address if known_here else None, self._own_port(ctx)
        name, port, _ = self._peer(ctx)
        resolved = _addresses(ctx.run("sh", "-c", _RESOLVE, "sh", name).text)
        if not resolved:
            raise CouldNotVerify(
                f"{ctx.host.name}: the name {name} has no address", hint="correct the name in the inventory"
            )
        address = ipaddress.ip_address(resolved[0])
        if address.is_loopback and self.to and ctx.service(self.to, Service).host != ctx.host.name:
            return None, None, port  # a loopback address of the controller does not describe the path from this host
        own = re.search(r"\bsrc (\S+)", self._route(ctx, resolved[0]))
        return (ipaddress.ip_address(own[1]) if own else None), address, port

    def _own_port(self, ctx: Context) -> int:
        service = ctx.service(str(self.service), Service)
        if service.own_port is None:
            raise PlanError(f"{ctx.step}: the service {self.service!r} {_lacks(service, '`port` in the inventory')}")
        return service.own_port

    def _tables(self, ctx: Context, family: str) -> tuple[list[str], list[packetfilter.Table]]:
        tool, sink = "iptables-save" if family == "ip" else "ip6tables-save", _Bounded()
        output = root(ctx, _FILTERS, tool, sink=sink)
        if output.exit == 3:
            raise CouldNotVerify(
                f"{ctx.host.name}: neither {tool} nor nft is installed", hint="install iptables or nftables"
            )
        if not output.ok or len(sink.getvalue()) > MOST_FILTERS:
            said = printable(output.stderr, limit=200).strip() or "the rules exceed 8 MiB"
            raise CouldNotVerify(
                f"{ctx.host.name}: the rules of its packet filters cannot be read: {said}",
                hint="log in as root, or allow sudo without a password and set `manager: {sudo: true}`",
            )
        pieces = re.split(r"^--- (\S+)\n", sink.getvalue().decode("utf-8", "replace"), flags=re.MULTILINE)
        texts = dict(zip(pieces[1::2], pieces[2::2], strict=True))
        saved = texts.get(tool, "")
        try:
            tables = filterdumps.of_iptables(saved, family)
            if "nft" in texts:
                tables += filterdumps.of_nft(texts["nft"], texts["listing"], saved)
        except (ValueError, KeyError, LookupError, TypeError, StopIteration) as error:
            raise CouldNotVerify(f"{ctx.host.name}: the rules of its packet filters cannot be parsed: {error!r}") from None
        return [name for name in texts if name != "listing"], tables
