"""Actions that cut and open the network path from one service to another, by a controllable relay or by a packet filter."""

from __future__ import annotations

import ipaddress
import time
from contextlib import suppress
from typing import Annotated, ClassVar

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, PlanError
from drillbook.sdk.action import Context, Facts, Fault, Undo, Write
from drillbook.systems.linux.actions import relay as relays
from drillbook.systems.linux.actions.network.faults import filtered
from drillbook.systems.linux.actions.network.fields import need_right
from drillbook.systems.linux.actions.network.opening import remove_rules
from drillbook.systems.linux.service import Relay

ServiceName = Annotated[str, Field(description="Name of the relay on the path, as in the inventory.")]


class Cut(Fault):
    """Cut the path from a relay to the service behind the relay. Packets are dropped silently.

    If the relay has a `control` file, the relay stops forwarding, as with `relay.drop`. If the relay has no such file,
    rules in the packet filter of its host drop all traffic to and from the service behind the relay, as with
    `network.drop`. The rules match all connections from the relay's host to the service's port. If the inventory has an IP
    address for the service, they match only connections to this address. If the inventory has a name or a loopback address,
    they match connections to any address.
    """

    UNDO: ClassVar = ("commands",)

    service: ServiceName

    def _means(self, ctx: Context) -> tuple[Relay, Fault]:
        relay = ctx.service(self.service, Relay)
        if relay.control:
            return relay, relays.Drop(service=self.service)
        behind = ctx.services.get(relay.to)
        port = getattr(behind, "port", None)
        if behind is None or not isinstance(port, int):
            raise PlanError(f"the relay {relay.name!r} leads to {relay.to!r}, which has no port in the inventory")
        if behind.host == relay.host:
            raise NotReady(
                f"{relay.host}: the path is not cut, because the relay {relay.name!r} and {relay.to!r} are on the same "
                f"host: rules in its packet filter would cut off all clients of {relay.to!r}, not only the relay",
                hint="set `control` of the relay in the inventory, or use `network.drop`",
            )
        return relay, filtered.Drop(peer_port=port, peer=_address(getattr(behind, "address", "")))

    def ready(self, ctx: Context) -> None:
        """Check that the path works and has no fault yet, and that the step has the means to cut the path: the relay's
        control file, or the packet filter of the relay's host.
        """
        if not self.known("service"):
            return
        relay, means = self._means(ctx)
        means.ready(ctx)
        if not relay.control:  # `relay.drop` has already checked this
            relays.healthy(ctx, relay)

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``means``, and the facts of `relay.drop` or of `network.drop`. ``means`` is `relay` if the path was cut by
        the relay's control file, and `filter` if it was cut by packet filter rules.
        """
        relay, means = self._means(ctx)
        return {"means": "relay" if relay.control else "filter", **means.inject(ctx)}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that removes exactly the rules, or the control file, of this step."""
        return self._means(ctx)[1].undo(ctx)

    def active(self, ctx: Context) -> bool | None:
        """Return True when the rules or the control file exist, and a test request through the relay gets no answer.

        Return False when the rules or the control file do not exist, and a test request is answered.
        """
        relay, means = self._means(ctx)
        if relay.control:
            return means.active(ctx)
        until = time.monotonic() + relays.SETTLED_S
        while True:
            there = means.active(ctx)
            how, _ = relays.exchange(ctx, relay)
            if (there, how) in ((True, "hangs"), (False, "answers")):
                return there
            if time.monotonic() > until:
                state = "there" if there else "gone"
                raise CouldNotVerify(
                    f"{ctx.host.name}: the packet filter rules of the fault are {state}, but a test request "
                    f"through {relay.name} {how}"
                )
            ctx.deadline.wait(0.1)


def _address(text: str) -> str | None:
    """Return ``text`` as an IP address.

    Return None for a name and for a loopback address, because they can mean different servers on different hosts.
    """
    with suppress(ValueError):
        return None if ipaddress.ip_address(text).is_loopback else text
    return None


class Open(Write):
    """Open the network path again after a step `path.cut` of this run.

    Rules and relay faults of other runs are not touched.
    """

    UNDO = ("nothing",)

    service: ServiceName

    def ready(self, ctx: Context) -> None:
        """Check that the path through the relay can be opened. If the relay has no `control` file, check that commands of this
        account have the right to change the host's network.
        """
        if self.known("service") and not ctx.service(self.service, Relay).control:
            need_right(ctx)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``means`` (`relay` or `filter`), ``rules`` (names of the removed packet filter rules), ``seconds``
        (duration of a test request).
        """
        relay = ctx.service(self.service, Relay)
        if relay.control:
            return {"means": "relay", "rules": [], "seconds": relays.Open(service=self.service).run(ctx)["seconds"]}
        removed = remove_rules(ctx)
        return {"means": "filter", "rules": removed, "seconds": round(relays.opened(ctx, relay), 6)}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because the path should stay open."""
        return Undo.nothing("an open path is the wanted state")
