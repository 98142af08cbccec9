"""Plugins in a project's folder `plugins/`: no code of them runs until their exact bytes are trusted."""

from __future__ import annotations

import json
import os
import py_compile
import shutil
from importlib.util import cache_from_source

import pytest

from drillbook.journal.journal import read
from tests.plugins.conftest import DRILL

CODE = "plugins/ledger/actions.py"
INIT = "plugins/ledger/__init__.py"
NEEDLESS = [
    ["drill.list"],
    ["drill.plan", "plain"],
    ["actions"],
    ["actions", "postgres.dump"],
    ["schema", "drill"],
    ["report.list"],
    ["--complete", "--", "drillbook", "drill", ""],
    ["trust", "--show"],
    ["--dry", "trust", "--yes"],
    ["drill.recover"],
    ["drill", "plain"],
]
"""Tasks that need no plugin."""


@pytest.fixture
def marked(project):
    """Plugin that writes a mark next to the project whenever one of its lines runs."""
    for path in (project.root / "plugins").rglob("*.py"):
        mark(path, project.root.parent / "mark")
    project.write("ready:\n  - command.run: {argv: ['true'], effect: read}\n    hosts: controller\n", "plain")
    text = (project.root / "drills" / "plain.yml").read_text()
    (project.root / "drills" / "plain.yml").write_text(text.replace("service: app", "service: box"))
    return project


def mark(path, place):
    text = path.read_text()
    first, rest = text.split("\n", 1)
    future = "from __future__ import annotations\n"
    rest = rest.replace(future, "")
    path.write_text(
        f"{first}\n{future}with open({str(place)!r}, 'a') as marked:\n    marked.write(__name__ + '\\n')\n{rest}"
    )


def marks(project):
    place = project.root.parent / "mark"
    return sorted(set(place.read_text().split())) if place.exists() else []


def box(project):
    """Add an inventory that needs no plugin."""
    text = (project.root / "inventory" / "lab.yml").read_text()
    head = text.partition("services:")[0]
    (project.root / "inventory" / "plain.yml").write_text(f"{head}services: {{box: {{kind: process, host: controller}}}}\n")


@pytest.mark.parametrize("argv", NEEDLESS, ids=" ".join)
def test_a_plugin_that_nobody_trusts_is_not_executed_and_needed_by_nothing_else(marked, argv):
    box(marked)
    more = ["--inventory", "plain"] if "plain" in argv else []
    done = marked.run(*argv, *more)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert marks(marked) == []


def test_what_needs_it_says_so_with_its_place(marked):
    said = marked.good("drill.plan", DRILL, status=2)
    assert f"there is no drill or suite '{DRILL}'" in said
    assert "the plugins in plugins/ (ledger) are not loaded: nobody has trusted them yet; see `drillbook trust`" in said
    shutil.copy(marked.root / "plugins" / "ledger" / "drills" / f"{DRILL}.yml", marked.root / "drills")
    box(marked)
    for argv, place in (
        (["drill.plan", DRILL, "--inventory", "plain"], f"{DRILL}.yml:6:5"),
        (["drill.plan", "plain"], "lab.yml:4:"),
        (["actions", "ledger.freeze"], "there is no action or probe 'ledger.freeze'"),
        (["--dry", "drill", DRILL], f"{DRILL}.yml:6:5"),
        (["diagnose", "ledger"], "lab.yml:4:"),
    ):
        said = marked.good(*argv, status=2)
        assert place in said, argv
        assert "(ledger) are not loaded: nobody has trusted them yet; see `drillbook trust`" in said, argv
    assert marks(marked) == []


def test_trusted_it_works_and_one_byte_takes_it_back(marked):
    marked.good("drill.plan", DRILL, status=2)
    said = marked.good("trust", "--yes")
    assert CODE in said
    assert "the plugins are trusted" in said
    assert marks(marked)
    plan = marked.good("drill.plan", DRILL)
    assert "needs the plugin of plugins/ledger, sha256:" in " ".join(plan.split())
    marked.good("drill", DRILL)
    assert marked.result()["verdict"] == "passed"
    assert marked.result()["residue"] == []
    marked.good("report.verify")
    (marked.root.parent / "mark").unlink()

    path = marked.root / CODE
    before = path.read_bytes()
    path.write_bytes(before + b"#")
    said = marked.good("drill.plan", DRILL, status=2)
    assert "they have changed since they were trusted" in said
    assert marks(marked) == []
    shown = marked.good("trust", "--show")
    assert f"~ changed: {CODE}" in shown
    assert f"= {INIT}" in shown
    path.write_bytes(before)
    marked.good("drill.plan", DRILL)
    assert "the trust in this project was removed" in marked.good("trust", "--revoke")
    (marked.root.parent / "mark").unlink()
    marked.good("drill.plan", DRILL, status=2)
    assert marks(marked) == []


def test_a_file_more_or_less_is_another_plugin(project):
    project.good("trust", "--yes")
    for more in ("plugins/ledger/extra.py", "plugins/extra/__init__.py", "plugins/ledger/drills/more.yml"):
        place = project.root / more
        place.parent.mkdir(exist_ok=True)
        place.write_text("")
        project.good("actions", "ledger.freeze", status=2)
        place.unlink()
    project.good("actions", "ledger.freeze")
    (project.root / CODE).unlink()
    project.good("actions", "ledger.check", status=2)


