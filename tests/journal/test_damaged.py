"""Statements about the folder of a run whose journal is damaged, empty or missing."""

import json

import pytest

from drillbook.journal import damaged
from drillbook.journal.run_state import RunState

RUN = "20260108T090000.000Z-api-down-0001"


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / RUN
    made.mkdir()
    return made


def test_a_journal_that_is_gone_or_empty_is_told_with_what_lies_beside_it(folder):
    assert (
        RunState(folder).damage
        == "the journal is gone, and the folder has no other files, so the actions of the run are unknown"
    )
    (folder / "journal.jsonl").touch()
    assert (
        damaged.lost(folder)
        == "the journal is empty, and the folder has no other files, so the actions of the run are unknown"
    )
    (folder / "journal.jsonl").write_text('{"seq": 0')
    (folder / "stop").touch()
    (folder / ".hidden").touch()
    assert "the journal contains no line, and the folder has no other files" in damaged.lost(folder)
    for name in ("a.json", "b.json", "c.json", "d.json"):
        (folder / name).touch()
    assert damaged.lost(folder).endswith("other files show that the run had begun: a.json, b.json, c.json, d.json")
    (folder / "e.json").touch()
    assert damaged.lost(folder).endswith("other files show that the run had begun: a.json, b.json, c.json and 2 more")


def test_what_was_signed_comes_before_what_lies_there(folder):
    (folder / "attestation.json").write_text(json.dumps({"events": 12}))
    assert damaged.lost(folder) == "12 events were signed, but the journal is gone"
    for events in ("12", 0, -1, None):
        (folder / "attestation.json").write_text(json.dumps({"events": events}))
        assert damaged.signed_events(folder) == 0, events
        assert "attestation.json" in damaged.lost(folder)


def test_a_journal_with_a_broken_line_is_damaged_and_not_lost(folder):
    (folder / "journal.jsonl").write_text("no JSON\n")
    assert damaged.lost(folder) == ""
    assert "line 1" in RunState(folder).damage


@pytest.mark.parametrize(
    ("result", "settled"),
    [
        ({"residue": []}, True),
        ({"residue": ["a"]}, False),
        ({"residue": ["a"], "settled": {"by": "me"}}, True),
        ({}, False),
        ([], False),
    ],
)
def test_only_a_result_that_says_so_leaves_nothing(folder, result, settled):
    (folder / "result.json").write_text(json.dumps(result))
    assert RunState(folder).settled is settled


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\udcff"])
def test_a_result_that_cannot_be_read_settles_nothing(folder, text):
    (folder / "result.json").write_bytes(text.encode(errors="surrogateescape"))
    assert not RunState(folder).settled
    assert not damaged.is_suite(folder)


def test_drills_of_a_suite_are_found_also_where_their_journal_was_taken_away(folder):
    (folder / "attestation.json").write_text(json.dumps({"suite": "all"}))
    assert damaged.is_suite(folder)
    for name, journal in (
        (RUN, '{"seq":0}\n'),
        ("20260108T080000.000Z-api-down-0002", ""),
        ("other", ""),
        (".hidden", "x\n"),
    ):
        (folder / name).mkdir()
        if journal:
            (folder / name / "journal.jsonl").write_text(journal)
    (folder / "link").symlink_to(folder / RUN)
    assert [path.name for path in damaged.drills_in(folder)] == ["20260108T080000.000Z-api-down-0002", RUN]
