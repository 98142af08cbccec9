"""Errors that a service logged before the disruption of a drill are no evidence, with a real supervisor and the shipped trees."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from drillbook.cli import diagnose as incident
from drillbook.diagnosis.run import Book
from drillbook.inventory import inventory
from drillbook.journal.suspension import suspended
from drillbook.judge.result import Verdict
from drillbook.project.project import Project
from tests.engine.test_runner import Bench
from tests.ports import free_port
from tests.waiting import until

ROOT = Path(__file__).parents[2]
PROGRAM = """\
import datetime, http.server, os, pathlib, signal, sys

def say(text, ago=0.0):
    at = datetime.datetime.now().astimezone() - datetime.timedelta(seconds=ago)
    print(f"{at:%Y-%m-%d %H:%M:%S.%f}{at:%z}"[:int(os.environ["LENGTH"])] + f" ERROR {text}", flush=True)

def stop(number, frame):
    if pathlib.Path(sys.argv[2]).exists():
        say("the queue could not be written")
    os._exit(0)

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status": "ok"}')

    def log_message(self, *args):
        pass

signal.signal(signal.SIGTERM, stop)
say("missing environment variables: A", ago=7200.0)
print("an untimed ERROR of long ago", flush=True)
say("missing environment variables: B")
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
CONFIG = """\
[supervisord]
nodaemon=true
logfile={0}/log
pidfile={0}/pid
[unix_http_server]
file={0}/sock
[supervisorctl]
serverurl=unix://{0}/sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[program:it]
command={1} {0}/it.py {2} {0}/late
autorestart=false
startsecs=0
redirect_stderr=true
stdout_logfile={0}/it.log
environment=TZ="{3}",LENGTH="{4}"
"""
HOSTS = """\
environment: lab
hosts:
  controller:
    {{local: true, scratch: {0}/scratch, lease: {{boot: none}}, manager: {{kind: supervisor, config: {0}/supervisord.conf}}}}
services:
  app: {{kind: http, host: controller, unit: it, url: "http://127.0.0.1:{1}", health: {{path: /}}}}
"""
DRILL = """\
inject:
  - service.stop: {service: app}
diagnose:
  - diagnosis.finds: {service: app, cause: api-down}
restore:
  - service.start: {service: app}
verify:
  - service.status: {service: app, state: running}
"""


@contextlib.contextmanager
def _answering(bench, zone, length=31):
    port, root = free_port(), bench.root
    (root / "it.py").write_text(PROGRAM)
    (root / "supervisord.conf").write_text(CONFIG.format(root, sys.executable, port, zone, length))
    (root / "hosts.yml").write_text(HOSTS.format(root, port))
    bench.inventory = inventory.load(root / "hosts.yml")
    shutil.copytree(ROOT / "drills" / "diagnosis", root / "drills" / "diagnosis")
    command = [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(root / "supervisord.conf")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until(lambda: "variables: B" in ((root / "it.log").read_text() if (root / "it.log").exists() else ""), 30)
        yield
        process.terminate()


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")  # its supervisorctl
    return Bench(tmp_path)


def _api_down(diagnosis):
    (cause,) = [one for one in diagnosis["ranked"] if one["cause"] == "api-down"]
    (log,) = [one["facts"] for one in diagnosis["checks"] if one["check"] == "log"]
    return " | ".join(one["says"] for one in cause["supports"]), log


@pytest.mark.parametrize("zone", ["UTC", "EST5"])
@pytest.mark.parametrize("late", [False, True])
def test_only_errors_since_the_disruption_are_evidence(bench, late, zone):
    with _answering(bench, zone):
        if late:
            (bench.root / "late").touch()
        view = bench.run(DRILL)
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    (file,) = (bench.folder / "evidence").glob("*diagnosis.json")
    evidence, log = _api_down(json.loads(file.read_text()))
    assert ("the last error in its log" in evidence) is late, evidence
    assert "missing environment" not in evidence
    assert not late or "s before this check)" in evidence
    assert [line.partition("ERROR ")[2] for line in log["older_errors"]] == [
        "missing environment variables: A",
        "of long ago",
        "missing environment variables: B",
    ]
    assert len(log["errors"]) == late


@pytest.mark.parametrize("zone", ["UTC", "EST5", "XYZ-14"])
def test_no_error_whose_zone_is_unknown_is_hidden(bench, zone):
    with _answering(bench, zone, 26):
        (bench.root / "late").touch()
        bench.run(DRILL)
    (file,) = (bench.folder / "evidence").glob("*diagnosis.json")
    evidence, log = _api_down(json.loads(file.read_text()))
    assert "the last error in its log: " in evidence, "no age is told"
    assert "the queue could not be written" in log["last_error"]
    assert log["older_errors"] == []


def test_a_suspension_of_the_controller_makes_no_new_error_old(bench, monkeypatch):
    """No test can suspend the machine. So the controller believes that it slept for an hour after the disruption."""
    slept = suspended() + 3600
    monkeypatch.setattr("drillbook.engine.step_context.suspended", lambda: slept)
    with _answering(bench, "UTC"):
        bench.run(DRILL)
    (file,) = (bench.folder / "evidence").glob("*diagnosis.json")
    log = _api_down(json.loads(file.read_text()))[1]
    assert [line.partition("ERROR ")[2] for line in log["older_errors"]] == ["missing environment variables: A"]
    assert "missing environment variables: B" in log["last_error"]


def test_outside_a_drill_errors_of_the_last_hour_are_evidence(bench):
    with _answering(bench, ""):
        subprocess.run(
            [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(bench.root / "supervisord.conf"), "stop", "it"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        book = Book(incident.trees(Project(bench.root)), bench.inventory)
        with incident.looking(book) as look:
            evidence, log = _api_down(look(["app"], 30).model_dump(mode="json"))
    assert "missing environment variables: B" in evidence
    assert [line.partition("ERROR ")[2] for line in log["older_errors"]] == ["missing environment variables: A"]
    assert [line.partition("ERROR ")[2] for line in log["errors"]] == ["of long ago", "missing environment variables: B"]
