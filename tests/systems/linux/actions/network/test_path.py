"""The path behind a relay without a control file: cut by rules of the packet filter."""

import dataclasses

import pytest

from drillbook.errors import NotReady
from drillbook.sdk.action import find
from drillbook.systems.linux.service import Relay
from drillbook.systems.redis.service import Redis
from tests.systems.linux.actions.network.machines import OTHER_PORT, PEER, PORT, Lowered, carry_out, make
from tests.systems.refusals import refused_until


def test_a_path_behind_a_relay_without_control_is_cut_by_own_rules_and_opened_again(far):
    """The rules of another run stay."""
    services = {
        "path": Relay(name="path", host="far", address=PEER, port=PORT, reach="ssh", to="behind"),
        "behind": Redis(name="behind", host="peer", address=PEER, port=PORT),
    }
    ctx = dataclasses.replace(far.context(), services=services)
    cut, opening = (find(f"path.{name}").model_validate({"service": "path"}) for name in ("cut", "open"))
    others, their = make("drop", peer=PEER, peer_port=OTHER_PORT), far.context(run="20260101T000000Z-test-0002")
    others.inject(their)
    try:
        cut.ready(ctx)
        undo = cut.undo(ctx)
        assert cut.active(ctx) is False
        facts = cut.inject(ctx)
        assert facts["means"] == "filter"
        assert cut.active(ctx) is True
        assert far.connects() == "hangs"
        with pytest.raises(NotReady, match="cannot be controlled"):
            find("relay.drop").model_validate({"service": "path"}).ready(ctx)
        assert opening.run(ctx)["rules"] == [facts["rules"]]
        assert cut.active(ctx) is False
        assert opening.run(ctx)["rules"] == []
        carry_out(ctx, undo)
        assert (far.connects(), far.connects(OTHER_PORT)) == ("connects", "hangs"), "and the other run's is there"
        nft = make("drop", peer_port=PORT, tool="nft")
        nft.inject(ctx)
        assert opening.run(ctx)["rules"] == [facts["rules"]], "whichever tool made it"
        assert far.connects() == "connects"
    finally:
        carry_out(their, others.undo(their))


def test_a_path_without_control_needs_the_right_and_another_host(far):
    services = {
        "path": Relay(name="path", host="far", address=PEER, port=PORT, reach="ssh", to="behind"),
        "behind": Redis(name="behind", host="far", address=PEER, port=PORT),
    }
    ctx = dataclasses.replace(far.context(), services=services)
    cut, opening = (find(f"path.{name}").model_validate({"service": "path"}) for name in ("cut", "open"))

    def elsewhere():
        services["behind"] = services["behind"].model_copy(update={"host": "peer"})

    refused_until(
        lambda: cut.ready(ctx), "are on the same host: rules in its packet filter would cut off all clients", elsewhere
    )
    hosts = [Lowered(far.host), far.host]
    refused_until(
        lambda: opening.ready(dataclasses.replace(ctx, host=hosts[0])),
        "the capability CAP_NET_ADMIN is missing",
        lambda: hosts.pop(0),
    )
