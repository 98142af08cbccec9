"""port.occupy: a real listener on loopback."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from drillbook.errors import NotReady, StepFailed
from drillbook.sdk.action import find
from drillbook.sdk.service import Http
from drillbook.systems.linux.actions.port import Occupy, Release
from drillbook.systems.mariadb.service import Mariadb
from drillbook.systems.redis.service import Redis
from drillbook.systems.units.service import Process
from tests.needs import need
from tests.ports import free_port
from tests.systems.files.test_rights import ground as users_ground
from tests.systems.ground import is_root, marked, path_without
from tests.systems.refusals import refused_until

__all__ = ["users_ground"]


def occupy(port, **more):
    return Occupy.model_validate({"port": port, "for": "60s", **more})


def can_bind(port, address="127.0.0.1"):
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((address, port))
            server.listen()
        except OSError:
            return False
        return True


def test_nobody_else_can_listen_there_until_the_undo(ground):
    port = free_port()
    could = []
    ground.cycle(occupy(port), lambda: could.extend([can_bind(port), can_bind(port, "0.0.0.0")]))
    assert could == [False, False]
    assert can_bind(port)


def test_an_undo_of_what_never_happened(ground):
    ground.never(occupy(free_port()))


@pytest.mark.parametrize("tool", ["python3", "perl", "socat", "nc"])
def test_each_tool_that_can_listen(ground, monkeypatch, tool):
    need(tool)
    if tool == "nc" and "-k" not in subprocess.run(["nc", "-h"], capture_output=True, text=True, check=False).stderr:
        pytest.skip("nc is not the one of OpenBSD")
    tools = ["python3", "perl", "socat", "nc"]
    monkeypatch.setenv("PATH", path_without(ground.root / "bin", *tools[: tools.index(tool)]))
    port = free_port()
    could = []
    ground.cycle(occupy(port), lambda: could.append(can_bind(port)))
    assert could == [False]


def test_a_host_where_nothing_can_listen(ground, monkeypatch):
    monkeypatch.setenv("PATH", path_without(ground.root / "bin", "python3", "perl", "socat", "nc"))
    fault = occupy(free_port())
    with pytest.raises(NotReady, match="no program on this host can listen") as told:
        fault.ready(ground.ctx())
    assert "python3" in told.value.hint
    (ground.root / "bin" / "python3").symlink_to(sys.executable)
    fault.ready(ground.ctx())


def test_somebody_elses_port_is_refused_and_named(ground):
    child, port = ground.serve()
    with pytest.raises(NotReady, match=f"in use by process {child.pid}"):
        occupy(port).ready(ground.ctx())
    with pytest.raises(StepFailed, match="in use"):
        occupy(port).inject(ground.ctx())
    ground.never(occupy(port))
    assert child.poll() is None
    child.kill()
    child.wait()
    occupy(port).ready(ground.ctx())


def test_a_listener_that_died_is_no_fault_and_is_cleaned_up(ground):
    ctx, port = ground.ctx(), free_port()
    action = occupy(port)
    undo = action.undo(ctx)
    action.inject(ctx)
    holder = [pid for pid in marked(ground.run) if b"listen(1)" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert holder
    subprocess.run(["kill", "-KILL", *map(str, holder)], check=True)
    ground.until(lambda: action.active(ctx) is False)
    ground.undo(undo)
    ground.nothing_left()


def test_it_ends_by_itself_when_nobody_comes(ground):
    port = free_port()
    Occupy.model_validate({"port": port, "for": "4s"}).inject(ground.ctx())
    ground.until(lambda: not marked(ground.run))
    assert can_bind(port)


def test_a_port_that_is_bound_but_not_listened_on(ground):
    """The port has no visible listener; the helper reports the error of the kernel."""
    port = free_port()
    code = f"import socket,time; s = socket.socket(); s.bind(('127.0.0.1', {port})); print(flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    ground.ours.append(child)
    child.stdout.readline()
    ctx = ground.ctx()
    with pytest.raises(StepFailed, match="exited at once"):
        occupy(port).inject(ctx)
    ground.undo(occupy(port).undo(ctx))
    ground.nothing_left()


@pytest.mark.skipif(not is_root(), reason="only root can run commands as another user")
def test_a_low_port_needs_root(users_ground):
    faults = [occupy(1), occupy(free_port())]
    said = "an ordinary user may listen only on ports from"
    refused_until(lambda: faults[0].ready(users_ground.ctx()), said, lambda: faults.pop(0))


def test_the_port_is_taken_back_from_who_holds_it(ground):
    port = free_port()
    ctx = ground.ctx()
    fault = occupy(port)
    undo = fault.undo(ctx)
    facts = fault.inject(ctx)
    ended = Release(port=port, pids=tuple(facts["pids"])).run(ground.ctx("restore.1"))
    assert ended == {"port": port, "ended": facts["pids"]}
    assert can_bind(port)
    ground.until(lambda: fault.active(ctx) is False)
    ground.undo(undo)
    ground.nothing_left()


def test_nobody_else_is_ended(ground):
    child, port = ground.serve()
    with pytest.raises(StepFailed, match=f"in use by process {child.pid}, which is not in `pids`"):
        Release(port=port, pids=(child.pid + 1,)).run(ground.ctx())
    assert child.poll() is None
    assert Release(port=free_port(), pids=(child.pid,)).run(ground.ctx())["ended"] == []
    assert child.poll() is None


def test_the_port_of_a_service(ground):
    ground.services = {
        "api": Http(name="api", host="here", url="http://127.0.0.1:1", port=free_port()),
        "portless": Process(name="portless", host="here"),
    }
    ground.cycle(Occupy.model_validate({"service": "api", "for": "60s"}), lambda: None)
    known, fault = ground.services, Occupy(service="portless")

    def change(**fields):
        ground.services = known | {"portless": known["portless"].model_copy(update=fields)}

    refused_until(lambda: fault.ready(ground.ctx()), "names no `port`", lambda: change(port=free_port()))
    ground.services = known | {"portless": Redis(name="portless", host="here", address="/run/it.sock")}
    said = "the service 'portless' is reached by its Unix socket /run/it.sock, not by a TCP port"
    refused_until(lambda: fault.ready(ground.ctx()), said, lambda: change(port=free_port()))
    with pytest.raises(NotReady, match="the port is unknown"):
        Occupy().ready(ground.ctx())


def test_a_port_that_the_service_does_not_name(ground):
    ground.services["app"] = Process(name="app", host="here")
    action = find("port.owner").model_validate({"service": "app"})
    with pytest.raises(NotReady, match="the service 'app' names no `port`"):
        action.run(ground.ctx())

    def name_it():
        ground.services["app"] = Redis(name="app", host="here", port=free_port())

    refused_until(lambda: action.ready(ground.ctx()), "the service 'app' names no `port`", name_it)
    assert action.run(ground.ctx())["listening"] is False
    ground.services["app"] = Mariadb(name="app", host="here", address="/run/app.sock")
    action.ready(ground.ctx())
