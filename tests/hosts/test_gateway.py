"""Hosts behind gateways."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from drillbook.errors import (
    HostKeyUnknown,
    HostUnreachable,
)
from drillbook.sdk.host import Target
from tests.hosts.reaching import alias, fails
from tests.hosts.suite import soon
from tests.waiting import until


def test_gateway(server, opened, openssh, tmp_path):
    """Connections through the server to an sshd; hosts share the connection to the gateway, which closes with the
    last of them.
    """
    jump, targets = server.target("jump"), {}
    targets |= {"jump": jump, "a": openssh.target("a", gateway="jump"), "b": openssh.target("b", gateway="jump")}
    a, b = opened(targets["a"], targets), opened(targets["b"], targets)
    assert a.run(["echo", "a"], deadline=soon()).text == "a"
    assert b.run(["echo", "b"], deadline=soon()).text == "b"
    assert a._gateway is b._gateway
    through = a._gateway.host.link(soon())
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(b.run, ["sh", "-c", 'touch "$0"; sleep 1; echo done', str(tmp_path / "runs")], deadline=soon())
        until((tmp_path / "runs").exists)
        a.close()
        assert running.result().text == "done"
    assert through.alive
    b.close()
    assert not through.alive
    again = opened(targets["a"], targets)
    assert again.run(["true"], deadline=soon()).ok
    assert again._gateway is not a._gateway


def test_gateway_verifies_the_inner_host_key(openssh, server, opened, tmp_path):
    targets = {"jump": server.target("jump"), "a": openssh.target("a", gateway="jump", known_hosts=str(tmp_path / "none"))}
    fails(opened(targets["a"], targets), HostKeyUnknown)


def test_gateway_that_cannot_reach(server, opened, unused_port):
    targets = {"jump": server.target("jump"), "a": Target(name="a", address="127.0.0.1", port=unused_port, gateway="jump")}
    error = fails(opened(targets["a"], targets), HostUnreachable)
    assert "through its gateway" in error.message


def test_gateway_that_is_gone(openssh, opened, unused_port):
    targets = {"jump": Target(name="jump", address="127.0.0.1", port=unused_port), "a": openssh.target("a", gateway="jump")}
    with pytest.raises(HostUnreachable, match="jump: cannot connect"):
        opened(targets["a"], targets).run(["true"], deadline=soon())


def test_proxy_jump_of_the_configuration_is_verified(openssh, server, opened, tmp_path):
    config = alias(server, tmp_path / "ssh" / "config")
    inner = (
        f"Host inner\n  HostName 127.0.0.1\n  Port {openssh.port}\n  User {openssh.user}\n  ProxyJump db\n"
        f"  IdentityFile {openssh.client_key}\n  UserKnownHostsFile {openssh.known_hosts}\n"
    )
    config.write_text(config.read_text() + inner)
    host = opened(Target(name="inner"), ssh_config=str(config))
    assert host.run(["true"], deadline=soon()).ok
    assert host._gateway.host.name == "db"
    strict = tmp_path / "strict"
    strict.write_text(config.read_text().replace(str(server.known_hosts), str(tmp_path / "none")))
    with pytest.raises(HostKeyUnknown, match="db: "):
        opened(Target(name="inner"), ssh_config=str(strict)).run(["true"], deadline=soon())
