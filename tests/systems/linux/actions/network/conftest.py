"""The three machines, started once for all tests of this folder."""

import os
import subprocess

import pytest

from tests.needs import need
from tests.systems.linux.actions.network.machines import World, own_network


@pytest.fixture(scope="package")
def world(tmp_path_factory):
    for tool in ("iptables", "ip6tables", "nft", "tc", "ip", "unshare", "nsenter", "sshd", "bash", "timeout"):
        need(tool)
    if os.geteuid() != 0 or subprocess.run(["unshare", "-n", "true"], check=False).returncode != 0:
        pytest.skip("only root may make networks")
    with own_network():
        made = World(tmp_path_factory.mktemp("world"))
        try:
            yield made
        finally:
            made.stop()


@pytest.fixture
def far(world):
    """The machines, with a foreign rule in the packet filter that must survive everything."""
    foreign = ["-A", "INPUT", "-p", "udp", "-m", "comment", "--comment", "that this step did not set", "-j", "DROP"]
    world.target.sh("iptables", *foreign)
    before = world.rules()
    yield world
    assert world.rules() == before, "something is left, or gone"
    world.target.sh("iptables", "-D", *foreign[1:])
    assert world.connects() == "connects"
