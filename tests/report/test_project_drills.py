"""Drills and suites that ran and that never did: the same words on each page."""

import pytest

from drillbook.report import project_drills
from drillbook.report.index_entries import Known

DRILL, SUITE, PLANNED = Known(), Known(suite=True), Known(suite=True, scheduled=True)
KNOWN = {"a": DRILL, "b": DRILL, "c": DRILL, "all": SUITE, "night": PLANNED}


@pytest.mark.parametrize(
    ("names", "known", "text"),
    [
        ({"a", "b"}, KNOWN, "2 of the 3 drills in drills/ ran"),
        ({"a", "b", "c"}, KNOWN, "All 3 drills in drills/ ran"),
        ({"a"}, {"a": DRILL, "all": SUITE}, "The only drill in drills/ ran"),
        ({"a", "gone"}, KNOWN, "1 of the 3 drills in drills/ ran, and 1 drill without a file there (gone)"),
        ({"gone", "old"}, KNOWN, "None of the 3 drills in drills/ ran, and 2 drills without a file there (gone, old)"),
    ],
)
def test_drills_that_ran_are_counted_among_all_drills(names, known, text):
    assert project_drills.ran(names, known) == text


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ({"a"}, "2 drills and 2 suites never ran (with a schedule: 1 suite)."),
        ({"a", "b", "night"}, "1 drill and 1 suite never ran."),
        ({"a", "b", "c", "all"}, "1 suite never ran (it has a schedule)."),
        (KNOWN, ""),
    ],
)
def test_drills_and_suites_that_never_ran_are_counted_apart(names, text):
    assert project_drills.never(names, KNOWN) == text
    assert [name for names_ in project_drills.missing(names, KNOWN) for name in names_] == sorted(
        set(KNOWN) - set(names), key=lambda name: (KNOWN[name].suite, name)
    )


def test_a_period_has_other_words_than_the_whole_record():
    told = project_drills.never({"a", "b", "c", "all"}, KNOWN, project_drills.NOT_IN_PERIOD)
    assert told == "1 suite did not run in the period (it has a schedule)."
