"""The service kinds `relay` and `tcp`."""

import pytest
from pydantic import ValidationError

from drillbook.systems.linux.service import Relay, Tcp


def test_a_relay_is_reserved_by_its_port_and_leads_to_the_service_behind_it():
    relay = Relay(name="path", host="app-1", address="10.0.0.7", port=7001, to="database", unit="relay")
    assert (relay.lock_name, relay.leads_to, relay.listens) == ("relay-7001", "database", ("10.0.0.7", 7001))


def test_a_server_is_reserved_by_its_unit_or_by_its_port():
    assert Tcp(name="mail", host="app-1", port=25).lock_name == "tcp-25"
    named = Tcp(name="mail", host="app-1", port=25, unit="postfix")
    assert named.lock_name == Tcp(name="mail", host="app-1", port=587, unit="postfix").lock_name
    assert named.lock_name != "tcp-25"
    assert named.listens == ("127.0.0.1", 25)


@pytest.mark.parametrize("kind", [Relay, Tcp])
def test_the_path_of_a_unix_socket_is_no_address(kind):
    fields = {"name": "it", "host": "app-1", "port": 25} | ({"to": "database"} if kind is Relay else {})
    kind.model_validate(fields | {"address": "10.0.0.7"})
    with pytest.raises(ValidationError, match=r"/run/it\.sock is a Unix socket and has no TCP port"):
        kind.model_validate(fields | {"address": "/run/it.sock"})
    with pytest.raises(ValidationError):
        kind.model_validate(fields | {"port": 0})
