"""Files of a host over SFTP, or by commands."""

import os
import signal
from pathlib import Path

import pytest

from drillbook.errors import (
    HostError,
)
from drillbook.hosts.ssh import files
from tests.hosts.servers import OpenSsh, descendants, strip_sftp


def test_a_host_that_hangs_does_not_keep_files_waiting(own_server, opened, monkeypatch):
    """Writing and reading a file has a separate deadline, so that one hanging host does not block the revert of others."""
    monkeypatch.setattr(files, "SECONDS", 1.0)
    host, path = opened(own_server.target()), str(own_server.folder / "file")
    host.put(b"x", path)
    pids = [own_server._process.pid, *descendants(own_server._process.pid, "sshd")]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        for use in (lambda: host.put(b"y", path), lambda: host.get(path, limit=10)):
            with pytest.raises(HostError):
                use()
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    host.put(b"z", path)
    assert host.get(path) == b"z"


def test_server_without_sftp(tmp_path, opened):
    server = OpenSsh(tmp_path)
    server.extra = "Subsystem nothing /bin/false\n"
    config = server.command
    server.command = lambda: [word for word in config() if strip_sftp(server.folder / "sshd_config")]
    server.start()
    try:
        host, path = opened(server.target()), str(tmp_path / "a file")
        data = os.urandom(2_000_000)
        host.put(data, path, mode=0o640)
        assert Path(path).stat().st_mode & 0o777 == 0o640
        assert host.get(path, limit=len(data)) == data
        assert host.get(path, limit=5) == data[:5]
        with pytest.raises(FileNotFoundError):
            host.get(path + "x")
        with pytest.raises(HostError, match="folder"):
            host.put(b"", str(tmp_path))
    finally:
        server.stop()


def test_a_file_that_has_no_size(openssh, opened):
    assert b"Linux" in opened(openssh.target()).get("/proc/version")
