"""Look at the packet filter: the rules that drop packets to a peer."""

import pytest

from drillbook.errors import CouldNotVerify
from drillbook.systems.linux.actions.net import Filters, Resolve
from tests.systems.linux.actions.network.machines import (
    CONTROLLER,
    OTHER_PORT,
    PEER,
    PORT,
    Lacking,
    Lowered,
    carry_out,
    make,
)
from tests.systems.refusals import refused_until


def test_the_rule_that_drops_is_found_and_no_other(far):
    """With the filters' own tools, for both filters: rules of a drill, foreign rules, and rules that accept the packets."""
    ctx, look = far.context(), Filters(address=PEER, port=PORT)

    def said(action=look):
        return [(one["certain"], one["drillbook"], one["verdict"], one["rule"]) for one in action.run(ctx)["rules"]]

    assert said() == []
    for tool, words in (("iptables", "-j DROP"), ("nft", "drop")):
        fault = make("drop", peer=PEER, peer_port=PORT, tool=tool)
        try:
            fault.inject(ctx)
            assert {one[:3] for one in said()} == {(True, True, "drop")}
            assert all(str(PORT) in one[3] and words in one[3] and ctx.run_id in one[3] for one in said()), said()
            assert said(Filters(address=PEER, port=OTHER_PORT)) == []
        finally:
            carry_out(ctx, fault.undo(ctx))
    theirs = ["-p", "tcp", "-m", "multiport", "--dports", f"7000:{PORT}", "-j", "REJECT"]
    passes = ["-p", "tcp", "-d", "10.99.2.0/24", "-m", "conntrack", "--ctstate", "NEW", "-j", "ACCEPT"]
    far.target.sh("iptables", "-N", "theirs")
    try:
        far.target.sh("iptables", "-A", "OUTPUT", "!", "-d", CONTROLLER, "-j", "theirs")
        far.target.sh("iptables", "-A", "theirs", *theirs)
        assert [one[:3] for one in said()] == [(True, False, "reject")]
        assert (far.connects(), look.run(ctx)["dropping"]) == ("refused", 1)
        far.target.sh("iptables", "-I", "theirs", *passes)
        assert (far.connects(), said()) == ("connects", [])
        far.target.sh("iptables", "-R", "theirs", "1", "-m", "owner", "--uid-owner", "0", *passes)
        assert [one[:3] for one in said()] == [(False, False, "reject")], "whom a rule asks for is not known of a packet"
    finally:
        for words in (["-D", "OUTPUT", "!", "-d", CONTROLLER, "-j", "theirs"], ["-F", "theirs"], ["-X", "theirs"]):
            far.target.sh("iptables", *words)
    with pytest.raises(CouldNotVerify, match="cannot be read"):
        look.run(far.context(host=Lowered(far.host)))


@pytest.mark.parametrize(
    ("action", "host", "said"),
    [
        (Filters(address=PEER, port=PORT), lambda far: Lowered(far.host), "cannot be read"),
        (
            Filters(address=PEER, port=PORT),
            lambda far: Lacking(far.host, "iptables-save", "nft"),
            "neither iptables-save nor",
        ),
        (
            Resolve(name="localhost"),
            lambda far: Lacking(far.host, "getent", "python3"),
            "no program on this host can resolve names",
        ),
    ],
    ids=["right", "filters", "names"],
)
def test_what_a_look_at_the_network_lacks_is_told(far, action, host, said):
    hosts = [host(far), far.host]
    refused_until(lambda: action.ready(far.context(host=hosts[0])), said, lambda: hosts.pop(0))
    action.run(far.context())
