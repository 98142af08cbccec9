"""Finds packet filter rules that block a connection. The first two packets of the connection are traced through the chains
of rules.

The trace follows the rules of the kernel (iptables(8), nft(8)). The first matching rule decides. At the end of a chain that
is attached to a hook, the policy of this chain applies. A rule is uncertain when one of its conditions cannot be evaluated.
A rule at the hook `forward` is always uncertain. Connections pass this hook only if they belong to systems behind the host,
such as its containers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
DEEPEST = 16
"""Maximum nesting of chains. The kernel allows no more jumps than this (NFT_JUMP_STACK_SIZE)."""
CHOSEN = (32768, 60999)
"""Range of the ports that Linux assigns to clients (ip_local_port_range, Documentation/networking/ip-sysctl.rst)."""
HARDLY = 0.01
"""Limit below which a rule is ignored, because it hardly ever blocks a connection. It is a fraction: the ports of ``CHOSEN`` to
which the rule applies, divided by all ports of ``CHOSEN``.
"""
DROP, REJECT, ACCEPT, RETURN, GO_ON, JUMP, GOTO, UNKNOWN = "drop", "reject", "accept", "return", "", "jump", "goto", "?"


@dataclass(frozen=True, slots=True)
class Packet:
    """TCP packet as a host sees it.

    A field is None when it is unknown. A port is also None when the client's system assigns it. ``hooks`` are the hooks
    that the packet passes, in lower-case letters.
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
        """True when the packet stays on its host, and False when it does not. The result is None when both addresses are
        unknown and the packet is not forwarded.
        """
        ends = [end for end in (self.source, self.target) if end is not None]
        if "forward" in self.hooks:
            return False
        return any(end.is_loopback for end in ends) or (len(ends) > 1 and ends[0] == ends[1]) if ends else None


