"""Host of a sandbox: the variables that reach a program as arguments, and the files that it can see."""

import pytest

from drillbook.hosts.local import LocalHost
from drillbook.sdk.host import Deadline, Target
from drillbook.sdk.sandbox_host import SandboxHost


def deadline():
    return Deadline.after(60)


@pytest.fixture
def host():
    """Host whose commands get the variables by `env`, and whose wrapping records them."""

    def made(below=""):
        inner = LocalHost("here", target=Target(name="here", local=True))
        return SandboxHost(inner, lambda argv, env: ("env", *(f"{key}={value}" for key, value in env.items()), *argv), below)

    return made


def test_only_variables_without_secrets_become_arguments(host):
    env = {"LC_ALL": "C", "PGPORT": "5", "PGPASSWORD": "hunter2", "PGPASSFILE": "/x", "TOKEN": "hunter3"}
    words = host().run(("sh", "-c", 'tr "\\0" " " < /proc/$$/cmdline; echo; env'), deadline=deadline(), env=env)
    given = host().wrapped(("true",), {"LC_ALL": "C"})
    assert given == ("env", "LC_ALL=C", "true")
    seen = words.check().text.splitlines()
    assert {f"{key}={value}" for key, value in env.items()} <= set(seen), "each of them reaches the program"

    asked = []
    recording = SandboxHost(host().inner, lambda argv, plain: (asked.append(dict(plain)), tuple(argv))[1])
    recording.run(("true",), deadline=deadline(), env=env)
    assert asked == [{"LC_ALL": "C", "PGPORT": "5"}]


def test_files_are_written_and_read_for_this_user_alone(host, tmp_path):
    host().put(b"a\x00b", f"{tmp_path}/file", mode=0o640)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert host().get(f"{tmp_path}/file") == b"a\x00b"
    assert host().get(f"{tmp_path}/file", limit=1) == b"a"
    assert host().take(f"{tmp_path}/file", f"{tmp_path}/copy", deadline()) == f"{tmp_path}/copy"
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileNotFoundError):
        host().get(f"{tmp_path}/absent")


def test_a_container_sees_its_folder_alone(host, tmp_path):
    (tmp_path / "inside").touch()
    assert host().sees(f"{tmp_path}/inside", deadline())
    assert not host().sees(f"{tmp_path}/absent", deadline())
    assert host(below=str(tmp_path)).sees(f"{tmp_path}/inside", deadline())
    assert not host(below=str(tmp_path)).sees("/etc/passwd", deadline())
    assert not host(below=str(tmp_path)).sees(f"{tmp_path}-other", deadline())
