"""The path from one service to another, cut by whatever there is on it: a relay that takes orders, or a packet filter."""

from __future__ import annotations

import ipaddress
import time
from contextlib import suppress
from typing import Annotated, ClassVar

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, PlanError, StepFailed
from drillbook.sdk.action import Context, Facts, Fault, Undo, Write
from drillbook.systems.linux.actions import relay as relays
from drillbook.systems.linux.actions.network import faults as filters
from drillbook.systems.linux.actions.network.fields import root
from drillbook.systems.linux.actions.network.filters import HELD, of_run
from drillbook.systems.linux.service import Relay

ServiceName = Annotated[str, Field(description="Name of the relay service of the inventory that lies on the path.")]


class Cut(Fault):
    """Cut the path to the service behind a relay: packets vanish, and nobody is told.

    A relay with a `control` lets nothing pass (`relay.drop`). Behind one without, a chain of this step's own in the
    packet filter of the relay's host drops what goes to the service behind it and comes from there (`network.drop`): every
    connection of that host to that address and port, or to that port anywhere where the address in the inventory is a name
    or a loopback one.
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
                f"{relay.host}: the relay {relay.name!r} and {relay.to!r} share this host: its packet filter "
                "would cut everybody off",
                hint="give the relay a `control`, or use `network.drop`",
            )
        return relay, filters.Drop(peer_port=port, peer=_address(getattr(behind, "address", "")))

    def ready(self, ctx: Context) -> None:
        """The path works, nothing has broken it, and what is to break it can."""
        if not self.known("service"):
            return
        relay, means = self._means(ctx)
        means.ready(ctx)
        if not relay.control:  # `relay.drop` has looked already
            relays.healthy(ctx, relay)

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``means`` (relay or filter), and those of `relay.drop` or `network.drop`."""
        relay, means = self._means(ctx)
        return {"means": "relay" if relay.control else "filter", **means.inject(ctx)}

    def undo(self, ctx: Context) -> Undo:
        """What is this step's own goes, and nothing else."""
        return self._means(ctx)[1].undo(ctx)

    def active(self, ctx: Context) -> bool | None:
        """True when it is in force and an exchange through the relay hangs; False when it is gone and one is answered."""
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
                raise CouldNotVerify(f"{ctx.host.name}: its rules are {state}, and an exchange through {relay.name} {how}")
            ctx.deadline.wait(0.1)


def _address(text: str) -> str | None:
    """An address that means the same on every host; None for a name and for a loopback address."""
    with suppress(ValueError):
        return None if ipaddress.ip_address(text).is_loopback else text
    return None


class Open(Write):
    """Open the path again after `path.cut` of this run; what another run or anybody else has set is left alone."""

    UNDO = ("nothing",)

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``means`` (relay or filter), ``rules`` that were removed, ``seconds`` of the exchange on it."""
        relay = ctx.service(self.service, Relay)
        if relay.control:
            return {"means": "relay", "rules": [], "seconds": relays.Open(service=self.service).run(ctx)["seconds"]}
        removed = []
        for rules in of_run(root(ctx, HELD).check().text, ctx.run_id):
            output = root(ctx, *rules.undo)
            if not output.ok:
                said = output.stderr.decode("utf-8", "replace").strip()[-300:]
                raise StepFailed(f"{ctx.host.name}: the rules {rules.name} cannot be removed: {said}")
            removed.append(rules.name)
        return {"means": "filter", "rules": removed, "seconds": round(relays.opened(ctx, relay), 6)}

    def undo(self, ctx: Context) -> Undo:
        """An open path is what is wanted."""
        return Undo.nothing("an open path is the wanted state")
