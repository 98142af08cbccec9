"""State of a run: read and verified once, and identical for all readers."""

import json
import time

import pytest

from drillbook.errors import JournalError
from drillbook.journal.journal import FILE, Journal
from drillbook.journal.run_state import RunState
from drillbook.redact import Redactor
from tests.contents import content


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path, Redactor([]), origin=time.monotonic())
    made.append(content("run.started"))
    yield made
    made.close()


def ended(journal, *residue):
    journal.append(content("run.finished", {"residue": residue}))
    journal.close()


def test_a_run_that_died_has_to_be_recovered(journal, tmp_path):
    assert RunState(tmp_path).alive
    journal.close()
    state = RunState(tmp_path)
    assert (state.alive, state.damage, state.needs_recovery, state.open, state.settled) == (False, "", True, True, False)
    assert state.first["kind"] == "run.started"
    assert state.history.events == state.events


def test_a_run_that_put_everything_back_is_not_open(journal, tmp_path):
    ended(journal)
    state = RunState(tmp_path)
    assert (state.damage, state.needs_recovery, state.open) == ("", False, False)


def test_nothing_is_read_twice(journal, tmp_path):
    journal.close()
    state, never = RunState(tmp_path), RunState(tmp_path)
    assert (len(state.events), state.alive, state.settled, state.lost) == (1, False, False, "")
    (tmp_path / "result.json").write_text(json.dumps({"residue": []}))
    (tmp_path / FILE).unlink()
    assert (len(state.history.events), state.alive, state.settled, state.lost, state.damage) == (1, False, False, "", "")
    assert never.settled
    assert never.damage == never.lost != ""


@pytest.mark.parametrize("end", [b"no JSON\n", b'{"seq": 1}\n'])
def test_a_damaged_journal_is_told_as_far_as_it_is_whole(journal, tmp_path, end):
    ended(journal)
    with (tmp_path / FILE).open("ab") as file:
        file.write(end)
    state = RunState(tmp_path)
    assert f"{FILE}:3" in state.damage
    assert (len(state.events), state.needs_recovery, state.open) == (2, False, True), "its end is not known"
    with pytest.raises(JournalError, match=f"{FILE}:3"):
        _ = state.history
    (tmp_path / "result.json").write_text(json.dumps({"residue": []}))
    assert not RunState(tmp_path).open


def test_a_journal_that_is_gone_has_no_events(tmp_path):
    state = RunState(tmp_path)
    assert (state.alive, state.events, state.first, state.needs_recovery) == (False, (), {}, True)
    assert state.damage.startswith("the journal is gone")
    assert state.open


def test_a_recovery_reads_what_is_there_once_the_journal_is_locked(journal, tmp_path):
    journal.close()
    resumed = Journal.resume(tmp_path, Redactor([]), origin=time.monotonic())
    try:
        resumed.append(content("run.finished", {"residue": ()}))
        assert [event.kind for event in resumed.before.events] == ["run.started"]
    finally:
        resumed.close()
