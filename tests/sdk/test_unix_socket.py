"""Relays between a program's standard streams, or a new socket, and a Unix socket, in each language that a host may
have.
"""

import os
import shutil
import socketserver
import subprocess
import threading

import pytest

from drillbook.sdk import unix_socket
from tests.needs import need

ALWAYS = ("sh", "cat", "dirname", "mkdir", "rm", "sleep", "grep", "kill")


class Upper(socketserver.StreamRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data.upper())


@pytest.fixture
def server(tmp_path):
    path = str(tmp_path / "server.sock")
    with socketserver.ThreadingUnixStreamServer(path, Upper) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield path
        made.shutdown()


@pytest.fixture
def only(tmp_path):
    """Function that creates an environment for a host with only one language."""

    def made(*programs):
        folder = tmp_path / "bin"
        folder.mkdir()
        for name in (*ALWAYS, *programs):
            if path := shutil.which(name, path="/usr/bin:/bin"):
                (folder / name).symlink_to(path)
        return {"PATH": str(folder)}

    return made


@pytest.mark.parametrize("language", ["perl", "python3", "socat"])
def test_a_relay_carries_all_data_and_ends_with_its_input(server, only, language):
    need(language)
    data = os.urandom(300_000).hex().encode()
    done = subprocess.run(
        unix_socket.relay(server), input=data, env=only(language), capture_output=True, timeout=60, check=True
    )
    assert done.stdout == data.upper()


@pytest.mark.parametrize("language", ["perl", "python3"])
def test_a_program_reaches_a_server_through_a_socket_that_goes_with_it(server, only, tmp_path, language):
    near = tmp_path / "new" / "near.sock"
    argv = unix_socket.beside(str(near), unix_socket.relay(server), unix_socket.relay(str(near)))
    done = subprocess.run(argv, input=b"one\ntwo", env=only(language), capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"ONE\nTWO", b"")
    assert not near.parent.exists()


SLOW_PERL = """
package Slow; use IO::Socket; my $listen = \\&IO::Socket::listen; no warnings "redefine";
*IO::Socket::listen = sub { select(undef, undef, undef, 0.3); &$listen(@_) }; 1;
"""
SLOW_PYTHON = """
import socket, time
listen = socket.socket.listen
socket.socket.listen = lambda *words: time.sleep(0.3) or listen(*words)
"""


@pytest.mark.parametrize("language", ["perl", "python3"])
def test_a_program_begins_once_its_socket_listens(server, only, tmp_path, language):
    """Between bind and listen, a socket that already has its name would refuse connections."""
    (tmp_path / "Slow.pm").write_text(SLOW_PERL)
    (tmp_path / "sitecustomize.py").write_text(SLOW_PYTHON)
    slow = {"PERL5OPT": "-MSlow", "PERL5LIB": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    near = tmp_path / "new" / "near.sock"
    argv = unix_socket.beside(str(near), unix_socket.relay(server), unix_socket.relay(str(near)))
    done = subprocess.run(argv, input=b"one", env=only(language) | slow, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"ONE", b"")


def test_a_program_that_fails_tells_why_its_server_was_not_reached(tmp_path, only):
    near = tmp_path / "new" / "near.sock"
    program = (*unix_socket.relay(str(near))[:3], "sh", str(near))
    argv = unix_socket.beside(
        str(near), unix_socket.relay(str(tmp_path / "missing")), ("sh", "-c", '"$@"; exit 7', "sh", *program)
    )
    done = subprocess.run(argv, input=b"x", env=only("perl"), capture_output=True, timeout=60, check=False)
    assert done.returncode == 7
    assert b"missing: No such file" in done.stderr
    assert not near.parent.exists()


def test_a_host_without_a_language_for_relays_is_told(server, only):
    done = subprocess.run(unix_socket.relay(server), env=only(), capture_output=True, timeout=60, check=False)
    assert done.returncode == 127
    assert b"perl, python3, socat or netcat-openbsd is needed" in done.stderr
