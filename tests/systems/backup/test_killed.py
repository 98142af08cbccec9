"""A controller that is killed during a restore into a sandbox: the host removes the sandbox, and a recovery finds no
residue.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

INVENTORY = """
environment: lab
hosts:
  spare: {{local: true, scratch: {root}/scratch, state: {root}/state, lease: {{boot: none}}}}
services:
  copy: {{kind: folder, host: spare, sandbox: {{data_may_leave: true, folder: {root}/box}}}}
backups:
  slow: {{kind: tar, host: spare, at: [sh, -c, "touch {root}/begun; sleep 600"]}}
"""
DRILL = """
drill: rehearse
title: The archive restores
service: slow
guard: {environments: [lab], lease: 5s}
objectives: {}
restore:
  - backup.restore: {service: copy, from: slow}
verify:
  - backup.list: {service: slow}
"""


@pytest.fixture
def project(tmp_path):
    for name in ("drills", "inventory", "scratch", "state"):
        (tmp_path / name).mkdir(mode=0o700)
    (tmp_path / "inventory" / "lab.yml").write_text(INVENTORY.format(root=tmp_path))
    (tmp_path / "drills" / "rehearse.yml").write_text(DRILL)
    return tmp_path


def drillbook(project, *words):
    return [sys.executable, "-m", "drillbook.cli", *words], {"cwd": project, "stdin": subprocess.DEVNULL}


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def test_the_host_removes_the_sandbox_of_a_dead_controller(project):
    argv, options = drillbook(project, "drill", "rehearse")
    with subprocess.Popen(argv, **options, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        try:
            assert until((project / "begun").exists), child.stdout.read()
            assert (project / "box" / "drillbook.run").exists()
        finally:
            os.kill(child.pid, signal.SIGKILL)
    assert until(lambda: not (project / "box").exists()), "the lease ran out long ago"
    (run,) = (project / "reports").glob("*-rehearse-*")
    argv, options = drillbook(project, "drill.recover", run.name)
    done = subprocess.run(argv, **options, capture_output=True, text=True, timeout=120, check=False)
    result = json.loads((run / "result.json").read_text())
    assert result["verdict"] != "passed"
    assert "residue" not in json.dumps(result["findings"]), done.stdout
    assert done.returncode == 0, done.stdout + done.stderr
    assert not Path(project / "box").exists()


def test_a_stopped_run_removes_it_before_it_ends(project):
    argv, options = drillbook(project, "drill", "rehearse")
    with subprocess.Popen(argv, **options, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        assert until((project / "begun").exists), child.stdout.read()
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=60)
    assert not (project / "box").exists()
