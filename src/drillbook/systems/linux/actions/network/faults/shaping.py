"""Fault that delays packets to one peer. The fault adds a queueing discipline, which is a packet queue of the kernel."""

from __future__ import annotations

import ipaddress
import re
import time
from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.sdk.action import Context, Facts, Fault, Place, Undo
from drillbook.sdk.host import printable
from drillbook.systems.linux.actions.network.fields import (
    Argv,
    Peer,
    PeerPort,
    Traffic,
    can_try,
    has,
    must_connect,
    need_right,
    number_of,
    root,
    script,
    tries,
)
from drillbook.systems.linux.actions.network.lockout import refuse_lockout, rehearse, still_reachable, way_of
from drillbook.values import Duration

SETTLED_S = 6.0
DEFAULTS = {"noqueue", "pfifo_fast", "fq_codel", "fq", "mq", "pfifo"}
"""Queueing disciplines that the kernel sets by default. On an interface without configuration, they have the handle 0."""

# DEVICE MAJOR MILLISECONDS PROTOCOL WORD PEER [PORT]: delay only packets to the peer.
_ADD = """
tc qdisc add dev "$1" root handle "$2:" prio bands 4 priomap 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 || exit 1
tc qdisc add dev "$1" parent "$2:4" netem delay "$3ms" limit 20000 || exit 1
if test -n "$7"; then
  exec tc filter add dev "$1" parent "$2:" protocol "$4" prio 1 u32 match "$5" dst "$6" \\
    match "$5" dport "$7" 0xffff flowid "$2:4"
fi
exec tc filter add dev "$1" parent "$2:" protocol "$4" prio 1 u32 match "$5" dst "$6" flowid "$2:4"
"""
# DEVICE MAJOR: exit with 0 when the discipline exists, with 3 when it does not.
_LOOK = """
test -e "/sys/class/net/$1" || exit 3
found=$(tc qdisc show dev "$1") || exit 1
case "$found" in *"qdisc prio $2: root "*) exit 0 ;; esac
exit 3
"""
# DEVICE MAJOR: delete the discipline. Exit with 0 when it is gone, and with another status when this fails.
UNDO = f"""
(:{_LOOK})
case $? in 0) exec tc qdisc del dev "$1" root handle "$2:" ;; 3) exit 0 ;; esac
exit 1
"""
# Try the commands in a temporary network namespace, which exists only for this test. Where this is not allowed, look for the
# modules; status 90: their absence there proves nothing, because a container does not see the modules of its kernel.
_REHEARSAL = """
PATH=$PATH:/usr/sbin:/sbin
if ! unshare -n true 2>/dev/null; then
  for module in sch_netem sch_prio cls_u32; do
    test -d "/sys/module/$module" || modprobe --dry-run --quiet "$module" 2>/dev/null || exit 90
  done
  exit 0
fi
exec unshare -n sh -c 'tc qdisc add dev lo root handle 1: prio bands 4 && tc qdisc add dev lo parent 1:4 netem delay 1ms &&
  tc filter add dev lo parent 1: protocol ip prio 1 u32 match ip dst 127.0.0.9/32 flowid 1:4'
"""
ABSENT = 3


def major_of(ctx: Context) -> str:
    """Return the major number of a step's queueing discipline.

    The number is below 8000 (hexadecimal), because the kernel itself assigns the numbers from 8000 on.
    """
    return f"{0x1000 + int(number_of(ctx), 16) % 0x6000:x}"


