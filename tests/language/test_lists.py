"""Shortened lists in sentences count only what takes more room than the count."""

import re
from pathlib import Path

import pytest

from drillbook.attestation import trusted_content
from drillbook.findings import finding
from drillbook.language.lists import leading, listed, ranged
from drillbook.notify import wording
from drillbook.report import open_findings
from drillbook.sdk import stored_backup

SOURCE = Path(__file__).parents[2] / "src" / "drillbook"


@pytest.mark.parametrize(("number", "shown", "others"), [(0, 0, 0), (4, 4, 0), (5, 5, 0), (6, 4, 2), (9, 4, 5)])
def test_a_single_other_item_is_not_left_out(number, shown, others):
    items = [f"s{number}" for number in range(number)]
    assert leading(items, 4) == (items[:shown], others)
    assert "and 1 more" not in open_findings.named(items or ["x"])


def test_the_others_are_counted_after_the_separator():
    assert listed(["a", "b", "c"], 2) == "a, b, c"
    assert listed(["a", "b", "c", "d"], 2) == "a, b and 2 more"
    assert listed(["a", "b", "c", "d"], 2, "; ") == "a; b; and 2 more"


def test_a_range_of_a_single_value_is_this_value():
    assert (ranged(4, 6), ranged(4, 4)) == ("4 to 6", "4")


@pytest.mark.parametrize("number", range(2, 15))
def test_no_list_says_and_1_more(number):
    names = [f"file-{each}" for each in range(number)]
    damaged = stored_backup.summary([finding("backup-damaged", title=name) for name in names])
    for text in (trusted_content.names(names), damaged, *wording._few(names)):
        assert "1 more" not in re.sub(r"\d{2,} more", "", text)


def test_every_list_is_shortened_by_the_same_function():
    own = re.compile(r"\{len\([^}]*\) - [^}]*\} more|more = len\(")
    found = [path.name for path in SOURCE.rglob("*.py") if own.search(path.read_text(encoding="utf-8"))]
    assert sorted(found) == ["campaign_view.py", "controls.py"], "they count two and more, or four and more"
