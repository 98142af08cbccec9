"""Action `network.open`, which removes the network faults of a run on a host. The action `path.open` uses functions of this
module.
"""

from __future__ import annotations

import re
from dataclasses import replace

from pydantic import Field

from drillbook.errors import StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Place, Undo, Write
from drillbook.sdk.host import printable
from drillbook.systems.linux.actions.network.faults.shaping import UNDO, major_of
from drillbook.systems.linux.actions.network.fields import Peer, PeerPort, Traffic, need_right, root, tries
from drillbook.systems.linux.actions.network.filters import HELD, of_run

STEPS = 100
"""Largest number of a step whose delay is found. A delay that one of the steps inject.1 to inject.100 set is found, and a delay
of a later step is not.
"""
_QUEUES = "command -v tc >/dev/null || exit 0; exec tc qdisc show"


class Open(Write):
    """Remove all rules and delays that the `network.*` faults of this run set on the host. Other rules and delays stay.

    A drill can use this step to end an outage that has damaged no data. The step needs neither a relay nor a backup.
    """

    PLACE = Place.HOSTS
    UNDO = ("nothing",)

    peer: Peer | None = Field(
        default=None,
        description="Address for a trial connection. A connection to this address and `peer_port` must succeed.",
    )
    peer_port: PeerPort = None

    def ready(self, ctx: Context) -> None:
        """Check that commands of this account have the right to change the host's network."""
        need_right(ctx)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``rules`` (names of the removed packet filter rules), ``delays`` (names of the interfaces whose delay was
        removed), ``seconds`` (duration of the trial connection, or null when none was made).
        """
        rules, delays = remove_rules(ctx), _remove_delays(ctx)
        if self.peer is None or self.peer_port is None:
            return {"rules": rules, "delays": delays, "seconds": None}
        traffic = Traffic.to(self.peer, self.peer_port)
        seen = tries(ctx, traffic)
        if seen is not None and seen[0] != "connects":
            measured = f"a connection from {ctx.host.name} to {self.peer}, port {self.peer_port}, {seen[0]}"
            raise StepFailed(
                f"the network is not open: {measured}",
                findings=[finding("port-state", title=ctx.host.name, wanted="connects", measured=measured)],
            )
        return {"rules": rules, "delays": delays, "seconds": seen and round(seen[1], 6)}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because the network should stay open."""
        return Undo.nothing("an open network is the wanted state")


def remove_rules(ctx: Context) -> list[str]:
    """Delete the packet filter rules of this run on the host, and return their names.

    Raises StepFailed when a rule cannot be deleted, and HostError when the rules cannot be listed.
    """
    removed = []
    for rules in of_run(root(ctx, HELD).check().text, ctx.run_id):
        output = root(ctx, *rules.undo)
        if not output.ok:
            said = printable(output.stderr.strip(), limit=300)
            raise StepFailed(f"{ctx.host.name}: the rules {rules.name} cannot be removed: {said}")
        removed.append(rules.name)
    return removed


def _remove_delays(ctx: Context) -> list[str]:
    """Delete the queueing disciplines of this run, and return the interfaces that had them.

    Raises HostError when this fails.
    """
    mine = own_queues(ctx, root(ctx, _QUEUES).check().text)
    for device, major in mine:
        root(ctx, UNDO, device, major).check()
    return [device for device, _ in mine]


def own_queues(ctx: Context, held: str) -> list[tuple[str, str]]:
    """Return the interface and the major number of each queueing discipline of this run.

    ``held``: output of `tc qdisc show`.
    """
    own = {major_of(replace(ctx, step=f"inject.{number}")) for number in range(1, STEPS + 1)}
    queues = re.findall(r"^qdisc prio ([0-9a-f]+): dev (\S+) root .*\bbands 4\b", held, re.MULTILINE)
    return [(device, major) for major, device in queues if major in own]
