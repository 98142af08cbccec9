"""The numbers of a canary's writes in a report add up, in journals of real runs."""

import re

import pytest

from drillbook.judge.result import Objective
from drillbook.report import canary_writes, html, markdown, rows, timeline
from tests.report import samples
from tests.report.test_agreement import plain

PARTS = re.compile(r"(\d+) writes: (\d+) acknowledged (.+?) \(the RPO counts these\), (\d+) later, (\d+) not acknowledged$")


def told(view):
    (track,) = [one for one in view.timeline.probes if one.kind == "canary"]
    return canary_writes.parts(view, track), track


@pytest.mark.parametrize("name", ["passed", "failed", "repeated", "long_run"])
def test_all_writes_are_the_counted_the_later_and_the_refused(name):
    view = samples.ALL[name]()
    text, track = told(view)
    writes, counted, until, later, refused = PARTS.match(text).groups()
    assert int(writes) == int(counted) + int(later) + int(refused) == track.samples
    rpo = view.result.objectives["rpo"]
    assert int(counted) == rpo.acknowledged_writes
    (row,) = [one for one in rows.rows_of(view.result) if one.key == "rpo"]
    assert f" of {counted} test writes of the drill lost" in row.writes
    assert f"{text}." in html.render(view)
    assert until == {"long_run": "before the disruption, or after it but lost again"}.get(
        name, f"up to {view.timeline.marks['last_acknowledged']:.2f} s"
    )


def test_until_the_end_of_the_counted_writes_there_are_so_many():
    view = samples.ALL["passed"]()
    _, track = told(view)
    last = view.timeline.marks["last_acknowledged"]
    known = sum(one.count for one in track.stretches if one.label in ("kept", "lost") and one.start <= last)
    assert known == view.result.objectives["rpo"].acknowledged_writes


def test_nothing_lost_counts_up_to_the_disruption():
    view = samples.ALL["passed"]()
    marks = {"disruption": 21.71, "last_acknowledged": 21.70}
    view = view.model_copy(update={"timeline": view.timeline.model_copy(update={"marks": marks})})
    assert " acknowledged before the disruption (the RPO counts these), " in told(view)[0]


@pytest.mark.parametrize("objective", [None, Objective(target_s=1.0, measured_s=None, error_s=None, met=None)])
def test_without_counts_of_the_rpo_nothing_is_divided(objective):
    view = samples.ALL["passed"]()
    known = {key: one for key, one in view.result.objectives.items() if key != "rpo"} | (
        {"rpo": objective} if objective else {}
    )
    view = view.model_copy(update={"result": view.result.model_copy(update={"objectives": known})})
    assert told(view)[0] == "532 writes, 312 not acknowledged"


def test_the_page_itself_tells_which_acknowledged_writes_the_rpo_counts():
    """The sum of the acknowledged writes is larger than the number beside the RPO, where more followed after the recovery."""
    view = samples.ALL["passed"]()
    text, track = told(view)
    for page in (html.render(view), markdown.render(view)):
        assert plain(page).count(f"{track.name}, {text}.") == 1
        assert "(the RPO counts these)" in plain(page)


def test_a_narrow_drawing_has_the_short_form():
    view = samples.ALL["passed"]()
    notes = [[lane.note.text for lane in timeline.draw(view, width).lanes if lane.note] for width in (1000.0, 600.0)]
    assert notes[0][-1] == told(view)[0].replace(canary_writes.COUNTED, ""), "a line would cross the whole text"
    assert notes[1][-1] == "532 writes, 312 not acknowledged"


def test_the_writes_of_a_dead_controller_are_those_that_it_recorded():
    """A recovery may read back more: those that the controller sent after its last record."""
    died = samples.ALL["passed"]().model_copy(update={"finished": False})
    assert told(died)[0].startswith("532 writes recorded until the controller died: ")
    for width in (1000.0, 600.0):
        *_, note = [lane.note.text for lane in timeline.draw(died, width).lanes if lane.note]
        assert note.startswith("532 writes recorded")
