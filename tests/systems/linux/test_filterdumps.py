"""Listings of packet filters, read into tables."""

import json

import pytest

from drillbook.systems.linux import filterdumps, packetfilter
from tests.systems.linux.rules import ACCEPT, CHAIN, DROP, FLAGS, HERE, PEER, key, payload


@pytest.mark.parametrize("text", ["*filter\n-A INPUT -s nonsense -j DROP\n", "*filter\n-A INPUT -j\n", "*filter\n:x\n"])
def test_what_is_not_understood_is_an_error(text):
    with pytest.raises((ValueError, LookupError, StopIteration)):
        filterdumps.of_iptables(text, "ip")


@pytest.mark.parametrize(
    ("rules", "policy", "found"),
    [
        ([[payload("tcp", "dport", 5432), DROP]], "accept", [True]),
        ([[payload("th", "dport", 5432), DROP]], "accept", [True]),
        ([[payload("udp", "dport", 5432), DROP]], "accept", []),
        ([[payload("udp", "dport", 53, "!="), DROP]], "accept", []),
        ([[payload("udp", "dport", "@ports"), DROP]], "accept", []),
        ([[payload("udp", "dport", 5432), ACCEPT]], "drop", [True]),
        ([[payload("tcp", "dport", 5432), ACCEPT]], "drop", []),
        ([[payload("tcp", "dport", "@ports"), ACCEPT]], "drop", [False]),
        ([[{"vmap": {"key": {"payload": {"protocol": "udp", "field": "dport"}}, "data": "@map"}}]], "drop", [True]),
        ([[{"vmap": {"key": {"payload": {"protocol": "tcp", "field": "dport"}}, "data": "@map"}}]], "drop", [False]),
        ([[payload("ip6", "saddr", "fe80::1", "!="), DROP]], "accept", []),
        ([[payload("ip", "saddr", "10.0.0.7", "!="), DROP]], "accept", [True]),
        ([[key("meta", "nfproto", "ipv6"), DROP]], "accept", []),
        ([[key("meta", "protocol", "ip"), DROP]], "accept", [True]),
        ([[key("ct", "daddr", "10.0.0.8"), DROP]], "accept", [False]),  # as it was before any translation
        ([[FLAGS, DROP]], "accept", [True]),
    ],
)
def test_a_look_into_a_header_asks_for_that_header(rules, policy, found):
    items = [
        {"rule": {"family": "inet", "table": "t", "chain": "out", "handle": number, "expr": expr}}
        for number, expr in enumerate(rules)
    ]
    tables = filterdumps.of_nft(json.dumps({"nftables": [{"chain": {**CHAIN, "policy": policy}}, *items]}), "", "")
    hits = packetfilter.hits(tables, packetfilter.there_and_back(HERE, PEER, 5432, 4, opens=True))
    assert [one.certain for one in hits] == found
