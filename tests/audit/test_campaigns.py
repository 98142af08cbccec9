"""Campaigns in an audit: their runs count, and a removed run or a changed record of a campaign is reported."""

import json
import shutil

import pytest

from tests.campaign.test_processes import campaign_of, counting, runs, with_sites
from tests.program import Folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A project with a campaign of three sites."""
    made = Folder(tmp_path_factory.mktemp("campaign"))
    counting(made)
    with_sites(made, 3)
    done = made.run("campaign", "sample", "--sites", "all.yml")
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


def test_a_changed_record_of_a_campaign_breaks_the_chain(folder):
    path = campaign_of(folder) / "record" / "journal.jsonl"
    before = path.read_text()
    path.write_text(before.replace('"state":"passed"', '"state":"failed"', 1))
    try:
        assert codes(audit(folder))["campaign-damaged"]
    finally:
        path.write_text(before)
