"""`--dry` and Invoke's other options work as documented, in `drillbook` and in `invoke` with a project's tasks."""

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from drillbook.cli import dry_run, tasks
from drillbook.cli.program import program
from drillbook.journal.intents import Intent
from drillbook.sdk.action import Effect, Undo
from tests.engine.test_recovery_machine import step as lose
from tests.program import PROGRAM, Folder, fault, step

ROOT = Path(__file__).parents[2]
BREAK = fault(["touch", "DIR/broken"], ["rm", "-f", "DIR/broken"], ["test", "-e", "DIR/broken"])
READS = {
    "actions",
    "catalog",
    "diagnose",
    "drill.due",
    "drill.list",
    "drill.plan",
    "drill.sudoers",
    "report.list",
    "report.verify",
    "schema",
    "lab.status",
}
"""Tasks that do the same with and without `--dry`."""
ARGUMENTS = {
    "drill.drill": ["sample"],
    "drill.plan": ["sample"],
    "drill.check": ["sample"],
    "drill.sudoers": ["sample"],
    "drill.approve": ["sample"],
    "drill.stop": [],
    "schema": ["drill"],
    "campaign.campaign": ["sample", "--sites", "all.yml"],
    "campaign.approve": ["sample", "--sites", "all.yml"],
    "campaign.collect": ["sample", "--sites", "all.yml"],
    "audit": ["--since", "2020-01-01", "--until", "2999-12-31"],
    "init": ["NEW"],
    "schedule.install": ["--cron"],
    "schedule.retire": ["sample", "--reason", "it was removed"],
    "runbook": ["sample"],
}


def project(place):
    """Project in ``place`` whose drill injects a fault; its lab would be next to it."""
    (place / "project").mkdir()
    made = Folder(place / "project")
    made.environment["DRILLBOOK_LAB"] = str(place / "lab")
    (made.root / "tasks.py").write_text("from drillbook import tasks\n\nnamespace = tasks.namespace()\n")
    (made.root / "all.yml").write_text("sites: {here: {inventory: lab}}\n")
    made.write(BREAK + "restore:\n" + step(["rm", "-f", "DIR/broken"]))
    return made


@pytest.fixture
def folder(tmp_path):
    return project(tmp_path)


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    """Project with one run that lacks a rendered file."""
    made = project(tmp_path_factory.mktemp("used"))
    assert made.run("drill", "sample").returncode == 0
    (made.latest / "report.md").unlink()
    return made


@pytest.fixture
def here(used, monkeypatch, capsys):
    """Run the program in this process, in the current folder. Return its status and output."""
    monkeypatch.chdir(used.root)
    monkeypatch.setenv("DRILLBOOK_LAB", used.environment["DRILLBOOK_LAB"])

    def run(*argv):
        status = 0
        try:
            program().run(["drillbook", *argv])
        except SystemExit as ended:
            status = ended.code or 0
        return status, capsys.readouterr()

    return run


def tree(root):
    """All paths below ``root`` with their content, without compiled files of `tasks.py`."""
    return {
        path.relative_to(root): path.read_bytes() if path.is_file() else None
        for path in sorted(root.rglob("*"))
        if "__pycache__" not in path.parts
    }


def invoke(folder, *argv):
    return subprocess.run(
        [sys.executable, "-m", "invoke", *argv],
        cwd=folder.root,
        env=folder.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    "argv",
    [["--dry", "drill", "sample"], ["-R", "drill", "sample"], ["drill", "sample", "--dry"], ["drill", "--dry", "sample"]],
    ids=" ".join,
)
def test_a_dry_drill_shows_its_plan_and_breaks_nothing(folder, argv):
    before = tree(folder.root.parent)
    programs = [folder.run, functools.partial(invoke, folder)]
    for run in programs if argv[1] != "--dry" else programs[:1]:  # invoke takes the word behind its task for the name
        done = run(*argv)
        assert done.returncode == 0, done.stderr
        assert "dry run: nothing was touched" in done.stdout
        assert "inject.1  command.run" in done.stdout
        assert f"undo: rm -f {folder.root}/broken" in " ".join(done.stdout.split())
        assert tree(folder.root.parent) == before


