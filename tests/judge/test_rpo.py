"""RPO and lost writes, from the canaries of a run."""

import pytest

from drillbook.judge.result import Verdict
from drillbook.report import canary_writes
from drillbook.report.rows import findings_of
from tests.judge.story import ACKS, DRILL, SAMPLES, Story, codes, slept
from tests.report import samples


def test_lost_writes_are_counted_one_by_one(tmp_path):
    story = Story(tmp_path).fault().availability(*SAMPLES).recovery()
    view = story.canary(ACKS, [[1, 190], [241, 400]]).end().judge()
    result, rpo, marks = view.result, view.result.objectives["rpo"], view.timeline.marks
    assert marks["last_acknowledged"] - marks["recovery_point"] == pytest.approx(rpo.measured_s), "the span that is drawn"
    assert rpo.lost_writes == 50, "191 to 240: those acknowledged while the service was dying count too"
    assert rpo.acknowledged_writes == 240
    assert rpo.lost_numbers == ((191, 240),)
    assert rpo.measured_s == pytest.approx((240 - 190) * 0.05)
    assert rpo.error_s == pytest.approx(0.053)
    assert rpo.met is False
    assert result.verdict is Verdict.FAILED
    assert {one.code for one in result.findings} == {"acknowledged-writes-lost", "objective-missed"}


def test_numbers_that_were_never_sent_do_not_divide_a_range_of_lost_writes(tmp_path):
    """The canary was late, so it has no write with the numbers 200 and 230. The write 210 was sent and not acknowledged."""
    story = Story(tmp_path).fault().availability(*SAMPLES).recovery()
    acks = [write for write in ACKS if write[0] not in (200, 210, 230)]
    doubt = [[210, 10.5, "no answer", 10.6]]
    result = story.canary(acks, [[1, 190], [241, 400]], doubt=doubt).end().judge().result
    rpo = result.objectives["rpo"]
    assert rpo.lost_numbers == ((191, 199), (201, 209), (211, 229), (231, 240))
    assert rpo.lost_spans == ((191, 209), (211, 240))
    assert "lost_spans" not in result.model_dump_json(), "the file stays the same, byte for byte"
    shown = next(one.measured for one in findings_of(result) if one.code == "acknowledged-writes-lost")
    late = "; 2 numbers in these ranges were never sent, because the canary was late (the canary"
    assert shown.startswith(f"47 of 237 acknowledged test writes of the drill: numbers 191 to 209, 211 to 240{late}")

    recorded = next(one.measured for one in result.findings if one.code == "acknowledged-writes-lost")
    assert recorded.endswith("numbers 191 to 199, 201 to 209, 211 to 229, 231 to 240")


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [("numbers 76 to 76, 78 to 80", "numbers 76, 78 to 80"), ("numbers 7 to 76", "numbers 7 to 76"), ("1 of 3", "1 of 3")],
)
def test_a_range_of_one_number_is_this_number(recorded, shown):
    """Also in a ``result.json`` of an older version."""
    result = samples.passed().result.model_copy(update={"objectives": {}})
    told = canary_writes.lost(f"2 of 9 acknowledged writes: {recorded}", result)
    assert told == f"2 of 9 acknowledged test writes of the drill: {shown}"


def test_a_hole_before_the_recovery_point_fails(tmp_path):
    story = Story(tmp_path).fault().availability(*SAMPLES).recovery()
    result = story.canary(ACKS, [[1, 150], [152, 400]]).end().judge().result
    assert result.verdict is Verdict.FAILED
    hole = next(one for one in result.findings if one.code == "hole-in-survivors")
    assert "missing writes: 1, the first is number 151" in hole.measured


def test_a_recovery_point_older_than_the_canary_is_not_a_number(tmp_path):
    story = Story(tmp_path).fault().availability(*SAMPLES).recovery()
    result = story.canary(ACKS, [[300, 400]]).end().judge().result
    assert result.objectives["rpo"].measured_s is None
    assert "older than the first write of the canary" in result.objectives["rpo"].reason
    assert result.verdict is not Verdict.PASSED


def test_writes_that_were_never_read_back_are_not_shown_as_kept(tmp_path):
    view = Story(tmp_path).fault().availability(*SAMPLES).recovery().canary(ACKS, [], error="no server").end().judge()
    assert {span.label for span in view.timeline.probes[1].stretches} == {"unproven"}
    assert view.result.objectives["rpo"].met is None
    assert view.result.verdict is Verdict.INCONCLUSIVE