class Delay(Fault):
    """Delay packets to a peer, as a congested or a long path does.

    The interface must have no configured queueing discipline. The kernel needs the modules sch_netem, sch_prio and cls_u32.
    `drill.check` tries them in a temporary network namespace, and refuses the step on a host that lacks a module. On such a
    host, use `relay.delay` instead.
    """

    PLACE = Place.HOSTS
    UNDO = ("commands",)

    peer: Peer
    peer_port: PeerPort = None
    by: Annotated[Duration, Field(description="Delay of each packet, from `10ms` to `1s`.")]

    @property
    def _traffic(self) -> Traffic:
        return Traffic(ipaddress.ip_network(self.peer), self.peer_port, None, "tcp", incoming=False, outgoing=True)

    def _device(self, ctx: Context) -> str:
        """Return the network interface of the route to the peer. Raises NotReady when there is no route."""
        address = str(ipaddress.ip_network(self.peer).network_address)
        output = root(ctx, 'exec ip -o route get "$1"', address)
        match = re.search(r" dev (\S+)", output.text)
        if not output.ok or match is None:
            raise NotReady(
                f"{ctx.host.name}: there is no route to {address}",
                hint="check `peer`, and that the host has `ip` (package iproute2)",
            )
        return match[1]

    def ready(self, ctx: Context) -> None:
        """Check the rights, the tools, the kernel modules, and the queue of the interface.

        Also check that the network path works, and that the controller stays connected.
        """
        if not all(self.known(name) for name in type(self).model_fields):
            return
        if not 0.01 <= float(self.by) <= 1:
            raise NotReady(f"the delay {self.by} is not between 10ms and 1s", hint="set `by` to a value of this range")
        refuse_lockout(ctx, way_of(ctx), self._traffic)
        need_right(ctx)
        if not has(ctx, "tc") or not has(ctx, "ip"):
            raise NotReady(f"{ctx.host.name}: tc is not installed", hint="install the package iproute2")
        self._refuse_foreign(ctx, self._device(ctx))
        output = root(ctx, _REHEARSAL)
        if output.exit not in (0, 90):
            said = printable(output.stderr.strip(), limit=300)
            raise NotReady(
                f"{ctx.host.name}: its kernel cannot delay packets: {said}",
                hint="load the modules sch_netem and sch_prio, or use `relay.delay`",
            )
        if output.exit == 90:
            ctx.unsure(
                f"that the kernel of {ctx.host.name} can delay packets: the host forbids `unshare -n`, which the test needs, and "
                "does not show the modules sch_netem, sch_prio and cls_u32"
            )
        seconds = must_connect(ctx, self._traffic)
        if seconds is not None and seconds > float(self.by) / 2:
            raise NotReady(
                (
                    f"{ctx.host.name}: a connection takes {seconds:.3f} s without the fault, so a delay of {self.by} "
                    "could not be detected"
                ),
                hint="choose a delay that is several times as long as a connection takes",
            )

    def _refuse_foreign(self, ctx: Context, device: str) -> None:
        text = root(ctx, 'exec tc qdisc show dev "$1"', device).check().text
        match = re.search(r"^qdisc (\S+) ([0-9a-f]+): (?:dev \S+ )?root", text, re.MULTILINE)
        if match is not None and not (match[1] in DEFAULTS and int(match[2], 16) == 0):
            raise NotReady(
                f"{ctx.host.name}: {device} has a queueing discipline that this step did not set: {match[0]}",
                hint="a delay on this interface would replace it; choose another host, or `relay.delay`",
            )

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``device`` (name of the network interface), ``handle`` (handle of the queueing discipline that the step
        made), ``exempt`` (address of the controller, whose packets are not delayed), ``shown_by``.

        ``shown_by`` tells how the fault was verified: by a trial `connection`, or by the existing `queue`.
        """
        way, device, major = way_of(ctx), self._device(ctx), major_of(ctx)
        refuse_lockout(ctx, way, self._traffic)
        undo = self.undo(ctx).commands
        if not root(ctx, _LOOK, device, major).ok:
            self._refuse_foreign(ctx, device)
            rehearse(ctx, way, undo)
            self._add(ctx, device, major)
        still_reachable(ctx, way, undo)
        return {
            "device": device,
            "handle": f"{major}:",
            "exempt": str(way.controller),
            "shown_by": "connection" if can_try(ctx, self._traffic) else "queue",
        }

    def _add(self, ctx: Context, device: str, major: str) -> None:
        peer = ipaddress.ip_network(self.peer)
        words = ("ip", "ip") if peer.version == 4 else ("ipv6", "ip6")
        port = "" if self.peer_port is None else str(self.peer_port)
        output = root(ctx, _ADD, device, major, str(round(float(self.by) * 1000)), *words, str(peer), port)
        if not output.ok:
            said = printable(output.stderr.strip(), limit=300)
            raise StepFailed(f"{ctx.host.name}: tc rejects the delay: {said}")

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that deletes exactly the queueing discipline of this step. The kernel then uses its default
        queueing discipline again."""
        argv: Argv = script(ctx, UNDO, self._device(ctx), major_of(ctx))
        return Undo.by_commands(argv)

    def active(self, ctx: Context) -> bool:
        """Return True when the queueing discipline exists and trial connections are delayed.

        Return False when it does not exist and a trial connection is not delayed. If no connection can be tried, the
        result depends only on the queueing discipline.
        """
        device, major = self._device(ctx), major_of(ctx)
        until = time.monotonic() + SETTLED_S
        while True:
            output = root(ctx, _LOOK, device, major)
            if output.exit not in (0, ABSENT):
                output.check()
            late = self._late(ctx)
            if output.ok and late is not False:
                return True
            if output.exit == ABSENT and not late:
                return False
            if time.monotonic() > until:
                there = "exists" if output.ok else "does not exist"
                raise CouldNotVerify(
                    f"{ctx.host.name}: the queueing discipline {major}: of {device} {there}, "
                    f"but a test connection is {'delayed' if late else 'not delayed'}"
                )
            ctx.deadline.wait(0.1)

    def _late(self, ctx: Context) -> bool | None:
        """Make up to three trial connections. Return True when all three are delayed, and False as soon as one of them is
        not delayed.

        Returns None when no connection can be tried.
        """
        for _ in range(3):
            seen = tries(ctx, self._traffic)
            if seen is None:
                return None
            if seen[0] != "connects" or seen[1] < float(self.by):
                return False
        return True
