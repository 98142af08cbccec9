"""Opening of the network: the faults of this run are removed, and no others."""

import pytest

from drillbook.errors import StepFailed
from drillbook.systems.linux.actions.network.faults.shaping import major_of
from drillbook.systems.linux.actions.network.opening import own_queues
from tests.systems.linux.actions.network.machines import (
    OTHER_PORT,
    PEER,
    PORT,
    can_delay,
    carry_out,
    make,
    refused_without_netem,
)


@pytest.mark.parametrize(
    ("name", "fields"),
    [("drop", {"tool": "nft"}), ("reset", {"tool": "iptables"}), ("delay", {"by": "200ms"})],
)
def test_opening_removes_the_faults_of_this_run_alone(far, name, fields):
    if name == "delay" and not can_delay(far):
        refused_without_netem(far)  # so there is never a delay to remove
        return
    mine, other = far.context(step="inject.2"), far.context(run="20260101T000000Z-test-0002")
    kept = make("drop", peer=PEER, peer_port=OTHER_PORT)
    fault = make(name, peer=PEER, peer_port=PORT, **fields)
    try:
        kept.inject(other)
        fault.inject(mine)
        assert fault.active(mine) is True
        opener, ctx = make("open", peer=PEER, peer_port=PORT), far.context(step="restore.1")
        opener.ready(ctx)
        facts = opener.run(ctx)
        assert (len(facts["rules"]), facts["delays"]) == ((0, ["x0"]) if name == "delay" else (1, []))
        assert facts["seconds"] is not None
        assert fault.active(mine) is False
        assert kept.active(other) is True
        assert opener.run(ctx)["rules"] == []
        with pytest.raises(StepFailed, match="the network is not open"):
            make("open", peer=PEER, peer_port=OTHER_PORT).run(ctx)
    finally:
        carry_out(mine, fault.undo(mine))
        carry_out(other, kept.undo(other))


def test_delays_of_this_run_are_found_in_the_list_of_queues(far):
    """In the form of iproute2 6.1, also if the kernel of this machine has no queues."""
    mine, other = far.context(step="inject.2"), far.context(run="20260101T000000Z-test-0002")
    held = "qdisc noqueue 0: dev lo root refcnt 2 \n" + "".join(
        f"qdisc prio {major}: dev {device} root refcnt 2 bands {bands} priomap  0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
        f"qdisc netem {number}: dev {device} parent {major}:4 limit 20000 delay 200ms\n"
        for number, (device, major, bands) in enumerate(
            [("x0", major_of(mine), 4), ("t0", major_of(other), 4), ("y0", major_of(mine), 3)], 8001
        )
    )
    assert own_queues(mine, held) == [("x0", major_of(mine))]