Condition = Callable[[Packet], bool | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """One packet filter rule: its conditions, its verdict, and its text in the syntax of its tool."""

    text: str
    verdict: str
    target: str = ""
    conditions: tuple[Condition, ...] = ()

    def matches(self, packet: Packet) -> bool | None:
        """Return True if the rule matches the packet, and False if it does not.

        Returns None if this depends on unknown properties of the packet.
        """
        asked = [condition(packet) for condition in self.conditions]
        return False if False in asked else None if None in asked else True

    def aims(self, packet: Packet) -> bool:
        """Return True when the rule matches only certain addresses or ports: for a packet with unknown addresses and ports, it
        is not certain that the rule matches.
        """
        return self.matches(replace(packet, source=None, target=None, source_port=None, target_port=None)) is not True


@dataclass(slots=True)
class Chain:
    """A chain of a table, with its rules in order. Only a base chain has a ``hook`` and a ``policy``."""

    hook: str = ""
    policy: str = ACCEPT
    rules: list[Rule] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a packet filter, with its chains. The key of each entry is the name of the chain. A rule can jump to
    another chain.
    """

    tool: str
    family: str
    name: str
    chains: dict[str, Chain]


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that drops or rejects a packet, and the hook at which this happens.

    ``certain`` is False when it is only possible that the rule drops or rejects the packet. ``aimed`` is True when the rule
    matches the packet's addresses or ports.
    """

    table: Table
    chain: str
    hook: str
    rule: Rule
    certain: bool
    aimed: bool


def there_and_back(here: Address | None, peer: Address | None, peer_port: int, version: int, *, opens: bool) -> list[Packet]:
    """Return the first two packets of a connection to ``peer_port``: the first packet of the client, and the answer to it.

    When ``opens`` is true, the host is the client. Otherwise the port belongs to the host, and ``peer`` is the client.
    ``here``: address of the host. If this address is unknown, the host may only forward the connection, such as to a
    container. Therefore both packets are then also returned as forwarded packets.
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
    """Return every rule that drops or rejects one of ``packets``, or that could do this.

    It is always unknown whether the host forwards the connection. A rule for forwarded packets is therefore returned only
    if two conditions are met: it is certain that the rule matches a packet, and the rule names the packet's addresses or
    ports.
    """
    hit_by_rule: dict[tuple[str, str, str, str], Hit] = {}
    for packet in packets:
        for table in tables:
            for hit in _of_table(table, packet):
                if hit.hook != "forward" or (hit.certain and hit.aimed):
                    key = table.tool, table.family + table.name, hit.chain, hit.rule.text
                    certain = hit.certain and hit.hook != "forward"
                    if key not in hit_by_rule or certain:
                        hit_by_rule[key] = replace(hit, certain=certain)
    return sorted(hit_by_rule.values(), key=lambda hit: not hit.certain)


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
    """Trace of one packet through the chains that are attached to one hook."""

    def __init__(self, table: Table, packet: Packet, hook: str) -> None:
        self.table, self.packet, self.hook = table, packet, hook
        self.passed = False
        """True when an earlier rule may already have accepted the packet."""
        self.hits: list[Hit] = []

    def through(self, name: str, depth: int = 0, *, sure: bool = True, aimed: bool = False) -> bool:
        """Trace the packet through a chain. Return True when a rule in the chain certainly accepts, drops or rejects the
        packet.

        ``sure``: True when the packet certainly reaches the chain. ``aimed``: True when the rule that led to the chain
        matched the packet by its addresses or ports.
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
    """Return a condition on the packet's source or target address."""

    def asked(packet: Packet) -> bool | None:
        endpoint = packet.source if source else packet.target
        return None if endpoint is None else test(endpoint)

    return asked


def port(ends: Sequence[tuple[int, int]], *, source: bool) -> Condition:
    """Return a condition on the packet's source or target port. An unknown port may be any port that the system assigns to
    clients (``CHOSEN``).
    """

    def asked(packet: Packet) -> bool | None:
        number = packet.source_port if source else packet.target_port
        if number is not None:
            return any(low <= number <= high for low, high in ends)
        first, last = CHOSEN
        covered = sum(max(0, min(high, last) - max(low, first) + 1) for low, high in ends) / (last - first + 1)
        return True if covered >= 1 else None if covered > HARDLY else False

    return asked


def interface(name: str) -> Condition:
    """Return the condition that the packet passes the interface. Only a condition about the loopback interface can be
    evaluated.
    """
    return lambda packet: packet.loopback if name == "lo" else False if packet.loopback else None


def protocol(names: frozenset[str]) -> Condition:
    """Return a condition on the protocol. Every packet here is a TCP packet, so the condition holds when one of ``names``
    means TCP.

    The names may also be numbers of protocols.
    """
    return lambda packet: bool(names & {"tcp", "6", "all", "0", "ip"})


def version(number: int) -> Condition:
    """Return a condition on the IP version, 4 or 6."""
    return lambda packet: packet.version == number


def state(names: frozenset[str]) -> Condition:
    """Return the condition that the connection tracking state is one of ``names``."""
    return lambda packet: packet.state in names


def flags(mask: frozenset[str], wanted: frozenset[str]) -> Condition:
    """Return a condition on the TCP flags in ``mask``. The flags in ``wanted`` must be set, and the other flags must
    not be set.
    """
    return lambda packet: packet.flags & mask == wanted


def negated(condition: Condition) -> Condition:
    """Return the negation of ``condition``.

    When the result of ``condition`` is unknown, the result of the negation is unknown, too.
    """

    def asked(packet: Packet) -> bool | None:
        said = condition(packet)
        return None if said is None else not said

    return asked


def unknown(packet: Packet) -> None:
    """Return None for any packet. This function is used as the condition of a rule whose real condition cannot be evaluated."""


def facts(listed: list[Hit], ours: Mapping[str, str], most: int) -> list[dict[str, Any]]:
    """Convert the first ``most`` hits to facts. ``ours``: two texts by which the rules of drills are recognised. Names of their
    tables or chains begin with ``ours["name"]``, and their comments contain ``ours["comment"]``.
    """
    return [
        {
            "tool": hit.table.tool,
            "table": f"{hit.table.family} {hit.table.name}",
            "chain": hit.chain,
            "hook": hit.hook,
            "rule": hit.rule.text,
            "verdict": hit.rule.verdict,
            "certain": hit.certain,
            "drillbook": hit.chain.startswith(ours["name"])
            or hit.table.name.startswith(ours["name"])
            or ours["comment"] in hit.rule.text,
        }
        for hit in listed[:most]
    ]
