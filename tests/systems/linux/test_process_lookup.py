"""Selection of one process: by its pid file, by its port, and as a unit of a supervisor."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from drillbook.errors import NotReady
from drillbook.systems.linux import process_lookup
from drillbook.systems.linux.actions.process.faults import Kill, Limit, Pause
from tests.ports import free_port
from tests.systems.ground import state
from tests.systems.linux.processes import limits
from tests.systems.refusals import refused_until


def test_a_process_is_found_by_each_of_its_names(ground, served):
    ctx = ground.ctx()
    by_port, by_file = process_lookup.of_port(ctx, served.port), process_lookup.of_pid_file(ctx, str(served.file))
    assert by_port == by_file
    assert by_port.pid == served.pid
    assert str(by_port.start) == Path(f"/proc/{served.pid}/stat").read_text().rsplit(")", 1)[1].split()[19]


def test_who_is_not_to_be_touched(ground):
    ctx = ground.ctx()
    me = ground.root / "me.pid"
    for pid, said in (
        (os.getpid(), "the connection of this drill"),
        (1, "the init process"),
        (2**22 + 1, "cannot be used, because the process 4194305 does not exist"),
    ):
        me.write_text(f"{pid}\n")
        with pytest.raises(NotReady, match=said):
            Pause(pid_file=str(me)).ready(ctx)
    me.write_text("none of your business\n")
    with pytest.raises(NotReady, match="contains no number"):
        Pause(pid_file=str(me)).ready(ctx)
    with pytest.raises(NotReady, match="the file does not exist"):
        Pause(pid_file=str(ground.root / "nothing")).ready(ctx)
    me.write_text(str(ground.start("sleep", "60").pid))
    Pause(pid_file=str(me)).ready(ctx)
    port = free_port()
    refused_until(lambda: Pause(port=port).ready(ctx), f"no process listens on port {port}", lambda: ground.serve(port))


def test_a_port_of_two_processes_means_nobody(ground):
    """Both listen at the same time, on two addresses."""
    port = free_port()
    code = "import socket,sys,time;s=socket.socket();s.bind((sys.argv[1],int(sys.argv[2])));s.listen();print(flush=True);time.sleep(60)"
    for address in ("127.0.0.1", "127.0.0.2"):
        child = subprocess.Popen([sys.executable, "-c", code, address, str(port)], stdout=subprocess.PIPE)
        ground.ours.append(child)
        child.stdout.readline()

    def end():
        child.kill()
        child.wait()

    refused_until(lambda: Pause(port=port).ready(ground.ctx()), f"port {port} has several listeners", end)


def test_a_server_with_children_is_its_parent(ground):
    code = (
        "import os,socket,sys,time;s=socket.socket();s.bind(('127.0.0.1',0));s.listen();child=os.fork()\n"
        "if child: print(s.getsockname()[1],child,flush=True)\ntime.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    ground.ours.append(child)
    port, forked = map(int, child.stdout.readline().split())
    try:
        assert process_lookup.of_port(ground.ctx(), port).pid == child.pid
    finally:
        os.kill(forked, signal.SIGKILL)


def test_the_main_process_of_a_unit(managed):
    found = process_lookup.of_unit(managed.ctx(), "app")
    states = []
    managed.cycle(Pause(service="app"), lambda: states.append(state(found.pid)))
    assert states == ["T"]
    if Path("/usr/bin/prlimit").exists():
        managed.cycle(Limit(service="app", open_files=8), lambda: states.append(limits(found.pid, "Max open files")[0]))
        assert states[-1] == "8"
        assert process_lookup.of_unit(managed.ctx(), "app") == found
    facts = managed.cycle(Kill(service="app"))
    assert facts["pid"] == found.pid
    assert process_lookup.of_unit(managed.ctx(), "app").pid != found.pid


def test_a_unit_that_is_down_or_not_named(managed):
    ctx = managed.ctx()
    with pytest.raises(NotReady, match="has no `unit` in the inventory, so its process is unknown"):
        Pause(service="bare").ready(ctx)
    Kill(service="app").inject(ctx)
    with pytest.raises(NotReady, match=r"app is .*; it must run"):
        Pause(service="app").ready(ctx)
    managed.undo(Kill(service="app").undo(ctx))
    Pause(service="app").ready(ctx)
