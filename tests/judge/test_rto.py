"""RTO: when a service was good again, and how far the figure may be wrong."""

import pytest

from drillbook.judge.result import Verdict
from tests.judge.story import ACKS, DRILL, SAMPLES, Story, codes, grid


def broken_off(tmp_path, *samples, finished=21.0):
    """Run that ended early after its fault became active, and undid the fault at 11 s."""
    story = Story(tmp_path).fault().availability(*grid(5.0, 10.1, True), *samples).canary(ACKS, [[1, 400]])
    story.add(10.3, "ended.early", why="inconclusive", message="the fault could not be injected as planned", findings=[])
    intent = next(event.seq for event in story.events if event.kind == "intent")
    story.add(11.0, "undone", "inject.1", "app-1", intent=intent, message="undone")

    def end(**settled):
        if settled:
            story.add(15.9, "settle.ended", after="early end", **settled)
        story.add(16.0, "probe.ended", probe="probe.1", error=None)
        story.add(finished, "run.finished", residue=[], unwritten="")
        return story.judge().result

    return end


BACK = [*grid(10.1, 12.4, False), *grid(12.4, 16.0, True)]


@pytest.mark.parametrize("finished", [16.5, 60.0])
def test_a_run_that_ended_early_and_was_good_again_is_inconclusive(tmp_path, finished):
    """Also if closing the hosts took so long that its probes seem to have stopped."""
    result = broken_off(tmp_path, *BACK, finished=finished)(good=True, interrupted=False, seconds=4.9)
    assert (result.verdict, result.reason) == (Verdict.INCONCLUSIVE, "the fault could not be injected as planned")
    assert {one.code for one in result.findings} == {"objective-not-verified"}
    assert result.objectives["rto"].reason == "the verification did not run"


@pytest.mark.parametrize(
    ("settled", "verdict", "code"),
    [
        ({"good": False, "interrupted": False, "seconds": 60.0}, Verdict.FAILED, "not-recovered"),
        ({"good": False, "interrupted": True, "seconds": 0.3}, Verdict.INCONCLUSIVE, "recovery-not-awaited"),
        ({}, Verdict.INCONCLUSIVE, "recovery-not-awaited"),
    ],
)
def test_a_service_that_is_bad_at_an_early_end_fails_only_where_it_was_waited_for(tmp_path, settled, verdict, code):
    result = broken_off(tmp_path, *grid(10.1, 16.0, False))(**settled)
    assert result.verdict is verdict
    assert {"not-recovered", "recovery-not-awaited"} & {one.code for one in result.findings} == {code}


@pytest.mark.parametrize(
    ("interrupted", "verdict", "code"),
    [(False, Verdict.FAILED, "not-recovered"), (True, Verdict.INCONCLUSIVE, "recovery-not-awaited")],
)
def test_a_wait_after_the_last_undo_that_was_cut_short_shows_no_relapse(tmp_path, interrupted, verdict, code):
    story = Story(tmp_path).fault().availability(*SAMPLES, *grid(16.0, 18.0, False)).canary(ACKS, [[1, 400]]).recovery()
    story.add(15.9, "undo", "restore.1", "app-1", intent=0, kind="commands")
    story.add(18.0, "settle.ended", after="undo", good=False, interrupted=interrupted, seconds=2.0)
    result = story.end().judge().result
    assert result.verdict is verdict
    assert {"not-recovered", "recovery-not-awaited"} & {one.code for one in result.findings} == {code}


@pytest.mark.parametrize(
    ("samples", "verdict", "code"),
    [
        (grid(5.0, 16.0, False), Verdict.INCONCLUSIVE, "probe-never-good"),
        ([], Verdict.INCONCLUSIVE, "probe-never-good"),
        ([*grid(5.0, 10.1, True), *grid(10.1, 16.0, False)], Verdict.FAILED, "not-recovered"),
        ([*SAMPLES, *grid(16.0, 16.2, False)], Verdict.FAILED, "not-recovered"),
        (grid(5.0, 16.0, True), Verdict.INCONCLUSIVE, "no-outage-seen"),
    ],
)
def test_what_the_probe_did_not_see_is_never_passed(tmp_path, samples, verdict, code):
    result = Story(tmp_path).fault().availability(*samples).canary(ACKS, [[1, 400]]).recovery().end().judge().result
    assert result.verdict is verdict
    assert code in {one.code for one in result.findings}


def test_a_relapse_moves_the_recovery(tmp_path):
    relapse = [*SAMPLES[:75], *grid(12.5, 12.8, False), *grid(12.8, 18.0, True)]
    result = Story(tmp_path).fault().availability(*relapse).canary(ACKS, [[1, 400]]).recovery().end().judge().result
    assert result.clocks["rto_s"] == pytest.approx(2.81)


