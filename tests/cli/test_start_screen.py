"""The program without a task: a short text that names existing tasks."""

import re

from tests.program import Folder


def test_the_program_without_a_task_tells_where_to_begin(tmp_path):
    folder = Folder(tmp_path)
    done = folder.run()
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    assert "  drillbook drill NAME       run a drill or a suite" in lines
    assert "init" not in done.stdout
    assert lines[-1] == "All tasks: drillbook --list. One task: drillbook --help TASK."
    listed = folder.run("--list").stdout
    tasks = re.findall(r"^  drillbook ([\w.]+)", done.stdout, re.MULTILINE)
    assert tasks
    assert all(re.search(rf"^  (?:\S+ \()?{re.escape(task)}\b", listed, re.MULTILINE) for task in tasks)


def test_outside_of_a_project_it_begins_with_a_new_one(tmp_path):
    folder = Folder(tmp_path)
    for name in ("drills", "inventory"):
        for path in (tmp_path / name).iterdir():
            path.unlink()
        (tmp_path / name).rmdir()
    lines = folder.run().stdout.splitlines()
    assert lines[2].startswith("  drillbook init FOLDER")
    assert max(map(len, lines)) <= 80
