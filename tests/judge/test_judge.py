"""The judge: from synthetic journals to verdicts, clocks and findings."""

import pytest

from drillbook.journal.journal import Event, History
from drillbook.judge.judge import judge
from drillbook.judge.result import Verdict
from tests.contents import filled
from tests.plan.test_planner import HOSTS, made

DRILL = """\
drill: sample
title: A sample
service: api
objectives: {rto: 5s, rpo: 1s, detect: 1s}
probes:
  - http.available: {url: "{{ services.api.url }}"}
inject:
  - service.kill: {service: api}
restore:
  - service.start: {service: api}
verify:
  - http.responds: {url: "{{ services.api.url }}"}
"""


class Story:
    """Writes the events of a run; `good()` is a complete, successful run."""

    def __init__(self, tmp_path, drill=DRILL, hosts=HOSTS):
        self.plan = made(tmp_path, drill=drill, hosts=hosts)
        self.events = []
        self.add(
            0.0,
            "run.started",
            run="r1",
            plan=self.plan.model_dump(mode="json"),
            plan_digest=self.plan.digest,
            tool="drillbook",
            operator="me",
            controller="here",
        )

    def add(self, clock, kind, step=None, host=None, /, **data):
        self.events.append(
            Event(
                seq=len(self.events),
                at=f"2026-01-01T00:00:{int(clock):02d}.000000Z",
                clock=clock,
                kind=kind,
                step=step,
                host=host,
                data=filled(kind, data),
                prev=None,
                hash=f"sha256:{len(self.events)}",
            )
        )
        return self

    def change(self, index, **data):
        """Replace the ``data`` of the event ``index``."""
        event = self.events[index].model_dump()
        self.events[index] = Event.model_validate({**event, "data": event["data"] | data})

    def step(self, start, end, step, host, outcome="done", effect="read", undo=None, **data):
        action = next(one.action for one in self.plan.steps if one.id == step)
        self.add(
            start, "step.started", step, host, action=action, phase=step.split(".")[0], name="", effect=effect, params={}
        )
        if undo:
            self.add(start, "intent", step, host, action=action, params={"service": "api"}, effect=effect, undo=undo)
        if outcome == "done":
            return self.add(end, "done", step, host, facts=data, seconds=end - start, attempts=1)
        return self.add(
            end,
            "failed",
            step,
            host,
            outcome=outcome,
            code="x",
            message="it broke",
            findings=[],
            facts={},
            seconds=end - start,
            attempts=1,
            allowed=data.get("allowed"),
        )

    def phase(self, start, end, name, status="done"):
        self.add(start, "phase.started", phase=name)
        return self.add(end, "phase.ended", phase=name, status=status)

    def availability(self, *samples):
        self.add(
            0.0, "probe.started", probe="probe.1", name="http.available", kind="availability", every_s=0.1, timeout_s=1.0
        )
        return self.add(20.0, "probe.samples", probe="probe.1", samples=[list(sample) for sample in samples], late=0)

    def canary(self, acknowledged, survivors, error=None, doubt=(), lost=()):
        self.add(0.0, "probe.started", probe="probe.2", name="postgres.canary", kind="canary", every_s=0.05, timeout_s=1.0)
        self.add(20.0, "canary.writes", probe="probe.2", acknowledged=acknowledged, in_doubt=list(doubt), lost=list(lost))
        if error:
            return self.add(20.0, "canary.survivors", probe="probe.2", error=error)
        return self.add(20.0, "canary.survivors", probe="probe.2", ranges=survivors, count=0)

    def fault(self, active=True):
        undo = {"kind": "commands", "commands": [["start"]], "action": "", "params": {}, "why": ""}
        self.add(9.9, "phase.started", phase="inject")
        self.step(10.0, 10.2, "inject.1", "app-1", effect="fault", undo=undo)
        self.add(10.2, "phase.ended", phase="inject", status="done")
        return self.add(10.2, "fault.active", "inject.1", "app-1", active=active, detail="")

    def recovery(self, restore="done", verify="done"):
        self.add(11.0, "phase.started", phase="restore")
        self.step(11.0, 12.0, "restore.1", "app-1", restore, effect="write")
        self.add(12.0, "phase.ended", phase="restore", status="done" if restore == "done" else "failed")
        self.add(12.0, "phase.started", phase="verify")
        self.step(12.5, 13.0, "verify.1", "controller", verify)
        return self.add(14.0, "phase.ended", phase="verify", status="done" if verify == "done" else "failed")

    def end(self, residue=()):
        return self.add(21.0, "run.finished", residue=list(residue))

    def good(self):
        return self.fault().availability(*SAMPLES).canary(ACKS, [[1, 400]]).recovery().end()

    def judge(self):
        return judge(History(tuple(self.events), torn=False))


