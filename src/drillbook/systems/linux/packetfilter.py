"""Which rules of a packet filter stand in the way of a connection: two packets of it walk through the chains; pure.

They walk as the kernel lets them (iptables(8), nft(8)): the first rule that decides, decides; the end of a chain that hangs
at a hook is its policy. What a rule asks that cannot be told of the packet makes the rule a possible one. So is one at the
hook `forward`, where only connections of what lives behind the host pass, such as those of its containers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
DEEPEST = 16
"""Chains within chains: the kernel takes no more jumps than that (NFT_JUMP_STACK_SIZE)."""
CHOSEN = (32768, 60999)
"""Ports that Linux gives to clients (ip_local_port_range, Documentation/networking/ip-sysctl.rst)."""
HARDLY = 0.01
"""A rule about so small a part of them hardly stands in the way of a connection."""
DROP, REJECT, ACCEPT, RETURN, GO_ON, JUMP, GOTO, UNKNOWN = "drop", "reject", "accept", "return", "", "jump", "goto", "?"


@dataclass(frozen=True, slots=True)
class Packet:
    """A TCP packet as a host meets it; None: not known, of a port: chosen by the client's system.

    ``hooks`` are the places that it passes, in small letters.
    """

    hooks: tuple[str, ...]
    version: int
    source: Address | None
    target: Address | None
    source_port: int | None
    target_port: int | None
    state: str
    flags: frozenset[str]

    @property
    def loopback(self) -> bool | None:
        """Does it stay on its host? None: neither end is known."""
        ends = [one for one in (self.source, self.target) if one is not None]
        if "forward" in self.hooks:
            return False
        return any(one.is_loopback for one in ends) or (len(ends) > 1 and ends[0] == ends[1]) if ends else None


Condition = Callable[[Packet], bool | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: what it asks, what it does, and how the tool writes it."""

    text: str
    verdict: str
    target: str = ""
    conditions: tuple[Condition, ...] = ()

    def matches(self, packet: Packet) -> bool | None:
        """True, False, or None: it depends on what is not known."""
        asked = [one(packet) for one in self.conditions]
        return False if False in asked else None if None in asked else True

    def aims(self, packet: Packet) -> bool:
        """Does it match for the packet's addresses or ports, and not whatever these are?"""
        return self.matches(replace(packet, source=None, target=None, source_port=None, target_port=None)) is not True


@dataclass(slots=True)
class Chain:
    """Rules in their order; ``hook`` and ``policy`` of one that the kernel begins with."""

    hook: str = ""
    policy: str = ACCEPT
    rules: list[Rule] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Table:
    """Chains by name that may jump to each other."""

    tool: str
    family: str
    name: str
    chains: dict[str, Chain]


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that drops or rejects a packet, or may: the packet's hook, whether it is certain, and whether meant for it."""

    table: Table
    chain: str
    hook: str
    rule: Rule
    certain: bool
    aimed: bool


def there_and_back(here: Address | None, peer: Address | None, peer_port: int, version: int, *, opens: bool) -> list[Packet]:
    """What passes a host of a connection to ``peer_port``: its first packet and the answer.

    ``opens``: the host is the one that connects; else the port is its own, and ``peer`` is who connects. Where ``here``, its
    own address, is not known, the connection may be that of something behind it: then the two come as forwarded ones, too.
    """
    first: dict[str, Any] = {
        "version": version,
        "source": here if opens else peer,
        "target": peer if opens else here,
        "source_port": None,
        "target_port": peer_port,
        "state": "new",
        "flags": frozenset({"syn"}),
    }
    answer = first | {
        "source": first["target"],
        "target": first["source"],
        "source_port": peer_port,
        "target_port": None,
        "state": "established",
        "flags": frozenset({"syn", "ack"}),
    }
    leaving, coming = ("output", "postrouting"), ("prerouting", "input")
    own = [Packet(leaving if opens else coming, **first), Packet(coming if opens else leaving, **answer)]
    if here is not None or own[0].loopback:
        return own
    return [*own, Packet(("forward",), **first), Packet(("forward",), **answer)]


def hits(tables: list[Table], packets: list[Packet]) -> list[Hit]:
    """Every rule that drops or rejects one of ``packets``, or may do so.

    Whether a host forwards the connection is not known: a rule that would stop it there is told as one that may, where it is
    meant for its addresses or ports, and else not at all.
    """
    found: dict[tuple[str, str, str, str], Hit] = {}
    for packet in packets:
        for table in tables:
            for one in _of_table(table, packet):
                if one.hook != "forward" or (one.certain and one.aimed):
                    key = table.tool, table.family + table.name, one.chain, one.rule.text
                    certain = one.certain and one.hook != "forward"
                    if key not in found or certain:
                        found[key] = replace(one, certain=certain)
    return sorted(found.values(), key=lambda one: not one.certain)


