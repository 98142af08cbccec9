"""Machine on which tests inject faults."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from drillbook.sdk.host import ManagerConfig
from drillbook.systems.units.service import Process
from tests.needs import need
from tests.systems.ground import Ground


@pytest.fixture
def ground(tmp_path):
    made = Ground(tmp_path)
    yield made
    made.close()


SUPERVISOR = """\
[supervisord]
nodaemon=true
logfile={root}/supervisord.log
pidfile={root}/supervisord.pid
[unix_http_server]
file={root}/s.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{root}/s.sock
[program:app]
command=sleep 1000
autorestart=false
startsecs=0
"""


@pytest.fixture
def managed(tmp_path, monkeypatch):
    """The machine with a supervisor that has one unit."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    need("supervisord")
    config = tmp_path / "s.conf"
    config.write_text(SUPERVISOR.format(root=tmp_path))
    made = Ground(
        tmp_path,
        ManagerConfig(kind="supervisor", config=str(config)),
        {"app": Process(name="app", host="here", unit="app"), "bare": Process(name="bare", host="here")},
    )
    made.tools = {"PATH": os.environ["PATH"]}
    daemon = made.start("supervisord", "-c", str(config), stderr=subprocess.DEVNULL)
    ask = ["supervisorctl", "-c", str(config), "status", "app"]
    made.until(lambda: b"RUNNING" in subprocess.run(ask, capture_output=True, check=False).stdout)
    yield made
    daemon.terminate()
    daemon.wait(20)
    made.close()