def grid(first, last, ok, every=0.1, takes=0.01):
    count = round((last - first) / every)
    return [(first + n * every, first + n * every + takes, ok, None if ok else "refused") for n in range(count)]


SAMPLES = [*grid(5.0, 10.1, True), *grid(10.1, 12.4, False), *grid(12.4, 16.0, True)]
ACKS = [[n, n * 0.05, n * 0.05 + 0.003] for n in range(1, 401)]


def test_a_run_in_which_all_went_well(tmp_path):
    result = Story(tmp_path).good().judge().result
    assert (result.verdict, result.exit) == (Verdict.PASSED, 0), result.reason
    assert result.clocks["rto_s"] == pytest.approx(2.41)
    assert result.clocks["rto_error_s"] == pytest.approx(0.11)
    assert result.clocks["outage_s"] == pytest.approx(2.31)
    assert result.clocks["detection_s"] == pytest.approx(0.11)
    assert result.clocks["detection_error_s"] == pytest.approx(0.11), "no further back than the disruption"
    assert result.clocks["restore_s"] == pytest.approx(1.0)
    assert result.clocks["verified_s"] == pytest.approx(4.0)
    assert result.objectives["rto"].met is True
    assert result.objectives["rpo"].measured_s == 0
    assert result.objectives["rpo"].lost_writes == 0
    assert result.objectives["rpo"].acknowledged_writes == 199
    assert result.findings == ()


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


def test_what_was_put_back_too_late_is_not_asked_for_again(tmp_path):
    story = Story(tmp_path).fault().availability(*grid(5.0, 10.1, True), *grid(10.1, 16.0, False)).canary(ACKS, [[1, 400]])
    (one,) = [one for one in story.recovery().end().judge().result.findings if one.code == "not-recovered"]
    assert "by hand now" in one.remedy
    intent = next(event.seq for event in story.events if event.kind == "intent")
    story.events.pop()
    story.add(20.5, "undone", "inject.1", "app-1", intent=intent, message="undone")
    (one,) = [one for one in story.end().judge().result.findings if one.code == "not-recovered"]
    assert (
        "The faults were undone at 20.500 s, after the end of the verification at 14.000 s. This is too late" in one.remedy
    )


@pytest.mark.parametrize(
    ("undone", "said"),
    [
        (
            13.95,
            "no sample after that was bad. But the verification ended at 14.000 s, which is too soon after the last bad",
        ),
        (13.5, "but the service was still bad after that. Check if the service is good now"),
        (14.5, "after the end of the verification at 14.000 s. This is too late to count as recovery"),
    ],
)
def test_the_remedy_tells_a_late_undo_from_a_verification_that_ended_too_soon(tmp_path, undone, said):
    story = Story(tmp_path).fault().availability(*grid(5.0, 10.1, True), *grid(10.1, 13.9, False))
    story.canary(ACKS, [[1, 400]]).recovery()
    story.add(undone, "undone", "inject.1", "app-1", intent=0, message="undone")
    story.events.sort(key=lambda event: event.clock)
    story.events[:] = [event.model_copy(update={"seq": number}) for number, event in enumerate(story.events)]
    kinds = [event.kind for event in story.events]
    story.change(kinds.index("undone"), intent=kinds.index("intent"))
    (one,) = [one for one in story.end().judge().result.findings if one.code == "not-recovered"]
    assert said in one.remedy
    assert ("too late" in one.remedy) is (undone > 14.0)


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


