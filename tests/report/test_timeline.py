from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drillbook.judge.result import Span
from drillbook.report import html, markdown, rows, timeline, wording
from tests.report import samples
from tests.report.test_agreement import plain

DRAWN = [name for name in samples.ALL if name != "not_ready"]
MARKS = ("disruption", "first_bad", "recovered", "verified", "recovery_point", "last_acknowledged")
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


def test_the_name_of_a_phase_stands_beside_the_line_of_a_moment_where_there_is_room() -> None:
    line = samples.passed().timeline
    restore = next(span for span in line.phases if span.label == "restore")
    middle = (restore.start + (restore.end or 0.0)) / 2
    view = samples.passed().model_copy(update={"timeline": line.model_copy(update={"marks": {"recovered": middle}})})
    drawing = timeline.draw(view)
    (at,) = [mark.x for mark in drawing.marks]
    names = [piece.label for piece in drawing.lanes[0].pieces if piece.label]
    assert "restore" in [one.text for one in names]
    assert not [one for one in names if one.box.x < at < one.box.right]


@pytest.mark.parametrize("width", WIDTHS)
def test_labels_of_the_close_up_do_not_collide(width: float) -> None:
    check(timeline.draw(samples.long_run(), width, close_up=True))


def test_a_close_up_only_where_the_whole_run_does_not_show_the_marks_apart() -> None:
    assert [name for name in samples.ALL if timeline.wants_close_up(samples.ALL[name]())] == ["long_run"]


@given(st.lists(st.floats(0, 20.6), min_size=6, max_size=6), st.sampled_from(WIDTHS))
@settings(deadline=None)
def test_labels_do_not_collide_wherever_the_marks_lie(moments: list[float], width: float) -> None:
    view = samples.passed()
    marks = dict(zip(MARKS, moments, strict=True))
    line = view.timeline.model_copy(update={"marks": marks})
    check(timeline.draw(view.model_copy(update={"timeline": line}), width))


def test_ticks_are_centred_below_their_moments() -> None:
    drawing = timeline.draw(samples.passed())
    scale = timeline.Scale(0.0, samples.passed().timeline.seconds, timeline.WIDE)
    assert {tick.anchor for tick in drawing.ticks} == {"middle"}
    assert drawing.ticks[0].x == pytest.approx(scale.x(0))


def test_the_label_of_a_short_span_stands_near_it_on_a_phone() -> None:
    view = samples.passed()
    for one in timeline.draw(view, timeline.NARROW).dimensions:
        box = one.label.box
        assert max(one.x1 - box.right, box.x - one.x2, 0) <= 11


def test_lines_are_hidden_behind_labels_that_they_may_cross() -> None:
    drawing = timeline.draw(samples.passed())
    boxes = drawing.covers()
    for lane in drawing.lanes:
        assert lane.name.box in boxes
        assert lane.note is None or lane.note.box in boxes


def test_marks_and_spans_lie_where_the_figures_say() -> None:
    view = samples.passed()
    drawing = timeline.draw(view)
    marks, result = view.timeline.marks, view.result
    assert marks.keys() >= set(MARKS)
    scale = timeline.Scale(0.0, view.timeline.seconds, timeline.WIDE)
    assert {mark.key: mark.x for mark in drawing.marks} == {key: scale.x(at) for key, at in marks.items()}
    found = {one.key: (one.x1, one.x2, one.label.text) for one in drawing.dimensions}
    for key, begin, end, name in (
        ("rto", "disruption", "recovered", "RTO"),
        ("rpo", "recovery_point", "last_acknowledged", "RPO"),
        ("outage", "first_bad", "recovered", "outage"),
    ):
        written = f"{name} {wording.written(result, key)}"
        assert found[key] == (scale.x(marks[begin]), scale.x(marks[end]), written)


def test_a_span_without_a_figure_is_not_drawn() -> None:
    assert timeline.draw(samples.inconclusive()).dimensions == ()


def test_many_stretches_become_few_pieces_and_no_bad_one_is_lost() -> None:
    view = samples.long_run()
    assert len(view.timeline.probes[0].stretches) > 20
    hours = view.timeline.model_copy(update={"seconds": 7200.0})
    lane = timeline.draw(view.model_copy(update={"timeline": hours})).lanes[1]
    assert len(lane.pieces) < 10
    assert "bad" in [piece.kind for piece in lane.pieces]


