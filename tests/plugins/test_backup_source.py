"""A backup source as a plugin: the driver of docs/plugins.md as an installed distribution, from its contract to a
rehearsal.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from drillbook.trust import plugins
from tests.needs import need
from tests.plugins.conftest import MAIN, SOURCE, environment, install
from tests.plugins.test_page import BLOCK, PAGE
from tests.program import Folder, here

PYPROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "drillbook-exports"
version = "0.3"

[project.entry-points."drillbook.systems"]
exports = "drillbook_exports:SYSTEM"
"""
DRILL = """\
drill: rehearse-exports
title: The nightly export of the orders restores
service: nightly
objectives: {}
backup:
  - backup.list: {service: nightly}
  - backup.check: {service: nightly}
restore:
  - backup.restore: {service: copy, from: nightly}
verify:
  - backup.measure: {service: nightly}
"""


SEALED = '''\
from pathlib import PurePosixPath
from typing import Literal

from drillbook.sdk import NotReady
from drillbook_exports.source import Export


class Sealed(Export):
    """Exports that only a host with the seal can read."""

    kind: Literal["sealed"] = "sealed"

    def ready(self, ctx):
        """Check that the host has the seal."""
        super().ready(ctx)
        if not ctx.run("test", "-e", str(PurePosixPath(self.at).parent / "seal")).ok:
            raise NotReady(f"{ctx.host.name} has no seal", hint="put the seal beside the exports")
'''


def blocks() -> dict[str, str]:
    """Files of the page by their names."""
    found = (block.partition("\n") for _, block in BLOCK.findall(PAGE.read_text()))
    return {first.removeprefix("# "): rest for first, _, rest in found if first.startswith("# ")}