@pytest.mark.parametrize(
    ("after", "cleanup", "verdict"),
    [
        ([*grid(16.0, 17.0, False), *grid(17.0, 18.5, True)], "write", Verdict.PASSED),
        ([*grid(16.0, 17.0, False), *grid(17.0, 17.5, True)], "write", Verdict.FAILED),
        (grid(16.0, 17.0, False), "write", Verdict.FAILED),
        ([(15.9, 16.9, False, "timeout"), *grid(17.0, 18.5, True)], "write", Verdict.PASSED),
        ([*grid(15.0, 15.5, False), *grid(17.0, 18.5, True)], "write", Verdict.FAILED),
        ([*grid(16.0, 17.0, False), *grid(17.0, 18.5, True)], "read", Verdict.FAILED),
        (grid(15.0, 17.0, False), "write", Verdict.FAILED),
    ],
)
def test_what_a_cleanup_interrupts_is_no_relapse_when_it_is_good_again(tmp_path, after, cleanup, verdict):
    """Only changing steps interrupt a service; a service that fails by itself, or stays down, did not recover."""
    story = Story(tmp_path, DRILL + "cleanup:\n  - service.restart: {service: api}\n")
    story.fault().availability(*SAMPLES, *after).canary(ACKS, [[1, 400]]).recovery()
    story.step(16.0, 17.0, "cleanup.1", "app-1", effect=cleanup)
    result = story.end().judge().result
    assert result.verdict is verdict, result.reason
    assert {one.code for one in result.findings} <= {"not-recovered", "objective-not-verified"}
    assert sum(one.code == "not-recovered" for one in result.findings) == (verdict is Verdict.FAILED)
    if verdict is Verdict.PASSED:
        assert result.clocks["rto_s"] == pytest.approx(2.41)


@pytest.mark.parametrize(
    ("after", "verify", "verdict"),
    [
        ([*grid(16.0, 17.0, False), *grid(17.0, 18.5, True)], "done", Verdict.PASSED),
        ([*grid(16.0, 17.0, False), *grid(17.0, 17.5, True)], "done", Verdict.FAILED),
        (grid(16.0, 17.0, False), "done", Verdict.FAILED),
        ([*grid(16.0, 17.0, False), *grid(17.0, 18.5, True), *grid(18.5, 18.6, False)], "done", Verdict.FAILED),
        ([*grid(15.0, 15.5, False), *grid(15.5, 18.5, True)], "done", Verdict.FAILED),
        ([*grid(16.0, 17.0, False), *grid(17.0, 18.5, True)], "failed", Verdict.FAILED),
        (grid(16.0, 18.5, True), "done", Verdict.PASSED),
        # A slow first answer counts from its request, both for the judge and for the run, which ends then.
        ([*grid(16.0, 17.0, False), (17.0, 17.3, True, None), *grid(17.3, 18.0, True)], "done", Verdict.PASSED),
    ],
)
def test_what_an_undo_at_the_end_interrupts_is_no_relapse_when_it_is_good_again(tmp_path, after, verify, verdict):
    """An undo at the end, such as that of a temporary remedy, restarts the service: failures at the end still count."""
    story = Story(tmp_path).fault().availability(*SAMPLES, *after).canary(ACKS, [[1, 400]]).recovery(verify=verify)
    story.add(16.0, "undo", "restore.1", "app-1", intent=1, kind="commands", commands=[["restart"]])
    result = story.end().judge().result
    assert result.verdict is verdict, result.reason
    if verify == "done":
        assert sum(one.code == "not-recovered" for one in result.findings) == (verdict is Verdict.FAILED)
    if verdict is Verdict.PASSED:
        assert result.clocks["rto_s"] == pytest.approx(2.41)


def test_hanging_samples_count_from_their_start(tmp_path):
    hanging = [
        *grid(5.0, 10.0, True),
        (9.98, 10.98, False, "timeout"),
        *grid(10.05, 12.0, False, takes=1.0),
        *grid(12.0, 15.0, True),
    ]
    result = Story(tmp_path).fault().availability(*hanging).canary(ACKS, [[1, 400]]).recovery().end().judge().result
    assert result.clocks["outage_s"] == pytest.approx(2.01, abs=0.001)
    assert result.clocks["rto_error_s"] == pytest.approx(0.16, abs=0.011)


