"""Campaigns in an audit: their runs count, and a removed run or a changed record of a campaign is reported."""

import json
import shutil

import pytest

from drillbook.journal.journal import Journal
from drillbook.redact import Redactor
from tests.campaign.test_processes import campaign_of, counting, runs, with_sites
from tests.contents import content
from tests.program import Folder, step


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A project with a campaign of three sites."""
    made = Folder(tmp_path_factory.mktemp("campaign"))
    counting(made)
    with_sites(made, 3)
    done = made.run("campaign", "sample", "--sites", "all.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    return made


@pytest.fixture
def suites(tmp_path):
    """A project with a campaign that ran a suite of two drills at one site."""
    made = Folder(tmp_path)
    for name in ("sample", "other"):
        made.write("ready:\n" + step(["true"]), name)
    (made.root / "drills" / "both.yml").write_text("suite: both\ntitle: Both\ndrills: [sample, other]\n")
    with_sites(made, 1)
    done = made.run("campaign", "both", "--sites", "all.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    return made


def audit(folder):
    folder.run("audit", "--since", "2020-01-01", "--until", "2999-12-31", "--out", "audit")
    return json.loads((folder.root / "audit" / "audit.json").read_text())


def codes(found):
    return {problem["code"]: problem["breaking"] for problem in found["problems"]}


def test_the_runs_of_a_campaign_are_counted_and_name_their_intents(folder):
    found = audit(folder)
    assert codes(found) == {}
    assert len(found["runs"]) == 3
    assert {row["before"] for row in found["evidence"]} == {
        f"the intent of the run's site in the campaign {campaign_of(folder).name}"
    }
    assert found["unanchored"] == []


def test_a_recovery_after_the_campaign_is_unconfirmed_and_the_campaign_is_no_run(folder):
    (one, *_) = runs(folder)
    path = folder.root / "reports" / one / "journal.jsonl"
    before = path.read_bytes()
    journal = Journal.resume(path.parent, Redactor([]), origin=0.0)
    journal.append(content("recovery.started", {"operator": "bob@ops", "tool": "drillbook 0"}))
    journal.append(content("recovery.finished", {"residue": []}))
    journal.close()
    try:
        assert audit(folder)["unanchored"] == [
            f"{one}: its last 2 events, written after the campaign {campaign_of(folder).name} recorded the end of the run"
        ]
    finally:
        path.write_bytes(before)


def test_a_removed_run_is_missed_by_its_campaign(folder, tmp_path):
    (one, *_) = runs(folder)
    shutil.move(folder.root / "reports" / one, tmp_path)
    try:
        found = audit(folder)
        assert codes(found)["campaign-run"]
        (row,) = found["absent"]
        assert row["run"] == one
        assert row["named_by"].startswith("the anchor in ")
        assert row["named_by"].endswith(f" and the campaign {campaign_of(folder).name}")
    finally:
        shutil.move(tmp_path / one, folder.root / "reports")


def test_a_run_of_a_campaign_whose_end_was_cut_off_is_not_missing(folder):
    (name, *_) = runs(folder)
    path = folder.root / "reports" / name / "journal.jsonl"
    before = path.read_bytes()
    path.write_bytes(b"".join(before.splitlines(keepends=True)[:-1]))
    try:
        found = audit(folder)
        (problem,) = [row for row in found["problems"] if row["code"] == "campaign-run"]
        assert problem["text"].endswith(
            f"as the last event of the run {name}, but the journal of this run does not contain this event: the end of the "
            "journal was cut off, or another journal replaced it"
        )
        assert found["absent"] == []
        assert "missing from the record" not in (folder.root / "audit" / "audit.md").read_text()
    finally:
        path.write_bytes(before)


def test_a_removed_run_of_a_campaign_of_a_suite_has_no_known_name(suites):
    (suite,) = suites.root.glob("reports/2*-both-*")
    (path,) = suite.glob("*-other-*/journal.jsonl")
    shutil.rmtree(path.parent)
    found = audit(suites)
    (problem,) = [row for row in found["problems"] if row["code"] == "campaign-run"]
    assert f"as the last event of a run of the suite {suite.name}, but no journal contains this event" in problem["text"]
    by_campaign = [row for row in found["absent"] if row["named_by"] == f"the campaign {campaign_of(suites).name}"]
    assert [row["run"] for row in by_campaign] == [""]
    assert by_campaign[0]["why"].endswith("but either the folder of this run or the end of its journal is missing")
    assert suite.name not in {row["run"] for row in found["absent"]}


def test_a_changed_record_of_a_campaign_breaks_the_chain(folder):
    path = campaign_of(folder) / "record" / "journal.jsonl"
    before = path.read_text()
    path.write_text(before.replace('"state":"passed"', '"state":"failed"', 1))
    try:
        assert codes(audit(folder))["campaign-damaged"]
    finally:
        path.write_text(before)
