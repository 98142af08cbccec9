"""`drill.due` on the terminal and as JSON."""

import json

import pytest

from tests.program import Folder, step

GOOD = "restore:\n" + step(["true"])


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_the_table_and_the_exit_status(folder):
    folder.write("every: 7d\n" + GOOD)
    folder.write(GOOD, "unscheduled")
    done = folder.run("drill.due")
    assert done.returncode == 1
    assert "1 schedule: 1 never passed" in done.stdout
    assert "without a schedule (`every`): unscheduled" in done.stdout
    folder.run("drill", "sample", "--quiet")
    done = folder.run("drill.due")
    assert done.returncode == 0, done.stdout
    assert "1 schedule: 1 ok" in done.stdout
    assert "in 6 d" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_json(folder):
    folder.write("every: 7d\n" + GOOD)
    done = folder.run("drill.due", "--json")
    data = json.loads(done.stdout)
    assert (done.returncode, data["exit"], data["rows"][0]["drill"]) == (1, 1, "sample")


def test_a_file_that_cannot_be_read_ends_with_3(folder):
    (folder.root / "drills" / "broken.yml").write_text("drill: [")
    done = folder.run("drill.due")
    assert done.returncode == 3
    assert "broken.yml:2:1:" in done.stdout


def test_a_run_records_its_schedule(folder):
    folder.write("every: 7d\n" + GOOD)
    folder.run("drill", "sample", "--quiet")
    first = json.loads((folder.latest / "journal.jsonl").read_text().splitlines()[0])
    assert first["data"]["schedule"] == {"every": "7d", "grace": "1008m", "windows": []}
