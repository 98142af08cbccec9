"""Connections that cannot be opened, and the configuration of ssh."""

import socket
import struct
import threading

import fabric
import pytest

from drillbook.errors import (
    HostUnreachable,
    UsageError,
)
from drillbook.hosts.ssh import login as link
from drillbook.hosts.ssh.host import SshHost
from drillbook.sdk.host import Target
from tests.hosts.reaching import alias, fails
from tests.hosts.suite import soon


def test_refused_port(opened, unused_port):
    error = fails(opened(Target(name="gone", address="127.0.0.1", port=unused_port)), HostUnreachable)
    assert f"127.0.0.1:{unused_port}" in error.message
    assert "refused" in error.message


def test_name_that_is_not_known(opened):
    assert "no.such.host.invalid" in fails(opened(Target(name="x", address="no.such.host.invalid")), HostUnreachable).message


def test_something_that_is_not_ssh(opened, echo_server):
    error = fails(opened(Target(name="web", address="127.0.0.1", port=echo_server)), HostUnreachable)
    assert f"127.0.0.1:{echo_server}" in error.message


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
def test_a_server_that_closes_the_connection_at_once(opened, reset):
    """sshd does so beyond MaxStartups, and for machines that its access rules refuse."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse():
            connection, _ = server.accept()
            connection.recv(1)
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        thread = threading.Thread(target=refuse)
        thread.start()
        port = server.getsockname()[1]
        error = fails(opened(Target(name="db", address="127.0.0.1", port=port)), HostUnreachable)
        thread.join()
    place = f"127.0.0.1:{port}"
    assert (
        error.message == f"db: no SSH connection to {place}: the server closed the connection before it sent an SSH banner"
    )
    assert error.hint.startswith("read the log of sshd on the host: MaxStartups, PerSourcePenalties or access rules")
    assert "hosts.db.port" in error.hint


def test_a_server_that_says_nothing(opened, monkeypatch):
    monkeypatch.setattr(link, "CONNECT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        error = fails(opened(Target(name="db", address="127.0.0.1", port=port)), HostUnreachable)
    assert error.message.endswith("the server accepted the connection, but sent no SSH banner within 0.5 s")


def test_alias_of_a_configuration_file(server, opened, tmp_path):
    config = alias(server, tmp_path / "ssh" / "config")
    assert opened(Target(name="db"), ssh_config=str(config)).run(["true"], deadline=soon()).ok
    assert opened(Target(name="first", address="db"), ssh_config=str(config)).run(["true"], deadline=soon()).ok


def test_alias_of_the_home(server, opened, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    alias(server, tmp_path / ".ssh" / "config")
    assert opened(Target(name="db")).run(["true"], deadline=soon()).ok


def test_opening_leaves_the_configuration_that_all_threads_share(server, opened, monkeypatch):
    """Each write truncates the file for a moment, in which other connections find no entry."""
    merged = []
    link.shared_config()

    def merge(config):
        merged.append(config)

    monkeypatch.setattr(fabric.Config, "merge", merge)
    opened(server.target()).run(["true"], deadline=soon()).check()
    assert merged == []


def test_configuration_that_is_missing(opened, tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        opened(Target(name="db"), ssh_config=str(tmp_path / "missing"))


def test_nothing_is_connected_before_it_is_used(unused_port):
    SshHost(Target(name="x", address="127.0.0.1", port=unused_port)).close()