def _of_table(table: Table, packet: Packet) -> Iterator[Hit]:
    if table.family in ("ip", "ip6") and table.family != ("ip" if packet.version == 4 else "ip6"):
        return
    for name, chain in table.chains.items():
        if chain.hook in packet.hooks:
            walk = _Walk(table, packet, chain.hook)
            if not walk.through(name) and chain.policy in (DROP, REJECT):
                rule = Rule(f"policy {chain.policy}", chain.policy)
                walk.hits.append(Hit(table, name, chain.hook, rule, certain=not walk.passed, aimed=False))
            yield from walk.hits


class _Walk:
    """One packet's way through the chains at one hook."""

    def __init__(self, table: Table, packet: Packet, hook: str) -> None:
        self.table, self.packet, self.hook = table, packet, hook
        self.passed = False
        """True once a rule may have let the packet pass."""
        self.hits: list[Hit] = []

    def through(self, name: str, depth: int = 0, *, sure: bool = True, aimed: bool = False) -> bool:
        """Walk through a chain, of which it is ``sure`` that the packet comes there; True when its way certainly ends.

        ``aimed``: it comes there for its addresses or ports.
        """
        if name not in self.table.chains or depth > DEEPEST:
            self.passed = True
            return False
        for rule in self.table.chains[name].rules:
            matched = rule.matches(self.packet)
            if matched is False or rule.verdict == GO_ON:
                continue
            certain, meant = sure and matched is True, aimed or rule.aims(self.packet)
            if rule.verdict != RETURN and self._decides(name, rule, depth, certain=certain, aimed=meant):
                return True
            if rule.verdict in (RETURN, GOTO):
                if matched:
                    break
                sure = False
        return False

    def _decides(self, chain: str, rule: Rule, depth: int, *, certain: bool, aimed: bool) -> bool:
        if rule.verdict in (DROP, REJECT):
            self.hits.append(Hit(self.table, chain, self.hook, rule, certain and not self.passed, aimed))
            return certain
        if rule.verdict in (JUMP, GOTO):
            return self.through(rule.target, depth + 1, sure=certain, aimed=aimed)
        self.passed = self.passed or not certain or rule.verdict == UNKNOWN
        return certain and rule.verdict == ACCEPT


def address(test: Callable[[Address], bool], *, source: bool) -> Condition:
    """Asks the packet's address."""

    def asked(packet: Packet) -> bool | None:
        one = packet.source if source else packet.target
        return None if one is None else test(one)

    return asked


def port(ends: Sequence[tuple[int, int]], *, source: bool) -> Condition:
    """Asks one of the packet's ports for ranges. One that the client's system chose is any of `CHOSEN`."""

    def asked(packet: Packet) -> bool | None:
        one = packet.source_port if source else packet.target_port
        if one is not None:
            return any(low <= one <= high for low, high in ends)
        first, last = CHOSEN
        covered = sum(max(0, min(high, last) - max(low, first) + 1) for low, high in ends) / (last - first + 1)
        return True if covered >= 1 else None if covered > HARDLY else False

    return asked


def interface(name: str) -> Condition:
    """Asks for an interface: of those only the loopback is known."""
    return lambda packet: packet.loopback if name == "lo" else False if packet.loopback else None


def protocol(names: frozenset[str]) -> Condition:
    """Asks for a protocol, by name or number."""
    return lambda packet: bool(names & {"tcp", "6", "all", "0", "ip"})


def version(number: int) -> Condition:
    """Asks for IPv4 or IPv6."""
    return lambda packet: packet.version == number


def state(names: frozenset[str]) -> Condition:
    """Asks what the connection is by the kernel's tracking."""
    return lambda packet: packet.state in names


def flags(mask: frozenset[str], wanted: frozenset[str]) -> Condition:
    """Asks which flags of ``mask`` are set."""
    return lambda packet: packet.flags & mask == wanted


def negated(one: Condition) -> Condition:
    """The opposite; what is not known stays so."""

    def asked(packet: Packet) -> bool | None:
        said = one(packet)
        return None if said is None else not said

    return asked


def unknown(packet: Packet) -> None:
    """Asks what cannot be told."""


def facts(found: list[Hit], ours: Mapping[str, str], most: int) -> list[dict[str, Any]]:
    """Hits as facts; ``ours`` holds the beginning of the names and of the comments of rules that drills make."""
    return [
        {
            "tool": one.table.tool,
            "table": f"{one.table.family} {one.table.name}",
            "chain": one.chain,
            "hook": one.hook,
            "rule": one.rule.text,
            "verdict": one.rule.verdict,
            "certain": one.certain,
            "drillbook": one.chain.startswith(ours["name"])
            or one.table.name.startswith(ours["name"])
            or ours["comment"] in one.rule.text,
        }
        for one in found[:most]
    ]
