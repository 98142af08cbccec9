"""Every carrier against the contract."""

import pytest

from drillbook.hosts import FakeHost, LocalHost, open_host
from tests.hosts.suite import Carrier, Functions, HostContract, Programs, threads_left

KINDS = ["openssh", "asyncssh", "local", "fake"]


@pytest.fixture(params=KINDS)
def carrier(request, tmp_path):
    kind = request.param
    if kind == "fake":
        host = FakeHost()
    elif kind == "local":
        host = LocalHost()
    else:
        server = request.getfixturevalue("openssh" if kind == "openssh" else "asyncssh_server")
        host = open_host(server.target(), targets={})
    yield Carrier(kind, host, (Programs if kind != "fake" else Functions)(host), str(tmp_path))
    host.close()
    assert not threads_left()


class TestHosts(HostContract):
    pass