def test_the_timeline_shows_the_writes_whose_survivors_a_later_recovery_counted(tmp_path):
    story = Story(tmp_path).fault().availability(*SAMPLES)
    story.add(0.0, "probe.started", probe="probe.2", name="postgres.canary", kind="canary", every_s=0.05, timeout_s=1.0)
    story.add(20.0, "canary.writes", probe="probe.2", acknowledged=ACKS, in_doubt=[], lost=[])
    assert {span.label for span in story.judge().timeline.probes[1].stretches} == {"unproven"}
    story.add(0.0, "recovery.started", operator="me", tool="drillbook")
    story.add(1.0, "canary.survivors", probe="probe.2", ranges=[[1, 190], [241, 400]], count=350)
    view = story.add(2.0, "recovery.finished", residue=[], kept=[]).judge()
    assert {span.label for span in view.timeline.probes[1].stretches} == {"kept", "lost"}
    assert view.result.objectives["rpo"].lost_writes == 50


def test_writes_lost_over_a_suspension_are_counted_and_not_timed(tmp_path):
    story = Story(tmp_path).fault().availability(*SAMPLES).recovery().canary(ACKS, [[1, 190], [241, 400]]).end()
    at = {(event.kind, event.data.get("phase")): index for index, event in enumerate(story.events)}
    result = slept(story, (at["phase.started", "inject"], 0.0), (at["phase.ended", "inject"], 60.0))
    assert (result.objectives["rpo"].measured_s, result.objectives["rpo"].lost_writes) == (None, 50)


def test_a_canary_that_stalled_before_the_disruption_widens_the_error(tmp_path):
    story = Story(tmp_path).fault().availability(*SAMPLES).recovery()
    result = story.canary([ack for ack in ACKS if ack[1] <= 5], [[1, 400]]).end().judge().result
    assert result.objectives["rpo"].error_s >= 5
    assert result.objectives["rpo"].met is not True


@pytest.mark.parametrize(
    ("survivors", "measured", "wanted"),
    [
        ([[1, 100], [103, 110], [112, 400]], "missing writes: 3, the first is number 101", "every write up to 199"),
        ([[2, 400]], "missing writes: 1, the first is number 1", "every write up to 199"),
        ([[1, 197], [199, 400]], "missing writes: 1, the first is number 198", "every write up to 199"),
        # The last writes before the fault, and all after it, are lost; no kept write is newer.
        ([[1, 190], [241, 400]], None, None),
        ([[1, 199], [205, 400]], None, None),
        # Both: a gap, and a loss after it.
        ([[1, 150], [152, 190], [241, 400]], "missing writes: 1, the first is number 151", "every write up to 190"),
    ],
)
def test_a_write_that_is_missing_before_newer_ones_that_were_kept_is_a_hole(tmp_path, survivors, measured, wanted):
    """A restore returns to a point in time: if a write older than the newest kept one is missing, the backup is
    inconsistent.
    """
    story = Story(tmp_path, DRILL.replace("rpo: 1s", "rpo: 60s")).fault().availability(*SAMPLES).recovery()
    result = story.canary(ACKS, survivors).end().judge().result
    holes = [one for one in result.findings if one.code == "hole-in-survivors"]
    assert [(one.measured, one.wanted) for one in holes] == ([(measured, wanted)] if measured else [])
    assert [one.step for one in holes] == ["probe.2"] * len(holes)
    if measured and survivors[0][0] == 1:
        assert (result.verdict, result.reason) == (Verdict.FAILED, holes[0].title)
        assert result.objectives["rpo"].met is True, "the figure alone would not tell"
    assert (result.verdict is Verdict.PASSED) is not bool(holes)


def test_a_write_lost_of_those_behind_the_disruption_alone_is_no_hole(tmp_path):
    """No write from before the fault was kept, so that no kept write is newer than the missing ones."""
    result = Story(tmp_path).fault().availability(*SAMPLES).canary(ACKS, [[241, 400]]).recovery().end().judge().result
    assert "hole-in-survivors" not in codes(result)
    assert "older than the first write of the canary" in result.objectives["rpo"].reason
