"""Differences between a run and the earlier runs that its journal mentions."""

from __future__ import annotations

import pytest

from drillbook.judge.comparison import as_entries, reduced
from drillbook.judge.result import StepResult
from drillbook.judge.verdicts import Verdict
from tests.judge.story import ACKS, SAMPLES, Story, grid

WORSE = [*grid(5.0, 10.1, True), *grid(10.1, 13.4, False), *grid(13.4, 16.0, True)]


def result_of(tmp_path):
    return Story(tmp_path).good().judge().result


def compared(tmp_path, *earlier, samples=SAMPLES, verify="done"):
    """Run whose journal mentions ``earlier`` runs, newest first."""
    story = Story(tmp_path).fault().availability(*samples).canary(ACKS, [[1, 400]]).recovery(verify=verify)
    story.add(20.5, "earlier.runs", runs=as_entries(earlier))
    return story.end().judge().comparison


def paced(result, seconds):
    """Result with another duration of the restore."""
    steps = tuple(step.model_copy(update={"seconds": seconds}) if step.id == "restore.1" else step for step in result.steps)
    return result.model_copy(update={"steps": steps})


def test_an_equal_run_has_no_difference(tmp_path):
    last = result_of(tmp_path).model_copy(update={"run": "r0"})
    found = compared(tmp_path, last)
    assert (found.run, found.verdict, found.same_plan) == ("r0", "passed", True)
    assert {one.key: one.change for one in found.figures} == {"rto": "same", "rpo": "same", "detection": "same"}
    assert (found.added, found.removed, found.paced, found.new_findings, found.gone_findings) == ((), (), (), (), ())


def test_a_figure_changed_only_beyond_both_errors(tmp_path):
    last = result_of(tmp_path)
    (rto,) = [one for one in compared(tmp_path, last, samples=WORSE).figures if one.key == "rto"]
    assert rto.change == "longer"
    assert (rto.before_s, rto.now_s) == (pytest.approx(2.41), pytest.approx(3.41))
    near = last.model_copy(update={"clocks": {**last.clocks, "rto_s": last.clocks["rto_s"] + 0.21}})
    (rto,) = [one for one in compared(tmp_path, near).figures if one.key == "rto"]
    assert rto.change == "same", "both errors together are 0.22 s"


@pytest.mark.parametrize(("action", "by_alert"), [("prometheus.alert_fires", True), ("http.responds", False)])
def test_the_observer_of_an_earlier_detection_is_known_by_its_steps(tmp_path, action, by_alert):
    last = result_of(tmp_path)
    step = last.steps[0].model_copy(update={"id": "detect.9", "action": action})
    last = last.model_copy(update={"steps": (*last.steps, step)})
    known = {one.key: one.before_by_alert for one in compared(tmp_path, last).figures}
    assert known == {"rto": None, "rpo": None, "detection": by_alert}


def test_other_targets_are_differences_if_the_last_run_recorded_its_own(tmp_path):
    last = result_of(tmp_path)
    (key, goal), *_ = last.objectives.items()
    other = last.model_copy(update={"objectives": {**last.objectives, key: goal.model_copy(update={"target_s": 999.0})}})
    (target,) = compared(tmp_path, other).targets
    assert (target.key, target.before_s, target.now_s) == (key, 999.0, goal.target_s)
    assert compared(tmp_path, last).targets == ()
    entry = as_entries([other])[0]
    older = {name: value for name, value in entry.items() if name not in ("targets", "unverified")}
    story = Story(tmp_path).good()
    story.add(21.0, "earlier.runs", runs=[older])
    assert story.judge().comparison.targets == ()


def test_an_aborted_run_is_left_out_if_an_earlier_run_was_not_aborted(tmp_path):
    """A stop between two runs that passed would otherwise hide that the second one is slower."""
    first = result_of(tmp_path).model_copy(update={"run": "r0"})
    stopped = paced(first, 99.0).model_copy(update={"run": "r1", "verdict": Verdict.ABORTED, "exit": 4})
    twice = stopped.model_copy(update={"run": "r2"})
    found = compared(tmp_path, twice, stopped, first, samples=WORSE)
    assert (found.run, found.verdict, found.aborted, found.older) == ("r0", "passed", ("r2", "r1"), ())
    assert {one.key: one.change for one in found.figures}["rto"] == "longer"
    assert found.paced == (), "the durations of an aborted run are not compared"
    only = compared(tmp_path, twice, stopped)
    assert (only.run, only.verdict, only.aborted, only.older) == ("r2", "aborted", (), ("r1",))


CHUNKS = "rows of public.chunks in database"


