"""Delays of packets: real where the kernel can delay, and refused where it cannot."""

import contextlib
import dataclasses

import pytest

from drillbook.errors import NotReady, StepFailed
from tests.needs import need
from tests.systems.linux.actions.network.machines import (
    NOWHERE,
    PEER,
    PORT,
    Confined,
    Delaying,
    Kernel,
    Lacking,
    can_delay,
    carry_out,
    make,
    refused_without_netem,
)
from tests.systems.refusals import refused_until


@pytest.mark.parametrize(
    ("fields", "host", "said"),
    [
        ({"by": "5ms"}, lambda far: far.host, "is not between 10ms and 1s"),
        ({"peer": NOWHERE}, lambda far: far.host, f"there is no route to {NOWHERE}"),
        ({}, lambda far: Lacking(far.host, "tc"), "tc is not installed"),
    ],
    ids=["range", "route", "tool"],
)
def test_what_a_delay_lacks_is_told(far, tmp_path, fields, host, said):
    given, able = {"peer": PEER, "by": "100ms"}, Kernel(far.host, tmp_path, netem=True)
    actions = [(make("delay", **given | fields), host(far)), (make("delay", **given), able)]

    def check():
        action, where = actions[0]
        action.ready(far.context(host=where))

    refused_until(check, said, lambda: actions.pop(0))


def test_a_queue_of_somebody_else_is_told(far, tmp_path):
    fault, host = make("delay", peer=PEER, peer_port=PORT, by="200ms"), Kernel(far.host, tmp_path, netem=True)
    queue = ["dev", "x0", "root"]
    far.target.sh("tc", "qdisc", "add", *queue, "handle", "77:", "htb", "default", "1")
    refused_until(
        lambda: fault.ready(far.context(host=host)),
        "x0 has a queueing discipline that this step did not set: qdisc htb 77:",
        lambda: far.target.sh("tc", "qdisc", "del", *queue),
    )


def test_a_path_that_is_slow_already_cannot_show_a_delay(far, tmp_path):
    """The first packet of each connection is lost, so that connecting takes a second."""
    lossy = ["INPUT", "-p", "tcp", "--dport", str(PORT), "--syn"]
    lossy += ["-m", "statistic", "--mode", "nth", "--every", "2", "--packet", "0", "-j", "DROP"]
    fault, host = make("delay", peer=PEER, peer_port=PORT, by="100ms"), Delaying(far.host, tmp_path)
    far.peer.sh("iptables", "-A", *lossy)
    refused_until(
        lambda: fault.ready(far.context(host=host)),
        "a connection takes .* s without the fault, so a delay of 100ms could not be detected",
        lambda: far.peer.sh("iptables", "-D", *lossy),
    )


def test_a_kernel_that_cannot_delay_is_told(far, tmp_path):
    """Each half uses the real kernel of this machine where possible; a `tc` answers for the other kernel."""

    folders, real = [tmp_path / "without", tmp_path / "with"], can_delay(far)
    for folder in folders:
        folder.mkdir()
    without, able = (Kernel(far.host, folder, netem=netem) for folder, netem in zip(folders, (False, True), strict=True))
    hosts = [without, far.host] if real else [far.host, able]
    fault, said = make("delay", peer=PEER, peer_port=PORT, by="200ms"), "its kernel cannot delay packets: .*kind is unknown"
    refused_until(lambda: fault.ready(far.context(host=hosts[0])), said, lambda: hosts.pop(0))


def test_a_kernel_that_cannot_be_tried_is_a_doubt_of_a_check(far, tmp_path):
    """Without new namespaces, only the list of modules tells it; where the kernel lacks them, the fault fails for the
    same reason.
    """

    fails = contextlib.nullcontext() if can_delay(far) else pytest.raises(StepFailed, match=r"tc rejects the delay: .*qdisc")
    fault, doubts = make("delay", peer=PEER, peer_port=PORT, by="200ms"), []
    ctx = dataclasses.replace(far.context(host=Confined(far.host, tmp_path, modules=False)), doubt=doubts.append)
    fault.ready(ctx)
    (told,) = doubts
    assert "that the kernel of far can delay packets: the host forbids `unshare -n`" in told
    try:
        with fails:
            fault.inject(far.context())
    finally:
        carry_out(far.context(), fault.undo(far.context()), 2)
    assert "noqueue 0:" in far.target.sh("tc", "qdisc", "show", "dev", "x0")
    known = dataclasses.replace(ctx, host=Confined(far.host, tmp_path, modules=True))
    doubts.clear()
    fault.ready(known)
    assert doubts == []


def test_a_queue_of_somebody_else_is_refused_and_stays(far):
    need("tc")
    far.target.sh("tc", "qdisc", "add", "dev", "x0", "root", "handle", "77:", "htb", "default", "1")
    try:
        with pytest.raises(NotReady, match=r"did not set: qdisc htb 77:"):
            make("delay", peer=PEER, by="100ms").ready(far.context())
        carry_out(far.context(), make("delay", peer=PEER, by="100ms").undo(far.context()), 2)
        assert "htb 77:" in far.target.sh("tc", "qdisc", "show", "dev", "x0")
    finally:
        far.target.sh("tc", "qdisc", "del", "dev", "x0", "root")


def test_a_delay_is_real_proven_and_undone_or_refused_by_a_kernel_without_netem(far):
    if not can_delay(far):
        refused_without_netem(far)
        return
    fault, ctx = make("delay", peer=PEER, peer_port=PORT, by="300ms"), far.context()
    fault.ready(ctx)
    undo = fault.undo(ctx)
    carry_out(ctx, undo, 2)
    assert fault.active(ctx) is False
    try:
        assert fault.inject(ctx)["shown_by"] == "connection"
        assert fault.active(ctx) is True
    finally:
        carry_out(ctx, undo, 2)
    assert fault.active(ctx) is False
    assert "noqueue 0:" in far.target.sh("tc", "qdisc", "show", "dev", "x0")
