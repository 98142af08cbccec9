"""Packets that vanish, and connections that are reset: by rules of their own in the host's packet filter."""

from __future__ import annotations

import ipaddress
import time
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.sdk.action import Context, Facts, Fault, Place, Undo
from drillbook.systems.linux.actions.network.fields import (
    OwnPort,
    Peer,
    PeerPort,
    Traffic,
    can_try,
    comment_of,
    has,
    must_connect,
    need_right,
    number_of,
    root,
    script,
    tries,
)
from drillbook.systems.linux.actions.network.filters import ABSENT, PARTLY, Filter
from drillbook.systems.linux.actions.network.lockout import Way, refuse_lockout, rehearse, still_reachable, way_of

SETTLED_S = 6.0
Direction = Annotated[Literal["both", "in", "out"], Field(description="Packets to the host, from it, or both.")]
Tool = Annotated[
    Literal["auto", "iptables", "nft"],
    Field(description="The packet filter's tool; auto: iptables where it is there, else nft."),
]


class _Filtered(Fault):
    """What both share. The controller's address and the host's SSH port are exempt always."""

    PLACE = Place.HOSTS
    RESET: ClassVar[bool]
    SHOWN: ClassVar[str]
    UNDO = ("commands",)

    peer: Peer | None = Field(default=None, description="Address or network of the other side; none: everybody.")
    peer_port: PeerPort = None
    own_port: OwnPort = None
    direction: Direction = "both"
    tool: Tool = "auto"

    @property
    def _protocol(self) -> str:
        return "tcp"

    @property
    def _traffic(self) -> Traffic:
        return Traffic(
            ipaddress.ip_network(self.peer) if self.peer else None,
            self.peer_port,
            self.own_port,
            self._protocol,
            self.direction != "out",
            self.direction != "in",
        )

    def _filter(self, ctx: Context) -> Filter:
        """Which rules, by which tool. Raises NotReady when the host has none."""
        traffic = self._traffic
        wanted = ("iptables", "nft") if self.tool == "auto" else (self.tool,)
        for tool in wanted:
            programs = ["nft"] if tool == "nft" else ["iptables", "ip6tables"][: 1 if 6 not in traffic.families else 2]
            if all(has(ctx, program) for program in programs):
                return Filter(tool, f"drillbook-{number_of(ctx)}", comment_of(ctx), traffic, self.RESET)
        raise NotReady(
            f"{ctx.host.name}: there is no {' and no '.join(wanted)}",
            hint="install the package iptables or nftables; without root see `relay.*`",
        )

    def ready(self, ctx: Context) -> None:
        """Right and tool, rules that the kernel takes, nothing of that name yet, a path that works, and no lockout."""
        if not all(self.known(name) for name in type(self).model_fields):
            return
        way = way_of(ctx)
        refuse_lockout(ctx, way, self._traffic)
        need_right(ctx)
        rules = self._filter(ctx)
        if self._there(ctx, rules) != ABSENT:
            raise NotReady(f"{ctx.host.name}: {rules.name} is there already", hint="`invoke drill.recover`")
        for load in rules.loads(way):
            output = root(ctx, load.check, stdin=load.document)
            if not output.ok:
                said = output.stderr.decode("utf-8", "replace").strip()[-400:]
                raise NotReady(
                    f"{ctx.host.name}: its packet filter does not take the rules: {said}",
                    hint="the kernel may lack a module: xt_comment, ipt_REJECT, nft_reject_inet",
                )
        must_connect(ctx, self._traffic)

    def _there(self, ctx: Context, rules: Filter) -> int:
        output = root(ctx, *rules.look)
        if output.exit not in (0, ABSENT, PARTLY):
            output.check()
        return int(output.exit or 0)

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``rules`` (their name), ``tool``, ``exempt`` (the controller), ``shown_by`` (connection or rules)."""
        way, rules = way_of(ctx), self._filter(ctx)
        refuse_lockout(ctx, way, self._traffic)
        undo = self.undo(ctx).commands
        if self._there(ctx, rules) == ABSENT:
            rehearse(ctx, way, undo)
            self._load(ctx, way, rules)
        still_reachable(ctx, way, undo)
        return {
            "rules": rules.name,
            "tool": rules.tool,
            "exempt": str(way.controller),
            "shown_by": "connection" if self._tellable and can_try(ctx, self._traffic) else "rules",
        }

    def _load(self, ctx: Context, way: Way, rules: Filter) -> None:
        for load in rules.loads(way):
            output = root(ctx, load.command, stdin=load.document)
            if not output.ok:
                said = output.stderr.decode("utf-8", "replace").strip()[-400:]
                raise StepFailed(f"{ctx.host.name}: {rules.tool} does not take the rules: {said}")

    def undo(self, ctx: Context) -> Undo:
        """Delete exactly these rules; nothing is ever flushed that is not ours."""
        return Undo.by_commands(script(ctx, *self._filter(ctx).undo))

    def active(self, ctx: Context) -> bool:
        """True when the rules are in the kernel and a connection shows it; False when neither is so.

        Where no connection can be tried, the rules alone tell: see the fact ``shown_by``.
        """
        rules = self._filter(ctx)
        until = time.monotonic() + SETTLED_S
        while True:
            there, seen = self._there(ctx, rules), self._tries(ctx)
            if there == 0 and seen in (None, self.SHOWN):
                return True
            if there == ABSENT and seen in (None, "connects"):
                return False
            if time.monotonic() > until:
                state = {0: "there", ABSENT: "gone"}.get(there, "there in part")
                raise CouldNotVerify(f"{ctx.host.name}: the rules {rules.name} are {state}, and a connection {seen}")
            ctx.deadline.wait(0.1)

    def _tries(self, ctx: Context) -> str | None:
        """What a connection to the other side does now; None where none can be tried."""
        seen = tries(ctx, self._traffic) if self._tellable else None
        return None if seen is None else seen[0]

    @property
    def _tellable(self) -> bool:
        """Would the host itself see what happens?"""
        return True


class Drop(_Filtered):
    """Let packets vanish without a word, as a cut cable or a wrong firewall rule does."""

    RESET = False
    SHOWN = "hangs"

    protocol: Annotated[Literal["tcp", "udp", "all"], Field(description="all: every protocol, and then no ports.")] = "tcp"

    @property
    def _protocol(self) -> str:
        return self.protocol

    def ready(self, ctx: Context) -> None:
        """As the other; and ports belong to a protocol."""
        fixed = all(self.known(name) for name in type(self).model_fields)
        if fixed and self.protocol == "all" and (self.peer_port or self.own_port):
            raise NotReady("`protocol: all` has no ports", hint="write `protocol: tcp` or `udp`, or leave the ports out")
        super().ready(ctx)


class Reset(_Filtered):
    """Reset TCP connections and refuse new ones, as a firewall that rejects does."""

    RESET = True
    SHOWN = "refused"

    @property
    def _tellable(self) -> bool:
        """Of what only comes in, the host itself sees no reset: its peer does."""
        return self.direction != "in"
