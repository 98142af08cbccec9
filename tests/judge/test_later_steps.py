"""Data that a recovery did not bring back is told as for a run without a recovery, and ``result.json`` gets it beside its findings."""

from __future__ import annotations

import json

import pytest

from drillbook.findings import finding
from drillbook.judge.comparison import as_entries
from drillbook.judge.later_steps import lasting, with_later_steps
from drillbook.judge.result import StepResult
from drillbook.report import (
    changes,
    formats,
    headlines,
    html,
    lost_data,
    markdown,
    next_steps,
    open_findings,
    recovery_rows,
    remarks,
    rows,
)
from drillbook.report.terminal import recovery_summary
from tests.judge.story import started
from tests.judge.test_shortfall import CHUNKS, removed, restored
from tests.report import renderings
from tests.report.test_agreement import plain

LOSS = f"at least 9 of the 119131 {CHUNKS} that the fault removed did not come back in restore.1"
TOLD = f"119131 {CHUNKS} were removed, 119122 came back in restore.1: 9 or more are missing"
COMPARE = "compare the restored data with the manifest of the backup"


def died(tmp_path):
    """Run that removed rows, and whose controller died in its restore phase."""
    story = started(tmp_path)
    gone = next(at for at, event in enumerate(story.events) if (event.kind, event.step) == ("done", "inject.1"))
    story.change(gone, facts=removed(119131)[1])
    return story.add(11.0, "phase.started", phase="restore")


def recovered(story, number, outcome="done", verify="done"):
    """Add a recovery that restored ``number`` rows."""
    story.add(0.5, "recovery.started", operator="ops", controller="box").add(1.0, "phase.started", phase="restore")
    story.step(1.0, 2.0, "restore.1", "app-1", outcome, effect="write", **restored(number)[1])
    story.add(2.0, "phase.ended", phase="restore", status="done").add(2.0, "phase.started", phase="verify")
    story.step(2.5, 3.0, "verify.1", "controller", verify)
    return story.add(3.0, "phase.ended", phase="verify", status="done").add(4.0, "recovery.finished", residue=[])


def lacking(view):
    return [one.measured for one in rows.findings_of(view.result) if one.code == "removed-data-missing"]


def screen(view):
    lines = renderings.printed(recovery_summary.recovery_summary(view, "reports/x/report.html"))
    return " ".join((lines + renderings.printed(recovery_summary.state_of_run(view))).split())


def test_rows_that_a_recovery_did_not_bring_back_are_told_everywhere(tmp_path):
    view = recovered(died(tmp_path), 119122).judge()
    (told,) = lacking(view)
    assert told.startswith(TOLD)
    assert LOSS in headlines.sentence(view)
    assert lost_data.after_recovery(view) == f"Data lost: {LOSS}."
    shown = screen(view)
    assert f"! {lost_data.after_recovery(view)}" in shown
    assert "Less data came back than the fault removed" in shown.partition("findings of the run:")[2].partition("! ")[0]
    screen_steps = next_steps.with_remedy(view, [("read the report", "x report.open r1")])
    assert screen_steps[0][0].startswith(COMPARE)
    assert screen_steps[1] == ("read the report", "x report.open r1")
    (section,) = recovery_rows.tables(view)
    assert section.lead.endswith(lost_data.after_recovery(view))
    for page in (html.render(view), markdown.render(view)):
        assert plain(page).count(lost_data.after_recovery(view)) == 2, "in the head, and in the section about the recovery"
        assert "(removed-data-missing)" in plain(page).replace("`", "") or "removed-data-missing" in page
    again = f"{view.program} drill {view.result.drill}"
    steps = next_steps.in_report(view)
    assert steps[0][0].startswith(COMPARE)
    assert [command for _, command in steps].count(again) == 1


