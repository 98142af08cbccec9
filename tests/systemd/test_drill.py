"""A complete drill on a machine with systemd, with a controller that is killed while the fault is active."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from drillbook.sdk.host import Deadline
from tests.e2e.controllers import PROGRAM
from tests.systemd.conftest import PATIENCE, Unit, until

ROOT = Path(__file__).parents[2]
INVENTORY = """
environment: lab
hosts:
  far: {{address: 127.0.0.1, port: {port}, user: {user}, identity: {identity}, known_hosts: {known_hosts}, manager: {manager}}}
services:
  it: {{kind: http, host: far, url: "http://127.0.0.1:1", unit: steady}}
"""
DRILL = """
drill: down
title: A unit and what requires it are stopped
service: it
guard:
  environments: [lab]
  lease: 10s
inject:
  - service.stop: {service: it}
restore:
  - service.start: {service: it}
verify:
  - service.status: {service: it}
"""


def program(*words, root, check=True):
    done = subprocess.run(
        [sys.executable, *words],
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{ROOT}/src:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done


@pytest.mark.usefixtures("own_time")
@pytest.mark.parametrize(("user", "manager"), [("ops", "{sudo: true}")])
def test_a_killed_controller_leaves_a_machine_that_puts_back_by_itself(machine, tmp_path, user, manager):
    for name in ("drills", "inventory"):
        (tmp_path / name).mkdir()
    (tmp_path / "inventory" / "lab.yml").write_text(
        INVENTORY.format(
            port=machine.port, user=user, identity=machine.client_key, known_hosts=machine.known_hosts, manager=manager
        )
    )
    (tmp_path / "drills" / "down.yml").write_text(DRILL)
    it = Unit(machine, user, "needs", tmp_path)
    for name in ("steady", "needs"):  # as long as the controller watches
        it.manager.ensure(it.host, name, "running", Deadline.after(PATIENCE))
    ended = program(
        "-m", "tests.matrix.dying", "drills/down.yml", "fault.active", "inject.1", "1", root=tmp_path, check=False
    )
    assert ended.returncode == -signal.SIGKILL, next(iter(tmp_path.glob("reports/*/journal.jsonl"))).read_text()[-2000:]
    until(lambda: it.state("needs").state == "running" == it.state("steady").state, "what the machine puts back by itself")
    program("-c", PROGRAM, "drill.recover", root=tmp_path)
    assert machine.left() == ""
    assert it.state("needs").state == "running" == it.state("steady").state