def test_a_killed_run_says_nothing_of_what_its_probes_would_have_seen(tmp_path):
    """The last samples were still in the memory of the controller."""
    story = Story(tmp_path).fault().availability(*grid(5.0, 10.1, True)).canary(ACKS[:200], [[1, 200]])
    result = story.judge().result
    assert "no-outage-seen" not in {one.code for one in result.findings}
    assert "no bad sample was recorded before the controller died" in result.objectives["rto"].reason


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


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (lambda s: s.fault(active=False).recovery(), Verdict.INCONCLUSIVE),
        (lambda s: s.fault(active=None).recovery(), Verdict.INCONCLUSIVE),
        (lambda s: s.fault().recovery(verify="failed"), Verdict.FAILED),
        (lambda s: s.fault().recovery(verify="unverified"), Verdict.INCONCLUSIVE),
        (lambda s: s.fault().recovery(verify="error"), Verdict.INCONCLUSIVE),
        (lambda s: s.fault().recovery(restore="failed"), Verdict.FAILED),
        (lambda s: s.fault().recovery(restore="error"), Verdict.FAILED),
        (lambda s: s.fault(), Verdict.INCONCLUSIVE),
        (lambda s: s.fault().add(11, "ended.early", why="aborted", message="stopped", findings=[]), Verdict.ABORTED),
        (lambda s: s.add(1, "ended.early", why="refused", message="not ready", findings=[]), Verdict.REFUSED),
    ],
)
def test_what_could_not_be_verified_never_passes(tmp_path, change, verdict):
    story = Story(tmp_path).availability(*SAMPLES).canary(ACKS, [[1, 400]])
    change(story)
    result = story.end().judge().result
    assert result.verdict is verdict, result.reason
    assert result.exit != 0


def test_an_allowed_failure_passes_with_its_reason_but_not_in_verify(tmp_path):
    story = Story(tmp_path).fault().availability(*SAMPLES).canary(ACKS, [[1, 400]])
    story.add(11.0, "phase.started", phase="restore")
    story.step(11.0, 12.0, "restore.1", "app-1", "failed", allowed="known to be flaky")
    story.add(12.0, "phase.ended", phase="restore", status="done").phase(12.0, 14.0, "verify")
    story.step(12.5, 13.0, "verify.1", "controller")
    result = story.end().judge().result
    assert result.verdict is Verdict.PASSED, result.reason
    assert [(one.code, one.wanted) for one in result.findings] == [("allowed-failure", "known to be flaky")]


def test_residue_overrides_everything(tmp_path):
    story = Story(tmp_path).fault().availability(*SAMPLES).canary(ACKS, [[1, 400]]).recovery()
    left = {"step": "inject.1", "host": "app-1", "what": "service.kill", "why": "no", "by_hand": "start it"}
    result = story.end(residue=[left]).judge().result
    assert result.exit == 5
    assert result.residue[0].by_hand == "start it"


def test_a_dead_controller_leaves_its_intents_as_residue(tmp_path):
    result = Story(tmp_path).availability(*SAMPLES).fault().judge().result
    assert result.verdict is Verdict.ABORTED
    assert result.exit == 5
    assert result.residue[0].step == "inject.1"


def test_an_objective_met_only_without_its_error_is_not_met(tmp_path):
    text = DRILL.replace("rto: 5s", "rto: 2450ms")
    story = Story(tmp_path)
    story.plan = made(tmp_path, drill=text)
    story.events.clear()
    story.add(
        0.0,
        "run.started",
        run="r1",
        plan=story.plan.model_dump(mode="json"),
        plan_digest=story.plan.digest,
        tool="drillbook",
        operator="me",
        controller="here",
    )
    result = story.good().judge().result
    assert result.objectives["rto"].met is None
    assert "only when its error of " in result.objectives["rto"].reason
    assert result.verdict is Verdict.INCONCLUSIVE


def test_writes_that_were_never_read_back_are_not_shown_as_kept(tmp_path):
    view = Story(tmp_path).fault().availability(*SAMPLES).recovery().canary(ACKS, [], error="no server").end().judge()
    assert {span.label for span in view.timeline.probes[1].stretches} == {"unproven"}
    assert view.result.objectives["rpo"].met is None
    assert view.result.verdict is Verdict.INCONCLUSIVE


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


def codes(result):
    return {one.code for one in result.findings}


TWO_CHECKS = DRILL.replace(
    "verify:\n", "verify:\n  - http.responds: {url: \"{{ services.api.url }}/all\"}\n    when: environment == 'x'\n"
)


