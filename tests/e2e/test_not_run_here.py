"""A machine without Prometheus: its lab is healthy, and drills that need Prometheus are reported as not run here,
never as passed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from drillbook.lab import control
from tests.e2e.conftest import ROOT
from tests.needs import missing, need

PACKAGES = "the Debian packages prometheus and prometheus-alertmanager"
HIDDEN = ("prometheus", "prometheus-alertmanager", "alertmanager")
SUITE = "suite: both\ntitle: One that is run, one that is not\ndrills: [api-down, dependency-down]\n"


class Bare:
    """Project whose commands run in a mount namespace that hides the programs of Prometheus."""

    def __init__(self, root: Path, lab: Path) -> None:
        self.root = root
        self.environment = {**os.environ, "DRILLBOOK_LAB": str(lab), "COLUMNS": "200"}
        found = [path for name in HIDDEN if (path := shutil.which(name, path="/usr/local/bin:/usr/bin:/bin"))]
        self.hide = " && ".join([*(f"mount --bind /dev/null {path}" for path in found), 'exec "$@"'])

    def run(self, *argv: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-c", "from drillbook.cli.program import main; main()", *argv]
        return subprocess.run(
            ["unshare", "-m", "sh", "-c", self.hide, "sh", *program],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )

    def newest(self) -> Path:
        return (self.root / "reports" / "latest").resolve()


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    need("unshare")
    if os.geteuid() != 0:
        missing("only root can hide programs from itself")
    root, lab = tmp_path_factory.mktemp("bare"), Path(f"/var/tmp/drillbook-bare-{os.getpid()}")
    for folder in ("drills", "inventory"):
        shutil.copytree(ROOT / folder, root / folder)
    (root / "drills" / "both.yml").write_text(SUITE)
    made = Bare(root, lab)
    up = made.run("lab.up")
    assert up.returncode == 0, up.stdout + up.stderr
    yield made
    control.down(lab)


def test_a_fresh_lab_is_healthy(bare):
    done = bare.run("diagnose")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "healthy" in done.stdout
    examined, _, others = done.stdout.partition("not examined")
    assert ("metrics" in examined, "metrics, alerts (not installed here)" in " ".join(others.split())) == (False, True), (
        done.stdout
    )
    assert "alerts" not in done.stdout.partition("unexpected answer")[0].partition("checks ran")[0]
    assert "prometheus" not in bare.run("lab.status").stdout


def test_a_service_that_is_not_there_is_not_diagnosed(bare):
    done = bare.run("diagnose", "metrics")
    assert done.returncode == 2
    assert PACKAGES in done.stderr


@pytest.mark.parametrize("name", ["dependency-down", "connections-exhausted"])
def test_a_drill_that_needs_it_is_not_run_here(bare, name):
    checked = bare.run("drill.check", name)
    planned = bare.run("drill.plan", name)
    done = bare.run("drill", name)
    assert [checked.returncode, planned.returncode, done.returncode] == [3, 3, 3], done.stdout + done.stderr
    for one in (checked, planned, done):
        assert PACKAGES in " ".join(one.stdout.split())
    assert "NOT RUN HERE" in done.stdout
    folder = bare.newest()
    result = json.loads((folder / "result.json").read_text())
    assert (result["verdict"], result["exit"], result["residue"]) == ("not run here", 3, [])
    assert {step["status"] for step in result["steps"]} == {"skipped"}
    cases = list(ElementTree.parse(folder / "junit.xml").iter("testcase"))
    assert cases
    assert all([child.tag for child in case if child.tag != "system-out"] == ["skipped"] for case in cases)
    assert any(PACKAGES in child.get("message", "") for case in cases for child in case)
    page = (folder / "report.html").read_text()
    assert "Not run here" in page
    assert PACKAGES in page
    kinds = [json.loads(line)["kind"] for line in (folder / "journal.jsonl").read_text().splitlines()]
    assert kinds == ["run.started", "ended.early", "earlier.runs", "run.finished"], "no host was asked, no lock taken"


def test_its_suite_is_inconclusive_and_the_others_are_run(bare):
    done = bare.run("drill", "both", seconds=300)
    assert done.returncode == 3, done.stdout + done.stderr
    result = json.loads((bare.newest() / "result.json").read_text())
    assert (result["verdict"], result["exit"]) == ("inconclusive", 3)
    assert [one["verdict"] for one in result["runs"]] == ["passed", "not run here"]
    assert "1 passed, 1 not run here" in done.stdout
    assert "1 not run here" in (bare.newest() / "report.html").read_text()
    listed = bare.run("report.list").stdout
    assert "not run here" in listed
    assert "passed" in bare.run("drill.list").stdout