@pytest.mark.parametrize(("until", "told"), [(3.4, True), (1.2, False)])
def test_the_time_between_the_phase_ready_and_the_next_one_has_a_name(until: float, *, told: bool) -> None:
    view = samples.passed()
    ready, after, *others = view.timeline.phases
    assert ready.label == "ready"
    spans = (Span(start=0.2, end=1.0, label="ready"), after.model_copy(update={"start": until}), *others)
    view = view.model_copy(update={"timeline": view.timeline.model_copy(update={"phases": spans})})
    drawing = timeline.draw(view)
    pieces = [piece for piece in drawing.lanes[0].pieces if piece.kind == "phase checks"]
    said = "the run checked all its steps, and waited until every probe was good"
    assert [piece.title for piece in pieces] == ([f"{said}: 1.00 s to 3.40 s"] if told else [])
    assert ("checks" in [label.text for label in drawing.labels()]) is told
    for text in (html.render(view), markdown.render(view)):
        assert (f"For 2.40 s between the phase ready and the next one, {said}." in plain(text)) is told


def test_the_numbers_of_a_probe_stand_beside_the_lines_of_moments_where_there_is_room() -> None:
    drawing = timeline.draw(samples.passed())
    notes = [lane.note for lane in drawing.lanes if lane.note]
    assert len(notes) == len(samples.passed().timeline.probes)
    for note in notes:
        assert not [mark for mark in drawing.marks if note.box.x < mark.x < note.box.right], note.text


def test_a_short_phase_without_steps_has_no_name_beside_that_of_its_neighbour() -> None:
    view = samples.passed()
    steps = tuple(step for step in view.steps if step.phase != "detect")
    texts = [label.text for label in timeline.draw(view.model_copy(update={"steps": steps})).labels()]
    assert "inject" in texts
    assert "detect" not in texts


def test_names_below_the_phases_are_apart() -> None:
    for name in DRAWN:
        phases = timeline.draw(samples.ALL[name]()).lanes[0]
        for one, other in combinations(phases.counts, 2):
            assert one.box.y != other.box.y or max(one.box.x - other.box.right, other.box.x - one.box.right) >= timeline.EDGE


def test_a_phase_that_never_ended_reaches_to_the_end() -> None:
    phases, probe = timeline.draw(samples.recorded("still_broken")).lanes
    assert [piece.kind for piece in probe.pieces] == ["good", "bad"]
    assert phases.pieces[-1].x + phases.pieces[-1].width == pytest.approx(timeline.WIDE - timeline.EDGE)


def test_lost_writes_are_counted_in_the_drawing() -> None:
    view = samples.passed()
    lost = view.result.objectives["rpo"].lost_writes
    assert lost
    assert [label.text for label in timeline.draw(view).lanes[2].counts] == [f"{lost} lost"]


@pytest.mark.parametrize("end", [0.004, 0.9, 20.6, 61.0, 7200.0, 400000.0])
@pytest.mark.parametrize("width", WIDTHS)
def test_ticks_are_few_and_nice(end: float, width: float) -> None:
    view = samples.recorded("unprobed")
    line = view.timeline.model_copy(update={"seconds": end, "marks": {}, "phases": ()})
    ticks = timeline.draw(view.model_copy(update={"timeline": line}), width).ticks
    assert 2 <= len(ticks) <= 40
    assert len({tick.text for tick in ticks}) == len(ticks)


def test_figures_that_do_not_count_are_in_parentheses() -> None:
    view = samples.recorded("stopped")
    drawn = {span.key: span.label.text for span in timeline.draw(view).dimensions}
    uncounted = {row.key for row in rows.rows_of(view.result) if row.uncounted}
    assert uncounted & set(drawn)
    for key in uncounted & set(drawn):
        assert drawn[key].startswith(f"{key.upper()} (")
        assert ") does not count" in drawn[key]
    assert any("undo: restore" in piece.title for piece in timeline.draw(view).lanes[0].pieces)
