"""Network faults on a host with missing requirements: refused before the drill, and accepted once they exist."""

import contextlib
import dataclasses
import os
import shutil
import subprocess

import pytest

from drillbook.errors import StepFailed
from drillbook.sdk.action import find
from drillbook.systems.linux.actions.net import Filters, Resolve
from drillbook.systems.linux.service import Relay
from drillbook.systems.redis.service import Redis
from tests.systems.linux.test_network import PEER, PORT, Lowered, carry_out, far, make, world
from tests.systems.refusals import refused_until

__all__ = ["far", "world"]
NOWHERE = "198.51.100.7"
TO_PEER = {"peer": PEER, "peer_port": PORT}
# TOOL...: hide the programs from a command in a view of the files of its own.
HIDING = """
while test "$1" != --; do
  for folder in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin; do
    test ! -e "$folder/$1" || mount --bind /dev/null "$folder/$1" || exit 99
  done
  shift
done
shift
exec "$@"
"""


class Lacking(Lowered):
    """The target without some programs."""

    def __init__(self, host, *programs):
        super().__init__(host)
        self.hidden = ["unshare", "-m", "sh", "-c", HIDING, "sh", *programs, "--"]

    def run(self, argv, **options):
        return self.host.run([*self.hidden, *argv], **options)


class Refusing(Lowered):
    """The target with a packet filter whose kernel lacks a module, with the message of `iptables-restore`."""

    def __init__(self, host, folder):
        super().__init__(host)
        tool = folder / "iptables-restore"
        tool.write_text("#!/bin/sh\necho 'iptables-restore: Extension comment is not supported' >&2\nexit 2\n")
        tool.chmod(0o755)
        self.path = f"PATH={folder}:{os.environ['PATH']}"

    def run(self, argv, **options):
        return self.host.run(["env", self.path, *argv], **options)


class Kernel(Lowered):
    """The target with a `tc` that answers the rehearsal like a kernel with or without netem."""

    def __init__(self, host, folder, *, netem):
        super().__init__(host)
        answer = "exit 0" if netem else "echo 'Error: Specified qdisc kind is unknown.' >&2; exit 2"
        (tool := folder / "tc").write_text(
            f'#!/bin/sh\ncase "$*" in *"add dev lo "*) {answer} ;; esac\nexec {shutil.which("tc")} "$@"\n'
        )
        tool.chmod(0o755)
        self.path = f"PATH={folder}:{os.environ['PATH']}"

    def run(self, argv, **options):
        return self.host.run(["env", self.path, *argv], **options)


class Confined(Lowered):
    """The target like a container: without new namespaces, and with a `modprobe` that knows all modules of the
    kernel, or none.
    """

    def __init__(self, host, folder, *, modules):
        super().__init__(host)
        for name, answer in {"unshare": "exit 1", "modprobe": "exit 0" if modules else "exit 1"}.items():
            (folder / name).write_text(f"#!/bin/sh\n{answer}\n")
            (folder / name).chmod(0o755)
        self.path = f"PATH={folder}:{os.environ['PATH']}"

    def run(self, argv, **options):
        return self.host.run(["env", self.path, *argv], **options)


class Unnamed(Lowered):
    """The target behind an SSH server that does not report the client's address."""

    def run(self, argv, **options):
        if "SSH_CONNECTION" in " ".join(argv):
            argv = ["sh", "-c", "printf unknown"]
        return self.host.run(argv, **options)


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


class Delaying(Lowered):
    """The target with a `tc` that claims that the kernel can delay packets, whether it can or not."""

    def __init__(self, host, folder):
        super().__init__(host)
        tool = folder / "tc"
        tool.write_text('#!/bin/sh\ncase "$*" in "qdisc show"*) PATH=/usr/sbin:/sbin:$PATH exec /sbin/tc "$@";; esac\n')
        tool.chmod(0o755)
        self.path = f"PATH={folder}:{os.environ['PATH']}"

    def run(self, argv, **options):
        return self.host.run(["env", self.path, *argv], **options)


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


def test_a_kernel_that_cannot_delay_is_told(far, tmp_path):
    """Each half uses the real kernel of this machine where possible; a `tc` answers for the other kernel."""
    from tests.systems.linux.test_network import can_delay

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
    from tests.systems.linux.test_network import can_delay

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
