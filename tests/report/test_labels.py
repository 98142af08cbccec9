"""Labels of a drawing: none overlaps another, and no line crosses one."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from drillbook.report import timeline
from drillbook.report.labels import flags, text_width


@settings(deadline=None)
@given(st.lists(st.floats(0, 1000), min_size=1, max_size=6).map(sorted))
def test_wide_labels_are_not_crossed_by_lines(places: list[float]) -> None:
    placed = flags([(x, "last acknowledged") for x in places], 1000.0)
    for one in placed:
        for other in placed:
            box = other.label.box
            assert one.row > other.row or not min(other.x, box.x) < one.x < max(other.x, box.right)


def test_the_label_of_a_close_mark_stands_beside_its_own_line() -> None:
    """No other line runs between a line and its label, even for two moments 35 ms apart in a run of 11 s."""
    first, second = flags([(465.0, "last acknowledged 5.08 s"), (468.0, "disruption 5.11 s")], timeline.WIDE)
    assert (first.label.anchor, second.label.anchor) == ("end", "start")
    assert first.row == second.row == 0


def test_room_for_text_of_any_script() -> None:
    assert text_width("值班工程师") > text_width("abcde") > text_width("iiiii")