def test_a_compiled_file_that_somebody_planted_is_never_used(project, tmp_path):
    project.good("trust", "--yes")
    for path in (project.root / "plugins" / "ledger").glob("*.py"):
        planted(path, tmp_path / "mark")
    project.good("actions", "ledger.freeze")
    project.good("drill.plan", DRILL)
    assert not (tmp_path / "mark").exists()


def planted(path, mark_):
    """Add compiled files to a module that leave a mark; the module and its timestamps stay the same."""
    state, text = path.stat(), path.read_text()
    path.write_text(f"open({str(mark_)!r}, 'w')\n")
    (path.parent / "__pycache__").mkdir(exist_ok=True)
    for target in (cache_from_source(path), path.with_suffix(".pyc")):
        py_compile.compile(str(path), cfile=str(target), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    path.write_text(text)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_a_link_is_not_followed(project, tmp_path):
    outside = tmp_path / "outside"
    shutil.move(project.root / "plugins" / "ledger", outside)
    mark(outside / "__init__.py", tmp_path / "mark")
    (project.root / "plugins" / "ledger").symlink_to(outside)
    for argv in (["trust", "--yes"], ["actions"]):
        project.good(*argv)
    assert "a link is not followed: plugins/ledger" in project.good("actions", "ledger.freeze", status=2)
    assert "a link is not followed: plugins/ledger" in project.good("trust", "--show")
    shutil.rmtree(project.root / "plugins")
    (tmp_path / "around").mkdir()
    shutil.copytree(outside, tmp_path / "around" / "ledger")
    (project.root / "plugins").symlink_to(tmp_path / "around")
    project.good("trust", "--yes")
    assert "a link is not followed: plugins" in project.good("actions", "ledger.freeze", status=2)
    assert not (tmp_path / "mark").exists()


def test_the_variable_of_ci_holds_the_digest_among_others(project):
    found = json.loads(project.good("trust", "--show", "--json"))
    assert found["plugins"]["names"] == ["ledger"]
    assert not found["plugins"]["trusted"]
    assert found["plugins"]["files"].keys() >= {CODE, INIT, "plugins/ledger/trees/ledger.yml"}
    project.environment["DRILLBOOK_TRUST"] = f"sha256:{'0' * 64} {found['plugins']['digest']}"
    project.good("drill.plan", DRILL)
    project.environment["DRILLBOOK_TRUST"] = f"sha256:{'0' * 64}"
    assert "DRILLBOOK_TRUST does not hold" in project.good("drill.plan", DRILL, status=2)


def test_a_person_is_asked_and_may_decline(project):
    assert "there is no terminal to ask at" in project.good("trust", status=2)
    project.good("drill.plan", DRILL, status=2)


def test_its_commands_are_trusted_besides(project):
    """A drill shipped by a plugin of the project belongs to the project: trust is required for the code that a check
    runs.
    """
    mark_ = project.root.parent / "mark"
    drill = project.root / "plugins" / "ledger" / "drills" / f"{DRILL}.yml"
    drill.write_text(
        drill.read_text().replace(
            "ready:\n",
            f"ready:\n  - command.run: {{argv: [touch, {mark_}], effect: read}}\n    hosts: controller\n",
        )
    )
    said = project.good("trust", "--yes")
    assert f"touch {mark_}" in said
    project.good("drill.check", DRILL)
    assert mark_.exists()
    mark_.unlink()
    found = json.loads(project.good("trust", "--show", "--json"))
    project.environment["DRILLBOOK_TRUST"] = found["plugins"]["digest"]
    assert f"touch {mark_}" in project.good("drill.check", DRILL, status=3)
    assert not mark_.exists()


def test_a_killed_run_is_undone_without_the_plugin_and_proven_with_it(project):
    project.good("trust", "--yes")
    folder = project.killed()
    project.good("trust", "--revoke")
    (project.root / CODE).write_text((project.root / CODE).read_text() + "open('/nowhere/at/all')\n")
    said = project.good("drill.recover", status=5)
    assert "ledger.freeze" in said
    assert "are not loaded: nobody has trusted them yet" in said
    assert project.thawed(), "its undo is in the journal"
    assert [event for event in read(folder / "journal.jsonl").events if event.kind == "recovery.finished"]
    shutil.copy(project.source / "actions.py", project.root / CODE)
    project.good("trust", "--yes")
    assert "recovered: all changes" in project.good("drill.recover")
    assert project.server.texts == []


def test_a_run_that_nobody_recovered_keeps_others_away_without_the_plugin(project):
    project.good("trust", "--yes")
    folder = project.killed()
    project.good("trust", "--revoke")
    box(project)
    project.write(
        "inject:\n  - command.run: {argv: ['true'], effect: fault, undo: ['true'], proof: ['true']}\n    hosts: controller\n",
        "plain",
    )
    text = (project.root / "drills" / "plain.yml").read_text().replace("service: app", "service: box")
    (project.root / "drills" / "plain.yml").write_text(text)
    assert folder.name in project.good("drill", "plain", "--inventory", "plain", status=4)
