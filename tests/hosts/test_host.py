"""Commands on a host behind SSH: foreign login shells, long lines, and output without end."""

import re
from pathlib import Path

import pytest

from drillbook.errors import (
    HostError,
)
from tests.hosts.suite import Programs, soon


def test_login_shell_that_knows_no_posix(openssh, opened):
    host = opened(openssh.target())
    host.link(soon()).shell = "fish"
    assert host.run(["echo", "a b"], deadline=soon()).text == "a b"


def test_a_line_that_is_too_long(openssh, opened):
    with pytest.raises(HostError, match="standard input"):
        opened(openssh.target()).run(["true", "x" * 200_000], deadline=soon())


def test_memory_stays_flat(openssh, opened):
    class Null:
        size = 0

        def write(self, data):
            assert len(data) <= 256 * 1024
            self.size += len(data)

    host, sink = opened(openssh.target()), Null()
    host.run(Programs(host).floods(1 << 20), deadline=soon(), sink=Null())
    before = peak()
    host.run(Programs(host).floods(200 << 20), deadline=soon(120), sink=sink)
    host.run(Programs(host).floods(200 << 20), deadline=soon(120))
    assert sink.size == 200 << 20
    assert peak() - before < 30_000


def peak():
    """Peak memory of this process in KiB."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1])
