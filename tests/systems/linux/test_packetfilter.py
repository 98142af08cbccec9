"""Rules that block a connection, from the output of iptables-save and nft; tests/systems/linux/actions/network uses
the real tools.
"""

import ipaddress
import json

import pytest

from drillbook.systems.linux import filterdumps, packetfilter
from tests.systems.linux.rules import ACCEPT, CHAIN, HERE, PEER, payload

FIREWALL = """\
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:theirs - [0:0]
{}
COMMIT
"""
ANSWERS = "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"


def told(lines, opens=True, port=5432, here=HERE, peer=PEER):
    tables = filterdumps.of_iptables(FIREWALL.format("\n".join(lines)), "ip")
    return shown(packetfilter.hits(tables, packetfilter.there_and_back(here, peer, port, 4, opens=opens)))


def shown(found):
    return [(one.chain, one.rule.text.partition("-j ")[2] or one.rule.text, one.certain) for one in found]


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([ANSWERS], []),
        ([], [("INPUT", "policy drop", True)]),
        (["-A INPUT -m recent --name x -j ACCEPT"], [("INPUT", "policy drop", False)]),
        ([ANSWERS, "-A OUTPUT -d 10.0.0.0/24 -p tcp -m tcp --dport 5432 -j DROP"], [("OUTPUT", "DROP", True)]),
        ([ANSWERS, "-A OUTPUT ! -d 10.0.0.9/32 -j DROP", "-A OUTPUT -p udp -j DROP", "-A OUTPUT -o lo -j DROP"], []),
        ([ANSWERS, "-A INPUT -m conntrack --ctstate INVALID -j DROP", "-A OUTPUT -p tcp --tcp-flags RST RST -j DROP"], []),
        ([ANSWERS, "-A OUTPUT -j theirs", "-A theirs -d 10.0.0.9/32 -j RETURN", "-A theirs -j DROP"], []),
        (
            [ANSWERS, "-A OUTPUT -j theirs", "-A theirs -m owner --uid-owner 5 -j RETURN", "-A theirs -j DROP"],
            [("theirs", "DROP", False)],
        ),
        (
            [
                ANSWERS,
                "-A OUTPUT -m set --match-set a dst -j theirs",
                "-A theirs -j DROP",
                "-A OUTPUT -d 10.0.0.9/32 -j REJECT",
            ],
            [("OUTPUT", "REJECT", True), ("theirs", "DROP", False)],
        ),
        ([ANSWERS, "-A OUTPUT -p tcp -m multiport --sports 1024:65535 -j DROP"], [("OUTPUT", "DROP", True)]),
        (
            [
                ANSWERS,
                "-A OUTPUT -p tcp -m tcp --sport 40000 -j DROP",
                "-A OUTPUT -j LOG --log-prefix x",
                "-A OUTPUT -g theirs",
            ],
            [],
        ),
        ([ANSWERS, "-A OUTPUT -m mark --mark 1 -j ACCEPT", "-A OUTPUT -d 10.0.0.9/32 -j DROP"], [("OUTPUT", "DROP", False)]),
    ],
)
def test_the_first_rule_that_decides(lines, found):
    assert told(lines) == found


def test_the_host_of_the_server():
    assert told(["-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"], opens=False) == [("INPUT", "policy drop", True)]
    assert told(["-A INPUT -s 10.0.0.9/32 -p tcp -m tcp --dport 5432 -j ACCEPT"], opens=False) == []


AIMED = "-A FORWARD -s 10.0.0.9/32 -p tcp -m tcp --dport 5432"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([], []),  # the policy on machines with Docker
        (["-A FORWARD -j DROP"], []),
        (["-A FORWARD -m conntrack --ctstate NEW -p tcp -j REJECT"], []),
        (["-A FORWARD -s 10.1.0.0/16 -j ACCEPT", "-A FORWARD -j DROP"], []),
        (["-A FORWARD ! -i lo -j theirs", "-A theirs -j DROP"], []),
        (["-A FORWARD -i docker0 -s 10.0.0.9/32 -j DROP"], []),
        ([f"{AIMED} -j DROP"], [("FORWARD", "DROP", False)]),  # whether it forwards the connection is not known
        (["-A FORWARD -s 10.0.0.9/32 -j theirs", "-A theirs -j DROP"], [("theirs", "DROP", False)]),
        ([f"{AIMED} -j ACCEPT", f"{AIMED} -j DROP"], []),
    ],
)
def test_a_rule_for_forwarded_packets_is_never_certain(lines, found):
    passes = ["-A INPUT -j ACCEPT", *lines]
    assert told(passes, opens=False, here=None) == found
    assert told(passes, opens=False) == [], "to the host's own address nothing is forwarded"
    assert told(passes, opens=False, here=None, peer=ipaddress.ip_address("127.0.0.1")) == []
    assert told(passes) == [], "and not what the host opens"


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.5"])
def test_a_host_reaches_its_own_addresses_by_the_loopback(address):
    own = ipaddress.ip_address(address)
    assert told(["-A INPUT -i lo -j ACCEPT"], here=own, peer=own) == []
    assert told(["-A INPUT ! -i lo -j ACCEPT"], here=own, peer=own) == [("INPUT", "policy drop", True)]
    assert told(["-A INPUT -i lo -j ACCEPT"], here=None, peer=None) == [("INPUT", "policy drop", False)]


@pytest.mark.parametrize("rules", [[], [[payload("tcp", "dport", 22), ACCEPT]]])
def test_a_policy_of_nft_for_forwarded_packets_stops_nobody(rules):
    items = [{"rule": {"family": "inet", "table": "t", "chain": "out", "handle": 1, "expr": expr}} for expr in rules]
    chain = {**CHAIN, "hook": "forward", "policy": "drop"}
    tables = filterdumps.of_nft(json.dumps({"nftables": [{"chain": chain}, *items]}), "", "")
    for here, opens in ((HERE, True), (None, False)):
        assert packetfilter.hits(tables, packetfilter.there_and_back(here, PEER, 5432, 4, opens=opens)) == []
