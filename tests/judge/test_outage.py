"""The outage: its beginning, and why the first sample was bad."""

import pytest

from drillbook.judge.result import Verdict
from tests.judge.story import ACKS, DRILL, Story, codes, grid


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ([*grid(3.0, 6.0, True), *grid(6.0, 10.1, False)], grid(10.1, 12.4, False), True),
        (grid(3.0, 7.0, True), grid(10.1, 12.4, False), True),
        ([*grid(3.0, 9.9, True), *grid(9.9, 10.0, False)], grid(10.1, 12.4, False), True),
        # Good again before the fault, also when a hanging sample was answered late.
        ([*grid(3.0, 8.0, True), *grid(8.0, 8.5, False), *grid(8.5, 10.1, True)], grid(10.1, 12.4, False), False),
        ([*grid(3.0, 10.1, True), (9.0, 9.95, False, "timeout")], grid(10.1, 12.4, False), False),
        # A little late on a busy machine, and good when the fault came.
        (grid(3.0, 9.1, True), grid(10.1, 12.4, False), False),
    ],
)
def test_an_outage_that_began_before_the_fault_is_not_measured_as_its_own(tmp_path, before, after, told):
    story = Story(tmp_path).fault().availability(*before, *after, *grid(12.4, 16.0, True)).canary(ACKS, [[1, 400]])
    result = story.recovery().end().judge().result
    assert ("probe-bad-before" in codes(result)) is told
    assert result.verdict is (Verdict.INCONCLUSIVE if told else Verdict.PASSED), result.reason
    for clock in ("rto_s", "outage_s", "detection_s"):
        assert (result.clocks[clock] is None) is told
    if told:
        assert "already bad before the fault" in result.objectives["rto"].reason


def test_an_outage_before_the_fault_is_told_also_where_no_objective_asks(tmp_path):
    drill = DRILL.replace("{rto: 5s, rpo: 1s, detect: 1s}", "{}")
    story = (
        Story(tmp_path, drill).fault().availability(*grid(3.0, 9.0, True), *grid(9.0, 12.4, False), *grid(12.4, 16.0, True))
    )
    result = story.canary(ACKS, [[1, 400]]).recovery().end().judge().result
    assert (result.verdict, result.reason) == (Verdict.INCONCLUSIVE, "A probe was already bad before the fault")


def test_why_a_probe_was_bad_before_stays_as_it_was_measured(tmp_path):
    story = Story(tmp_path).fault().canary(ACKS, [[1, 400]])
    story.availability(*grid(3.0, 6.0, True), *grid(6.0, 12.4, False), *grid(12.4, 16.0, True))
    found = next(one for one in story.recovery().end().judge().result.findings if one.code == "probe-bad-before")
    assert found.measured.startswith("the probe was bad from 6.000 s on, 4.000 s before the fault")
