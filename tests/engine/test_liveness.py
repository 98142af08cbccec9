"""Detecting from its identity that a controller has ended: a zombie, a reused pid, an old identity."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drillbook.engine import liveness
from drillbook.engine.leases import Lock, Owner
from tests.engine.leases.conftest import here as here
from tests.engine.leases.conftest import scratch as scratch
from tests.engine.leases.conftest import soon

SAYS = "from drillbook.engine import liveness; import sys; print(liveness.controller(), flush=True); sys.stdin.read()"


@pytest.fixture
def child():
    """A separate controller, and the identity that it writes into its locks."""
    process = subprocess.Popen([sys.executable, "-c", SAYS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    identity = process.stdout.readline().strip()
    yield process, identity
    process.kill()
    process.communicate()


def zombie(process):
    """Kill ``process``, and wait until it is a zombie; its parent has not read its status yet."""
    os.kill(process.pid, 9)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    os.kill(process.pid, 0)  # the zombie still has its pid


def test_a_controller_that_is_a_zombie_has_ended(child):
    process, identity = child
    assert not liveness.ended(identity)
    zombie(process)
    assert liveness.ended(identity)
    process.wait()
    assert liveness.ended(identity)


def test_a_lock_of_a_zombie_is_taken_over_by_a_recovery_of_its_run(child, here, scratch):
    process, identity = child
    owner = Owner(run="run-1", operator="ann", controller=identity, drill="sample")
    lock = Lock(here, "api", 600)
    lock.take(owner, deadline=soon())
    zombie(process)
    state = lock.state(deadline=soon())
    assert state is not None
    assert liveness.ended(state.owner.controller)
    assert lock.take(owner, deadline=soon(), over="run-1").taken_from == owner


def test_a_number_that_went_to_another_process_is_not_the_controller(child):
    """A process with this pid runs, but it began later than the controller."""
    process, identity = child
    machine, _, number = identity.rpartition(" ")
    pid, _, begun = number.partition("@")
    assert (int(pid), process.poll()) == (process.pid, None)
    assert liveness.ended(f"{machine} {pid}@{int(begun) - 1}")


def test_an_identity_without_its_start_is_still_understood(child):
    process, identity = child
    old = identity.partition("@")[0]
    assert not liveness.ended(old)
    zombie(process)
    assert liveness.ended(old)


def test_a_controller_whose_first_thread_has_ended_still_runs():
    """Its main thread is a zombie too, but its other threads still run."""
    program = (
        "import ctypes, threading, time; from drillbook.engine import liveness; print(liveness.controller(), flush=True); "
        "threading.Thread(target=lambda: time.sleep(600)).start(); ctypes.CDLL(None).pthread_exit(None)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        identity = process.stdout.readline().strip()
        until = time.monotonic() + 20
        while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.01)
        assert not liveness.ended(identity)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("other", ["", "elsewhere 1", "nonsense", "{machine} x", "{machine} 1@", "{machine} 1@x"])
def test_nothing_is_said_of_a_controller_that_is_not_known(other):
    assert not liveness.ended(other.format(machine=liveness.controller().rpartition(" ")[0]))


def test_this_process_has_ended_as_a_controller_when_it_recovers_its_own_run():
    assert liveness.ended(liveness.controller())