def test_dry_set_in_the_environment_is_honoured_too(folder):
    folder.environment["INVOKE_RUN_DRY"] = "1"
    before = tree(folder.root.parent)
    assert "dry run: nothing was touched" in invoke(folder, "drill", "sample").stdout
    assert tree(folder.root.parent) == before


@pytest.mark.parametrize("name", sorted(str(name) for name in tasks.namespace().task_names))
def test_no_task_changes_anything_under_dry(used, here, name):
    before = tree(used.root.parent)
    status, said = here("--dry", name, *ARGUMENTS.get(name, []))
    assert tree(used.root.parent) == before, said.out
    if name in READS:
        assert status in (0, 1, 3) or "no diagnosis trees" in said.err or "uses no other account" in said.err
    elif name == "schedule.retire":  # what is gone is retired in tests/project/test_retirements.py
        assert (status, "sample" in said.err) == (2, True)
    elif name == "audit":  # its status tells the state of the record
        assert (status, "dry run: nothing was touched" in said.out) == (3, True)
    elif status == 2:
        assert "--dry" in said.err or "checkout" in said.err
    else:
        assert status == 0, said.err
        assert "dry run: nothing was touched" in said.out


def test_a_dry_recovery_says_what_it_would_put_back(folder, tmp_path):
    folder.write(BREAK + "restore:\n" + step(["sleep", "60"]))
    with folder.start("drill", "sample", "--json", stdout=subprocess.PIPE, text=True) as program:
        assert any(
            (event := json.loads(line)).get("step") == "restore.1" and event["kind"] == "step.started"
            for line in program.stdout
        )
        program.kill()
    assert (folder.root / "broken").exists()
    before = tree(tmp_path)
    done = folder.run("--dry", "drill.recover")
    assert done.returncode == 0, done.stderr
    assert f"would undo inject.1 command.run on controller: rm -f {folder.root}/broken" in " ".join(done.stdout.split())
    assert tree(tmp_path) == before
    assert folder.run("drill.recover").returncode == 0
    assert not (folder.root / "broken").exists()


def test_remedies_are_not_applied_under_dry(here):
    status, said = here("--dry", "diagnose", "--apply", "--assume", "yes")
    assert (status, said.out) == (2, "")
    assert "--apply" in said.err


REFUSED = [
    ["--echo"],
    ["-e"],
    ["--pty"],
    ["--hide", "both"],
    ["--warn-only"],
    ["--prompt-for-sudo-password"],
    ["--debug"],
    ["--command-timeout", "1"],
    ["--config", "x.yml"],
    ["--no-dedupe"],
    ["--collection", "x"],
    ["--search-root", "/"],
    ["--write-pyc"],
]


@pytest.mark.parametrize("option", REFUSED, ids=" ".join)
def test_options_of_invoke_that_do_nothing_are_neither_shown_nor_taken(used, here, option):
    assert option[0] not in here("--help")[1].out.split()
    before = tree(used.root.parent)
    for argv in (
        [*option, "drill", "sample"],
        ["drill", *option, "sample"],
        ["drill", "sample", *option],
        ["drill.list", *option],
    ):
        status, said = here(*argv)
        assert status == 2, (argv, said)
        assert option[0] in said.err
        assert tree(used.root.parent) == before


def test_help_shows_the_options_that_work(here):
    text = " ".join(here("--help")[1].out.split())
    for option in ("--dry", "--help", "--list", "--version", "Show what a task would do"):
        assert option in text
    whole = "Approve the present plan of a drill with your SSH key, so that somebody else may run exactly this plan."
    assert whole in text, "a description of the list was cut at the width of a task's own help"


