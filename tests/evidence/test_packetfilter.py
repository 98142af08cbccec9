"""Which rules stop a connection, by what iptables-save and nft print; the real tools print it in tests/actions/test_network.py."""

import ipaddress

import pytest

from drillbook.evidence import filterdumps, packetfilter

HERE, PEER = ipaddress.ip_address("10.0.0.5"), ipaddress.ip_address("10.0.0.9")
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


def told(lines, opens=True, port=5432):
    tables = filterdumps.of_iptables(FIREWALL.format("\n".join(lines)), "ip")
    found = packetfilter.hits(tables, packetfilter.there_and_back(HERE, PEER, port, 4, opens=opens))
    return [(one.chain, one.rule.text.partition("-j ")[2] or one.rule.text, one.certain) for one in found if one.hook != "forward"]


@pytest.mark.parametrize(("lines", "found"), [
    ([ANSWERS], []),
    ([], [("INPUT", "policy drop", True)]),
    (["-A INPUT -m recent --name x -j ACCEPT"], [("INPUT", "policy drop", False)]),
    ([ANSWERS, "-A OUTPUT -d 10.0.0.0/24 -p tcp -m tcp --dport 5432 -j DROP"], [("OUTPUT", "DROP", True)]),
    ([ANSWERS, "-A OUTPUT ! -d 10.0.0.9/32 -j DROP", "-A OUTPUT -p udp -j DROP", "-A OUTPUT -o lo -j DROP"], []),
    ([ANSWERS, "-A INPUT -m conntrack --ctstate INVALID -j DROP", "-A OUTPUT -p tcp --tcp-flags RST RST -j DROP"], []),
    ([ANSWERS, "-A OUTPUT -j theirs", "-A theirs -d 10.0.0.9/32 -j RETURN", "-A theirs -j DROP"], []),
    ([ANSWERS, "-A OUTPUT -j theirs", "-A theirs -m owner --uid-owner 5 -j RETURN", "-A theirs -j DROP"], [("theirs", "DROP", False)]),
    ([ANSWERS, "-A OUTPUT -m set --match-set a dst -j theirs", "-A theirs -j DROP", "-A OUTPUT -d 10.0.0.9/32 -j REJECT"],
     [("OUTPUT", "REJECT", True), ("theirs", "DROP", False)]),
    ([ANSWERS, "-A OUTPUT -p tcp -m multiport --sports 1024:65535 -j DROP"], [("OUTPUT", "DROP", True)]),
    ([ANSWERS, "-A OUTPUT -p tcp -m tcp --sport 40000 -j DROP", "-A OUTPUT -j LOG --log-prefix x", "-A OUTPUT -g theirs"], []),
    ([ANSWERS, "-A OUTPUT -m mark --mark 1 -j ACCEPT", "-A OUTPUT -d 10.0.0.9/32 -j DROP"], [("OUTPUT", "DROP", False)]),
])
def test_the_first_rule_that_decides(lines, found):
    assert told(lines) == found


def test_the_host_of_the_server():
    assert told(["-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"], opens=False) == [("INPUT", "policy drop", True)]
    assert told(["-A INPUT -s 10.0.0.9/32 -p tcp -m tcp --dport 5432 -j ACCEPT"], opens=False) == []


@pytest.mark.parametrize("text", ["*filter\n-A INPUT -s nonsense -j DROP\n", "*filter\n-A INPUT -j\n", "*filter\n:x\n"])
def test_what_is_not_understood_is_an_error(text):
    with pytest.raises((ValueError, LookupError, StopIteration)):
        filterdumps.of_iptables(text, "ip")
