"""The service manager, with a real supervisord."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drillbook.errors import StepFailed
from drillbook.hosts.local import LocalHost
from drillbook.sdk.host import Deadline, ManagerConfig, Target
from drillbook.sdk.manager import manager_of
from drillbook.sdk.service import Http
from drillbook.systems.units.actions.settings import Apply, Keep, PutBack
from tests.systems.ground import Ground

PROGRAM = """
[program:{name}]
command={command}
autostart=false
autorestart={again}
startsecs={startsecs}
startretries=0
stdout_logfile={folder}/{name}.log
stderr_logfile={folder}/{name}.err
"""


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")  # its supervisorctl
    config = tmp_path / "supervisord.conf"
    again = f"sh -c 'test -e {tmp_path}/again && exec sleep 600; touch {tmp_path}/again; exit 3'"
    units = {
        "steady": ("sleep 600", "false"),
        "ends": ("sh -c 'echo why >&2; exit 3'", "false"),
        "missing": ("/nonexistent/program", "false"),
        "restarted": (again, "true"),
        "reads": (f"sh -c 'cp {tmp_path}/api.env {tmp_path}/read; exec sleep 600'", "true"),
    }
    config.write_text(
        f"[supervisord]\nnodaemon=true\nlogfile={tmp_path}/log\npidfile={tmp_path}/pid\n[unix_http_server]\nfile={tmp_path}/sock\n"
        f"[supervisorctl]\nserverurl=unix://{tmp_path}/sock\n[rpcinterface:supervisor]\n"
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
        + "".join(
            PROGRAM.format(name=name, command=command, again=again, folder=tmp_path, startsecs=1 if name == "ends" else 0)
            for name, (command, again) in units.items()
        )
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 30
    while not (tmp_path / "sock").exists() and time.monotonic() < until:
        time.sleep(0.02)
    yield LocalHost(target=Target(name="here", local=True, manager=ManagerConfig(kind="supervisor", config=str(config))))
    process.terminate()
    process.wait(30)


def test_a_unit_that_ends_at_once_is_not_waited_for(host):
    manager, deadline = manager_of(host), Deadline.after(300)
    for unit, word in (("ends", "(FATAL|EXITED)"), ("missing", "STOPPED")):
        with pytest.raises(StepFailed, match=f"{unit} is {word}, not running") as failure:
            manager.ensure(host, unit, "running", deadline)
        assert f"tail {unit} stderr" in failure.value.message
        assert re.match(word, failure.value.findings[0].measured)
    assert deadline.remaining() > 200, "it did not wait for the deadline"
    said = host.run(manager.log("ends"), deadline=deadline)
    assert "why" in said.text


def test_a_unit_that_is_started_again_is_waited_for(host):
    manager, deadline = manager_of(host), Deadline.after(60)
    assert manager.ensure(host, "steady", "running", deadline).state == "running"
    assert manager.ensure(host, "steady", "stopped", deadline).word == "STOPPED"
    manager.ensure(host, "restarted", "running", deadline)


def test_a_unit_that_read_settings_of_the_drill_is_restarted_whoever_started_it(host, tmp_path):
    """The unit's manager started it again after it died; a restore then put the good file back, and nothing restarted the unit
    since then. A unit that was restarted since then continues to run.
    """
    env, read = tmp_path / "api.env", tmp_path / "read"
    env.write_text("LEVEL=info\n")
    root = tmp_path / "ground"
    root.mkdir()
    ground = Ground(
        root,
        host.target.manager,
        {"api": Http(name="api", host="here", url="http://127.0.0.1:1", env_file=str(env), unit="reads")},
    )
    ground.tools = {"PATH": os.environ["PATH"]}
    manager, deadline = manager_of(host), Deadline.after(120)

    def pid():
        return manager.state(host, "reads", deadline).pid

    first = manager.ensure(host, "reads", "running", deadline).pid
    assert host.run(manager.main("reads"), deadline=deadline).check().text.strip() == str(first)
    kept = Keep(service="api").run(ground.ctx("backup.1"))
    put_back = PutBack.model_validate({"service": "api", "from": kept["kept"], "sha256": kept["sha256"]})

    def applied(step):
        remedy = Apply.model_validate({"service": "api", "set": {"LEVEL": "debug"}})
        undo, facts = remedy.undo(ground.ctx(step)), remedy.run(ground.ctx(step))
        ground.until(lambda: "debug" in read.read_text(), 60)
        return undo, facts["pid"]

    undo, reader = applied("restore.1")
    read.write_text("")
    os.kill(reader, signal.SIGKILL)
    ground.until(lambda: pid() not in (None, reader) and "debug" in read.read_text(), 60)
    put_back.run(ground.ctx("cleanup.1"))
    ground.undo(undo)
    ground.until(lambda: pid() and read.read_text() == "LEVEL=info\n", 60)

    undo, _ = applied("restore.2")
    put_back.run(ground.ctx("cleanup.2"))
    manager.ensure(host, "reads", "stopped", deadline)
    restarted = manager.ensure(host, "reads", "running", deadline).pid
    ground.undo(undo)
    assert pid() == restarted

    undo, _ = applied("restore.3")
    (reader,) = tmp_path.glob("*-settings/reader")
    reader.write_text("999999999 \n")  # the process was gone before its start could be read
    put_back.run(ground.ctx("cleanup.3"))
    manager.ensure(host, "reads", "stopped", deadline)
    restarted = manager.ensure(host, "reads", "running", deadline).pid
    ground.undo(undo)
    assert pid() == restarted
