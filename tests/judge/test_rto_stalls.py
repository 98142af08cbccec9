"""The judge with a stalled controller: unmeasured time counts neither as good nor as bad."""

import pytest

from drillbook.judge.result import Verdict
from tests.judge.story import ACKS, SAMPLES, Story, grid

SILENT = "no answer within 1s"
BEFORE = [*grid(5.0, 10.1, True), *grid(10.1, 12.4, False)]


def judged(tmp_path, samples, stalls=(), acks=ACKS, doubt=()):
    story = Story(tmp_path).fault().availability(*samples).canary(list(acks), [[1, 400]], doubt=doubt).recovery()
    if stalls:
        story.add(20.0, "controller.stalled", spans=[list(span) for span in stalls])
    return story.end().judge()


def codes(view):
    return {one.code for one in view.result.findings}


def silent(first, last, takes=1.2, every=0.4):
    """Samples without an answer, each for longer than its timeout of a second."""
    return [(start, start + takes, False, SILENT) for start, *_ in grid(first, last, False, every=every)]


LATE = [*SAMPLES[:75], (12.75, 13.95, False, SILENT), (12.85, 13.96, False, SILENT), *grid(14.0, 18.0, True)]
"""Run that recovered at 12.4 s; two samples right before the end of the verification, at 14.0 s, got no answer."""


def test_a_sample_that_the_controller_slept_through_is_no_relapse(tmp_path):
    healthy = judged(tmp_path, [*BEFORE, *grid(12.4, 12.7, True), *LATE[75:]])
    assert healthy.result.verdict is Verdict.FAILED, "with a controller that was awake it is one"
    view = judged(
        tmp_path,
        [*BEFORE, *grid(12.4, 14.0, True), (13.95, 15.15, False, SILENT), *grid(15.2, 18.0, True)],
        stalls=[(14.0, 15.1)],
    )
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert view.result.clocks["rto_s"] == pytest.approx(2.41)
    (stalled,) = [one for one in view.result.findings if one.code == "controller-stalled"]
    assert stalled.severity == "low"
    assert "probe.1: 1 sample" in stalled.measured
    assert "1.100 s" in stalled.measured


def test_a_flap_at_the_very_end_on_a_controller_that_was_awake_fails(tmp_path):
    """Also right after a stall: the sample had a full second, and the service did not answer."""
    late = [*BEFORE, *grid(12.4, 15.0, True), (15.0, 16.3, False, SILENT), *grid(16.4, 18.0, True)]
    for stalls in ([], [(14.0, 14.9)], [(15.1, 15.35)]):
        view = judged(tmp_path, late, stalls)
        assert view.result.verdict is Verdict.FAILED, stalls
        assert "not-recovered" in codes(view)


def test_an_answer_that_says_bad_counts_whatever_the_controller_did(tmp_path):
    refused = [*BEFORE, *grid(12.4, 15.0, True), (15.0, 15.6, False, "refused"), *grid(15.7, 18.0, True)]
    view = judged(tmp_path, refused, stalls=[(14.9, 15.55)])
    assert view.result.verdict is Verdict.FAILED
    assert "not-recovered" in codes(view)


@pytest.mark.parametrize("good_until", [12.4, 12.9])
def test_a_recovery_that_could_not_be_watched_is_inconclusive(tmp_path, good_until):
    """The service was good for half a second, or never, and afterwards nothing was measured until the end."""
    view = judged(tmp_path, [*BEFORE, *grid(12.4, good_until, True), *silent(good_until, 16.0)], stalls=[(good_until, 17.0)])
    assert view.result.verdict is Verdict.INCONCLUSIVE, view.result.reason
    assert "not-recovered" not in codes(view)
    assert view.result.clocks["rto_s"] is None


def test_what_was_bad_at_the_end_is_not_recovered_although_the_controller_stood_still_before(tmp_path):
    view = judged(tmp_path, [*BEFORE, *silent(12.4, 13.0), *grid(14.0, 16.0, False)], stalls=[(12.4, 13.9)])
    assert view.result.verdict is Verdict.FAILED
    assert "not-recovered" in codes(view)


def test_an_outage_that_was_seen_only_through_a_stall_proves_no_outage(tmp_path):
    view = judged(tmp_path, [*grid(5.0, 10.1, True), *silent(10.1, 10.9), *grid(12.0, 16.0, True)], stalls=[(10.1, 12.0)])
    assert view.result.verdict is Verdict.INCONCLUSIVE
    assert view.result.clocks["rto_s"] is None
    assert view.result.clocks["detection_s"] is None


def test_the_error_of_a_figure_reaches_over_what_was_not_measured(tmp_path):
    samples = [*grid(5.0, 10.1, True), *grid(10.1, 12.0, False), (12.0, 13.1, False, SILENT), *grid(13.2, 16.0, True)]
    view = judged(tmp_path, samples, stalls=[(12.05, 13.0)])
    assert view.result.clocks["rto_s"] == pytest.approx(3.21)
    assert view.result.clocks["rto_error_s"] == pytest.approx(1.31)


def test_a_write_that_the_controller_slept_through_is_no_refusal(tmp_path):
    acks = [one for one in ACKS if not 13.0 <= one[1] <= 14.2]
    doubt = [[260, 13.0, SILENT, 14.2]]
    assert judged(tmp_path, SAMPLES, acks=acks, doubt=doubt).result.clocks["rto_s"] != pytest.approx(2.41)
    view = judged(tmp_path, SAMPLES, [(13.1, 14.15)], acks=acks, doubt=doubt)
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert view.result.clocks["rto_s"] == pytest.approx(2.41)


def test_a_stall_that_touched_no_sample_is_not_told(tmp_path):
    assert codes(judged(tmp_path, SAMPLES, [(15.0, 15.2)])) == set()


def test_the_timeline_shows_what_was_not_measured(tmp_path):
    samples = [*BEFORE, *grid(12.4, 14.0, True), (13.95, 15.15, False, SILENT), *grid(15.2, 18.0, True)]
    track = judged(tmp_path, samples, [(14.0, 15.1)]).timeline.probes[0]
    assert [span.label for span in track.stretches] == ["good", "bad", "good", "unheard", "good"]
    assert track.bad == 23
