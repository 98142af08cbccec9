"""The project of the current folder: found in a folder above, and a plugin that cannot be used stops no recovery."""

import contextlib

import pytest

from drillbook.cli import current_project
from drillbook.errors import UsageError
from tests.program import Folder


def test_a_folder_below_the_project_belongs_to_it(tmp_path):
    folder = Folder(tmp_path)
    (tmp_path / "drills" / "deep").mkdir()
    with contextlib.chdir(tmp_path / "drills" / "deep"):
        assert current_project.here().root == folder.root


def test_outside_of_a_project_a_task_that_needs_none_goes_on(tmp_path):
    with contextlib.chdir(tmp_path):
        current_project.anywhere()
        with pytest.raises(UsageError, match="there is no folder `drills`"):
            current_project.here()


def test_a_plugin_that_cannot_be_used_stops_a_plan_and_no_list_of_runs(tmp_path):
    folder = Folder(tmp_path)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "broken.py").write_text("raise RuntimeError('it is broken')\n")
    assert folder.run("trust", "--yes").returncode in (0, 2)
    assert folder.run("drill.plan", "sample").returncode == 2
    listed = folder.run("report.list")
    assert listed.returncode == 0, listed.stderr
