"""State of a run: read and verified once, and identical for all readers."""

import json
import time

import pytest

from drillbook.errors import JournalError
from drillbook.journal.journal import FILE, Journal
from drillbook.journal.lines import NO_CHAIN, Chain
from drillbook.journal.run_state import RunState, RunStates
from drillbook.redact import Redactor
from drillbook.values import digest
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


def test_what_was_verified_is_what_is_shown(journal, tmp_path):
    """A program that changes the journal meanwhile changes nothing that was read: each part is of the same bytes."""
    ended(journal)
    state, data = RunState(tmp_path), (tmp_path / FILE).read_bytes()
    assert state.digest == digest(data)
    (tmp_path / FILE).write_bytes(data.replace(b"run.finished", b"run.forgotten"))
    assert RunState(tmp_path).damage
    assert (state.damage, state.data, state.size) == ("", data, len(data))
    assert [event.kind for event in state.events] == ["run.started", "run.finished"]
    assert state.chain == Chain(tuple(event.hash for event in state.events), intact=True)
    assert (state.first_line["kind"], state.lost, state.needs_recovery) == ("run.started", "", False)


def test_the_first_line_is_read_without_the_rest(journal, tmp_path):
    ended(journal)
    state = RunState(tmp_path)
    assert (state.first_line["kind"], state.lost) == ("run.started", "")
    (tmp_path / FILE).unlink()
    assert state.first_line["kind"] == "run.started"
    assert isinstance(state.unreadable, FileNotFoundError), "the rest was not read"
    assert (RunState(tmp_path).first_line, state.chain) == ({}, NO_CHAIN)


def test_events_that_were_freed_are_not_read_again(journal, tmp_path):
    """They might be others than those that were verified."""
    ended(journal)
    state, known = RunState(tmp_path), RunState(tmp_path)
    assert len(state.events) == 2
    state.forget_events()
    for part in ("chain", "digest", "size", "first_line", "lost", "alive", "unreadable"):
        assert getattr(state, part) == getattr(known, part), part
    with pytest.raises(JournalError, match="must not be read again"):
        _ = state.data
    missing = RunState(tmp_path / "missing")
    missing.forget_events()
    assert (isinstance(missing.unreadable, FileNotFoundError), missing.chain) == (True, NO_CHAIN)


def test_all_readers_of_a_task_share_the_state_of_a_run(tmp_path):
    runs = RunStates()
    assert runs.of(tmp_path) is runs.of(tmp_path)
    assert runs.of(tmp_path) is not RunStates().of(tmp_path)


def test_a_recovery_reads_what_is_there_once_the_journal_is_locked(journal, tmp_path):
    journal.close()
    resumed = Journal.resume(tmp_path, Redactor([]), origin=time.monotonic())
    try:
        resumed.append(content("run.finished", {"residue": ()}))
        assert [event.kind for event in resumed.before.events] == ["run.started"]
    finally:
        resumed.close()