CODE = {
    name.removeprefix("plugins/exports/"): text for name, text in blocks().items() if name.startswith("plugins/exports/")
}
CONTRACT = blocks()["tests/test_exports.py"].replace("from exports ", "from drillbook_exports ")


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Python of a new environment in which the distribution is installed."""
    folder = tmp_path_factory.mktemp("exports")
    package = folder / "source" / "drillbook_exports"
    package.mkdir(parents=True)
    for name, text in CODE.items():
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text(text.replace('{"export": ".source"}', '{"export": ".source", "sealed": ".sealed"}'))
    (package / "sealed.py").write_text(SEALED)
    (package.parent / "pyproject.toml").write_text(PYPROJECT)
    shutil.copy(SOURCE / "backend.py", package.parent)
    made = environment(folder / "environment")
    install(made, package.parent)
    shutil.rmtree(package.parent)
    return made


class Exports(Folder):
    """Project with a folder of exports, and a sandbox on this machine."""

    def __init__(self, root, python) -> None:
        root.mkdir()
        super().__init__(root)
        self.python, self.exports = python, root.parent / "exports"
        self.exports.mkdir()
        self.environment["XDG_STATE_HOME"] = str(root.parent / "state")
        (root / "inventory" / "lab.yml").write_text(
            f"environment: lab\nhosts: {{{here(root)}}}\nservices:\n"
            f"  copy: {{kind: folder, host: controller, sandbox: {{data_may_leave: true, folder: {root.parent}/copy}}}}\n"
            "backups:\n"
            f"  nightly: {{kind: export, host: controller, at: {self.exports}, collection: orders, max_age: 1h}}\n"
        )
        (root / "drills" / "rehearse-exports.yml").write_text(DRILL)

    def run(self, *argv, status=0):
        done = subprocess.run(
            [self.python, "-P", "-c", MAIN, *argv],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def export(self, count, end=None):
        lines = [{"collection": "orders", "number": number} for number in range(count)]
        text = "".join(f"{json.dumps(line)}\n" for line in [*lines, {"end": count if end is None else end}])
        (self.exports / "orders.ndjson").write_text(text)


@pytest.fixture
def user(tmp_path, python):
    need("unshare")
    return Exports(tmp_path / "project", python)


def test_its_author_runs_the_contract_of_sources(python, tmp_path):
    need("unshare")
    (tmp_path / "test_exports.py").write_text(CONTRACT)
    argv = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path / "test_exports.py"]
    quiet = {**os.environ, "PYTEST_ADDOPTS": ""}
    done = subprocess.run(argv, cwd=tmp_path, env=quiet, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rehearsal_of_a_whole_export_passes_and_names_the_plugin(user):
    user.export(500)
    assert "needs the plugin of the distribution drillbook-exports, version 0.3" in user.run(
        "drill.plan", "rehearse-exports"
    )
    user.run("drill.check", "rehearse-exports")
    user.run("drill", "rehearse-exports")
    result = user.result()
    assert (result["verdict"], result["residue"]) == ("passed", [])
    facts = {step["action"]: step["facts"] for step in result["steps"]}
    assert facts["backup.restore"]["documents"] == facts["backup.check"]["documents"] == 500
    assert facts["backup.restore"]["seconds"]["total"] > 0
    assert facts["backup.measure"]["loss_s"] < 3600
    assert not (user.root.parent / "copy").exists()


def test_init_makes_a_project_that_rehearses_them(user):
    user.export(500)
    words = ("--rehearse", "export", "--host", "controller", "--sandbox", "controller", "--at", str(user.exports))
    user.run("init", "new", *words)
    user.root = user.root / "new"
    path = user.root / "inventory" / "rehearsal.yml"
    text = path.read_text().replace("COLLECTION", "orders")
    path.write_text(text.replace("data_may_leave: true", f"data_may_leave: true, folder: {user.exports.parent}/copy"))
    assert "needs the plugin of the distribution drillbook-exports" in user.run(
        "drill.plan", "rehearse", "--inventory", "rehearsal"
    )
    path.write_text(path.read_text().replace("{local: true}", "{local: true, lease: {boot: none}}"))
    user.run("drill", "rehearse", "--inventory", "rehearsal")
    assert user.result()["verdict"] == "passed"


def test_init_names_it_among_the_kinds_of_backups(user):
    said = " ".join(user.run("--help", "init").split())
    assert "rehearse your own backups of: export, files, mariadb," in said
    said = user.run("init", "new", "--rehearse", "exports", status=2)
    assert "did you mean 'export'?" in said, "its alias"
    assert "not an absolute path" in user.run("init", "new", "--rehearse", "export", "--at", "here", status=2)


def test_init_knows_a_plugin_in_the_folder_of_the_new_project(tmp_path):
    for name, text in CODE.items():
        place = tmp_path / "new" / "plugins" / "exports" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    caller = Folder(tmp_path)
    caller.environment["XDG_STATE_HOME"] = str(tmp_path / "state")
    done = caller.run("init", "new", "--rehearse", "export")
    assert done.returncode == 2
    assert "the plugins in plugins/ (exports) are not loaded" in done.stderr
    caller.environment["DRILLBOOK_TRUST"] = plugins.read(tmp_path / "new").digest
    done = caller.run("init", "new", "--rehearse", "export")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kind: export" in (tmp_path / "new" / "inventory" / "rehearsal.yml").read_text()


def test_a_rehearsal_of_a_damaged_export_fails_with_its_finding(user):
    user.export(500, end=501)
    user.run("drill", "rehearse-exports", status=1)
    assert [found["code"] for found in user.result()["findings"]] == ["backup-damaged"]


@pytest.mark.parametrize(
    "steps",
    [
        "backup:\n  - backup.list: {service: nightly}\nverify:\n  - backup.list: {service: nightly}\n",
        "restore:\n  - backup.restore: {service: copy, from: nightly}\nverify:\n  - backup.measure: {service: nightly}\n",
    ],
    ids=["list", "restore"],
)
def test_what_its_ready_demands_is_demanded_of_a_list_and_of_a_restore(user, steps):
    """The driver does not define any text about lists itself."""
    user.export(10)
    inventory = user.root / "inventory" / "lab.yml"
    inventory.write_text(inventory.read_text().replace("kind: export", "kind: sealed"))
    head = "drill: rehearse-exports\ntitle: The exports restore\nservice: nightly\nobjectives: {}\n"
    (user.root / "drills" / "rehearse-exports.yml").write_text(head + steps)
    assert "controller has no seal" in user.run("drill.check", "rehearse-exports", status=4)
    (user.exports.parent / "seal").touch()
    user.run("drill.check", "rehearse-exports")


def test_its_kind_is_in_the_schema_and_its_mistakes_are_told_with_their_place(user):
    schema = user.run("schema", "inventory")
    assert "Name of the exported collection." in schema
    text = (user.root / "inventory" / "lab.yml").read_text()
    (user.root / "inventory" / "lab.yml").write_text(text.replace("collection:", "colection:"))
    said = user.run("drill.plan", "rehearse-exports", status=2)
    assert "unknown key 'colection'" in said
    assert "lab.yml:6:" in said
