"""The file of a journal that is cut, moved, replaced or torn by somebody else, and who has locked it."""

import fcntl
import os

import pytest

from drillbook.errors import JournalError
from drillbook.journal.journal import FILE, Journal, alive, read
from drillbook.redact import Redactor
from tests.contents import content
from tests.journal.test_journal import written
from tests.journal.test_journal_cases import journal as journal


def cut(path):
    os.truncate(path, path.stat().st_size - 1)
    return "was shortened by another program"


def away(path):
    path.unlink()
    return "no longer exists: No such file or directory"


def exchanged(path):
    path.with_name("copy").write_bytes(path.read_bytes())
    path.with_name("copy").replace(path)
    return "was replaced by another file"


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize("change", [cut, away, exchanged])
def test_a_file_that_is_changed_by_somebody_else_is_noticed_also_while_nothing_is_written(
    journal, tmp_path, change, resumed
):
    path = tmp_path / FILE
    journal.append(content("run.started"))
    if resumed:
        journal.close()
        journal = Journal.resume(tmp_path, Redactor([]), origin=0.0)
    told = []
    journal.alarm = told.append
    journal.look()
    assert (journal.failure, told) == ("", [])
    why = f"{path} {change(path)}"
    journal.look()
    assert (journal.failure, told) == (why, [why])
    path.unlink(missing_ok=True)
    journal.look()
    assert (journal.failure, told) == (why, [why]), "the first reason, and once"
    with pytest.raises(JournalError):
        journal.append(content("note"))
    journal.close()


def test_once_something_is_broken_a_file_that_was_moved_is_written_on(journal, tmp_path):
    """A reader of the moved file finds all events in it."""
    journal.append(content("run.started"))
    journal.patient = True
    (tmp_path / FILE).rename(tmp_path / "elsewhere")
    journal.append(content("undone", {"intent": 1}))
    assert [event.kind for event in read(tmp_path / "elsewhere").events] == ["run.started", "undone"]
    assert journal.failure.endswith("no longer exists: No such file or directory")


def test_a_closed_journal_is_not_looked_at_and_not_written(journal, tmp_path):
    journal.append(content("run.started"))
    journal.close()
    (tmp_path / FILE).unlink()
    journal.look()
    assert journal.failure == ""
    with pytest.raises(JournalError, match="is closed"):
        journal.append(content("note"))


def test_what_stood_behind_the_last_line_end_is_set_aside_byte_by_byte(tmp_path):
    path = written(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"seq":5,"half')
    Journal.resume(tmp_path, Redactor([]), origin=0.0).close()
    assert path.read_bytes() == whole
    assert (tmp_path / f"torn-{len(whole)}").read_bytes() == b'{"seq":5,"half'


def test_who_only_looks_holds_no_journal(tmp_path):
    path = written(tmp_path, 1)
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert not alive(tmp_path), "somebody else looks too"
        fcntl.flock(other, fcntl.LOCK_EX)
        assert alive(tmp_path)
    assert not alive(tmp_path)


def test_a_journal_has_one_writer(tmp_path):
    journal = Journal(tmp_path, Redactor([]), origin=0.0)
    with pytest.raises(JournalError, match="is being written by another process"):
        Journal(tmp_path, Redactor([]), origin=0.0)
    journal.close()
    Journal(tmp_path, Redactor([]), origin=0.0).close()
