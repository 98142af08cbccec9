"""Pages of the newest audit, which the index of runs links to."""

import json
import os

import pytest

from drillbook.report import audit_pages, index

GOOD = {"schema": "drillbook/audit/1", "since": "2026-01-01", "until": "2026-06-30"}


def audit(reports, name, at, data=GOOD, *, summary=True):
    folder = reports / name
    folder.mkdir()
    (folder / "audit.json").write_text(data if isinstance(data, str) else json.dumps(data))
    (folder / "audit.html").write_text("<p>")
    os.utime(folder / "audit.html", (at, at))
    if summary:
        (folder / "summary.html").write_text("<p>")


def test_the_audit_whose_page_was_written_last_is_linked(tmp_path):
    assert audit_pages.newest(tmp_path) is None
    audit(tmp_path, "first", 2000)
    audit(tmp_path, "second", 1000)
    found = audit_pages.newest(tmp_path)
    assert (found.period, found.audit) == ("2026-01-01 to 2026-06-30", "first/audit.html")
    assert found.summary == "first/summary.html"


def test_an_audit_of_a_period_that_goes_on_says_its_day(tmp_path):
    audit(tmp_path, "audit", 1000, GOOD | {"so_far_to": "2026-03-04"}, summary=False)
    found = audit_pages.newest(tmp_path)
    assert (found.period, found.summary) == ("2026-01-01 to 2026-06-30 (as of 2026-03-04)", "")


def test_an_audit_of_a_single_day_has_one_date(tmp_path):
    audit(tmp_path, "audit", 1000, GOOD | {"since": "2026-06-30"})
    assert audit_pages.newest(tmp_path).period == "2026-06-30"


@pytest.mark.parametrize(
    "data", ["", "[]", "{}", "\xff", GOOD | {"schema": "other/1"}, {key: GOOD[key] for key in ("schema", "since")}]
)
def test_an_audit_that_cannot_be_read_is_passed_over(tmp_path, data):
    audit(tmp_path, "old", 1000)
    audit(tmp_path, "broken", 2000, data)
    assert audit_pages.newest(tmp_path).audit == "old/audit.html"


def test_hidden_folders_and_links_are_passed_over(tmp_path):
    audit(tmp_path, ".draft", 2000)
    (tmp_path / "linked").symlink_to(".draft")
    assert audit_pages.newest(tmp_path) is None


@pytest.mark.parametrize("whole", [True, False])
def test_the_index_says_if_the_newest_audit_found_the_record_incomplete(tmp_path, whole):
    audit(tmp_path, "audit", 1000, GOOD | {"whole": whole})
    found = audit_pages.newest(tmp_path)
    assert found.whole is whole
    assert ("The record of the runs is not complete." in index.render([], audit=found)) is not whole
