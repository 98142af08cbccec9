"""Faults that add rules to the host's packet filter. The rules drop packets, or reset connections."""

from __future__ import annotations

import ipaddress
import time
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.sdk.action import Context, Facts, Fault, Place, Undo
from drillbook.sdk.host import printable
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
Direction = Annotated[
    Literal["both", "in", "out"], Field(description="Direction of the packets: to the host, from the host, or both.")
]
Tool = Annotated[
    Literal["auto", "iptables", "nft"],
    Field(description="Tool that sets the packet filter rules. auto: iptables if it is installed, otherwise nft."),
]


class _Filtered(Fault):
    """Base of faults that packet filter rules cause. The rules never affect the controller or the host's SSH port."""

    PLACE = Place.HOSTS
    RESET: ClassVar[bool]
    SHOWN: ClassVar[str]
    UNDO = ("commands",)

    peer: Peer | None = Field(
        default=None, description="Address or network at the other end of the connections. Default: any address."
    )
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
        """Return the packet filter rules of this step, for a tool (iptables or nft) that the host has.

        Raises NotReady if the host has no such tool.
        """
        traffic = self._traffic
        wanted = ("iptables", "nft") if self.tool == "auto" else (self.tool,)
        for tool in wanted:
            programs = ["nft"] if tool == "nft" else ["iptables", "ip6tables"][: 1 if 6 not in traffic.families else 2]
            if all(has(ctx, program) for program in programs):
                return Filter(tool, f"drillbook-{number_of(ctx)}", comment_of(ctx), traffic, self.RESET)
        raise NotReady(
            f"{ctx.host.name}: not installed: {', '.join(wanted)}",
            hint="install the package iptables or nftables; without root use `relay.*`",
        )

    def ready(self, ctx: Context) -> None:
        """Check the user's rights, the packet filter's tool, and the syntax of the rules.

        Also check that the fault does not cut off the controller, that the rules do not exist yet, and that the selected
        connection works.
        """
        if not all(self.known(name) for name in type(self).model_fields):
            return
        way = way_of(ctx)
        refuse_lockout(ctx, way, self._traffic)
        need_right(ctx)
        rules = self._filter(ctx)
        if self._there(ctx, rules) != ABSENT:
            raise NotReady(
                f"{ctx.host.name}: the rules {rules.name} already exist",
                hint="undo the faults of an earlier run with `invoke drill.recover`",
            )
        for load in rules.loads(way):
            output = root(ctx, load.check, stdin=load.document)
            if not output.ok:
                said = printable(output.stderr.strip(), limit=400)
                raise NotReady(
                    f"{ctx.host.name}: its packet filter rejects the rules: {said}",
                    hint="the kernel may lack a module: xt_comment, ipt_REJECT, nft_reject_inet",
                )
        must_connect(ctx, self._traffic)

    def _there(self, ctx: Context, rules: Filter) -> int:
        output = root(ctx, *rules.look)
        if output.exit not in (0, ABSENT, PARTLY):
            output.check()
        return int(output.exit or 0)

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``rules`` (name of the packet filter rules that the step made), ``tool`` (program that made the rules),
        ``exempt`` (address of the controller, which the rules do not affect), ``shown_by``.

        ``shown_by`` tells how the fault was verified: by a trial `connection`, or by the `rules` in the kernel.
        """
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
                said = printable(output.stderr.strip(), limit=400)
                raise StepFailed(f"{ctx.host.name}: {rules.tool} rejects the rules: {said}")

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that deletes exactly the rules of this step, and no other rule."""
        return Undo.by_commands(script(ctx, *self._filter(ctx).undo))

    def active(self, ctx: Context) -> bool:
        """Return True when the kernel has the rules, and a trial connection fails. Return False when the kernel has none of
        the rules, and a trial connection succeeds.

        If no connection can be tried, the result depends only on the rules. The fact ``shown_by`` tells whether a connection
        was tried.
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
                state = {0: "there", ABSENT: "gone"}.get(there, "only partly set")
                raise CouldNotVerify(
                    f"{ctx.host.name}: the packet filter rules {rules.name} are {state}, but a trial connection {seen}"
                )
            ctx.deadline.wait(0.1)

    def _tries(self, ctx: Context) -> str | None:
        """Try a connection to the peer and return its outcome. Returns None when no connection can be tried."""
        seen = tries(ctx, self._traffic) if self._tellable else None
        return None if seen is None else seen[0]

    @property
    def _tellable(self) -> bool:
        """True when a trial connection from the host itself can show the effect of the fault."""
        return True


class Drop(_Filtered):
    """Drop packets silently, as a cut cable or a wrong firewall rule does."""

    RESET = False
    SHOWN = "hangs"

    protocol: Annotated[
        Literal["tcp", "udp", "all"],
        Field(description="Protocol of the packets. all: packets of every protocol, in which case no port can be set."),
    ] = "tcp"

    @property
    def _protocol(self) -> str:
        return self.protocol

    def ready(self, ctx: Context) -> None:
        """Check that a step with `protocol: all` sets no ports. Then make the checks of all packet filter faults."""
        fixed = all(self.known(name) for name in type(self).model_fields)
        if fixed and self.protocol == "all" and (self.peer_port or self.own_port):
            raise NotReady(
                "`protocol: all` cannot be combined with ports",
                hint="set `protocol` to tcp or udp, or remove the ports",
            )
        super().ready(ctx)


class Reset(_Filtered):
    """Reset existing TCP connections and refuse new ones, like a firewall that rejects packets."""

    RESET = True
    SHOWN = "refused"

    @property
    def _tellable(self) -> bool:
        """True if a trial connection from the host itself can show the fault. False for incoming traffic: only the peer sees
        that its connections are reset.
        """
        return self.direction != "in"
