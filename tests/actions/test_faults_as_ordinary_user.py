"""The faults of a host where the SSH user is nobody in particular: what works, and what is refused before anything runs."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from drillbook.errors import NotReady
from drillbook.hosts.local import LocalHost
from drillbook.systems.files.actions.faults import Corrupt
from drillbook.systems.files.actions.reversible import Chmod, FillDisk, Replace
from drillbook.systems.linux.actions.port import Occupy
from drillbook.systems.linux.actions.process.faults import Limit, Pause
from drillbook.systems.linux.actions.resource import Cpu, FileDescriptors, Memory
from tests.actions.ground import PLAIN, Ground, free_port, is_root
from tests.needs import need

NOBODY = 65534
SERVER = (
    "import socket,sys,time;s=socket.socket();s.setsockopt(socket.SOL_SOCKET,socket.SO_REUSEADDR,1);"
    "s.bind(('127.0.0.1',int(sys.argv[1])));s.listen();print(flush=True);time.sleep(60)"
)


class Ordinary(LocalHost):
    """This machine as a user without any right; the commands are real, and so is the user."""

    def run(self, argv, *, env=None, **options):
        return super().run((*PREFIX, *argv), env={**PLAIN, **(env or {})}, **options)


PREFIX = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--") if is_root() else ()


@pytest.fixture
def ground():
    if is_root():
        need("setpriv")
    root = Path(tempfile.mkdtemp(prefix="drillbook-ordinary-", dir="/var/tmp"))  # pytest's own are root's alone
    made = Ground(root)
    made.host, made.prefix = Ordinary("here", target=made.host.target), PREFIX
    (root / "file").write_text("content\n" * 20)
    for path in (root, root / "file", made.scratch):
        path.chmod(0o755)
        if is_root():
            os.chown(path, NOBODY, NOBODY)
    yield made
    made.close()
    shutil.rmtree(root)


def serve(ground, port, prefix=PREFIX):
    """A listener of the ordinary user, or of whoever ``prefix`` says."""
    child = subprocess.Popen(
        [*prefix, "/usr/bin/python3", "-c", SERVER, str(port)], env=PLAIN, cwd="/", stdout=subprocess.PIPE
    )
    ground.ours.append(child)
    child.stdout.readline()
    return child


def test_all_of_them_work_on_what_is_the_users_own(ground):
    if not Path("/usr/bin/python3").exists():
        pytest.skip("the system has no python3 of its own")
    file, port = str(ground.root / "file"), free_port()
    serve(ground, port)
    for action in (
        Cpu.model_validate({"for": "60s"}),
        Memory.model_validate({"size": "8MiB", "for": "60s"}),
        FileDescriptors.model_validate({"count": 50, "for": "60s"}),
        Occupy.model_validate({"port": free_port()}),
        Replace(path=file, content="other"),
        Corrupt(path=file),
        Chmod(path=file, mode="000"),
        FillDisk.model_validate({"path": str(ground.root), "size": "2MiB"}),
        Pause(port=port),
        Limit(port=port, open_files=8, start=("true",)),
    ):
        ground.cycle(action)


@pytest.mark.skipif(not is_root(), reason="only root can make what belongs to others")
def test_what_belongs_to_others_is_refused_with_what_to_do(ground):
    file, folder = ground.root / "roots", ground.root / "folder"
    file.write_text("content")
    folder.mkdir(0o755)
    port = free_port()
    child = serve(ground, port, ())
    pid_file = ground.root / "other.pid"
    pid_file.write_text(f"{child.pid}\n")
    pid_file.chmod(0o644)
    for action, said in (
        (Pause(port=port), "another user's"),
        (Pause(pid_file=str(pid_file)), "belongs to another user"),
        (Replace(path=str(file), content="x"), "belongs to another user"),
        (Chmod(path=str(file), mode="000"), "belongs to another user"),
        (FillDisk.model_validate({"path": str(folder), "size": "1MiB"}), "may be written"),
        (Occupy.model_validate({"port": port}), "another user's"),
        (Occupy.model_validate({"port": 1}), "ordinary user"),
    ):
        if said == "ordinary user" and Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text().strip() == "0":
            continue
        with pytest.raises(NotReady, match=said) as told:
            action.ready(ground.ctx())
        assert told.value.hint
    ground.nothing_left()