def losing(tmp_path, gone, *earlier):
    """Run whose restore brought back ``gone`` rows less than its fault removed, after ``earlier`` runs."""
    story = Story(tmp_path).good()
    counted = {"inject.1": {"removed_data": {CHUNKS: 100}}, "restore.1": {"restored_data": {CHUNKS: 100 - gone}}}
    for index, event in enumerate(story.events):
        if event.kind == "done" and event.step in counted:
            story.change(index, facts=counted[event.step])
    story.add(21.0, "earlier.runs", runs=list(earlier))
    return story.judge()


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (9, 12, [(CHUNKS, "at least 9 rows lost", "at least 12 rows lost", 3)]),
        (9, 9, [(CHUNKS, "at least 9 rows lost", "at least 9 rows lost", 0)]),
        (9, 0, [(CHUNKS, "at least 9 rows lost", "", -9)]),
        (0, 12, [(CHUNKS, "", "at least 12 rows lost", 12)]),
        (0, 0, []),
    ],
)
def test_lost_rows_are_compared(tmp_path, before, now, told):
    (entry,) = as_entries([losing(tmp_path, before).result])
    known = losing(tmp_path, now, entry).comparison
    assert [(loss.what, loss.before, loss.now, loss.more) for loss in known.losses] == told


def test_lost_rows_are_not_compared_with_a_run_whose_loss_is_not_known(tmp_path):
    (entry,) = as_entries([losing(tmp_path, 0).result])
    failed = entry | {"verdict": "failed"}
    older = {key: value for key, value in entry.items() if key != "lost"}
    for other in (failed, older):
        (loss,) = losing(tmp_path, 12, other).comparison.losses
        assert (loss.before, loss.now, loss.more) == (None, "at least 12 rows lost", None)


def test_a_figure_that_the_last_run_did_not_verify_is_marked(tmp_path):
    last = result_of(tmp_path)
    goals = {key: one.model_copy(update={"met": None}) for key, one in last.objectives.items()}
    doubted = compared(tmp_path, last.model_copy(update={"objectives": goals})).figures
    assert {one.key for one in doubted if not one.before_verified} == {"rto", "rpo", "detection"}
    assert all(one.before_verified for one in compared(tmp_path, last).figures)


def test_a_figure_that_one_of_the_runs_lacks_cannot_be_compared(tmp_path):
    last = result_of(tmp_path)
    bare = last.model_copy(update={"clocks": {}, "objectives": {}})
    changes = {one.key: (one.before_s, one.change) for one in compared(tmp_path, bare).figures}
    assert changes["rto"] == (None, "unknown")


@pytest.mark.parametrize(
    ("past", "slower"),
    [((0.5,), [True]), ((0.79,), [True]), ((0.85,), []), ((0.5, 0.9), []), ((2.0,), [False]), ((2.0, 1.1), [])],
)
def test_a_step_is_slower_only_than_all_earlier_runs_and_by_more_than_a_quarter(tmp_path, past, slower):
    """The restore takes 1 s in this run."""
    last = result_of(tmp_path)
    found = compared(tmp_path, *[paced(last, seconds) for seconds in past]).paced
    assert [one.slower for one in found] == slower
    assert all(one.step == "restore.1 service.start on app-1" and one.runs == len(past) for one in found)


def test_a_step_that_failed_in_an_earlier_run_gives_no_time(tmp_path):
    last = result_of(tmp_path)
    steps = tuple(
        step.model_copy(update={"status": "failed", "seconds": 0.1}) if step.id == "restore.1" else step
        for step in last.steps
    )
    assert compared(tmp_path, last.model_copy(update={"steps": steps})).paced == ()


def test_steps_are_told_by_action_and_host_and_not_by_their_number(tmp_path):
    """Earlier run with another step before `verify.1`: one step was removed, and none added."""
    last = result_of(tmp_path)
    extra = StepResult(id="verify.1", action="port.open", host="app-1", status="done", seconds=0.1)
    moved = tuple(step.model_copy(update={"id": "verify.2"}) if step.id == "verify.1" else step for step in last.steps)
    found = compared(tmp_path, last.model_copy(update={"steps": (*moved, extra)}))
    assert (found.added, found.removed) == ((), ("verify.1 port.open on app-1",))
    found = compared(tmp_path, last.model_copy(update={"steps": last.steps[:-1]}))
    assert (found.added, found.removed) == (("verify.1 http.responds on controller",), ())


def test_findings_are_new_or_gone(tmp_path):
    good = result_of(tmp_path)
    late = Story(tmp_path).fault().availability(*grid(5.0, 10.1, True), *grid(10.1, 16.0, False))
    bad = late.canary(ACKS, [[1, 400]]).recovery().end().judge().result
    assert bad.findings
    found = compared(tmp_path, bad)
    assert {one.code for one in found.gone_findings} == {one.code for one in bad.findings}
    assert found.new_findings == ()
    again = compared(tmp_path, good, verify="failed")
    assert again.verdict == "passed"
    assert again.gone_findings == ()


def test_a_journal_without_the_record_compares_nothing(tmp_path):
    view = Story(tmp_path).good().judge()
    assert (view.comparison, view.first_run) == (None, False)


def test_an_empty_record_is_a_first_run_and_an_unreadable_one_is_not(tmp_path):
    for data, first in (({"runs": []}, True), ({"runs": [], "message": "OSError: no"}, False)):
        story = Story(tmp_path).fault().availability(*SAMPLES).canary(ACKS, [[1, 400]]).recovery()
        view = story.add(20.5, "earlier.runs", **data).end().judge()
        assert (view.comparison, view.first_run) == (None, first)


def test_no_facts_of_earlier_runs_are_copied(tmp_path):
    result = result_of(tmp_path)
    assert all("facts" not in step.model_dump() for step in reduced(result).steps)
