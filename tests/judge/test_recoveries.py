"""Acts of recoveries, from recorded journals and from journals that go on."""

from __future__ import annotations

import pytest

from tests.judge.story import COMMANDS, Story, started


def recovered(tmp_path, *, finished: bool = True) -> Story:
    """Run whose controller died after its fault, and the begin of its recovery."""
    story = started(tmp_path)
    if finished:
        story.end([{"step": "inject.1", "host": "app-1", "what": "service.kill", "why": "x", "by_hand": "y"}])
    return story.add(0.5, "recovery.started", operator="ops", controller="box")


def intent(story: Story) -> int:
    return next(event.seq for event in story.events if event.kind == "intent")


def undo(story: Story, start: float, *, active: bool | None = False, why: str = "") -> Story:
    number = intent(story)
    story.add(start, "undo", "inject.1", "app-1", intent=number, kind="commands", commands=[["start"]])
    story.add(start + 0.5, "fault.gone", "inject.1", "app-1", active=active, detail=why)
    if active is False:
        return story.add(start + 0.75, "undone", "inject.1", "app-1", intent=number, message="undone")
    return story.add(start + 0.75, "undo.failed", "inject.1", "app-1", intent=number, message="no proof")


def test_a_run_without_a_recovery_has_none(tmp_path):
    assert started(tmp_path).judge().recoveries == ()
    assert Story(tmp_path).good().judge().recoveries == ()


@pytest.mark.parametrize("finished", [True, False])
def test_each_recovery_has_its_own_clock_operator_and_end(tmp_path, finished):
    story = recovered(tmp_path, finished=finished)
    undo(story, 1.0, active=None, why="no answer").add(3.0, "recovery.finished", residue=[{"step": "inject.1"}])
    story.add(0.25, "recovery.started", operator="me", controller="here")
    undo(story, 1.5).add(9.0, "recovery.finished", residue=[])
    first, second = story.judge().recoveries
    assert (first.operator, first.controller, first.left, first.end) == ("ops", "box", 1, 3.0)
    assert first.before == f"2026-01-01T00:00:2{int(finished)}.000000Z", "the end of the run, or its last event"
    assert first.zero == "2025-12-31T23:59:59.500000Z"
    assert (second.operator, second.left, second.before, second.finished) == (
        "me",
        0,
        "2026-01-01T00:00:03.000000Z",
        "2026-01-01T00:00:09.000000Z",
    )
    (failed,), (done,) = first.acts, second.acts
    assert (failed.status, failed.message, failed.check.active, failed.check.detail) == (
        "failed",
        "no proof",
        None,
        "no answer",
    )
    assert (done.sort, done.step, done.host, done.what, done.how, done.fault) == (
        "undo",
        "inject.1",
        "app-1",
        "service.kill",
        "start",
        True,
    )
    assert (done.status, done.message, done.start, done.end) == ("done", "put back: undone", 1.5, 2.25)
    assert (done.check.at, done.check.active) == (2.0, False)
    assert [story.events[number].kind for number in done.events] == ["undo", "undone"]


def test_messages_after_the_end_of_a_run_are_not_its_end(tmp_path):
    story = started(tmp_path).end().add(25.0, "note").add(0.5, "recovery.started", operator="ops", controller="box")
    assert story.judge().recoveries[0].before == "2026-01-01T00:00:21.000000Z"


def test_an_undo_that_the_recovery_did_not_live_to_end_has_no_outcome(tmp_path):
    story = recovered(tmp_path)
    story.add(1.0, "undo", "inject.1", "app-1", intent=intent(story), kind="commands", commands=[["start"]])
    (recovery,) = story.judge().recoveries
    (act,) = recovery.acts
    assert (recovery.finished, recovery.end, act.status, act.start, act.end) == (None, None, "unknown", 1.0, None)


def test_an_act_of_a_step_has_the_phase_of_the_step(tmp_path):
    story = recovered(tmp_path)
    story.add(1.0, "step.started", "recovery.1", "app-1", action="x.restore", phase="restore", effect="write", params={})
    story.add(2.0, "done", "recovery.1", "app-1", facts={}, seconds=1.0, attempts=1)
    undo(story, 5.0)
    assert [act.phase for act in story.judge().recoveries[0].acts] == ["restore", ""]


def test_a_change_without_an_undo_has_its_outcome_and_the_check_before_it(tmp_path):
    story = recovered(tmp_path)
    story.add(1.0, "fault.gone", "inject.1", "app-1", active=False)
    story.add(1.5, "undone", "inject.1", "app-1", intent=intent(story), message="gone already")
    (act,) = story.judge().recoveries[0].acts
    assert (act.status, act.message, act.how, act.start, act.end) == ("done", "put back: gone already", "", None, 1.5)
    assert (act.check.active, act.check.at) == (False, 1.0)
    assert act.events == (len(story.events) - 2, len(story.events) - 1)


