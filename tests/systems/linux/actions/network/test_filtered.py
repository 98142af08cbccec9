"""Faults of the network: real, proven and undone exactly."""

import contextlib
import select
import subprocess
import sys
from functools import partial

import pytest

from drillbook.errors import NotReady
from drillbook.hosts.ssh.host import SshHost
from drillbook.sdk.host import Deadline
from tests.systems.linux.actions.network.machines import (
    CONTROLLER,
    NOWHERE,
    OTHER_PORT,
    PEER,
    PORT,
    TALK,
    TARGET,
    TARGET_INSIDE,
    TO_PEER,
    Lacking,
    Lowered,
    Refusing,
    Unnamed,
    carry_out,
    make,
    sh,
)
from tests.systems.refusals import refused_until
from tests.waiting import nothing_happens_for


@pytest.mark.parametrize("tool", ["iptables", "nft"])
@pytest.mark.parametrize(("name", "shown"), [("drop", "hangs"), ("reset", "refused")])
def test_a_fault_is_real_proven_and_undone_exactly(far, tool, name, shown):
    fault, ctx = make(name, peer=PEER, peer_port=PORT, tool=tool), far.context()
    fault.ready(ctx)
    undo = fault.undo(ctx)
    carry_out(ctx, undo, 2)  # before its injection
    assert fault.active(ctx) is False
    try:
        facts = fault.inject(ctx)
        assert facts["tool"] == tool
        assert (facts["exempt"], facts["shown_by"]) == (CONTROLLER, "connection")
        assert fault.active(ctx) is True
        assert (far.connects(), far.connects(OTHER_PORT)) == (shown, "connects")
        assert any(ctx.run_id in line for line in far.rules()) or tool == "nft"
        assert fault.inject(ctx) == facts, "a second attempt finds its own"
    finally:
        carry_out(ctx, undo, 2)
    assert fault.active(ctx) is False


def answers(stream):
    """Return True when there is something to read."""
    return bool(select.select([stream], [], [], 0)[0])


def test_connections_that_are_there_already_hang_or_are_reset(far):
    for name, wanted in (("drop", "echo\n"), ("reset", "")):
        fault, ctx = make(name, peer=PEER, peer_port=PORT), far.context()
        client = subprocess.Popen(
            [*far.target.enter, sys.executable, "-c", TALK, PEER, str(PORT)],
            text=True,
            bufsize=1,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            client.stdin.write("\n")
            assert client.stdout.readline() == "echo\n"
            fault.inject(ctx)
            client.stdin.write("\n")
            if name == "drop":
                nothing_happens_for(0.5, partial(answers, client.stdout))
                carry_out(ctx, fault.undo(ctx))  # what was sent meanwhile is sent again by TCP
            assert client.stdout.readline() == wanted
        finally:
            carry_out(ctx, fault.undo(ctx))
            client.kill()
            _, said = client.communicate()
        assert name == "drop" or "ConnectionRe" in said


@pytest.mark.parametrize("tool", ["iptables", "nft"])
def test_a_port_of_the_target_is_closed_to_all_but_the_controller(far, tool):
    fault, ctx = make("drop", own_port=PORT, tool=tool), far.context()
    fault.ready(ctx)
    script = 'exec 3<>"/dev/tcp/$0/$1"'
    try:
        assert fault.inject(ctx)["shown_by"] == "rules"
        assert fault.active(ctx) is True
        outcome = subprocess.run(
            [*far.peer.enter, "timeout", "1", "bash", "-c", script, TARGET_INSIDE, str(PORT)],
            capture_output=True,
            check=False,
        )
        assert outcome.returncode == 124
        sh("timeout", "5", "bash", "-c", script, TARGET, str(PORT))
    finally:
        carry_out(ctx, fault.undo(ctx))
    assert fault.active(ctx) is False


def test_a_whole_peer_is_cut_and_the_ssh_connection_stays(far):
    """Even with the whole network behind it, on every protocol: new sessions to the target can be opened."""
    fault, ctx = make("drop", peer="10.99.2.0/24", protocol="all"), far.context()
    try:
        fault.inject(ctx)
        with contextlib.closing(SshHost(far.sshd.target())) as second:
            assert second.run(["true"], deadline=Deadline.after(20)).ok
        far.peer.sh("timeout", "10", "bash", "-c", 'exec 3<>"/dev/tcp/$0/$1"', TARGET_INSIDE, str(far.sshd.port))
        assert far.connects() == "hangs"
    finally:
        carry_out(ctx, fault.undo(ctx))


def test_a_missing_right_is_told_before(far, monkeypatch):
    """As an account other than root."""
    ctx = far.context()
    run = SshHost.run

    def lowered(host, argv, **options):
        return run(host, ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", *argv], **options)

    monkeypatch.setattr(SshHost, "run", lowered)
    for fault in (make("drop", peer=PEER, peer_port=PORT), make("delay", peer=PEER, by="100ms")):
        with pytest.raises(NotReady, match="CAP_NET_ADMIN"):
            fault.ready(ctx)


@pytest.mark.parametrize(
    ("name", "fields", "host", "said"),
    [
        ("drop", TO_PEER, lambda far, folder: Lacking(far.host, "iptables", "nft"), "not installed: iptables, nft"),
        ("reset", TO_PEER | {"tool": "nft"}, lambda far, folder: Lacking(far.host, "nft"), "not installed: nft"),
        (
            "drop",
            TO_PEER | {"tool": "iptables"},
            lambda far, folder: Refusing(far.host, folder),
            "its packet filter rejects the rules: ipt",
        ),
        ("drop", TO_PEER, lambda far, folder: Unnamed(far.host), "does not report the client's address"),
        ("drop", TO_PEER, lambda far, folder: Lowered(far.host), "the capability CAP_NET_ADMIN is missing"),
        ("open", {}, lambda far, folder: Lowered(far.host), "the capability CAP_NET_ADMIN is missing"),
    ],
    ids=["no filter", "no nft", "a kernel module", "no address", "no right", "no right to open"],
)
def test_what_the_host_lacks_is_told(far, tmp_path, name, fields, host, said):
    action, lacking = make(name, **fields), host(far, tmp_path)
    before, hosts = far.rules(), [lacking, far.host]
    refused_until(lambda: action.ready(far.context(host=hosts[0])), said, lambda: hosts.pop(0))
    assert far.rules() == before


def test_rules_of_the_same_step_are_not_overwritten(far):
    fault, ctx = make("drop", **TO_PEER), far.context()
    fault.inject(ctx)
    try:
        refused_until(
            lambda: fault.ready(ctx), "the rules drillbook-.* already exist", lambda: carry_out(ctx, fault.undo(ctx))
        )
    finally:
        carry_out(ctx, fault.undo(ctx))


def test_a_peer_without_a_route_is_told(far):
    def route():
        far.target.sh("ip", "route", "add", NOWHERE, "via", PEER)
        far.peer.sh("ip", "addr", "add", f"{NOWHERE}/32", "dev", "lo")

    fault = make("drop", peer=NOWHERE, peer_port=PORT)
    try:
        refused_until(lambda: fault.ready(far.context()), "unreachable.*even before the fault", route)
    finally:
        subprocess.run([*far.target.enter, "ip", "route", "del", NOWHERE], check=False)
        subprocess.run([*far.peer.enter, "ip", "addr", "del", f"{NOWHERE}/32", "dev", "lo"], check=False)
