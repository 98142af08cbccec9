"""One lab for all end-to-end tests, stopped after the last one, and a separate project folder for each test."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psycopg
import pytest

from drillbook.cli.access import connect, redactor_for
from drillbook.cli.orchestration import Orchestrator
from drillbook.engine.recovery import Recovery
from drillbook.lab import control
from drillbook.plan.planner import make
from drillbook.plan.spec import load
from drillbook.project.project import Project

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="package")
def lab():
    folder = Path(f"/var/tmp/drillbook-e2e-{os.getpid()}")
    control.up(folder)
    yield folder
    control.down(folder)


class Bench:
    """Runs drills in its own project folder against the lab of the session."""

    def __init__(self, root: Path, lab: Path) -> None:
        self.project = Project(root)
        self.lab = lab
        self.inventory = self.project.inventory("lab")
        self.run_id = ""
        self.spoiled = False
        """True when the test leaves the lab in a state that later tests cannot use."""

    def value(self, path: str):
        return control.lookup(self.lab, path)

    def secret(self, name: str) -> str:
        return Path(str(self.value(f"secrets.{name}"))).read_text()

    def admin(self):
        """Session of the superuser on the primary, without Drillbook's own code."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.value("postgres.db-1"),
            dbname="dpa",
            user="postgres",
            password=self.secret("pg_admin"),
            autocommit=True,
        )

    def text(self, name: str) -> str:
        return self.project.drill_names()[name].read_text()

    def changed(self, name: str) -> Path:
        """Copy of a drill that a test changes, next to the diagnosis trees."""
        folder = self.project.root / "changed"
        if not folder.exists():
            folder.mkdir()
            (folder / "diagnosis").symlink_to(self.project.root / "drills" / "diagnosis")
        return folder / f"{name}.yml"

    def plan(self, name: str, *changes: tuple[str, str], inventory=None):
        text = self.text(name)
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new, 1)
        path = self.changed(name)
        path.write_text(text)
        return self.made(path, inventory)

    def made(self, path: Path, inventory=None):
        """The plan of the drill in ``path``."""
        return make(load(path), inventory or self.inventory)

    def run(self, plan, observer=lambda event: None, inventory=None):
        """Run ``plan``. Return folder and view of the run. ``observer`` receives every event before the run continues."""

        def observe(event):
            if event.kind == "run.started":
                self.run_id = event.data["run"]
            observer(event)

        return Orchestrator(self.project, inventory or self.inventory, observe).run(plan)

    def recover(self, folder):
        """Recover a run as `invoke drill.recover` does. Return the residue."""
        recovery = Recovery(folder, lambda plan, name: connect(plan.inventory, name), redactor_for, lambda event: None)
        return recovery.run({"operator": "test", "tool": "test"})


@pytest.fixture
def bench(lab, tmp_path, monkeypatch):
    monkeypatch.setenv("DRILLBOOK_LAB", str(lab))
    for folder in ("drills", "inventory"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    made = Bench(tmp_path, lab)
    yield made
    if made.spoiled:
        control.down(lab)
        control.up(lab)
