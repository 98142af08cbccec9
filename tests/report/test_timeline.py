from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drillbook.report import timeline
from drillbook.report.labels import flags, text_width
from tests.report import samples

DRAWN = [name for name in samples.ALL if name != "not_ready"]
WIDTHS = [timeline.WIDE, timeline.NARROW]


def check(drawing: timeline.Drawing) -> None:
    for one, other in combinations(drawing.labels(), 2):
        assert not one.box.overlaps(other.box), (one, other)
    for label in drawing.labels():
        assert label.box.x >= -0.01
        assert label.box.right <= drawing.width + 0.01, label
        assert label.box.y + label.box.height <= drawing.height
    for lane in drawing.lanes:
        assert all(piece.x >= 0 and piece.x + piece.width <= drawing.width for piece in lane.pieces)
        assert len(lane.pieces) <= drawing.width


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", DRAWN)
def test_labels_do_not_collide(name: str, width: float) -> None:
    check(timeline.draw(samples.ALL[name](), width))


@pytest.mark.parametrize("width", WIDTHS)
def test_labels_of_the_close_up_do_not_collide(width: float) -> None:
    check(timeline.draw(samples.long_run(), width, close_up=True))


def test_a_close_up_only_where_the_whole_run_does_not_show_the_marks_apart() -> None:
    assert [name for name in samples.ALL if timeline.wants_close_up(samples.ALL[name]())] == ["long_run"]


@given(st.lists(st.floats(0, 20.6), min_size=6, max_size=6), st.sampled_from(WIDTHS))
@settings(deadline=None)
def test_labels_do_not_collide_wherever_the_marks_lie(moments: list[float], width: float) -> None:
    view = samples.passed()
    marks = dict(zip(samples.MARKS, moments, strict=True))
    line = view.timeline.model_copy(update={"marks": marks})
    check(timeline.draw(view.model_copy(update={"timeline": line}), width))


@settings(deadline=None)
@given(st.lists(st.floats(0, 1000), min_size=1, max_size=6).map(sorted))
def test_wide_labels_are_not_crossed_by_lines(places: list[float]) -> None:
    placed = flags([(x, "last acknowledged") for x in places], 1000.0)
    for one in placed:
        for other in placed:
            crosses = one.row <= other.row and other.label.box.x < one.x < other.label.box.right
            assert not crosses


def test_marks_and_spans_lie_where_the_figures_say() -> None:
    view = samples.passed()
    drawing = timeline.draw(view)
    scale = timeline.Scale(0.0, 20.6, timeline.WIDE)
    assert {mark.key: mark.x for mark in drawing.marks} == {key: scale.x(at) for key, at in samples.MARKS.items()}
    found = {one.key: (one.x1, one.x2, one.label.text) for one in drawing.dimensions}
    assert found["rto"] == (scale.x(8.02), scale.x(15.43), "RTO 7.4 s ± 0.1 s")
    assert found["rpo"] == (scale.x(5.96), scale.x(8.01), "RPO 2.05 s ± 0.05 s")
    assert found["outage"] == (scale.x(8.11), scale.x(15.43), "outage 7.3 s ± 0.2 s")


def test_a_span_without_a_figure_is_not_drawn() -> None:
    assert timeline.draw(samples.inconclusive()).dimensions == ()


def test_many_stretches_become_few_pieces_and_no_bad_one_is_lost() -> None:
    lane = timeline.draw(samples.long_run()).lanes[1]
    assert len(lane.pieces) < 10
    assert lane.pieces[-1].kind == "bad"


def test_a_phase_that_never_ended_reaches_to_the_end() -> None:
    phases, probe = timeline.draw(samples.recorded("still_broken")).lanes
    assert [piece.kind for piece in probe.pieces] == ["good", "bad"]
    assert phases.pieces[-1].x + phases.pieces[-1].width == pytest.approx(timeline.WIDE - timeline.EDGE)


def test_lost_writes_are_counted_in_the_drawing() -> None:
    assert [label.text for label in timeline.draw(samples.passed()).lanes[2].counts] == ["41 lost"]


def test_room_for_text_of_any_script() -> None:
    assert text_width("值班工程师") > text_width("abcde") > text_width("iiiii")


@pytest.mark.parametrize("end", [0.004, 0.9, 20.6, 61.0, 7200.0, 400000.0])
@pytest.mark.parametrize("width", WIDTHS)
def test_ticks_are_few_and_nice(end: float, width: float) -> None:
    view = samples.recorded("unprobed")
    line = view.timeline.model_copy(update={"seconds": end, "marks": {}, "phases": ()})
    ticks = timeline.draw(view.model_copy(update={"timeline": line}), width).ticks
    assert 2 <= len(ticks) <= 40
    assert len({tick.text for tick in ticks}) == len(ticks)
