"""A fault never locks the controller out."""

import pytest

from drillbook.errors import NotReady, StepFailed
from drillbook.hosts.local import LocalHost
from drillbook.hosts.ssh.host import SshHost
from tests.systems.linux.actions.network.machines import CONTROLLER, PEER, PORT, make


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"peer": CONTROLLER}, f"{CONTROLLER}.* includes the controller .*, which would be locked out"),
        ({"peer": "10.99.0.0/16"}, "includes the controller"),
        ({"peer": "0.0.0.0/0", "peer_port": PORT}, "includes the controller"),
        ({}, "traffic is not selected"),
        ({"peer": PEER, "peer_port": 7009}, f"a connection to {PEER}.*, port 7009, refused even before the fault"),
        ({"peer": PEER, "peer_port": PORT, "protocol": "all"}, "cannot be combined with ports"),
    ],
)
def test_what_would_lock_out_or_prove_nothing_is_refused_before(far, fields, why):
    make("drop", peer=PEER, peer_port=PORT).ready(far.context())
    with pytest.raises(NotReady, match=why):
        make("drop", **fields).ready(far.context())


def test_the_ssh_port_and_the_controller_itself_are_refused(far, tmp_path):
    make("reset", own_port=PORT).ready(far.context())
    with pytest.raises(NotReady, match="is the port of its SSH server, which the undo needs"):
        make("reset", own_port=far.sshd.port).ready(far.context())
    make("drop", peer=PEER).ready(far.context())
    with pytest.raises(NotReady, match="is the controller itself, and this fault could cut it off"):
        make("drop", peer=PEER).ready(far.context(host=LocalHost()))


def test_a_fault_that_locks_out_after_all_is_taken_back_at_once(far, monkeypatch):
    """A foreign rule refuses new connections at the moment of the fault: the fault is undone."""
    from drillbook.systems.linux.actions.network import lockout

    monkeypatch.setattr(lockout, "PATH_S", 0.5)
    monkeypatch.setattr(lockout, "BANNER_S", 0.5)
    fault, ctx = make("drop", peer=PEER, peer_port=PORT), far.context()
    syn = ["INPUT", "-p", "tcp", "--syn", "--dport", str(far.sshd.port), "-j", "DROP"]
    run = SshHost.run

    def cut(host, argv, **options):
        if "iptables-restore" in " ".join(argv):
            far.target.sh("iptables", "-A", *syn)
        return run(host, argv, **options)

    try:
        monkeypatch.setattr(SshHost, "run", cut)
        with pytest.raises(StepFailed, match="undone at once"):
            fault.inject(ctx)
        assert far.connects() == "connects"
    finally:
        far.target.sh("iptables", "-D", *syn)
    assert fault.active(ctx) is False


def test_without_a_second_path_nothing_is_done(far, monkeypatch):
    from drillbook.systems.linux.actions.network import lockout

    monkeypatch.setattr(lockout, "BANNER_S", 0.5)
    fault, ctx = make("drop", peer=PEER, peer_port=PORT), far.context()
    syn = ["INPUT", "-p", "tcp", "--syn", "--dport", str(far.sshd.port), "-j", "DROP"]
    far.target.sh("iptables", "-A", *syn)
    try:
        with pytest.raises(StepFailed, match="fault was not injected"):
            fault.inject(ctx)
        assert not any("drillbook" in line for line in far.rules())
    finally:
        far.target.sh("iptables", "-D", *syn)
