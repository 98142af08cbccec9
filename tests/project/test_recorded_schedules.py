"""Schedules in the record: noted once when a file changes, with the time from which each holds."""

from datetime import timedelta

from drillbook.project import recorded_schedules, schedule_record
from drillbook.project.project import Project
from tests.cli.test_overview import NOW
from tests.project.test_due import DAY
from tests.project.test_due import shelf as shelf


def noted(shelf, now=NOW):
    recorded_schedules.note(Project(shelf.root), now)
    entries = schedule_record.read(Project(shelf.root).reports).entries
    return [(entry.drill, entry.environment, (entry.schedule or {}).get("every_s")) for entry in entries]


def test_a_changed_schedule_is_noted_once_and_a_removed_one_too(shelf):
    shelf.drill("sample", "every: 30d\n")
    shelf.result("sample", ago=DAY)
    first = noted(shelf)
    assert noted(shelf) == first, "it did not change"
    shelf.drill("sample", "every: 60d\n")
    second = noted(shelf, NOW + DAY)
    assert len(second) == len(first) + 1
    assert noted(shelf, NOW + 2 * DAY) == second
    (shelf.root / "drills" / "sample.yml").unlink()
    assert noted(shelf, NOW + 3 * DAY)[-1] == ("sample", "lab", None)


def test_a_drill_without_a_run_and_a_file_that_cannot_be_read_note_nothing(shelf):
    shelf.drill("never", "every: 30d\n")
    assert noted(shelf) == []
    shelf.result("never", ago=DAY)
    known = noted(shelf)
    (shelf.root / "drills" / "never.yml").write_text("drill: [")
    assert noted(shelf, NOW + DAY) == known


def test_a_schedule_never_holds_before_the_one_that_it_replaces(shelf):
    """The clock may have been set back since the newest line."""
    shelf.drill("sample", "every: 30d\n")
    shelf.result("sample", ago=DAY)
    noted(shelf)
    shelf.drill("sample", "every: 60d\n")
    noted(shelf, NOW + 9 * DAY)
    shelf.drill("sample", "every: 90d\n")
    noted(shelf, NOW)
    entries = schedule_record.read(Project(shelf.root).reports).entries
    terms = recorded_schedules.of_entries(entries, "sample", "lab")
    assert terms[-1].since == terms[-2].since
    assert terms[-1].since - NOW > timedelta(days=8)


def test_a_schedule_that_cannot_be_read_is_no_term():
    assert recorded_schedules.term("2026-01-01T00:00:00Z", {"every": "later"}) is None
    assert recorded_schedules.term("some day", None) is None
    held = recorded_schedules.term("2026-01-01T00:00:00Z", None)
    assert held is not None
    assert held.schedule is None
