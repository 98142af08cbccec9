"""Connections of a run to unusable hosts."""

import pytest

from drillbook.engine import open_hosts
from drillbook.engine.open_hosts import Hosts
from drillbook.errors import HostKeyUnknown
from drillbook.hosts import open_host
from tests.hosts.servers import OpenSsh


@pytest.fixture
def server(tmp_path):
    one = OpenSsh(tmp_path).start()
    yield one
    one.stop()


def test_a_host_with_an_unknown_key_is_asked_once_in_a_while(server, tmp_path, monkeypatch):
    """sshd refuses clients that repeatedly connect without a login."""
    known = tmp_path / "known"
    known.touch()
    asked = []

    def opened(name):
        asked.append(name)
        host = open_host(server.target(known_hosts=str(known)), targets={})
        host.open()
        return host

    hosts = Hosts(opened)
    for _ in range(5):
        with pytest.raises(HostKeyUnknown):
            hosts.get("far")
    assert set(hosts.open(["far"])) == {"far"}
    assert asked == ["far"]
    known.write_text(server.known_hosts.read_text())
    monkeypatch.setattr(open_hosts, "REFUSAL_S", 0.0)
    hosts.get("far")
    hosts.close()
