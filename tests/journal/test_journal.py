"""The journal: written events survive a crash, and changed events are detected."""

import json
import threading
import time

import pytest

from drillbook.errors import JournalError
from drillbook.journal.journal import FILE, Journal, alive, read, salvage
from drillbook.redact import Redactor
from drillbook.sdk.run_folder import RunFolder
from drillbook.values import canonical, digest
from tests.contents import content


def written(folder, count=5, **options):
    journal = Journal(folder, Redactor(["hunter22"]), origin=time.monotonic(), **options)
    for number in range(count):
        journal.append(content("note", {"n": number}), step="ready.1", host="db-1", sync=number % 2 == 0)
    journal.close()
    return folder / FILE


def test_events_come_back_in_order_with_their_chain(tmp_path):
    history = read(written(tmp_path, prev="sha256:before"))
    assert [event.data["n"] for event in history.events] == [0, 1, 2, 3, 4]
    assert history.events[0].prev == "sha256:before"
    assert all(b.prev == a.hash for a, b in zip(history.events, history.events[1:], strict=False))
    assert not history.torn


def change(path, number, edit):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(edit(lines)))
    return number


def swapped(lines):
    lines[1], lines[2] = lines[2], lines[1]
    return lines


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (lambda lines: [lines[0], lines[1].replace(b'"n":1', b'"n":9'), *lines[2:]], 2),
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: swapped(list(lines)), 2),
        (lambda lines: [*lines[:3], b"{}\n", *lines[3:]], 4),
        (lambda lines: [*lines[:3], b"not json\n", *lines[3:]], 4),
        (lambda lines: lines[1:] + lines[:1], 1),
        (lambda lines: [*lines, lines[-1]], 6),
    ],
)
def test_a_change_is_named_by_its_line(tmp_path, edit, line):
    path = written(tmp_path)
    change(path, line, edit)
    with pytest.raises(JournalError) as caught:
        read(path)
    assert f"{FILE}:{line}:" in caught.value.message


def test_every_flipped_byte_is_noticed(tmp_path):
    path = written(tmp_path, count=3)
    data = path.read_bytes()
    for position in range(0, len(data), 7):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        try:
            assert read(path).torn, f"byte {position} was flipped unnoticed"
        except JournalError:
            pass


def test_a_torn_last_line_is_left_out_and_said(tmp_path):
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    history = read(path)
    assert history.torn
    assert len(history.events) == 4
    journal = Journal.resume(tmp_path, Redactor([]), origin=0.0)
    journal.append(content("note", {"n": 9}))
    journal.close()
    again = read(path)
    assert [event.data["n"] for event in again.events] == [0, 1, 2, 3, 9]
    assert not again.torn
    assert len(list(tmp_path.glob("torn-*"))) == 1, "nothing that was written is thrown away"


def test_secrets_never_enter(tmp_path):
    journal = Journal(tmp_path, Redactor(["hunter22"]), origin=0.0)
    journal.append(content("note", {"said": "the password is hunter22", "hunter22": ["hunter22"]}))
    journal.close()
    assert b"hunter22" not in (tmp_path / FILE).read_bytes()


def test_a_secret_does_not_hide_in_bytes_or_sets(tmp_path):
    journal = Journal(tmp_path, Redactor(["hunter22"]), origin=0.0)
    journal.append(content("note", {"raw": b"is hunter22", "set": {"hunter22"}}))
    journal.close()
    assert b"hunter22" not in (tmp_path / FILE).read_bytes()


def test_many_threads_one_chain(tmp_path):
    journal = Journal(tmp_path, Redactor([]), origin=0.0)
    threads = [
        threading.Thread(target=lambda: [journal.append(content("note", {"n": n})) for n in range(50)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert len(read(tmp_path / FILE).events) == 400


def test_lines_are_canonical_and_private(tmp_path):
    path = written(tmp_path, count=1)
    content = json.loads(path.read_bytes())
    assert list(content) == sorted(content)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_line_that_was_written_anew_with_a_hash_of_its_own_does_not_fit_the_next(tmp_path):
    """An attacker can recompute the hash of a changed line, but the next line still contains the old one."""
    path = written(tmp_path)
    lines = path.read_bytes().splitlines()
    content = json.loads(lines[1])
    del content["hash"]
    content["data"]["n"] = 9
    lines[1] = canonical(content | {"hash": digest(canonical(content))})
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(JournalError, match=f"{FILE}:3: the chain is broken"):
        read(path)
    assert [event.data["n"] for event in salvage(path)[0].events] == [0, 9], "it is read as far as it fits"


def test_a_line_that_was_left_out_and_the_rest_numbered_anew_does_not_fit(tmp_path):
    path = written(tmp_path)
    lines = path.read_bytes().splitlines()
    anew = [json.loads(line) for line in (lines[0], *lines[2:])]
    for number, line in enumerate(anew):
        del line["hash"]
        line["seq"] = number
        anew[number] = line | {"hash": digest(canonical(line))}
    path.write_bytes(b"".join(canonical(line) + b"\n" for line in anew))
    with pytest.raises(JournalError, match=f"{FILE}:2: the chain is broken"):
        read(path)


def test_what_is_required_is_written_or_refused_also_while_the_journal_is_patient(tmp_path):
    journal = Journal(tmp_path, Redactor([]), origin=0.0)
    told = []
    journal.alarm, journal.patient = told.append, True
    journal.append(content("run.started"))
    (tmp_path / FILE).rename(tmp_path / "away")
    assert journal.append(content("done")).seq == 1
    with pytest.raises(JournalError, match="no longer exists: No such file"):
        journal.append(content("intent"), required=True)
    assert [event.kind for event in journal.decisive()] == ["done"], "what was refused was not announced"
    (tmp_path / "away").rename(tmp_path / FILE)
    assert journal.append(content("intent"), sync=True, required=True).seq == 2
    journal.close()
    assert [event.kind for event in read(tmp_path / FILE).events] == ["run.started", "done", "intent"]
    assert (told, journal.failure) == ([f"{tmp_path / FILE} no longer exists: No such file or directory"], told[0])


def test_a_folder_of_a_run_appears_with_its_first_event(tmp_path):
    folder = tmp_path / "suite" / "run"
    journal = Journal(folder, Redactor([]), origin=0.0, place=RunFolder.make(folder))
    assert not list(tmp_path.glob("[!.]*"))
    journal.append(content("run.started"), sync=True)
    assert [path.name for path in (tmp_path / "suite").iterdir()] == ["run"]
    assert not list(tmp_path.glob(".*"))
    journal.close()
    never = Journal(folder.with_name("next"), Redactor([]), origin=0.0, place=RunFolder.make(folder.with_name("next")))
    never.close()
    assert [path.name for path in (tmp_path / "suite").iterdir()] == ["run"], "what never began leaves nothing"
    assert [event.kind for event in read(folder / FILE).events] == ["run.started"]


def test_no_process_writes_a_journal_that_is_not_there(tmp_path):
    assert not alive(tmp_path)
    journal = Journal(tmp_path, Redactor([]), origin=0.0)
    assert alive(tmp_path)
    journal.close()
    assert not alive(tmp_path)
    journal.close()


def test_the_clock_of_a_run_counts_from_its_origin(tmp_path):
    journal = Journal(tmp_path, Redactor([]), origin=time.monotonic() - 5)
    assert 5 <= journal.clock() < 600
    assert 5 <= journal.append(content("note")).clock < 600
    journal.close()