def test_the_rpo_names_the_rows_that_did_not_come_back_as_that_of_a_run_which_passed(tmp_path):
    view = recovered(died(tmp_path), 119122).judge()
    told = "at least 9 rows lost; by the canary alone at most 0.05 s"
    (row,) = (row for row in rows.rows_of(view.result) if row.key == "rpo")
    assert (row.measured, row.marked) == (told, f"{told} §")
    assert row.uncounted.startswith("does not count: ")
    assert row.remark.startswith(f"{LOSS[0].upper()}{LOSS[1:]}; the RPO possibly leaves out")
    (finding,) = (it for it in rows.findings_of(view.result) if it.title.endswith(": RPO"))
    assert finding.measured == f"({told}) {row.uncounted}", "a finding explains no marks"
    assert remarks.beside_loss(view.result) == ", but not measured for restored tables §", "beside the RPO in the timeline"
    assert html.bar(row) is None, "a bar would make the figure look like the whole loss"
    for page in (html.render(view), markdown.render(view)):
        assert plain(page).count("by the canary alone at most 0.05 s") >= 2


def test_the_comparison_with_the_last_run_names_the_rows_beside_the_rpo(tmp_path):
    """Of the recovered run itself, and of the run after it."""
    first = recovered(died(tmp_path), 119131).judge()
    story = died(tmp_path)
    story.add(12.0, "earlier.runs", runs=as_entries([first.result]))
    lossy = recovered(story, 119122).judge()
    (row,) = (row for row in rows.rows_of(lossy.result) if row.key == "rpo")
    (rpo,) = (it for it in changes.change_rows(lossy) if it.what == "RPO")
    assert (rpo.before, rpo.now) == ("at most 0.05 s", row.measured)
    (lost,) = (it for it in changes.change_rows(lossy) if it.what == f"Lost: {CHUNKS}")
    assert (lost.before, lost.now) == ("not known", "at least 9 rows lost")
    assert f"Finding removed-data-missing: {lossy.result.later_findings[0].title}" in {
        it.what for it in changes.change_rows(lossy)
    }
    story = died(tmp_path)
    story.add(12.0, "earlier.runs", runs=as_entries([lossy.result]))
    (rpo,) = (it for it in changes.change_rows(recovered(story, 119131).judge()) if it.what == "RPO")
    assert (rpo.before, rpo.now) == (row.measured, "at most 0.05 s")
    assert rpo.change.startswith("cannot be compared")


def test_the_backup_that_a_recovery_restored_has_its_mark_beside_the_rpo(tmp_path):
    story = died(tmp_path)
    story.step(1.0, 2.0, "inject.1", "app-1")
    took = StepResult(
        id="backup.1", action="postgres.dump", host="db", status="done", seconds=1.0,
        facts={"location": "files:a", "identity": {"manifest": "m"}},
    )  # fmt: skip
    back = StepResult(
        id="restore.1", action="postgres.restore", host="db", status="done", seconds=1.0, facts={"made": {"manifest": "m"}}
    )
    known = story.judge().result
    result = known.model_copy(update={"steps": (took, *known.steps), "later_steps": (back,)})
    (row,) = (row for row in rows.rows_of(result) if row.key == "rpo")
    assert (row.mark, row.remark) == (" †", remarks.OWN_BACKUP)


def test_the_steps_of_a_run_that_itself_restored_the_data_decide_about_its_rpo(tmp_path):
    view = recovered(died(tmp_path), 119122).judge()
    steps, later = view.result.steps, view.result.later_steps
    own = StepResult(id="restore.1", action="any", host="db", status="done", seconds=1.0, facts=restored(119000)[1])
    whole = own.model_copy(update={"facts": restored(119131)[1]})
    assert lasting(steps, ()) == list(steps)
    assert lasting([*steps, own], [whole]) == [*steps, own], "the RPO was measured after this restore"
    assert lasting([*steps, whole], later)[-len(later) :] == list(later), "a loss that only the recovery caused is told"