def test_good_only_after_the_verification_is_not_recovered(tmp_path):
    late = [*grid(5.0, 10.1, True), *grid(10.1, 18.0, False), *grid(18.0, 21.0, True)]
    result = Story(tmp_path).fault().availability(*late).canary(ACKS, [[1, 400]]).recovery().end().judge().result
    assert result.verdict is Verdict.FAILED
    assert result.clocks["rto_s"] is None


def test_flapping_is_not_recovered(tmp_path):
    flapping = [*grid(5.0, 10.1, True)] + [(10.1 + n * 0.1, 10.11 + n * 0.1, n % 2 == 1, None) for n in range(40)]
    result = Story(tmp_path).fault().availability(*flapping).canary(ACKS, [[1, 400]]).recovery().end().judge().result
    assert "not-recovered" in {one.code for one in result.findings}
    assert result.verdict is Verdict.FAILED


def test_a_probe_that_fell_silent_says_nothing(tmp_path):
    result = (
        Story(tmp_path).fault().availability(*grid(5.0, 9.9, True)).canary(ACKS, [[1, 400]]).recovery().end().judge().result
    )
    assert result.objectives["rto"].measured_s is None
    assert result.verdict is Verdict.INCONCLUSIVE


def refused(first, last, ended=True):
    return [[n, n * 0.05, "permission denied", *([n * 0.05 + 0.002] if ended else [])] for n in range(first, last)]


def test_a_canary_that_is_refused_to_the_end_is_not_recovered(tmp_path):
    story = Story(tmp_path).fault().availability(*SAMPLES)
    result = (
        story.canary([a for a in ACKS if a[0] <= 199], [[1, 199]], lost=refused(200, 400)).recovery().end().judge().result
    )
    assert result.verdict is Verdict.FAILED
    lasting = next(one for one in result.findings if one.code == "not-recovered")
    assert lasting.step == "probe.2"
    assert "permission denied" in lasting.measured


def test_a_canary_alone_tells_that_the_service_is_not_back(tmp_path):
    drill = DRILL.replace('  - http.available: {url: "{{ services.api.url }}"}\n', "  - redis.canary: {service: api}\n")
    story = Story(tmp_path, drill.replace("rto: 5s, ", "").replace(", detect: 1s", "")).fault()
    result = (
        story.canary([a for a in ACKS if a[0] <= 199], [[1, 199]], doubt=refused(200, 400)).recovery().end().judge().result
    )
    assert result.verdict is Verdict.FAILED


@pytest.mark.parametrize("ended", [True, False])
def test_a_canary_that_is_acknowledged_last_ends_the_outage(tmp_path, ended):
    story = Story(tmp_path).fault().availability(*SAMPLES)
    acks = [a for a in ACKS if not 201 <= a[0] < 260]
    result = story.canary(acks, [[1, 400]], lost=refused(201, 260, ended)).recovery().end().judge().result
    assert result.verdict is Verdict.PASSED, result.reason
    assert result.clocks["rto_s"] == pytest.approx(3.003)
    assert result.clocks["rto_error_s"] == pytest.approx(0.053)


def test_a_canary_that_never_was_acknowledged_says_nothing_of_the_recovery(tmp_path):
    story = Story(tmp_path).fault().availability(*SAMPLES)
    result = story.canary([], [], doubt=refused(1, 400)).recovery().end().judge().result
    assert "not-recovered" not in codes(result)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "no write was acknowledged before" in result.objectives["rpo"].reason


def test_a_canary_that_fell_silent_says_nothing(tmp_path):
    story = Story(tmp_path).fault().availability(*SAMPLES)
    result = story.canary([a for a in ACKS if a[0] <= 199], [[1, 199]]).recovery().end().judge().result
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "probe-failed" in codes(result)


@pytest.mark.parametrize(
    ("good", "rto", "error"),
    [
        # One good sample and then none for three seconds: the service may have been bad all that time.
        ([(10.5, 10.51, True, None), *grid(13.7, 16.0, True)], 3.71, 3.31),
        # A small delay is no gap, nor is a gap after the service was good for long enough.
        ([(10.5, 10.51, True, None), *grid(11.6, 16.0, True)], 0.51, 0.11),
        ([*grid(10.5, 11.6, True), *grid(14.1, 16.0, True)], 0.51, 0.11),
        # A gap of this length counts in any case.
        ([*grid(10.5, 11.6, True), *grid(14.8, 16.0, True)], 4.81, 4.41),
    ],
)
def test_a_hole_after_the_recovery_widens_its_error(tmp_path, good, rto, error):
    story = Story(tmp_path, DRILL.replace("rto: 5s", "rto: 20s")).fault()
    story.availability(*grid(5.0, 10.1, True), *grid(10.1, 10.5, False), *good).canary(ACKS, [[1, 400]])
    story.phase(11.0, 12.0, "restore").add(12.0, "phase.started", phase="verify").step(12.5, 13.0, "verify.1", "controller")
    result = story.add(15.5, "phase.ended", phase="verify", status="done").end().judge().result
    assert result.clocks["rto_s"] == pytest.approx(rto)
    assert result.clocks["rto_error_s"] == pytest.approx(error)
    assert result.verdict is Verdict.PASSED, result.reason


