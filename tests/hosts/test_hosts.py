"""All carriers against the contract of hosts."""

import os
import pwd

import pytest

from drillbook.hosts import FakeHost, LocalHost, local, open_host
from drillbook.hosts.privileged import PrivilegedHost
from drillbook.hosts.ssh import session
from drillbook.sdk.become import Become
from drillbook.sdk.host import shown
from tests.hosts.suite import Carrier, Functions, HostContract, Programs, threads_left

KINDS = ["openssh", "asyncssh", "local", "privileged", "fake"]


@pytest.fixture(params=KINDS)
def carrier(request, tmp_path, monkeypatch):
    for module in (local, session):  # a busy machine takes its time to look through all processes
        monkeypatch.setattr(module, "END_SECONDS", 60.0)
    kind = request.param
    if kind == "fake":
        host = FakeHost()
    elif kind == "local":
        host = LocalHost()
    elif kind == "privileged":  # the account that runs the tests needs no sudo; tests/systemd has a real one
        host = PrivilegedHost(LocalHost(), Become(user=pwd.getpwuid(os.geteuid()).pw_name))
    else:
        server = request.getfixturevalue("openssh" if kind == "openssh" else "asyncssh_server")
        host = open_host(server.target(), targets={})
    yield Carrier(kind, host, (Programs if kind != "fake" else Functions)(host), str(tmp_path))
    host.close()
    assert not threads_left()


class TestHosts(HostContract):
    pass


def test_of_a_script_a_message_shows_the_arguments():
    assert shown(("sh", "-c", 'set -u\nrm "$1"\n', "sh", "it's")) == "sh -c … sh 'it'\"'\"'s'"
    assert shown(("sh", "-c", "rm a")) == "sh -c 'rm a'"
    assert shown(("touch", "a\nb")) == "touch 'a\\nb'"
    assert len(shown(("echo", "x" * 1000))) == 300
