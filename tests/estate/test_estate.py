"""Drills on a typical estate, through a bastion and sudo: each check and each drill passes, and the state afterwards
is the same.
"""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from tests import tiers
from tests.estate.conftest import HERE, PASSWORD, STATE
from tests.needs import need

DRILLS = [path.stem for path in sorted((HERE / "drills").glob("*.yml")) if path.stem != "estate"]


def said(done):
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", DRILLS)
def test_the_drill_passes_and_leaves_what_it_found(estate, project, name):
    before = estate.root(STATE)
    checked = project.run("drill.check", name, timeout=120)
    assert checked.returncode == 0, said(checked)
    done = project.run("drill", name, timeout=240)
    assert done.returncode == 0, said(done)
    result = json.loads((project.root / "reports" / "latest" / "result.json").read_text())
    assert (result["verdict"], result["residue"]) == ("passed", [])
    assert estate.root(STATE) == before


def test_a_drill_passes_where_sudo_asks_for_a_password(estate, project, tmp_path):
    inventory = (project.root / "inventory" / "lab.yml").read_text()
    asking = inventory.replace("become: true", "user: clerk, become: {password: !env SUDO_PASSWORD}")
    assert asking != inventory
    (project.root / "inventory" / "asking.yml").write_text(asking)
    project.environment["SUDO_PASSWORD"] = PASSWORD
    before = estate.root(STATE)
    done = project.run("drill", "web-broken", "--inventory", "asking", timeout=240)
    assert done.returncode == 0, said(done)
    assert estate.root(STATE) == before
    assert not [
        path for path in (project.root / "reports").rglob("*") if path.is_file() and PASSWORD in path.read_text("latin-1")
    ]


def test_a_diagnosis_uses_the_account_of_each_service(estate, project):
    inventory = (project.root / "inventory" / "lab.yml").read_text()
    own = inventory.replace(", become: true}", "}").replace("unit: nginx,", "unit: nginx, become: true,")
    own = own.replace("unit: app,", "unit: app, become: true,")
    assert own.count("become: true") == 2
    (project.root / "inventory" / "own.yml").write_text(own)
    done = project.run("diagnose", "web", "--inventory", "own", timeout=120)
    assert done.returncode == 0, said(done)


def test_a_healthy_estate_is_told_healthy_each_time(estate, project):
    """All services: paths and ports of the team's own, and a store of backups without a unit."""
    for _ in range(20 if tiers.ALL else 3):
        done = project.run("diagnose", "--inventory", "lab", timeout=120)
        assert done.returncode == 0, said(done)


SLOW = """
drill: slow
title: The path to the store of backups is slow
service: web
guard: {{environments: [staging], lease: 10s}}
inject:
  - network.delay: {{peer: {gateway}, by: 200ms}}
    hosts: srv
verify:
  - service.status: {{service: web}}
"""


def test_a_drill_with_a_delay_is_never_ready_on_a_kernel_that_cannot_delay(estate, project):
    """The whole check, with the real kernel of this machine; a container may hide what the kernel lacks."""
    add = ["tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]
    need("tc")
    if subprocess.run(["unshare", "-n", *add], capture_output=True, check=False).returncode == 0:
        pytest.skip("this kernel has sch_netem, so nothing can fail for its absence")
    path = project.root / "drills" / "slow.yml"
    path.write_text(SLOW.format(gateway=estate.gateway))
    try:
        checked = project.run("drill.check", "slow", timeout=120)
        done = project.run("drill", "slow", timeout=120)
    finally:
        path.unlink()
    text = " ".join(said(checked).split())
    assert checked.returncode in (3, 4), text
    assert re.search(r"its kernel cannot delay packets: |that the kernel of srv can delay packets: ", text), text
    assert done.returncode not in (0, 5), said(done)