def test_a_hole_until_after_the_verification_leaves_the_recovery_unmeasured(tmp_path):
    story = Story(tmp_path).fault().canary(ACKS, [[1, 400]])
    story.availability(*grid(5.0, 10.1, True), *grid(10.1, 10.5, False), *grid(10.5, 10.8, True), *grid(13.95, 16.0, True))
    story.recovery()
    story.events[-1] = story.events[-1].model_copy(update={"clock": 13.5})
    result = story.end().judge().result
    assert result.clocks["rto_s"] is None
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "took no samples from 10.710 s to 13.950 s" in result.objectives["rto"].reason


@pytest.mark.parametrize(("last", "silent"), [(10.05, True), (10.3, True), (10.9, True), (11.1, False), (13.9, False)])
def test_a_probe_that_is_silent_for_long_before_the_verification_ends_cannot_tell(tmp_path, last, silent):
    """The verification ends at 14 s; three seconds without a sample are too many, wherever the last good sample was."""
    story = Story(tmp_path, DRILL.replace("rto: 5s, ", "").replace(", detect: 1s", "")).fault()
    story.availability(*grid(5.0, 10.0, True), (last - 0.02, last, True, None)).canary(ACKS, [[1, 400]])
    result = story.recovery().end().judge().result
    told = [(one.step, one.measured) for one in result.findings if one.code == "probe-failed"]
    assert told == ([("probe.1", "the probe took no samples after the disruption")] if silent else [])
    assert result.verdict is (Verdict.INCONCLUSIVE if silent else Verdict.PASSED)


@pytest.mark.parametrize(("acknowledged", "silent"), [(205, True), (215, True), (223, False), (275, False)])
def test_a_canary_that_is_silent_for_long_before_the_verification_ends_cannot_tell(tmp_path, acknowledged, silent):
    story = Story(tmp_path).fault().availability(*SAMPLES)
    acks = [ack for ack in ACKS if ack[0] <= acknowledged]
    result = story.canary(acks, [[1, 400]]).recovery().end().judge().result
    assert ("probe-failed" in codes(result)) is silent
    assert result.verdict is (Verdict.INCONCLUSIVE if silent else Verdict.PASSED), result.reason


@pytest.mark.parametrize(
    ("good", "recovered"),
    [
        # Good for too short a time, and afterwards no sample.
        (grid(12.4, 13.1, True), None),
        (grid(12.4, 13.25, True), None),
        (grid(12.4, 13.5, True), 12.41),
        # The good time ends with the verification: the run would have waited for longer if it had been necessary.
        ([*grid(12.4, 13.4, True), *grid(13.4, 13.5, False), *grid(13.5, 14.0, True)], None),
        ([*grid(12.4, 12.6, True), *grid(12.6, 12.7, False), *grid(12.7, 14.0, True)], 12.71),
        # A good time that begins after the verification comes too late, even if it lasts.
        (grid(14.1, 18.0, True), None),
        (grid(13.5, 18.0, True), 13.51),
    ],
)
def test_a_recovery_counts_when_it_lasts_and_began_before_the_verification_ended(tmp_path, good, recovered):
    story = Story(tmp_path).fault().availability(*grid(5.0, 10.1, True), *grid(10.1, good[0][0], False), *good)
    result = story.canary(ACKS, [[1, 400]]).recovery().end().judge().result
    lasting = [one for one in result.findings if one.code == "not-recovered"]
    if recovered is None:
        assert (result.clocks["rto_s"], result.verdict) == (None, Verdict.FAILED)
        assert len(lasting) == 1
        assert result.reason == lasting[0].title
    else:
        assert result.clocks["rto_s"] == pytest.approx(recovered - 10.0)
        assert (lasting, result.verdict) == ([], Verdict.PASSED)


def test_a_probe_that_was_never_good_says_what_it_was_answered(tmp_path):
    story = Story(tmp_path).fault().availability(*grid(5.0, 16.0, False)).canary(ACKS, [[1, 400]]).recovery().end()
    (found,) = [one for one in story.judge().result.findings if one.code == "probe-never-good"]
    assert found.measured == "110 of 110 samples bad, the last: refused"
    assert found.wanted == "a good sample before the disruption"
