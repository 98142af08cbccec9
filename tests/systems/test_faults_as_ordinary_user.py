"""Faults on a host with an ordinary SSH user: working faults, and those that are refused before anything runs."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from drillbook.errors import NotReady
from drillbook.hosts.local import LocalHost
from drillbook.systems.files.actions.faults.loss_and_damage import Corrupt
from drillbook.systems.files.actions.faults.reversible import Chmod, FillDisk, Replace
from drillbook.systems.linux.actions.port import Occupy
from drillbook.systems.linux.actions.process.faults import Limit, Pause
from drillbook.systems.linux.actions.resource import Cpu, FileDescriptors, Memory
from tests.needs import need
from tests.ports import free_port
from tests.systems.ground import PLAIN, Ground, is_root

NOBODY = 65534
SERVER = (
    "import socket,sys,time;s=socket.socket();s.setsockopt(socket.SOL_SOCKET,socket.SO_REUSEADDR,1);"
    "s.bind(('127.0.0.1',int(sys.argv[1])));s.listen();print(flush=True);time.sleep(60)"
)


class Ordinary(LocalHost):
    """This machine with a user without any privilege; the commands are real, and so is the user."""

    def run(self, argv, *, env=None, **options):
        return super().run((*PREFIX, *argv), env={**PLAIN, **(env or {})}, **options)


PREFIX = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--") if is_root() else ()


@pytest.fixture
def ground():
    if is_root():
        need("setpriv")
    root = Path(tempfile.mkdtemp(prefix="drillbook-ordinary-", dir="/var/tmp"))  # only root can enter the folders of pytest
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
    """Listener of the ordinary user, or of the user in ``prefix``."""
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
        (Pause(port=port), "belongs to another user and cannot be identified"),
        (Pause(pid_file=str(pid_file)), "belongs to another user"),
        (Replace(path=str(file), content="x"), "belongs to another user"),
        (Chmod(path=str(file), mode="000"), "belongs to another user"),
        (FillDisk.model_validate({"path": str(folder), "size": "1MiB"}), "this user may write to"),
        (Occupy.model_validate({"port": port}), "belongs to another user"),
        (Occupy.model_validate({"port": 1}), "ordinary user"),
    ):
        if said == "ordinary user" and Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text().strip() == "0":
            continue
        with pytest.raises(NotReady, match=said) as told:
            action.ready(ground.ctx())
        assert told.value.hint
    ground.nothing_left()
    child.kill()
    child.wait()
    pid_file.write_text(f"{serve(ground, port).pid}\n")
    for path in (file, folder):
        os.chown(path, NOBODY, NOBODY)
    for action in (
        Pause(port=port),
        Pause(pid_file=str(pid_file)),
        Replace(path=str(file), content="x"),
        Chmod(path=str(file), mode="000"),
        FillDisk.model_validate({"path": str(folder), "size": "1MiB"}),
        Occupy.model_validate({"port": free_port()}),
    ):
        action.ready(ground.ctx())


@pytest.mark.parametrize("before", ["4755", "2755", "6711"])
def test_a_damaged_file_keeps_the_bits_that_the_kernel_takes_from_it(ground, before):
    """The kernel removes set-user-id and set-group-id from a file when an ordinary user writes to it."""
    file, action = ground.root / "file", Corrupt(path=str(ground.root / "file"))
    file.chmod(int(before, 8))
    ctx = ground.ctx()
    action.ready(ctx)
    undo = action.undo(ctx)
    action.run(ctx)
    assert f"{file.stat().st_mode & 0o7777:o}" == before
    for argv in undo.commands:
        ctx.host.run(argv, deadline=ctx.deadline).check()
    assert f"{file.stat().st_mode & 0o7777:o}" == before
    assert file.read_text() == "content\n" * 20


def test_bits_that_somebody_took_away_meanwhile_stay_away(ground):
    file, action = ground.root / "file", Corrupt(path=str(ground.root / "file"))
    file.chmod(0o4755)
    ctx = ground.ctx()
    undo = action.undo(ctx)
    action.run(ctx)
    file.chmod(0o755)
    for argv in undo.commands:
        ctx.host.run(argv, deadline=ctx.deadline).check()
    assert file.stat().st_mode & 0o7777 == 0o755


def test_a_damage_that_was_cut_short_gives_the_bits_back(ground):
    """The kernel has removed them, and the command died before it set them again."""
    file, action = ground.root / "file", Corrupt(path=str(ground.root / "file"))
    file.chmod(0o4755)
    ctx = ground.ctx()
    undo = action.undo(ctx)
    action.run(ctx)
    (kept,) = ground.root.glob("file*drillbook*bytes")
    (kept / "mode").write_text("4755\n")
    os.chown(kept / "mode", *((NOBODY, NOBODY) if is_root() else (-1, -1)))
    file.chmod(0o755)
    for argv in undo.commands:
        ctx.host.run(argv, deadline=ctx.deadline).check()
    assert file.stat().st_mode & 0o7777 == 0o4755


def test_what_writing_would_cost_a_file_for_good_is_not_ready(ground):
    if not is_root():
        pytest.skip("only root gives a file to another user, or capabilities")
    need("setcap")
    file, action = ground.root / "file", Corrupt(path=str(ground.root / "file"))
    os.chown(file, 0, NOBODY)
    file.chmod(0o4775)
    with pytest.raises(NotReady, match="belongs to another user: a write would remove this mode bit"):
        action.ready(ground.ctx())
    file.chmod(0o775)
    action.ready(ground.ctx())
    subprocess.run(["setcap", "cap_net_raw+ep", str(file)], check=True)
    with pytest.raises(NotReady, match="has file capabilities, which a write would remove"):
        action.ready(ground.ctx())
