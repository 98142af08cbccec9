"""process.stacks, .profile and .memory_profile on real Python processes: one that computes, one that leaks, one that
is idle.
"""

import shutil
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.systems.linux.actions.process.reading.profiles import MemoryProfile, Profile, Stacks, Usage
from tests.needs import need
from tests.systems.ground import PLAIN, path_without
from tests.systems.linux.processes import OPEN
from tests.systems.refusals import refused_until

COMPUTES = """\
import os, threading
def computes_here():
    return sum(number * number for number in range(20_000))
def rests_here(gate, secret):
    gate.wait()
threading.Thread(target=rests_here, args=(threading.Event(), "s3cr3t-argument"), daemon=True, name="rest\\x1b[31m").start()
open(PATH, "w").write(str(os.getpid()))
while True:
    computes_here()
"""
LEAKS = """\
import os, time
kept = []
open(PATH, "w").write(str(os.getpid()))
while len(kept) < 2000:
    kept.append(b"x" * 100_000 + os.urandom(8))
    time.sleep(0.02)
time.sleep(60)
"""
RESTS = """\
import os, signal
open(PATH, "w").write(str(os.getpid()))
signal.pause()
"""


@pytest.fixture
def spying(monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
    need("py-spy")


def started(ground, code):
    """Pid file of a started Python process that runs ``code``."""
    path = ground.root / "pid"
    child = ground.start(sys.executable, "-c", OPEN + code.replace("PATH", repr(str(path))))
    ground.until(lambda: path.exists() and path.read_text() == str(child.pid), 60)
    return str(path), child


def test_stacks_tell_where_each_thread_is(ground, spying):
    path, child = started(ground, COMPUTES)
    Stacks(pid_file=path).ready(ground.ctx())
    facts = Stacks(pid_file=path).run(ground.ctx())
    assert (facts["pid"], facts["count"]) == (child.pid, 2)
    busy, resting = facts["threads"]
    assert any(frame.startswith("computes_here (") for frame in busy["frames"])
    assert any(frame.startswith("rests_here (") for frame in resting["frames"])
    assert resting["name"] == "rest\\x1b[31m"
    text = (ground.root / "run" / facts["stacks"]["file"]).read_text()
    assert "computes_here" in text
    assert "s3cr3t" not in text, "no arguments, no variables"


def test_a_profile_names_the_function_that_computes(ground, spying):
    path, _ = started(ground, COMPUTES)
    facts = Profile(pid_file=path, seconds="2s", rate=50).run(ground.ctx())
    assert facts["samples"] > 5
    shares = {row["function"].split(" ")[0]: row["with_calls"] for row in facts["functions"]}
    # Which threads py-spy reports as running depends on the kernel: the waiting thread may be among them.
    assert max(share for name, share in shares.items() if "computes_here" in name) > 0.45
    assert facts["functions"][0]["low"] <= facts["functions"][0]["share"] <= facts["functions"][0]["high"]
    drawing = (ground.root / "run" / facts["flamegraph"]["file"]).read_text()
    assert "computes_here" in drawing
    assert "<script" not in drawing
    assert sys.executable not in drawing, "command lines hold secrets"
    assert ET.fromstring(drawing).tag.endswith("svg")


def test_a_process_that_ends_meanwhile_could_not_be_verified(ground):
    path, _ = started(ground, "import os, time\nopen(PATH, 'w').write(str(os.getpid()))\ntime.sleep(1)")
    with pytest.raises(CouldNotVerify, match=r"exited while its memory was measured|is gone"):
        MemoryProfile(pid_file=path, seconds="30s", samples=100).run(ground.ctx())


def test_what_stands_in_the_way_is_told(ground, spying, monkeypatch):
    ctx = ground.ctx()
    child = ground.start("sleep", "60")
    (ground.root / "pid").write_text(str(child.pid))
    with pytest.raises(CouldNotVerify, match="found no Python interpreter"):
        Stacks(pid_file=str(ground.root / "pid")).run(ctx)
    with pytest.raises(CouldNotVerify, match="contains no pid of a running process"):
        Stacks(pid_file="/nonexistent").run(ctx)
    monkeypatch.setenv("PATH", path_without(ground.root / "bin"))
    with pytest.raises(CouldNotVerify, match="py-spy is not installed") as told:
        Profile(pid_file=str(ground.root / "pid")).run(ctx)
    assert "pip install py-spy" in told.value.hint
    with pytest.raises(NotReady, match="not installed: py-spy"):
        Stacks(pid_file=str(ground.root / "pid")).ready(ctx)


def test_how_busy_a_process_and_its_children_are(ground):
    works = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"  # until the process ends
    path, _ = started(ground, f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {works!r}])\n" + RESTS)
    busy = Usage(pid_file=path, seconds="1s").run(ground.ctx())
    assert (busy["processes"], busy["cpu_percent"] > busy["cpu_error"]) == (2, True), busy
    (ground.root / "pid").unlink()
    path, _ = started(ground, RESTS)
    rests = Usage(pid_file=path, seconds="1s").run(ground.ctx())
    assert (rests["processes"], rests["cpu_percent"] <= rests["cpu_error"]) == (1, True), rests
    assert Usage(pid_file=path).run(ground.ctx())["cpu_percent"] is None


def test_cpu_time_needs_its_unit(ground, monkeypatch):
    path, _ = started(ground, RESTS)
    folder = Path(path_without(ground.root / "bin", "getconf"))
    usage = Usage(pid_file=path, seconds="100ms")
    monkeypatch.setenv("PATH", str(folder))
    Usage(pid_file=path).ready(ground.ctx())

    def mend():
        (folder / "getconf").symlink_to(shutil.which("getconf", path=PLAIN["PATH"]))

    refused_until(lambda: usage.ready(ground.ctx()), "not installed: getconf", mend)
    assert usage.run(ground.ctx())["processes"] == 1


def test_memory_that_grows_and_memory_that_does_not(ground):
    path, child = started(ground, LEAKS)
    facts = MemoryProfile(pid_file=path, seconds="2s", samples=10).run(ground.ctx())
    assert facts["grows"] is True
    assert facts["growth_bytes_per_s"] > 200_000
    assert facts["rss_bytes"] > facts["rss_first_bytes"] + 500_000
    child.kill()
    child.wait()
    Path(path).unlink()
    path, child = started(ground, RESTS)
    facts = MemoryProfile(pid_file=path, seconds="1s", samples=5).run(ground.ctx())
    assert (facts["grows"], facts["growth_bytes_per_s"], facts["samples"]) == (False, 0, 5)