def test_steps_that_ran_again_stand_between_the_other_acts(tmp_path):
    story = recovered(tmp_path)
    story.step(1.0, 2.0, "restore.1", "app-1", effect="write", undo=COMMANDS, rows=7)
    story.step(3.0, 4.0, "verify.1", "controller", "failed")
    undo(story, 5.0)
    restore, verify, undone = story.judge().recoveries[0].acts
    assert (restore.sort, restore.step, restore.what, restore.status, restore.facts) == (
        "step",
        "restore.1",
        "service.start",
        "done",
        {"rows": 7},
    )
    assert (verify.step, verify.status, verify.message, verify.start, verify.end) == (
        "verify.1",
        "failed",
        "it broke",
        3.0,
        4.0,
    )
    assert undone.sort == "undo"


def test_locks_leases_and_canaries(tmp_path):
    story = recovered(tmp_path)
    story.add(0.75, "lock.taken", None, "app-1", name="host", token=1, services=["api", "cache"])
    story.add(0.75, "lock.taken", None, "db-1", name="host", token=1, services=["database"])
    story.add(0.75, "lock.failed", None, "far", name="host", message="no route")
    story.add(1.0, "lease.adopted", None, "app-1", armed=[intent(story)], reverted=True)
    story.add(1.0, "lease.failed", None, "far", message="no route")
    story.add(1.5, "canary.survivors", probe="probe.2", ranges=[[1, 4]], count=4)
    story.add(1.5, "canary.survivors", probe="probe.3", error="refused")
    story.add(2.0, "lock.released", None, "app-1", name="host", token=1)
    story.add(2.5, "lease.log", None, "app-1", file="evidence/lease.app-1.log", sha256="x", bytes=1)
    story.add(2.5, "lease.log", None, "db-1", error="no space")
    acts = {(act.sort, act.host or act.step): act for act in story.judge().recoveries[0].acts}
    lock = acts["lock", "app-1"]
    assert (lock.what, lock.start, lock.end, lock.status) == ("api, cache", 0.75, 2.0, "done")
    assert (acts["lock", "db-1"].status, acts["lock", "db-1"].message) == ("unknown", "taken; no release of it is recorded")
    assert (acts["lock", "far"].status, acts["lock", "far"].message) == ("failed", "no route")
    lease = acts["lease", "app-1"]
    assert lease.message == (
        "found; the target itself had already run the undos that were armed on it, but 1 of them did not succeed; "
        "its log was stored"
    )
    assert lease.files == ("evidence/lease.app-1.log",)
    assert (acts["lease", "far"].status, acts["lease", "far"].message) == ("failed", "no route")
    assert acts["lease", "db-1"].message == "ended; its log could not be stored: no space"
    assert acts["canary", "probe.2"].message == "4 of the 400 acknowledged writes were read back"
    assert (acts["canary", "probe.3"].status, acts["canary", "probe.3"].message) == ("failed", "refused")


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        ([[1, 3]], "3 of the 3 acknowledged writes were read back"),
        ([[1, 1]], "1 of the 3 acknowledged writes was read back"),
        (
            [[1, 11]],
            "3 of the 3 acknowledged writes were read back, 2 that were not acknowledged, and 6 more that the run did not record",
        ),
        ([[1, 2], [6, 6]], "2 of the 3 acknowledged writes were read back, and 1 more that the run did not record"),
        ([], "0 of the 3 acknowledged writes were read back"),
    ],
)
def test_the_writes_that_a_recovery_read_back_are_counted_beside_those_of_the_run(tmp_path, ranges, said):
    """A controller that dies has sent writes that it did not record yet."""
    story = Story(tmp_path).fault()
    story.add(0.0, "probe.started", probe="probe.2", name="postgres.canary", kind="canary", every_s=0.05, timeout_s=1.0)
    writes = [[number, number / 10, number / 10 + 0.01] for number in (1, 2, 3)]
    story.add(20.0, "canary.writes", probe="probe.2", acknowledged=writes, in_doubt=[[4, 0.4, "x"]], lost=[[5, 0.5, "x"]])
    story.add(0.5, "recovery.started", operator="ops", controller="box")
    story.add(1.5, "canary.survivors", probe="probe.2", ranges=ranges, count=sum(last - first + 1 for first, last in ranges))
    (act,) = story.judge().recoveries[0].acts
    assert act.message == said


