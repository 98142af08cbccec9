"""Commands in a project's files, collected without executing them, and their digest."""

import shutil

import pytest

from drillbook.project.project import Project
from drillbook.trust import scan
from tests.trust.pull_request import GUARD, PROBE, READY, STEP, PullRequest

COMMAND = "  - command.run: {{argv: [echo, '{}'], effect: read}}\n    hosts: controller\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "project").mkdir()
    made = PullRequest(tmp_path / "project")
    made.site()
    return made


def scanned(folder):
    return scan.scan(Project(folder.root))


def places(folder):
    return [item.where for item in scanned(folder).items]


def test_commands_are_in_the_order_of_their_files_and_lines(folder):
    folder.write("ready:\n" + "".join(COMMAND.format(number) for number in range(4)) + STEP)
    folder.write(READY + STEP, "another")
    assert places(folder) == [
        "drills/another.yml:5",
        *[f"drills/sample.yml:{line}" for line in (5, 7, 9, 11)],
    ]


def test_what_only_a_run_executes_is_left_out(folder):
    folder.write(STEP)
    assert scanned(folder).items == ()
    folder.write(GUARD + STEP)
    assert len(scanned(folder).items) == 1
    folder.write(PROBE + STEP)
    assert scanned(folder).items == (), "a query that ships"


def test_the_digest_is_the_same_in_another_folder_and_another_for_another_command(folder, tmp_path):
    folder.write("ready:\n" + COMMAND.format("first") + STEP)
    before = scanned(folder).digest
    shutil.copytree(folder.root, tmp_path / "elsewhere")
    assert scan.scan(Project(tmp_path / "elsewhere")).digest == before
    folder.write("ready:\n" + COMMAND.format("first") + COMMAND.format("second") + STEP)
    assert scanned(folder).digest != before


def test_one_command_on_several_inventories_is_one_item(folder):
    folder.write("ready:\n" + COMMAND.format("first") + STEP)
    (folder.root / "inventory" / "more.yml").write_text((folder.root / "inventory" / "lab.yml").read_text())
    (item,) = scanned(folder).items
    assert set(item.on) == {"lab", "more"}


def test_a_file_that_cannot_be_read_is_told_and_the_others_are_scanned(folder):
    folder.write("ready:\n" + COMMAND.format("first") + STEP)
    (folder.root / "drills" / "broken.yml").write_text("drill: broken\nphases: [\n")
    (folder.root / "inventory" / "broken.yml").write_text("hosts: 7\n")
    (folder.root / "drills" / "diagnosis").mkdir()
    (folder.root / "drills" / "diagnosis" / "bad.yml").write_text("tree: bad\n")
    whole = scanned(folder)
    assert [item.where for item in whole.items] == ["drills/sample.yml:5"]
    assert sorted(said.partition(": ")[0] for said in whole.unread) == [
        "drills/broken.yml",
        "drills/diagnosis/bad.yml",
        "inventory broken",
    ]


def test_an_inventory_outside_the_project_is_scanned_if_it_is_named(folder, tmp_path):
    folder.site("!command [pass, show, x]")
    (folder.root / "inventory" / "lab.yml").rename(tmp_path / "site.yml")
    folder.site()
    assert scanned(folder).items == ()
    (item,) = scan.scan(Project(folder.root), str(tmp_path / "site.yml")).items
    assert (item.kind, item.text) == ("!command", "pass show x  (for services.cache.password)")


@pytest.mark.parametrize(
    ("path", "own"),
    [("drills/a.yml", True), ("plugins/x/drills/a.yml", True), ("lab/a.yml", False), ("../drills/a.yml", False)],
)
def test_a_file_of_the_project_is_in_its_drills_or_plugins(tmp_path, path, own):
    assert scan.brought(tmp_path / "project", tmp_path / "project" / path) is own


def test_trees_of_the_project_are_found_and_those_that_ship_are_not(folder):
    assert scan.tree_files(folder.root) == {}
    folder.tree({"host.disk": {"service": "{{ service.name }}", "path": "/"}})
    assert scan.tree_files(folder.root) == {"hostile": folder.root / "drills" / "diagnosis" / "hostile.yml"}


def test_the_files_of_a_docker_lab_are_one_item(tmp_path):
    (tmp_path / "lab" / "__pycache__").mkdir(parents=True)
    (tmp_path / "lab" / "Dockerfile").write_text("FROM scratch\n")
    assert list(scan.of_lab(tmp_path)) == [], "without compose.yml there is no lab"
    (tmp_path / "lab" / "compose.yml").write_text("services: {}\n")
    (before,) = scan.of_lab(tmp_path)
    assert set(before.files) == {"lab/Dockerfile", "lab/compose.yml"}
    (tmp_path / "lab" / "__pycache__" / "x.pyc").write_text("compiled")
    assert [item.digest for item in scan.of_lab(tmp_path)] == [before.digest]
    (tmp_path / "lab" / "Dockerfile").write_text("FROM other\n")
    assert [item.digest for item in scan.of_lab(tmp_path)] != [before.digest]