def test_a_verification_that_was_left_out_is_not_passed(tmp_path):
    story = Story(tmp_path, TWO_CHECKS).fault().availability(*SAMPLES).canary(ACKS, [[1, 400]])
    story.phase(11.0, 12.0, "restore").add(12.0, "phase.started", phase="verify")
    story.add(12.1, "skipped", "verify.1", why="when: environment == 'x'").step(12.5, 13.0, "verify.2", "controller")
    result = story.add(14.0, "phase.ended", phase="verify", status="done").end().judge().result
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "verify.1 was skipped (when: environment == 'x')" in result.reason
    assert "verification-skipped" in codes(result)
    assert result.objectives["rto"].met is None


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


def slept(story, *told):
    """Add the duration of the controller's suspension to the events of these indexes."""
    for index, seconds in told:
        story.change(index, slept_s=seconds)
    return story.judge().result


def test_no_figure_spans_a_time_in_which_the_controller_was_suspended(tmp_path):
    story = Story(tmp_path).good()
    at = {(event.kind, event.data.get("phase")): index for index, event in enumerate(story.events)}
    before, restoring = at["phase.started", "inject"], at["phase.started", "restore"]
    restored, verified = at["phase.ended", "restore"], at["phase.ended", "verify"]
    result = slept(story, (before, 3.0), (restoring, 3.0), (restored, 303.0), (verified, 303.0))
    for clock in ("rto_s", "outage_s", "restore_s", "verified_s"):
        assert (result.clocks[clock], result.unmeasured[clock]) == (None, "the controller was suspended for 300.000 s")
    assert result.clocks["detection_s"] == pytest.approx(0.11), "it was awake until then"
    assert result.objectives["rpo"].met is True, "no write was lost, however long it took"
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "controller-suspended" in codes(result)


@pytest.mark.parametrize(
    "told",
    [
        lambda at: [(at["phase.started", "inject"], 0.0), (at["phase.ended", "verify"], 0.05)],
        lambda at: [
            (at["run.started", None], 0.0),
            (at["phase.started", "inject"], 500.0),
            (at["phase.ended", "verify"], 500.0),
        ],
    ],
)
def test_a_suspension_before_the_fault_or_of_no_length_counts_for_nothing(tmp_path, told):
    story = Story(tmp_path).good()
    at = {(event.kind, event.data.get("phase")): index for index, event in enumerate(story.events)}
    assert slept(story, *told(at)).verdict is Verdict.PASSED


def test_writes_lost_over_a_suspension_are_counted_and_not_timed(tmp_path):
    story = Story(tmp_path).fault().availability(*SAMPLES).recovery().canary(ACKS, [[1, 190], [241, 400]]).end()
    at = {(event.kind, event.data.get("phase")): index for index, event in enumerate(story.events)}
    result = slept(story, (at["phase.started", "inject"], 0.0), (at["phase.ended", "inject"], 60.0))
    assert (result.objectives["rpo"].measured_s, result.objectives["rpo"].lost_writes) == (None, 50)


def test_figures_of_a_phase_that_failed_are_not_told(tmp_path):
    result = (
        Story(tmp_path)
        .fault()
        .availability(*SAMPLES)
        .canary(ACKS, [[1, 400]])
        .recovery(verify="failed")
        .end()
        .judge()
        .result
    )
    assert (result.clocks["verified_s"], result.unmeasured["verified_s"]) == (None, "the verification failed")
    assert result.clocks["restore_s"] == pytest.approx(1.0)
    result = Story(tmp_path).fault().availability(*SAMPLES).canary(ACKS, [[1, 400]]).recovery("failed").end().judge().result
    assert (result.clocks["restore_s"], result.unmeasured["restore_s"]) == (None, "the restore failed")


def test_a_canary_that_stalled_before_the_disruption_widens_the_error(tmp_path):
    story = Story(tmp_path).fault().availability(*SAMPLES).recovery()
    result = story.canary([ack for ack in ACKS if ack[1] <= 5], [[1, 400]]).end().judge().result
    assert result.objectives["rpo"].error_s >= 5
    assert result.objectives["rpo"].met is not True


def test_a_fault_that_was_never_injected_is_never_passed(tmp_path):
    story = Story(tmp_path).availability(*SAMPLES).canary(ACKS, [[1, 400]]).phase(10.0, 10.1, "inject")
    story.add(10.1, "skipped", "inject.1", why="when: false")
    result = story.recovery().end().judge().result
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "fault-unproven" in {one.code for one in result.findings}