@pytest.mark.parametrize(
    ("task", "listed"),
    [("schedule.install", True), ("drill", True), ("init", True), ("drill.list", False), ("campaign.collect", False)],
)
def test_help_of_a_task_lists_dry_where_it_shows_what_the_task_would_do(here, task, listed):
    options = here("--help", task)[1].out.partition("Options:")[2]
    assert ("-R, --dry" in options) == listed, options
    assert ("Show what a task would do" in options) == listed


@pytest.mark.parametrize(("wrong", "right"), [("dril", "drill"), ("drill.pln", "drill.plan"), ("reprot", "report")])
def test_a_mistyped_task_names_the_near_one(folder, wrong, right):
    done = folder.run(wrong, "sample")
    assert done.returncode == 2
    assert f"there is no task {wrong!r}: did you mean {right!r}?" in done.stderr
    assert "hint: drillbook --list" in done.stderr


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["check", "sample"], "in a checkout of Drillbook; did you mean `{} drill.check sample`?"),
        (["check"], "in a checkout of Drillbook; did you mean `{} drill.check`?"),
        (["sample"], "there is no task 'sample': did you mean `{} drill sample`?"),
        (["plan", "sample", "--json"], "there is no task 'plan': did you mean `{} drill.plan sample`?"),
        (["recover"], "there is no task 'recover': did you mean `{} drill.recover`?"),
        (["due", "--json"], "there is no task 'due': did you mean `{} drill.due`?"),
        (["test"], "in a checkout of Drillbook\n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_name_of_a_drill_or_a_part_of_a_task_is_answered_with_a_command(folder, argv, said):
    """Both programs suggest the whole command, with their own name."""
    folder.write(BREAK + "restore:\n" + step(["rm", "-f", "DIR/broken"]))
    done = folder.run(*argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert said.format("drillbook") in done.stderr
    done = subprocess.run(
        [Path(sys.executable).with_name("invoke"), *argv],
        cwd=folder.root,
        env=folder.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert said.format("invoke") in done.stderr


DEVELOPERS = ["docs", "test", "check"]


@pytest.mark.parametrize("name", DEVELOPERS)
def test_tasks_of_developers_do_nothing_in_a_project_of_somebody_else(folder, name):
    (folder.root / "docs").mkdir()
    (folder.root / "docs" / "actions.md").write_text("our own page\n")
    (folder.root / "tests").mkdir()
    (folder.root / "tests" / "test_ours.py").write_text(f"open({str(folder.root / 'was-run')!r}, 'w')\n")
    before = tree(folder.root)
    assert name not in [line.split()[0] for line in folder.run("--list").stdout.splitlines() if line.strip()]
    done = folder.run(name)
    assert done.returncode == 2, done.stdout
    assert "checkout of Drillbook" in done.stderr
    assert invoke(folder, name).returncode == 2
    assert tree(folder.root) == before


@pytest.mark.parametrize("name", DEVELOPERS)
def test_tasks_of_developers_are_offered_in_a_checkout(name):
    listed = subprocess.run([*PROGRAM, "--list"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"  {name} " in listed


def test_the_pages_are_written_in_a_checkout_alone(tmp_path):
    """Copy of this package as a checkout, with one outdated page."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("drills", "docs", "inventory", "lab"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "docs" / "findings.md").write_text("old\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
    done = subprocess.run([*PROGRAM, "docs"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "findings.md" in done.stdout) == (0, True), done.stderr
    assert (tmp_path / "docs" / "findings.md").read_text() == (ROOT / "docs" / "findings.md").read_text()


@pytest.mark.parametrize(
    ("from_backup", "said"),
    [
        (True, "restore the data with the backup that the run verified and verify"),
        (False, "restore the data with the steps of the drill and verify"),
    ],
)
def test_a_dry_recovery_says_what_it_would_restore_from(from_backup, said):
    lost = Intent(1, lose("inject", 1, "lose"), "db-1", {}, Effect.FAULT, Undo.by_restore("is gone"), settled=False)
    assert f"{said} the data (what was written after the backup, or" in dry_run._undo(lost, from_backup)
