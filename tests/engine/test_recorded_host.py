"""Host object of a step: it supports a protocol if its machine does; commands are fenced and recorded."""

import pytest

from drillbook.engine.fenced_host import fenced as fenced_host
from drillbook.engine.leases import FENCED
from drillbook.engine.leases.lock import FENCE_MARK
from drillbook.engine.recorded_host import RecordingHost
from drillbook.errors import CouldNotVerify, Fenced
from drillbook.redact import Redactor
from drillbook.sdk.host import Deadline, Output, Piped, Target


class Bare:
    """Host without streams, which answers every command with ``status``."""

    name, target = "far", Target(name="far")

    def __init__(self, status=0):
        self.status = status

    def run(self, argv, **options):
        said = FENCE_MARK.encode() if self.status == FENCED else b""
        return Output("far", tuple(argv), self.status, None, b"", said, 0.0, 0, len(said))


class Carrying(Bare):
    """Host with streams; the channel is the command itself."""

    def pipe(self, argv, *, deadline):
        return argv


class Kept(list):
    """Journal that keeps all appended events."""

    def append(self, what, **where):
        super().append((what.kind_name(), what.data(), where))


def seen(inner, fence=None):
    return RecordingHost(fenced_host(inner, fence), Kept(), "inject.1", Redactor(("hunter2",)))


def fenced(argv):
    return ("fence", *argv)


def test_a_pipe_is_journalled_and_passes_the_fence():
    host = seen(Carrying(), fenced)
    assert isinstance(host, Piped)
    assert host.pipe(("docker", "hunter2"), deadline=Deadline.after(30)) == ("fence", "docker", "hunter2")
    ((kind, data, where),) = host.journal
    assert (kind, data["argv"][0], data["error"]) == ("command", "docker", None)
    assert "hunter2" not in str(data)
    assert where == {"step": "inject.1", "host": "far"}
    assert seen(Carrying()).pipe(("docker",), deadline=Deadline.after(30)) == ("docker",)


def test_a_run_without_its_lock_carries_nothing():
    host = seen(Carrying(FENCED), fenced)
    with pytest.raises(Fenced, match="lost its lock"):
        host.pipe(("docker",), deadline=Deadline.after(30))
    assert "lost its lock" in host.journal[0][1]["error"]


def test_a_host_without_streams_says_so():
    host = seen(Bare())
    with pytest.raises(CouldNotVerify, match="far: this kind of host cannot connect the controller"):
        host.pipe(("docker",), deadline=Deadline.after(30))
    assert host.journal[0][1]["error"]


def test_a_long_script_is_recorded_from_its_beginning():
    host = seen(Bare())
    script = "one() { # open to others\n" + "two\n" * 1000 + "chmod go= hunter2"
    host.run(("sh", "-c", script, "sh"), deadline=Deadline.after(30))
    shell, option, recorded, name = host.journal[0][1]["argv"]
    assert (shell, option, name) == ("sh", "-c", "sh")
    assert recorded.startswith("one() { # open to others\ntwo\n")
    assert "\n… (2,03" in recorded
    assert recorded.endswith("two\nchmod go= ***")
