"""Faults of the API that its settings switch on."""

import asyncio
import signal
import subprocess
import sys
import time

import pytest

from drillbook.lab.app.switches import Switches, resident, serving_processes

SET = {
    "LAB_LEAK_KIB": "64",
    "LAB_CACHE_LIMIT_KIB": "128",
    "LAB_MEMORY_LIMIT_MIB": "256",
    "LAB_BURN_MS": "20",
    "LAB_FAIL_PATH": "/x",
}
KILLED = (
    "from drillbook.lab.app.switches import Switches; Switches(memory_limit=1 << 20, allowed=True).remember(); print('on')"
)


def test_without_the_permission_every_fault_is_off():
    assert Switches.of(SET) == Switches.of(SET | {"LAB_FAULTS": "0"}) == Switches()
    assert Switches.of(SET | {"LAB_FAULTS": "1"}) == Switches(64 << 10, 128 << 10, 256 << 20, 0.02, "/x", allowed=True)
    assert Switches.of({"LAB_FAULTS": "1", "LAB_LEAK_KIB": "-1", "LAB_BURN_MS": "much"}) == Switches(allowed=True)


def test_a_leak_grows_up_to_the_limit_of_the_cache():
    endless, limited = Switches(leak=1024), Switches(leak=1024, cache_limit=4096)
    for _ in range(10):
        endless.remember()
        limited.remember()
    assert (endless.kept, limited.kept) == (10 * 1024, 4096)


def test_a_process_above_its_limit_of_memory_kills_itself():
    done = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "")
    assert "resident, the limit is 1 MiB; killed" in done.stderr


def test_only_the_chosen_path_fails():
    switches = Switches(fail_path="/x")
    switches.stumble("/x/y")
    with pytest.raises(RuntimeError, match="no page layout is known for /x"):
        switches.stumble("/x")
    Switches().stumble("")


def test_work_takes_processor_time():
    began, used = time.monotonic(), time.process_time()
    asyncio.run(Switches(burn_s=0.1).work())
    assert time.monotonic() - began >= 0.1
    assert time.process_time() > used


def test_the_memory_of_a_process_that_is_gone_is_nothing():
    assert resident(1 << 30) == 0
    assert sum(map(resident, serving_processes())) > 1 << 20
