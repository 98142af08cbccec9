"""The service manager, with a real supervisord."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drillbook.errors import StepFailed
from drillbook.host import Deadline, ManagerConfig, Target
from drillbook.hosts.local import LocalHost
from drillbook.manager import manager_of

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
    units = {"steady": ("sleep 600", "false"), "ends": ("sh -c 'echo why >&2; exit 3'", "false"),
             "missing": ("/nonexistent/program", "false"), "restarted": (again, "true")}
    config.write_text(
        f"[supervisord]\nnodaemon=true\nlogfile={tmp_path}/log\npidfile={tmp_path}/pid\n[unix_http_server]\nfile={tmp_path}/sock\n"
        f"[supervisorctl]\nserverurl=unix://{tmp_path}/sock\n[rpcinterface:supervisor]\n"
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
        + "".join(PROGRAM.format(name=name, command=command, again=again, folder=tmp_path,
                                 startsecs=1 if name == "ends" else 0)
                  for name, (command, again) in units.items()))
    process = subprocess.Popen([sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(config)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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
