"""Record of missed drills: a chain of hashes that reveals changed or removed lines."""

from dataclasses import replace

from drillbook.project import schedule_record
from drillbook.project.schedule_record import FILE, MISSED, NOT_BEGUN, Entry

ENTRY = Entry("2026-11-01T09:00:00Z", MISSED, "sample", "app", "lab", "2026-10-01T00:00:00Z", "overdue")


def test_entries_read_back_in_a_chain(tmp_path):
    first = schedule_record.append(tmp_path, ENTRY)
    second = schedule_record.append(tmp_path, replace(ENTRY, kind=NOT_BEGUN))
    assert (first.prev, second.prev) == (None, first.hash)
    assert schedule_record.read(tmp_path) == ([first, second], "")
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_a_changed_or_removed_line_is_damage(tmp_path):
    for _ in range(3):
        schedule_record.append(tmp_path, ENTRY)
    lines = (tmp_path / FILE).read_bytes().splitlines(keepends=True)
    (tmp_path / FILE).write_bytes(lines[0] + lines[2])
    assert schedule_record.read(tmp_path)[1] == f"{FILE}, line 2: the chain of hashes breaks"
    (tmp_path / FILE).write_bytes(lines[0].replace(b"sample", b"simple") + lines[1])
    assert schedule_record.read(tmp_path)[1] == f"{FILE}, line 1: the chain of hashes breaks"


def test_a_missing_file_is_an_empty_record(tmp_path):
    assert schedule_record.read(tmp_path) == ([], "")