@pytest.mark.parametrize(("reverted", "left"), [(True, False), (True, True), (False, True)])
def test_an_undo_that_the_target_itself_ran_is_not_credited_to_the_recovery(tmp_path, reverted, left):
    story = started(tmp_path)
    story.add(13.0, "lease.armed", None, "app-1", intent=intent(story), what="service.kill", lease_s=30)
    story.add(0.5, "recovery.started", operator="ops", controller="box")
    story.add(0.75, "lease.adopted", None, "app-1", armed=[intent(story)] if left else [], reverted=reverted)
    lease, act = undo(story, 1.0).judge().recoveries[0].acts
    assert act.by_target is (reverted and not left)
    assert ("the target itself had already run" in lease.message) is reverted
    assert ("1 of them did not succeed" in lease.message) is (reverted and left)
    assert "no undo was armed" not in lease.message


@pytest.mark.parametrize(
    ("leases", "by_target"),
    [
        ([(True, [])], True),
        ([(True, []), (False, "fault")], False),
        ([(False, "fault"), (True, [])], False),
        ([(True, []), None], False),
        ([None, (True, [])], False),
        ([(False, []), (True, [])], True),
    ],
)
def test_an_undo_in_another_lease_of_the_host_is_not_credited_to_the_target(tmp_path, leases, by_target):
    """A host has a lease for each account. One of them may be in place, or not inspected."""
    story = started(tmp_path)
    story.add(13.0, "lease.armed", None, "app-1", intent=intent(story), what="service.kill", lease_s=30)
    story.add(0.5, "recovery.started", operator="ops", controller="box")
    story.add(0.5, "lease.failed", None, "db-1", message="another host")
    for lease in leases:
        if lease is None:
            story.add(0.75, "lease.failed", None, "app-1", message="no route")
        else:
            armed = [intent(story)] if lease[1] else []
            story.add(0.75, "lease.adopted", None, "app-1", armed=armed, reverted=lease[0])
    assert undo(story, 1.0).judge().recoveries[0].acts[-1].by_target is by_target


def test_a_refused_closing_is_no_closing(tmp_path):
    left = {"step": "inject.1", "host": "app-1", "what": "service.kill", "why": "x", "by_hand": "y"}
    story = recovered(tmp_path).add(3.0, "recovery.finished", residue=[left])
    story.add(0.5, "recovery.started", operator="li.wei", controller="box")
    story.add(1.0, "settlement.refused", by="li.wei", reason="reinstalled", changes=[], findings=[])
    first, second = story.judge().recoveries
    assert (first.closing, first.refused) == (False, False)
    assert (second.closing, second.refused, second.finished) == (False, True, None)


def test_a_recovery_that_ends_a_closing_is_a_closing(tmp_path):
    story = recovered(tmp_path)
    changes = [
        {"step": step, "host": "app-1", "what": "x", "proof": proof, "detail": ""}
        for step, proof in (("inject.1", "gone"), ("cleanup", "unknown"))
    ]
    story.add(1.0, "residue.settled", by="li.wei", reason="x", changes=changes, intents=[intent(story)], residue=[])
    story.add(0.5, "recovery.started", operator="ops", controller="box").add(1.0, "recovery.finished", residue=[], kept=[])
    first, second = story.judge().recoveries
    assert (first.closing, first.finished, first.acts[0].closed, first.acts[0].unproven) == (True, None, 2, 1)
    assert (second.closing, second.refused, second.acts) == (True, False, ())


def test_a_closing_is_no_undo(tmp_path):
    story = recovered(tmp_path)
    changes = [{"step": "inject.1", "host": "app-1", "what": "service.kill", "proof": "unknown", "detail": ""}]
    story.add(
        1.0, "residue.settled", by="li.wei", reason="reinstalled", changes=changes, intents=[intent(story)], residue=[]
    )
    story.add(2.0, "recovery.finished", residue=[], kept=[])
    (recovery,) = story.judge().recoveries
    assert (recovery.closing, recovery.refused) == (True, False)
    assert [(act.sort, act.status, act.what) for act in recovery.acts] == [("closing", "done", "inject.1 on app-1")]
    assert "by li.wei, without an undo: reinstalled" in recovery.acts[0].message


def test_the_outcome_of_a_step_says_if_a_recovery_recorded_it(tmp_path):
    def fault(story):
        return next(view for view in story.judge().steps if view.result.id == "inject.1")

    own = started(tmp_path)
    own.add(15.0, "undone", "inject.1", "app-1", intent=intent(own), message="undone").end()
    assert fault(own).undone_later is False, "the run itself undid it"
    story = recovered(tmp_path)
    assert fault(story).undone_later is False, "nobody undid it"
    assert fault(undo(story, 1.0)).undone_later
