"""The journal on a disk that is full for a while, in truncated or exchanged files, and with failing observers."""

import errno
import json
import os
import resource
import signal
import threading
import time
from contextlib import contextmanager

import pytest
from pydantic import ValidationError

from drillbook.errors import JournalError
from drillbook.events.kinds import KINDS
from drillbook.journal import line_file
from drillbook.journal.journal import FILE, Journal, alive, legible, read, salvage
from drillbook.redact import Redactor
from drillbook.values import canonical
from tests.contents import content
from tests.journal.test_journal import written


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path, Redactor([]), origin=0.0)
    yield journal
    journal.close()


@contextmanager
def room(path, more):
    """Limit the growth of this process's files to ``more`` bytes beyond the size of ``path``, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def kinds(folder):
    return [event.kind for event in read(folder / FILE).events]


def test_of_a_line_for_which_there_is_no_room_nothing_stays(journal, tmp_path):
    path = tmp_path / FILE
    journal.append(content("run.started"))
    whole = path.read_bytes()
    with room(path, 20), pytest.raises(JournalError, match=f"cannot be written: {os.strerror(errno.EFBIG)}") as told:
        journal.append(content("intent", {"n": 1}))
    assert "a fault is injected only after the journal has recorded it" in told.value.hint
    assert path.read_bytes() == whole
    assert journal.append(content("intent", {"n": 2})).seq == 1
    assert kinds(tmp_path) == ["run.started", "intent"]


def test_what_waits_for_room_is_written_in_order_once_there_is_some(journal, tmp_path):
    path = tmp_path / FILE
    told = []
    journal.alarm = told.append
    journal.append(content("run.started"))
    journal.patient = True
    with room(path, 20):
        for kind in ("undo", "undone"):
            journal.append(content(kind, {"intent": 1}), sync=True)
        assert kinds(tmp_path) == ["run.started"]
    assert [event.kind for event in journal.decisive()] == ["undo", "undone"]
    journal.append(content("note"))
    assert kinds(tmp_path) == ["run.started", "undo", "undone", "note"]
    assert told == [journal.failure]
    assert journal.failure == f"{path} cannot be written: {os.strerror(errno.EFBIG)}"


def test_what_waits_at_the_end_is_written_when_it_is_closed(journal, tmp_path):
    path = tmp_path / FILE
    journal.append(content("run.started"))
    journal.patient = True
    with room(path, 20):
        journal.append(content("undone", {"intent": 1}))
    journal.close()
    assert kinds(tmp_path) == ["run.started", "undone"]
    with room(path, -1):
        journal.close()


def test_of_what_waits_only_bulk_is_left_out_when_it_is_too_much(journal, tmp_path, monkeypatch):
    monkeypatch.setattr(line_file, "MOST_WAITING", 2000)
    path = tmp_path / FILE
    journal.append(content("run.started"))
    journal.patient = True
    with room(path, 10):
        for _ in range(5):
            journal.append(content("command", {"stdout": "x" * 500}))
        for _ in range(5):
            journal.append(content("undone", {"intent": 1, "message": "x" * 500}))
        for kind in sorted(kind for kind, model in KINDS.items() if model.BULK):
            journal.append(content(kind, {"text": "x" * 500}))
    journal.append(content("note"))
    assert kinds(tmp_path) == ["run.started", "command", "command", *["undone"] * 5, "note"]
    assert [event.seq for event in read(path).events] == list(range(9))


def test_events_that_decide_are_kept_in_memory_and_no_others(journal):
    for kind in ("run.started", "intent", "note", "undone", "command", "done", "skipped", "residue.settled"):
        journal.append(content(kind, {"n": kind}))
    assert [(event.kind, event.data["n"]) for event in journal.decisive()] == [
        (kind, kind) for kind in ("intent", "undone", "done", "residue.settled")
    ]


@pytest.mark.parametrize("error", [OSError("the terminal is gone"), SystemExit("the terminal is gone")])
def test_an_observer_that_breaks_is_dropped_and_the_others_go_on(tmp_path, error):
    seen, more = [], []

    def breaks(event):
        raise error

    journal = Journal(tmp_path, Redactor([]), origin=0.0, observer=breaks)
    journal.also(lambda event: seen.append(event.kind))
    journal.append(content("one"))
    journal.also(lambda event: more.append(event.kind))
    journal.append(content("two"))
    journal.close()
    assert kinds(tmp_path) == ["one", "observer.failed", "two"]
    assert sorted(seen) == ["observer.failed", "one", "two"]
    assert more == ["two"]
    assert read(tmp_path / FILE).events[1].data == {"message": f"{type(error).__name__}: the terminal is gone"}


def test_a_resumed_journal_knows_what_it_held_and_goes_on_from_there(tmp_path):
    path = written(tmp_path)
    first = Journal(tmp_path, Redactor([]), origin=0.0)
    first.close()
    path.unlink()
    first = Journal(tmp_path, Redactor([]), origin=0.0)
    for kind in ("run.started", "intent", "command", "done"):
        first.append(content(kind))
    first.close()
    seen = []
    again = Journal.resume(tmp_path, Redactor([]), origin=0.0, observer=seen.append)
    assert [event.kind for event in again.decisive()] == ["intent", "done"]
    assert not list(tmp_path.glob("torn-*"))
    event = again.append(content("undone", {"intent": 1}))
    assert (event.seq, event.prev) == (4, read(path).events[3].hash)
    assert seen == [event]
    assert read(path).head == event.hash
    again.close()


def test_a_damaged_journal_is_not_resumed_and_not_held(tmp_path):
    path = written(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], *lines[2:]]))
    with pytest.raises(JournalError):
        Journal.resume(tmp_path, Redactor([]), origin=0.0)
    assert not alive(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(JournalError, match="contains no event"):
        Journal.resume(tmp_path, Redactor([]), origin=0.0)


def test_of_a_damaged_journal_every_line_that_fits_by_itself_can_be_read(tmp_path):
    path = written(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"nonsense\n", lines[2].replace(b'"n":2', b'"n":9'), *lines[3:]]) + b"{")
    assert [event.data["n"] for event in legible(path)] == [0, 3, 4]
    history, wrong = salvage(path)
    assert ([event.data["n"] for event in history.events], history.torn) == ([0], True)
    assert wrong.startswith(f"{path}:2: this is not a line of a journal: ")
    for reads in (legible, salvage, read):
        with pytest.raises(JournalError, match="cannot be read: No such file"):
            reads(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"[" * 100_000, "this is not a line of a journal"),
        (b"[]", "this is not a line of a journal"),
        (b"\xff", "this is not a line of a journal"),
        (b'{"seq":1}', "this is not a line of a journal"),
        (b"", "this is not a line of a journal"),
    ],
)
def test_a_line_that_is_none_is_told_in_one_line(tmp_path, line, told):
    path = written(tmp_path, 1)
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(JournalError, match=f"{FILE}:2: {told}") as caught:
        read(path)
    assert "\n" not in caught.value.message


def test_an_event_cannot_be_changed_and_has_no_other_keys(journal, tmp_path):
    event = journal.append(content("note", {"n": 1}), step="ready.1")
    with pytest.raises(ValidationError):
        event.kind = "done"
    with pytest.raises(ValidationError):
        type(event).model_validate({**event.model_dump(), "more": 1})
    line = json.loads((tmp_path / FILE).read_bytes())
    assert set(line) == {"seq", "at", "clock", "kind", "step", "data", "prev", "hash"}, "no key stands there for nothing"


def test_a_run_whose_folder_cannot_be_shown_touches_nothing(tmp_path):
    class Place:
        inside = tmp_path

        def show(self):
            raise PermissionError(errno.EACCES, "Permission denied")

        def drop(self, name):
            pass

    journal = Journal(tmp_path / "run", Redactor([]), origin=0.0, place=Place())
    assert journal.displaced() == "", "nobody sees it yet"
    with pytest.raises(JournalError, match="cannot be created: Permission denied; nothing was touched"):
        journal.append(content("run.started"))
    journal.close()


def awaited(condition, seconds=30.0):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


class Disk:
    """Flushes of the journal: each is counted with the file size at its beginning, and ends when ``go`` is set."""

    def __init__(self, path, monkeypatch):
        self.path, self.sizes, self.errors = path, [], []
        self.begun, self.go = threading.Semaphore(0), threading.Event()
        self.go.set()
        self._fsync = os.fsync
        monkeypatch.setattr(line_file.os, "fsync", self)

    def __call__(self, descriptor):
        self.sizes.append(self.path.stat().st_size)
        self.begun.release()
        assert self.go.wait(30)
        if self.errors:
            raise self.errors.pop()
        self._fsync(descriptor)


def intents_of(journal, numbers):
    """Append an intent for each number, each in a separate thread. Return the threads, and the events in their order."""
    done = []

    def one(number):
        done.append(journal.append(content("intent", {"n": number}), sync=True, required=True))

    threads = [threading.Thread(target=one, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    return threads, done


def test_one_flush_serves_all_that_wait_and_nobody_goes_on_before_it(journal, tmp_path, monkeypatch):
    path = tmp_path / FILE
    journal.append(content("run.started"), sync=True)
    disk = Disk(path, monkeypatch)
    disk.go.clear()
    (first,), done = intents_of(journal, [0])
    assert disk.begun.acquire(timeout=30)
    others, later = intents_of(journal, range(1, 9))
    awaited(lambda: path.read_bytes().count(b"\n") == 10)
    assert (done, later) == ([], []), "nothing is on the disk yet"
    disk.go.set()
    for thread in (first, *others):
        thread.join()
    assert len(disk.sizes) == 2, "one for the first, one for all others"
    assert disk.sizes[1] == path.stat().st_size
    assert sorted(event.data["n"] for event in (*done, *later)) == list(range(9))
    assert len(read(path).events) == 10


def test_what_could_not_be_flushed_is_refused_and_leaves_no_line(journal, tmp_path, monkeypatch):
    path = tmp_path / FILE
    journal.append(content("run.started"), sync=True)
    journal.append(content("note"))
    whole = path.read_bytes()
    disk = Disk(path, monkeypatch)
    disk.errors.append(OSError(errno.EIO, os.strerror(errno.EIO)))
    with pytest.raises(JournalError, match=f"cannot be written: {os.strerror(errno.EIO)}"):
        journal.append(content("intent", {"n": 1}), sync=True, required=True)
    assert journal.decisive() == ()
    assert journal.append(content("intent", {"n": 2}), sync=True).seq == 2
    assert path.read_bytes().startswith(whole), "the note, which was not on the disk either, is written anew"
    assert kinds(tmp_path) == ["run.started", "note", "intent"]


def test_no_intent_counts_as_kept_because_the_flush_of_another_failed(journal, tmp_path, monkeypatch):
    """The failed flush may lose the line of the other intent, so it is written again and flushed separately."""
    path = tmp_path / FILE
    journal.append(content("run.started"), sync=True)
    disk = Disk(path, monkeypatch)
    disk.go.clear()
    errors = []

    def refused():
        try:
            journal.append(content("intent", {"n": 1}), sync=True, required=True)
        except JournalError as error:
            errors.append(error)

    first = threading.Thread(target=refused)
    first.start()
    assert disk.begun.acquire(timeout=30)
    (second,), done = intents_of(journal, [2])
    awaited(lambda: path.read_bytes().count(b"\n") == 3)
    disk.errors.append(OSError(errno.EIO, os.strerror(errno.EIO)))
    disk.go.set()
    first.join()
    second.join()
    assert len(errors) == 1
    assert len(disk.sizes) == 2
    assert disk.sizes[1] == path.stat().st_size, "the second flush had both lines again"
    assert [event.data["n"] for event in done] == [2]
    assert [event.data.get("n") for event in read(path).events] == [None, 1, 2]


def test_once_a_fault_may_be_active_what_could_not_be_flushed_waits_and_is_told(journal, tmp_path, monkeypatch):
    path = tmp_path / FILE
    told = []
    journal.alarm = told.append
    journal.append(content("run.started"), sync=True)
    journal.patient = True
    disk = Disk(path, monkeypatch)
    disk.errors.append(OSError(errno.EIO, os.strerror(errno.EIO)))
    journal.append(content("undone", {"intent": 1}), sync=True)
    assert told == [f"{path} cannot be written: {os.strerror(errno.EIO)}"]
    assert kinds(tmp_path) == ["run.started"]
    journal.append(content("note"))
    assert kinds(tmp_path) == ["run.started", "undone", "note"]


def test_lines_are_the_canonical_form_of_their_content(journal, tmp_path):
    for data in ({"seconds": 12.0, "n": 1e-7, "ü": "\U0001f600", "a": [1, {"b": None}]}, {}, {"hash": "x", "prev": "y"}):
        journal.append(content("note", data), step="ready.1", host="db-1")
        journal.append(content("note", data))
    for line in (tmp_path / FILE).read_bytes().splitlines():
        assert line == canonical(json.loads(line))
    assert len(read(tmp_path / FILE).events) == 6
