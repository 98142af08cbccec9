"""Option --inventory: its default in a project with a single inventory, and its presence in suggested commands."""

import shutil

import pytest

from tests.program import Folder, fault, step

GOOD = "every: 7d\nrestore:\n" + step(["true"])


@pytest.fixture
def folder(tmp_path):
    """Project whose only inventory is not called lab."""
    made = Folder(tmp_path)
    made.write(GOOD)
    (tmp_path / "inventory" / "lab.yml").rename(tmp_path / "inventory" / "own.yml")
    return made


@pytest.mark.parametrize(
    ("argv", "status"),
    [
        (("drill.plan", "sample"), 0),
        (("drill.check", "sample"), 0),
        (("drill", "sample"), 0),
        (("drill", "sample", "--dry"), 0),
        (("runbook", "sample"), 0),
        (("schedule.run",), 0),
        (("drill.stop",), 0),
    ],
)
def test_the_only_inventory_is_the_default(folder, argv, status):
    done = folder.run(*argv)
    assert "there is no inventory" not in done.stderr
    assert done.returncode == status, done.stdout + done.stderr


def test_an_inventory_that_is_named_is_never_replaced(folder):
    done = folder.run("drill.plan", "sample", "--inventory", "lab")
    assert (done.returncode, "there is no inventory 'lab'" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    "argv",
    [
        ("drill", "sample"),
        ("drill", "sample", "--dry"),
        ("drill.plan", "sample"),
        ("drill.check", "sample"),
        ("drill.approve", "sample"),
        ("drill.sudoers", "sample"),
        ("drill.stop",),
        ("runbook", "sample"),
        ("schedule.run",),
        ("schedule.install", "--cron", "--dry"),
    ],
    ids=" ".join,
)
def test_of_two_inventories_none_is_chosen(folder, argv):
    """The message names both options, and not the name `lab`, which nobody wrote."""
    shutil.copy(folder.root / "inventory" / "own.yml", folder.root / "inventory" / "production.yml")
    done = folder.run(*argv)
    assert done.returncode == 2, done.stdout
    assert "this project has several inventories, and none of them is the default" in done.stderr
    assert "add `--inventory own` or `--inventory production`" in done.stderr
    assert "lab" not in done.stderr


def test_what_is_due_is_told_where_there_are_two_inventories(folder):
    shutil.copy(folder.root / "inventory" / "own.yml", folder.root / "inventory" / "production.yml")
    done = folder.run("drill.due")
    assert done.returncode == 1, done.stderr
    assert "drill sample" in done.stdout


def test_the_inventory_lab_is_the_default_among_several(folder):
    shutil.copy(folder.root / "inventory" / "own.yml", folder.root / "inventory" / "lab.yml")
    assert folder.run("drill.plan", "sample").returncode == 0


def test_a_runbook_names_the_inventory_in_its_commands(folder):
    text = folder.run("runbook", "sample").stdout
    assert "drill sample --inventory own`" in text
    assert "drill.stop --inventory own`" in text
    assert "drill.recover`" in text


def test_next_after_a_recovery_names_the_inventory(folder):
    """The undo fails in the run, and succeeds in the recovery."""
    proof = ("test", "!", "-e", "DIR/mended")
    folder.write(fault(["true"], ["test", "-e", "DIR/mended"], proof) + "restore:\n" + step(["false"]))
    assert folder.run("drill", "sample").returncode == 5
    (folder.root / "mended").touch()
    done = folder.run("drill.recover")
    assert "drill sample --inventory own" in done.stdout, done.stdout + done.stderr
    assert "drill sample --inventory own" in folder.run("report").stdout


def test_what_is_due_names_the_inventory(folder):
    assert "drill sample --inventory own" in folder.run("drill.due").stdout


SERVED = "environment: lab\nhosts: {db-1: {address: 192.0.2.1}}\nservices: {database: {kind: process, host: db-1}}\n"
WRITTEN = "drill: sample\ntitle: Start it\nservice: database\nrestore:\n  - service.start: {service: database}\nverify:\n  - service.status: {service: database}\n"


def written(folder, text):
    (folder.root / "drills" / "sample.yml").write_text(text)


@pytest.mark.parametrize(
    "argv", [("drill", "sample"), ("drill.plan", "sample"), ("drill.check", "sample"), ("runbook", "sample")], ids=" ".join
)
def test_a_wrong_inventory_is_one_mistake_that_names_the_right_one(folder, argv):
    (folder.root / "inventory" / "staging.yml").write_text(SERVED)
    written(folder, WRITTEN)
    done = folder.run(*argv, "--inventory", "own")
    assert done.returncode == 2, done.stdout
    assert done.stderr.count("there is no service 'database' in the inventory") == 1
    assert "hint: the service is in the inventory `staging`: `--inventory staging`" in done.stderr
    assert folder.run("drill.plan", "sample", "--inventory", "staging").returncode == 0


def test_a_misspelt_service_is_marked_wherever_it_is_written(folder):
    (folder.root / "inventory" / "staging.yml").write_text(SERVED)
    written(folder, WRITTEN.replace("database", "database1"))
    done = folder.run("drill.plan", "sample", "--inventory", "staging")
    assert done.stderr.count("there is no service 'database1'") == 3
    assert "did you mean 'database'?" in done.stderr


def test_a_service_of_several_inventories_is_offered_with_each(folder):
    for name in ("staging", "rehearsal"):
        (folder.root / "inventory" / f"{name}.yml").write_text(SERVED)
    (folder.root / "inventory" / "unreadable.yml").write_text("services: [\n")
    written(folder, WRITTEN)
    done = folder.run("drill.plan", "sample", "--inventory", "own")
    wanted = "the service is in the inventories `rehearsal`, `staging`: `--inventory rehearsal` or `--inventory staging`"
    assert wanted in done.stderr