def test_the_result_in_the_file_gets_the_data_that_a_recovery_left_out_and_nothing_else(tmp_path):
    lossy, whole = (recovered(died(tmp_path), number).judge().result for number in (119122, 119131))
    assert lossy.later_steps
    data = formats.result_data(lossy)
    assert [found["code"] for found in data.pop("later_findings")] == ["removed-data-missing"]
    assert data == formats.result_data(whole)
    counted = open_findings.counted(open_findings.of_result(json.loads(formats.as_json(formats.result_data(lossy)))))
    assert counted == open_findings.counted(open_findings.grave(rows.findings_of(lossy))), (
        "lists count what the report counts"
    )
    assert "medium" in counted


def test_a_recovery_that_brought_back_all_rows_lost_none(tmp_path):
    view = recovered(died(tmp_path), 119131).judge()
    assert (lacking(view), view.result.later_findings, lost_data.after_recovery(view)) == ([], (), "")
    assert "did not come back" not in headlines.sentence(view)
    assert "Data lost" not in screen(view)
    assert not next_steps.in_report(view)[0][0].startswith(COMPARE)
    assert next_steps.with_remedy(view, [("run it", "x")]) == [("run it", "x")]


@pytest.mark.parametrize(("outcome", "number"), [("failed", 3), ("done", 119131)])
def test_only_the_last_outcome_of_a_step_counts(tmp_path, outcome, number):
    """Nobody knows what a restore that did not succeed brought back; the report tells that it did not succeed."""
    view = recovered(recovered(died(tmp_path), 119122), number, outcome).judge()
    assert lacking(view) == []
    first, second = recovery_rows.tables(view)
    assert "Data lost" not in first.lead + second.lead


def test_the_recovery_that_restored_last_tells_the_loss(tmp_path):
    view = recovered(recovered(died(tmp_path), 3), 119122).judge()
    first, second = recovery_rows.tables(view)
    assert ("Data lost" in first.lead, "Data lost" in second.lead) == (False, True)
    assert len(lacking(view)) == 1


def test_a_loss_that_the_run_itself_found_is_not_told_twice(tmp_path):
    view = recovered(died(tmp_path), 119122).judge()
    (own,) = view.result.later_findings
    known = view.result.model_copy(update={"findings": (own,), "later_findings": ()})
    assert with_later_steps(known, view.recoveries, "drillbook").later_findings == ()
    other = known.model_copy(update={"findings": (finding("removed-data-missing", measured="other rows"),)})
    assert with_later_steps(other, view.recoveries, "drillbook").later_findings == (own,)


def test_a_step_that_only_the_recovery_has_is_compared_too(tmp_path):
    """As with `drill.recover --from-backup`."""
    view = recovered(died(tmp_path), 119122).judge()
    (recovery,) = view.recoveries
    acts = tuple(act.model_copy(update={"step": act.step.replace("restore.1", "recovery.1")}) for act in recovery.acts)
    result = with_later_steps(view.result, [recovery.model_copy(update={"acts": acts})], "drillbook")
    assert [one.step for one in result.later_findings] == ["recovery.1"]
    assert "recovery.1" in {step.id for step in result.last_steps}
    whole = StepResult(id="restore.1", action="any", host="db", status="done", seconds=1.0, facts=restored(119131)[1])
    again = view.result.model_copy(update={"steps": (*view.result.steps[:1], whole)})
    result = with_later_steps(again, [recovery.model_copy(update={"acts": acts})], "drillbook")
    assert [one.step for one in result.later_findings] == ["recovery.1"], "the last restore decides what is there"


def test_a_run_without_a_recovery_has_no_later_steps(tmp_path):
    result = died(tmp_path).judge().result
    assert (result.later_steps, result.later_findings, result.last_steps) == ((), (), result.steps)


def test_the_head_of_a_report_tells_the_loss_once_and_says_to_enter_the_data_again(tmp_path):
    view = recovered(died(tmp_path), 119122).judge()
    page = plain(html.render(view)).partition("An aborted run is not a pass")[0]
    assert page.count("did not come back in restore.1") == 1
    assert "Enter this data again: see Next." in page
    assert "nothing is left to undo" in page
    assert LOSS in headlines.sentence(view), "a place without the sentences about the end has the loss in the headline"