def test_a_recovery_changes_what_is_left_but_not_what_the_run_showed(tmp_path):
    left = {"step": "inject.1", "host": "app-1", "what": "service.kill", "why": "no", "by_hand": "start it"}
    story = Story(tmp_path).fault().availability(*SAMPLES).canary(ACKS, [[1, 400]]).recovery(verify="failed").end([left])
    before = story.judge().result
    story.add(0.0, "recovery.started", operator="me", tool="drillbook").recovery()
    story.add(20.0, "recovery.finished", residue=[])
    after = story.judge().result
    assert (before.verdict, before.exit) == (Verdict.FAILED, 5)
    assert (after.verdict, after.exit, after.residue) == (Verdict.FAILED, 1, ())
    assert after.clocks == before.clocks
    assert [step.status for step in after.steps] == [step.status for step in before.steps]


@pytest.mark.parametrize("end", range(1, 16))
def test_a_journal_cut_anywhere_is_never_passed(tmp_path, end):
    story = Story(tmp_path).good()
    story.events = story.events[:-end]
    assert story.judge().result.verdict is not Verdict.PASSED


def test_judging_twice_gives_the_same(tmp_path):
    story = Story(tmp_path).good()
    assert story.judge() == story.judge()


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


def test_what_a_dead_controller_wrote_without_undo_is_no_residue_but_a_fault_without_one_is(tmp_path):
    nothing = {"kind": "nothing", "commands": [], "action": "", "params": {}, "why": "it stays"}
    story = Story(tmp_path)
    story.step(10.0, 10.2, "restore.1", "app-1", effect="write", undo=nothing)
    assert story.judge().result.residue == ()
    story.step(10.3, 10.4, "inject.1", "app-1", effect="fault", undo=nothing)
    assert [one.step for one in story.judge().result.residue] == ["inject.1"]
    commands = {"kind": "commands", "commands": [["start"]], "action": "", "params": {}, "why": ""}
    story.step(10.5, 10.6, "restore.1", "app-1", effect="write", undo=commands)
    assert [one.step for one in story.judge().result.residue] == ["inject.1", "restore.1"]


def test_steps_behind_the_verification_are_no_verification(tmp_path):
    story = Story(tmp_path, DRILL + "cleanup:\n  - service.status: {service: api}\n").good()
    story.events.pop()
    story.step(16.0, 16.1, "cleanup.1", "app-1", "failed", allowed="never mind")
    assert story.end().judge().result.verdict is Verdict.PASSED


def test_a_run_that_ended_before_anything_was_broken_says_why_once(tmp_path):
    story = Story(tmp_path)
    story.add(1.0, "ended.early", why="refused", message="outside its window", findings=[])
    result = story.end().judge().result
    assert (result.verdict, result.reason) == (Verdict.REFUSED, "outside its window")
    assert codes(result) & {"objective-not-verified", "objective-missed"} == set()


def test_a_step_that_was_cancelled_is_no_finding_of_its_own(tmp_path):
    story = Story(tmp_path).fault().availability(*SAMPLES).canary(ACKS, [[1, 400]])
    story.step(11.0, 12.0, "restore.1", "app-1", "cancelled", effect="write")
    story.add(12.0, "ended.early", why="aborted", message="the run was stopped by SIGINT", findings=[])
    result = story.end().judge().result
    assert "step-failed" not in codes(result)
    assert result.verdict is Verdict.ABORTED


def test_of_several_reasons_to_end_early_the_first_is_told(tmp_path):
    story = Story(tmp_path).fault().availability(*SAMPLES).canary(ACKS, [[1, 400]])
    for message in ("the fault could not be injected", "something else"):
        story.add(11.0, "ended.early", why="inconclusive", message=message, findings=[])
    result = story.end().judge().result
    assert (result.verdict, result.reason) == (Verdict.INCONCLUSIVE, "the fault could not be injected")
    assert "aborted" not in codes(result)


def test_why_a_probe_was_bad_before_stays_as_it_was_measured(tmp_path):
    story = Story(tmp_path).fault().canary(ACKS, [[1, 400]])
    story.availability(*grid(3.0, 6.0, True), *grid(6.0, 12.4, False), *grid(12.4, 16.0, True))
    found = next(one for one in story.recovery().end().judge().result.findings if one.code == "probe-bad-before")
    assert found.measured.startswith("the probe was bad from 6.000 s on, 4.000 s before the fault")
