"""A mistake in `drillbook.yml` is found before anything is run."""

import json

import pytest

from tests.notify.listener import listening
from tests.program import PROOF, Folder

WRONG = {
    "metricz: x\n": "drillbook.yml:1:1: unknown key 'metricz'",
    "metrics: 5\n": "drillbook.yml:1:10: metrics",
    "heartbeat: http://127.0.0.1/\n": "drillbook.yml:1:12: heartbeat",
}


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path)
    made.write("every: 7d\n" + PROOF)
    made.write("every: 7d\n" + PROOF, "another")
    return made


def untouched(folder):
    """Return True when no drill ran."""
    return not list((folder.root / "reports").glob("*/journal.jsonl"))


@pytest.mark.parametrize("text", WRONG)
def test_a_drill_is_refused_and_its_check_and_due_date_say_why(folder, text):
    (folder.root / "drillbook.yml").write_text(text)
    done = folder.run("drill", "sample")
    assert done.returncode == 2, done.stdout
    assert WRONG[text] in done.stderr
    assert done.stderr.splitlines()[-1] == "No drill was run."
    assert untouched(folder)
    checked = folder.run("drill.check", "sample")
    assert checked.returncode == 2, checked.stdout
    assert WRONG[text] in checked.stderr
    due = folder.run("drill.due")
    assert due.returncode in (1, 3)
    assert WRONG[text] in " ".join(due.stdout.split())
    assert folder.run("--dry", "schedule.run").returncode == 2


def test_a_timer_starts_nothing_and_tells_the_contacts_once(folder):
    (folder.root / "drillbook.yml").write_text("metricz: x\n")
    inventory = folder.root / "inventory" / "lab.yml"
    inventory.write_text(inventory.read_text() + "contacts: {oncall: {role: on call, notify: [!env WAY]}}\n")
    with listening() as server:
        folder.environment["WAY"] = f"json://127.0.0.1:{server.server_address[1]}/"
        done = folder.run("schedule.run")
        assert done.returncode == 2, done.stderr
        said = {one["title"]: one["message"] for one in server.wait(2)}
    assert done.stderr.count("drillbook.yml:1:1") == 1, done.stderr
    assert "sample could not begin: the settings in drillbook.yml cannot be used" in done.stderr
    assert "another could not begin: the settings in drillbook.yml cannot be used" in done.stderr
    assert any("drillbook.yml:1:1" in text for text in said.values()), said
    assert untouched(folder)
    entries = [json.loads(line) for line in (folder.root / "reports" / "schedule.jsonl").read_text().splitlines()]
    assert {entry["drill"] for entry in entries if entry["kind"] == "not begun"} == {"sample", "another"}
    assert folder.run("schedule.run").returncode == 2, "also while nothing is due"


def test_all_mistakes_are_reported_at_once(folder):
    (folder.root / "drillbook.yml").write_text("metrics: x\nmetrics: y\nheartbeat: http://127.0.0.1/\nmetricz: z\n")
    told = [
        "drillbook.yml:2:1: the key 'metrics' occurs twice",
        "drillbook.yml:4:1: unknown key",
        "drillbook.yml:3:12: heartbeat",
    ]
    done = folder.run("drill", "sample")
    assert done.returncode == 2
    assert [text for text in told if text not in done.stderr] == []
    listed = " ".join(folder.run("drill.due").stdout.split())
    assert [text for text in told if text not in listed] == []
