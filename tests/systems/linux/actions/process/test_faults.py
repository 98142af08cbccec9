"""process.* on real processes, selected by pid file, by port, and as a unit of a real supervisor."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from drillbook.errors import NotReady, StepFailed
from drillbook.systems.linux import process_lookup
from drillbook.systems.linux.actions.process.faults import Kill, Limit, Pause, Resume
from drillbook.systems.linux.faultstate import made_state_folder
from tests.needs import need
from tests.systems.ground import PLAIN, path_without, state
from tests.systems.linux.processes import limits
from tests.systems.refusals import refused_until


@pytest.mark.parametrize("way", ["port", "pid_file"])
def test_pause_holds_a_process_and_lets_it_go_on(ground, served, way):
    action = Pause(port=served.port) if way == "port" else Pause(pid_file=str(served.file))
    states = []
    facts = ground.cycle(action, lambda: states.append(state(served.pid)))
    assert facts == {"pid": served.pid}
    assert states == ["T"]
    assert state(served.pid) != "T"
    ground.never(action)


def test_pause_of_a_process_that_somebody_else_paused_is_refused_and_it_stays_paused(ground, served):
    os.kill(served.pid, signal.SIGSTOP)
    ground.until(lambda: state(served.pid) == "T")
    action = Pause(port=served.port)
    with pytest.raises(NotReady, match="is already paused by another program") as told:
        action.ready(ground.ctx())
    assert f"kill -CONT {served.pid}" in told.value.hint
    with pytest.raises(StepFailed, match="by another program"):
        action.inject(ground.ctx())
    ground.undo(action.undo(ground.ctx()))
    assert state(served.pid) == "T"
    ground.nothing_left()
    os.kill(served.pid, signal.SIGCONT)
    ground.until(lambda: state(served.pid) != "T")
    action.ready(ground.ctx())


def test_the_undo_touches_only_the_process_that_was_paused(ground, served):
    """Another process has its pid now: the start time shows this."""
    ctx, other = ground.ctx(), ground.start("sleep", "60")
    other.send_signal(signal.SIGSTOP)
    ground.until(lambda: state(other.pid) == "T")
    folder = Path(made_state_folder(ctx))
    folder.mkdir()
    (folder / "process").write_text(f"{other.pid} 12345 \n")
    ground.undo(Pause(port=served.port).undo(ctx))
    assert state(other.pid) == "T"
    ground.nothing_left()


def test_an_injection_that_broke_off(ground, served):
    """The folder was created but nothing recorded; or it was recorded but nothing done."""
    ctx = ground.ctx()
    start = process_lookup.of_port(ctx, served.port).start
    for action in (
        Pause(port=served.port),
        Limit(port=served.port, open_files=8, start=served.start),
        Kill(port=served.port, start=served.start),
    ):
        for line in (
            None,
            f"{served.pid} {start} nofile=1024\n" if isinstance(action, Limit) else f"{served.pid} {start} \n",
        ):
            folder = Path(made_state_folder(ctx))
            folder.mkdir()
            if line:
                (folder / "process").write_text(line)
            before = served.pid
            ground.undo(action.undo(ctx))
            assert served.pid == before
            assert action.active(ctx) is False
            ground.nothing_left()


@pytest.mark.parametrize("way", ["port", "pid_file"])
def test_kill_ends_a_process_and_start_brings_it_back(ground, served, way):
    name = {"port": served.port} if way == "port" else {"pid_file": str(served.file)}
    action, before = Kill(**name, start=served.start), served.pid
    facts = ground.cycle(action, lambda: ground.until(lambda: not Path(f"/proc/{before}").exists()))
    assert facts == {"pid": before, "signal": "KILL"}
    assert served.pid != before
    assert state(served.pid) != "Z"
    now = served.pid
    ground.never(action)
    assert served.pid == now


def test_the_undo_of_kill_starts_nothing_that_a_restore_brought_back(ground, served):
    ctx, started = ground.ctx(), ground.root / "started"
    action = Kill(port=served.port, start=("touch", str(started)))
    undo, before = action.undo(ctx), served.pid
    action.inject(ctx)
    subprocess.run(served.start, check=True)
    ground.until(lambda: served.pid != before and action.active(ctx) is False)
    now = served.pid
    ground.undo(undo)
    assert served.pid == now
    assert not started.exists()
    ground.nothing_left()


def test_an_undo_whose_start_fails_is_a_failed_undo_and_can_be_tried_again(ground, served):
    ctx = ground.ctx()
    action = Kill(
        port=served.port,
        start=("sh", "-c", 'test -e "$1" && shift && exec "$@"', "sh", str(ground.root / "go"), *served.start),
    )
    undo = action.undo(ctx)
    action.inject(ctx)
    done = subprocess.run(undo.commands[0], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "`start` ended with status 1" in done.stderr
    assert action.active(ctx) is True
    (ground.root / "go").touch()
    ground.undo(undo)
    assert action.active(ctx) is False
    ground.nothing_left()


def test_limit_lowers_soft_limits_and_gives_them_back(ground, served):
    need("prlimit")
    names = ("Max open files", "Max address space", "Max cpu time")
    subprocess.run(["prlimit", "--pid", str(served.pid), "--nofile=500:"], check=True)
    before = [limits(served.pid, name) for name in names]
    during = []
    action = Limit.model_validate(
        {"pid_file": str(served.file), "open_files": 16, "memory": "2GiB", "cpu_time": "1h", "start": list(served.start)}
    )
    facts = ground.cycle(action, lambda: during.extend(limits(served.pid, name) for name in names))
    assert [soft for soft, _ in during] == ["16", str(2 << 30), "3600"]
    assert [hard for _, hard in during] == [hard for _, hard in before]
    assert [limits(served.pid, name) for name in names] == before
    assert facts["was"]["nofile"] == before[0][0]
    ground.never(action)


def test_a_process_that_ends_under_its_limit_is_started_again(ground, served):
    need("prlimit")
    ctx, action = ground.ctx(), Limit(port=served.port, open_files=8, start=served.start)
    undo, before = action.undo(ctx), served.pid
    action.inject(ctx)
    os.kill(before, signal.SIGKILL)
    ground.until(lambda: not Path(f"/proc/{before}").exists() and action.active(ctx) is True)
    ground.undo(undo)
    assert served.pid != before
    assert action.active(ctx) is False
    ground.nothing_left()


def test_a_limit_that_is_there_already_is_refused(ground, served):
    need("prlimit")

    def allow(number):
        subprocess.run(["prlimit", "--pid", str(served.pid), f"--nofile={number}:"], check=True)

    for wanted in (8, 64):
        limit = Limit(port=served.port, open_files=wanted, start=served.start)
        allow(8)
        refused_until(lambda: limit.ready(ground.ctx()), "the limit nofile of process .* is already 8", lambda: allow(128))  # noqa: B023  runs at once


def test_limits_that_cannot_be_read_are_told(ground, served, monkeypatch):
    folder = ground.root / "bin"
    monkeypatch.setenv("PATH", path_without(folder, "prlimit"))
    (folder / "prlimit").write_text("#!/bin/sh\nexit 1\n")
    (folder / "prlimit").chmod(0o755)

    def mend(real):
        (folder / "prlimit").unlink()
        (folder / "prlimit").symlink_to(real)

    limit = Limit(port=served.port, open_files=8, start=served.start)
    real = shutil.which("prlimit", path=PLAIN["PATH"]) or need("prlimit")
    said = f"the limits of process {served.pid} cannot be read"
    refused_until(lambda: limit.ready(ground.ctx()), said, lambda: mend(real))


def test_a_missing_tool_is_told(ground, served, monkeypatch):
    monkeypatch.setenv("PATH", path_without(ground.root / "bin", "prlimit"))
    with pytest.raises(NotReady, match="here: not installed: prlimit"):
        Limit(port=served.port, open_files=8, start=served.start).ready(ground.ctx())
    (ground.root / "bin" / "prlimit").symlink_to(shutil.which("prlimit", path=PLAIN["PATH"]) or need("prlimit"))
    Limit(port=served.port, open_files=8, start=served.start).ready(ground.ctx())
    with pytest.raises(NotReady, match="no-such-program"):
        Kill(port=served.port, start=("no-such-program",)).ready(ground.ctx())
    Kill(port=served.port, start=served.start).ready(ground.ctx())


def test_a_service_keeps_its_port_until_it_is_stopped(managed):
    """port.occupy allows the service itself to use the port at first, and no other process."""
    from drillbook.systems.linux.actions.port import Occupy

    other, port = managed.serve()
    fault = Occupy(port=port, service="app")

    def end():
        other.kill()
        other.wait()

    refused_until(lambda: fault.ready(managed.ctx()), f"port {port} is in use by process {other.pid}", end)


def test_resume_lets_a_process_go_on_and_the_undo_of_the_pause_is_content(ground, served):
    ctx, pause = ground.ctx(), Pause(port=served.port)
    undo = pause.undo(ctx)
    pause.inject(ctx)
    assert Resume(port=served.port).run(ground.ctx("restore.1")) == {"pid": served.pid, "was_paused": True}
    assert pause.active(ctx) is False
    assert Resume(port=served.port).run(ground.ctx("restore.1")) == {"pid": served.pid, "was_paused": False}
    ground.undo(undo)
    ground.nothing_left()
