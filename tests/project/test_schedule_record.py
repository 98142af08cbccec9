"""Record of missed drills: a chain of hashes that reveals changed or removed lines."""

import json
import os
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from drillbook.project import recorded_schedules, retirements, schedule_record
from drillbook.project.schedule_record import FILE, MISSED, NOT_BEGUN, RETIRED, SCHEDULE, Entry, Record
from drillbook.values import canonical, digest

ENTRY = Entry("2026-11-01T09:00:00Z", MISSED, "sample", "app", "lab", "2026-10-01T00:00:00Z", "overdue")


def test_entries_read_back_in_a_chain(tmp_path):
    first = schedule_record.append(tmp_path, ENTRY)
    second = schedule_record.append(tmp_path, replace(ENTRY, kind=NOT_BEGUN))
    assert (first.prev, second.prev) == (None, first.hash)
    assert schedule_record.read(tmp_path) == Record([first, second])
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_a_changed_or_removed_line_is_damage(tmp_path):
    for _ in range(3):
        schedule_record.append(tmp_path, ENTRY)
    lines = (tmp_path / FILE).read_bytes().splitlines(keepends=True)
    (tmp_path / FILE).write_bytes(lines[0] + lines[2])
    assert schedule_record.read(tmp_path)[1] == f"{FILE}:2: the chain of hashes breaks"
    (tmp_path / FILE).write_bytes(lines[0].replace(b"sample", b"simple") + lines[1])
    assert schedule_record.read(tmp_path)[1] == f"{FILE}:1: the chain of hashes breaks"


def test_a_missing_file_is_an_empty_record(tmp_path):
    assert schedule_record.read(tmp_path) == Record([])


HALF = b'{"at":"2026-11-01T09:0'


@pytest.mark.parametrize("left", [HALF, b"{", b"\0" * 9])
def test_a_torn_last_line_is_told_and_the_next_entry_moves_it_to_a_file_of_its_own(tmp_path, left):
    first = schedule_record.append(tmp_path, ENTRY)
    size = (tmp_path / FILE).stat().st_size
    with (tmp_path / FILE).open("ab") as file:
        file.write(left)
    entries, damage, torn = schedule_record.read(tmp_path)
    assert (entries, damage) == ([first], "")
    assert torn.startswith(f"the last line of {FILE} is incomplete and ignored")
    assert torn.endswith(f"{FILE}.torn-{size}")
    later = [schedule_record.append(tmp_path, replace(ENTRY, kind=NOT_BEGUN)) for _ in range(2)]
    assert later[0].prev == first.hash
    assert schedule_record.read(tmp_path) == Record([first, *later])
    assert (tmp_path / f"{FILE}.torn-{size}").read_bytes() == left


def test_a_record_of_one_torn_line_begins_anew(tmp_path):
    (tmp_path / FILE).write_bytes(HALF)
    assert schedule_record.read(tmp_path).torn
    assert schedule_record.read(tmp_path)[:2] == ([], "")
    first = schedule_record.append(tmp_path, ENTRY)
    assert (first.prev, schedule_record.read(tmp_path)) == (None, Record([first]))


def test_a_torn_line_in_the_middle_is_damage_at_its_line_of_the_file(tmp_path):
    schedule_record.append(tmp_path, ENTRY)
    with (tmp_path / FILE).open("ab") as file:
        file.write(b"\n" + HALF + b"\n")
    schedule_record.append(tmp_path, ENTRY)
    found = schedule_record.read(tmp_path)
    assert (found.damage, found.torn) == (f"{FILE}:3: the chain of hashes breaks", "")
    assert len(found.entries) == 2


def test_a_torn_line_that_cannot_be_moved_stays_and_the_entry_is_refused(tmp_path):
    schedule_record.append(tmp_path, ENTRY)
    before = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(before + HALF)
    (tmp_path / f"{FILE}.torn-{len(before)}").mkdir()
    with pytest.raises(OSError, match="directory"):
        schedule_record.append(tmp_path, ENTRY)
    assert (tmp_path / FILE).read_bytes() == before + HALF


def test_a_whole_line_that_lacks_only_its_end_is_no_damage(tmp_path):
    first = schedule_record.append(tmp_path, ENTRY)
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes().rstrip())
    second = schedule_record.append(tmp_path, ENTRY)
    assert schedule_record.read(tmp_path) == Record([first, second])


@pytest.mark.parametrize(
    ("kind", "key", "value", "said"),
    [
        (SCHEDULE, "at", 5, "the value of at has the wrong type"),
        (SCHEDULE, "at", "yesterday", "the value of `at` is not a time"),
        (SCHEDULE, "schedule", ["7d"], "the value of schedule has the wrong type"),
        (MISSED, "kind", ["missed"], "the value of kind has the wrong type"),
        (MISSED, "drill", ["sample"], "the value of drill has the wrong type"),
        (RETIRED, "environment", ["lab"], "the value of environment has the wrong type"),
        (MISSED, "message", "\ud800", "the chain of hashes breaks"),
        (MISSED, "prev", 5, "the value of prev has the wrong type"),
        (MISSED, "hash", 5, "the value of hash has the wrong type"),
    ],
)
def test_a_value_of_a_wrong_type_is_damage_and_harms_no_reader(tmp_path, kind, key, value, said):
    content = {**asdict(replace(ENTRY, kind=kind, drill="" if kind == RETIRED else "sample")), key: value}
    content.pop("hash" if key != "hash" else "by")
    try:
        content.setdefault("hash", digest(canonical(content)))
        (tmp_path / FILE).write_bytes(canonical(content) + b"\n")
    except ValueError:
        (tmp_path / FILE).write_text(json.dumps(content | {"hash": ""}))
    later = schedule_record.append(tmp_path, ENTRY)
    entries, damage, _ = schedule_record.read(tmp_path)
    assert entries[-1] == later
    assert damage.startswith(f"{FILE}:1: ")
    assert said in damage or key in ("prev", "hash")
    assert recorded_schedules.of_entries(entries, "sample", "lab") == []
    assert schedule_record.newest(entries, MISSED) == {later.subject: later}
    assert retirements.places(entries, {("sample", "lab"): "2026-10-01T00:00:00Z"}, []) == set()


def test_a_link_to_nothing_is_not_followed(tmp_path):
    """Root would make a file of any name, and give it to the owner of ``reports``."""
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError):
        schedule_record.append(tmp_path / "reports", ENTRY)
    assert not (tmp_path / "elsewhere").exists()


NOBODY = 65534


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_owner_of_the_reports_can_append_to_a_file_that_root_made():
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # only root can enter the folders of pytest
        reports = Path(folder)
        os.chown(reports, NOBODY, NOBODY)
        schedule_record.append(reports, ENTRY)
        made = (reports / FILE).stat()
        assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (NOBODY, NOBODY, 0o600)
        child = os.fork()
        if not child:
            _append_as_nobody(reports)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        entries, damage, _ = schedule_record.read(reports)
        assert ([one.kind for one in entries], damage) == ([MISSED, NOT_BEGUN], "")


def _append_as_nobody(reports):
    status = 1
    try:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        if not schedule_record.read(reports).damage:
            schedule_record.append(reports, replace(ENTRY, kind=NOT_BEGUN))
            status = 0
    finally:
        os._exit(status)
