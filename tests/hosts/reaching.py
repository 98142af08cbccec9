"""Ways of tests to reach a server, and to see why they do not."""

import subprocess

import pytest

from tests.hosts.suite import soon


def fingerprint(key):
    return subprocess.run(["ssh-keygen", "-lf", key], capture_output=True, text=True, check=True).stdout.split()[1]


def fails(host, kind):
    with pytest.raises(kind) as caught:
        host.run(["true"], deadline=soon())
    assert caught.value.host == host.name
    assert caught.value.__cause__ is None
    return caught.value


def alias(server, path):
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f"Host db\n  HostName 127.0.0.1\n  Port {server.port}\n  User {server.user}\n"
        f"  IdentityFile {server.client_key}\n  UserKnownHostsFile {server.known_hosts}\n"
    )
    return path
