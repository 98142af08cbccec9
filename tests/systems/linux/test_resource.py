"""resource.*: small, real use of this machine's processors, memory and descriptors, and its end."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from drillbook.errors import NotReady, StepFailed
from drillbook.systems.linux.actions.resource import Cpu, FileDescriptors, Memory
from drillbook.systems.linux.fault_helper import Helper
from tests.needs import need
from tests.systems.ground import Instead, is_root, marked, path_without, state
from tests.systems.refusals import refused_until

CPU = Cpu.model_validate({"workers": 1, "for": "60s"})
MEMORY = Memory.model_validate({"size": "48MiB", "for": "60s"})
FILES = FileDescriptors.model_validate({"count": 300, "for": "60s"})
EACH = pytest.mark.parametrize("action", [CPU, MEMORY, FILES], ids=lambda action: action.name())


def status(pid, key):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])


@EACH
def test_used_while_it_lasts_and_free_after_the_undo(ground, action):
    seen = []
    facts = ground.cycle(action, lambda: seen.append(marked(ground.run)))
    assert facts["pids"]
    assert set(facts["pids"]) <= set(seen[0])


@EACH
def test_an_undo_of_what_never_happened(ground, action):
    ground.never(action)


def test_the_measures_are_the_kernels_own(ground):
    ctx = ground.ctx()
    pid = MEMORY.inject(ctx)["pids"][0]
    ground.until(lambda: MEMORY.active(ctx))
    assert 48 << 10 <= status(pid, "VmRSS") <= 80 << 10
    assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "1000"
    ground.undo(MEMORY.undo(ctx))
    ctx = ground.ctx("inject.2")
    pid = FILES.inject(ctx)["pids"][0]
    ground.until(lambda: FILES.active(ctx))
    assert 300 <= len(list(Path(f"/proc/{pid}/fd").iterdir())) < 340
    ground.undo(FILES.undo(ctx))
    ground.nothing_left()


def test_a_worker_that_does_not_work_is_no_fault(ground):
    ctx = ground.ctx()
    pid = CPU.inject(ctx)["pids"][0]
    ground.until(lambda: CPU.active(ctx))
    os.kill(pid, signal.SIGSTOP)
    ground.until(lambda: state(pid) == "T")
    assert CPU.active(ctx) is False
    ground.undo(CPU.undo(ctx))
    ground.nothing_left()


def test_it_ends_by_itself_when_nobody_comes(ground):
    ctx = ground.ctx()
    for number, kind in enumerate((Cpu, Memory, FileDescriptors)):
        ctx = ground.ctx(f"inject.{number}")
        size = {"size": "1MiB"} if kind is Memory else {"count": 8} if kind is FileDescriptors else {}
        kind.model_validate({**size, "for": "4s"}).inject(ctx)
    ground.until(lambda: not marked(ground.run))


def test_it_ends_by_itself_when_its_folder_is_gone(ground):
    ctx = ground.ctx()
    CPU.inject(ctx)
    Path(Helper(ctx).folder).rename(ground.root / "aside")
    ground.until(lambda: not marked(ground.run))


@pytest.mark.parametrize("lost", ["pid", "ready", "log"])
def test_half_an_injection_and_half_an_undo(ground, lost):
    """The second undo finds every process, whichever file is missing, and whatever the first undo left."""
    ctx = ground.ctx()
    undo = CPU.undo(ctx)
    CPU.inject(ctx)
    folder = Path(Helper(ctx).folder)
    (folder / lost).unlink()
    ground.undo(undo)
    ground.nothing_left()


def test_an_undo_that_was_killed_after_it_removed_the_folder(ground):
    ctx = ground.ctx()
    undo = MEMORY.undo(ctx)
    MEMORY.inject(ctx)
    for path in Path(Helper(ctx).folder).iterdir():
        path.unlink()
    Path(Helper(ctx).folder).rmdir()
    assert MEMORY.active(ctx) in (True, False)  # the process that feeds it may have ended already
    ground.undo(undo)
    ground.nothing_left()


def test_an_injection_that_comes_after_its_undo_ends_at_once(ground):
    """The helper was started, and the undo removed the folder before the helper recorded itself."""
    from drillbook.systems.linux.actions.resource import _BURN
    from drillbook.systems.linux.fault_helper import PRELUDE

    gone = str(ground.scratch / "gone")
    child = subprocess.run(["sh", "-c", PRELUDE + _BURN, "x", gone, "60", "1"], timeout=30, check=False, capture_output=True)
    assert child.returncode == 1


@pytest.mark.skipif(not is_root(), reason="only root can hide a file of the kernel")
def test_half_of_the_files_that_the_kernel_can_open_stay_free(ground, tmp_path):
    hosts = [Instead(ground.host, tmp_path, "/proc/sys/fs/file-nr", "100\t0\t500\n"), ground.host]
    said = "300 is more than half of the files that the kernel can still open"
    refused_until(lambda: FILES.ready(replace(ground.ctx(), host=hosts[0])), said, lambda: hosts.pop(0))


def test_twice_in_one_step_is_refused(ground):
    ctx = ground.ctx()
    undo = CPU.undo(ctx)
    CPU.inject(ctx)
    with pytest.raises(NotReady, match=r"inject\.1 already exists"):
        CPU.ready(ctx)
    with pytest.raises(StepFailed, match="already exists"):
        CPU.inject(ctx)
    ground.undo(undo)
    ground.nothing_left()
    CPU.ready(ctx)


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (Cpu(workers=1024), "1024 workers are more than the"),
        (Memory.model_validate({"size": "900GiB"}), "MiB of memory are available, and a part of them must stay free"),
        (FileDescriptors(count=1 << 20), "one process may have|is more than half of the files that the kernel"),
    ],
    ids=["cpu", "memory", "file_descriptors"],
)
def test_more_than_the_host_can_bear_is_refused(ground, action, said):
    with pytest.raises(StepFailed, match="fault was not injected"):
        action.inject(ground.ctx())
    wanted = [action, {Cpu: CPU, Memory: MEMORY, FileDescriptors: FILES}[type(action)]]
    refused_until(lambda: wanted[0].ready(ground.ctx()), said, lambda: wanted.pop(0))
    ground.nothing_left()


@pytest.mark.skipif(not is_root(), reason="only root can hide a file of the kernel")
def test_a_kernel_that_does_not_tell_the_available_memory(ground):
    hosts = [Instead(ground.host, ground.root, "/proc/meminfo", "MemTotal: 1 kB\n"), ground.host]
    refused_until(
        lambda: MEMORY.ready(replace(ground.ctx(), host=hosts[0])),
        "/proc/meminfo contains no MemAvailable",
        lambda: hosts.pop(0),
    )


class Limited:
    """Host on which a process may have 64 open files."""

    def __init__(self, host):
        self.host, self.name, self.target = host, host.name, host.target

    def run(self, argv, **options):
        return self.host.run([need("prlimit"), "--nofile=64:64", *argv], **options)


def test_more_files_than_one_process_may_have_open(ground):
    hosts, fault = [Limited(ground.host), ground.host], FileDescriptors(count=100)
    said = "one process may have only .* files open, which is too few to hold 100 more"
    refused_until(lambda: fault.ready(replace(ground.ctx(), host=hosts[0])), said, lambda: hosts.pop(0))


@pytest.mark.parametrize(
    ("action", "tool"), [(CPU, "setsid"), (FILES, "python3"), (MEMORY, "awk")], ids=["setsid", "python3", "awk"]
)
def test_a_missing_tool_is_told_before_anything_runs(ground, monkeypatch, action, tool):
    monkeypatch.setenv("PATH", path_without(ground.root / "bin", tool))
    with pytest.raises(NotReady, match=tool) as told:
        action.ready(ground.ctx())
    assert "install" in told.value.hint


@pytest.mark.parametrize("seconds", ["0s", "2h"])
def test_its_time_is_bounded(seconds):
    with pytest.raises(ValueError):
        Cpu.model_validate({"for": seconds})


def test_other_processes_are_left_alone(ground):
    """One process with the mark of another run, and one with the mark in its arguments."""
    other = ground.start("sleep", "60", env={**os.environ, "DRILLBOOK_FAULT": "run-other/inject.1/here/"})
    named = ground.start(sys.executable, "-c", "import time; time.sleep(60)", f"DRILLBOOK_FAULT={ground.run}/inject.1/here/")
    ground.cycle(CPU)
    assert other.poll() is None
    assert named.poll() is None
