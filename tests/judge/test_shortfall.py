"""Data that a fault removed and that did not come back: as a finding, in the headline, and beside the RPO."""

import json
import re
from dataclasses import replace

import pytest

from drillbook.cli.run_output import Manner, Teller
from drillbook.judge.changes import Comparison, FigureChange, FindingChange
from drillbook.judge.result import StepResult, Verdict
from drillbook.judge.shortfall import OLDER, findings, shortfalls
from drillbook.report import changes, headlines, html, index, next_steps, open_findings, remarks, rows, suite_steps, timeline
from tests.judge.story import Story
from tests.report import samples
from tests.report.test_agreement import plain

CHUNKS = "rows of public.chunks in database"
PART = f"{CHUNKS} where id < 9"
LOSS = f"at least 3 of the 118795 {CHUNKS} that the fault removed did not come back in restore.1"


def removed(number, what=CHUNKS):
    return ("inject.1", {"removed_data": {what: number}})


def restored(number, what=CHUNKS, step="restore.1"):
    return (step, {"restored_data": {what: number}})


@pytest.mark.parametrize(
    ("done", "missing"),
    [
        ([removed(5), restored(2)], [(CHUNKS, 5, 2, "restore.1")]),
        ([removed(5), restored(0)], [(CHUNKS, 5, 0, "restore.1")]),
        ([removed(5), restored(2), restored(2, step="restore.2")], []),
        ([removed(5), removed(5), restored(5)], []),
        ([restored(2), removed(5)], []),
        ([removed(5), restored(2), restored(1, PART, "restore.2")], []),
        ([removed(5), removed(3, PART), restored(4)], []),
        ([removed(5, PART), restored(4)], []),
        ([removed(5, PART), restored(4, f"{CHUNKS} where id < 5")], []),
        ([removed(5, PART), restored(4, PART)], [(PART, 5, 4, "restore.1")]),
        ([removed(5), restored(6)], []),
        ([removed(5)], []),
        ([removed(5), restored(4, "rows of public.chunks in another")], []),
        ([restored(4)], []),
        ([("inject.1", {"removed_data": 5, "rows": 5}), restored(4)], []),
        ([("inject.1", {"rows": 118795}), ("restore.1", {"rows": 118792})], []),
    ],
)
def test_only_one_removal_and_one_later_restore_of_the_same_data_are_compared(done, missing):
    for found in (StepResult, remarks.Step):
        steps = [finished(step, facts, found) for step, facts in done]
        assert [(one.what, one.removed, one.restored, one.step) for one in shortfalls(steps)] == missing
        told = [one.measured for one in findings(steps)]
        assert [re.findall(r"\d+ rows of [\w. <]+?(?= were| that)|restore\.\d", one) for one in told] == [
            re.findall(r"\d+ rows of [\w. <]+?(?= were| that)|restore\.\d", one) for one in remarks.shortfalls(steps)
        ], "finding and remark agree"


def test_a_loss_is_exact_only_when_nothing_came_back():
    """Rows that were deleted before the fault come back, too, and then fewer of the removed rows did than the number says."""
    (none,), (some,) = (findings([finished(*removed(5)), finished(*restored(number))]) for number in (0, 2))
    assert none.measured == f"5 {CHUNKS} were removed, and none came back in restore.1"
    assert "were removed, 2 came back in restore.1: 3 or more are missing (more are missing if the restore" in some.measured
    replaced = {"replaced_data": {CHUNKS: 10}, "restored_data": {CHUNKS: 0}}
    assert "these 10 are not in the backup" in remarks.shortfalls([finished("restore.1", replaced)])[0]


def test_a_step_that_did_not_succeed_restored_nothing_that_counts():
    steps = [finished(*removed(5)), finished(*restored(2), status="failed")]
    assert shortfalls(steps) == []


def test_a_replaced_table_may_have_had_rows_that_the_fault_added():
    (told,) = remarks.shortfalls([finished("restore.1", {"replaced_data": {CHUNKS: 10}, "restored_data": {CHUNKS: 7}})])
    assert told == (
        f"restore.1 removed 10 {CHUNKS} and restored 7; the other 3 or more are not in the backup, unless the fault had added them"
    )


def finished(step, facts, kind=StepResult, status="done"):
    fields = {"id": step, "action": "postgres.any", "status": status, "facts": facts}
    return kind(**fields, **({"host": "db", "seconds": 1.0} if kind is StepResult else {}))


def told(tmp_path, *back):
    story = Story(tmp_path).good()
    for index_, event in enumerate(story.events):
        for step, facts in (removed(118795), *map(restored, back)):
            if (event.kind, event.step) == ("done", step):
                story.change(index_, facts=facts)
    return story.judge()


def test_lost_rows_are_an_open_finding_in_the_headline_and_a_reservation_of_the_rpo(tmp_path):
    view = told(tmp_path, 118792)
    (found,) = [one for one in view.result.findings if one.code == "removed-data-missing"]
    assert (found.severity, found.step, found.measured) == (
        "medium",
        "restore.1",
        f"118795 {CHUNKS} were removed, 118792 came back in restore.1: 3 or more are missing ({OLDER})",
    )
    for words in ("newer than the backup", "the backup is incomplete", "a trigger suppressed", "postgres.matches"):
        assert words in found.remedy, "both reasons, and how to tell them apart"
    assert view.result.verdict is Verdict.PASSED
    assert open_findings.in_list("passed", open_findings.as_shown(view.result.findings, view.result.objectives))
    assert LOSS in headlines.sentence(view)
    assert "none of the canary's " in headlines.sentence(view)
    (row,) = [one for one in rows.rows_of(view.result) if one.key == "rpo"]
    assert (row.state, row.mark) == (remarks.RESERVED, f" {remarks.SHORT_MARK}")
    assert f"{LOSS[1:]}; {remarks.MAY_NOT_COUNT}." in row.remark
    page = plain(html.render(view))
    assert page.count(LOSS) == 1
    lead = "at least 3 rows lost; by the canary alone at most "
    assert lead in page
    small = html.render(view).partition(">at least 3 rows lost;</span>")[0].rpartition("<span")[2]
    assert small == ' class="big"', "the known loss, and not the small figure, is in the largest type"
    wrapping = html.render(view).partition(">by the canary alone ")[0].rpartition("<span")[2]
    assert wrapping == ' class="num wraps"', "the longer figure wraps on a narrow screen"
    assert lead in row.measured
    assert row.brief == "≥ 3 rows lost"
    assert "the RPO was met, but not measured for restored tables: at least 3 rows lost" in page
    entry = index.entry(json.loads(view.result.model_dump_json(by_alias=True)))
    assert plain(index.render([entry])).count(remarks.LEGENDS[remarks.SHORT_MARK]) == 1


def compared(view, **more):
    base = dict.fromkeys(("figures", "added", "removed", "paced", "new_findings", "gone_findings"), ())
    figure = FigureChange(key="rpo", before_s=0.02, before_error_s=0.03, now_s=0.02, now_error_s=0.03, change="same")
    known = samples.repeated().comparison
    fields = known.model_dump() | base | {"figures": (figure,)} | more
    return view.model_copy(update={"comparison": Comparison.model_validate(fields)})


def test_an_rpo_without_the_lost_rows_is_neither_compared_nor_drawn(tmp_path):
    view = told(tmp_path, 118792)
    found, words = FindingChange(code="removed-data-missing", title="any"), " (less data came back than the fault removed)"
    for more, mark in (({}, words), ({"new_findings": (found,)}, ""), ({"gone_findings": (found,)}, words)):
        (row,) = [one for one in changes.change_rows(compared(view, **more)) if one.what == "RPO"]
        assert row.before == f"{'by the canary alone ' if mark else ''}at most 0.05 s{mark}"
        assert row.now.startswith("by the canary alone at most ")
        assert row.change == "cannot be compared: less data came back than the fault removed"
    entry = index.entry(json.loads(view.result.model_dump_json(by_alias=True)))
    page = index.render([replace(entry, run=run) for run in "abc"])
    assert "0 of 3 runs with a figure, latest at least 3 rows lost" in page
    for lossy, count in ((view, 1), (told(tmp_path, 118795), 0)):
        line = lossy.timeline.model_copy(update={"marks": {**lossy.timeline.marks, "recovery_point": 9.9}})
        drawing = timeline.draw(lossy.model_copy(update={"timeline": line}))
        (rpo,) = [one.label.text for one in drawing.dimensions if one.key == "rpo"]
        assert rpo.count(", but not measured for restored tables §") == count


def test_the_next_steps_of_a_run_with_lost_rows_begin_with_the_remedy(tmp_path):
    view = told(tmp_path, 118792)
    steps = next_steps.in_report(view)
    again = f"{view.program} drill {view.result.drill}"
    assert steps[0][1].startswith(again)
    assert steps[0][0].endswith("; then repeat the drill")
    assert steps[0][0].startswith("compare the restored data with the manifest of the backup")
    assert sum(command.startswith(again) for _, command in steps) == 1
    assert "repeat the drill" in dict(next_steps.in_report(told(tmp_path, 118795)))


ENTER = "enter the missing data again, and look for records that refer to it"


def whole_comparison(view, **more):
    """The run ``view``, which also compared the restored data with the backup."""
    check = StepResult(id="verify.9", action="postgres.matches", host="db", status="done", seconds=1.0)
    result = view.result.model_copy(update={"steps": (*view.result.steps, check), **more})
    return view.model_copy(update={"result": result})


def test_lost_rows_have_the_same_next_step_after_a_run_a_failure_and_a_suite(tmp_path, capsys):
    passed = whole_comparison(told(tmp_path, 118792))
    failed = whole_comparison(told(tmp_path, 118792), verdict=Verdict.FAILED, exit=1)
    suite, _ = samples.suite()
    for view in (passed, failed):
        Teller(Manner.BRIEF).end(view, "reports/x/report.html")
        assert ENTER in plain(capsys.readouterr().out)
        assert next_steps.in_report(view)[0][0].startswith(ENTER)
        for steps in (suite_steps.in_suite(suite, [view]), suite_steps.after_suite("drillbook", suite, [view], "")):
            assert len([text for text, _ in steps if ENTER in text]) == 1, steps
    assert "run the drill again after the problem is corrected" in dict(next_steps.in_report(failed))
    complete = told(tmp_path, 118795)
    Teller(Manner.BRIEF).end(complete, "reports/x/report.html")
    assert "repeat the drill" not in capsys.readouterr().out, "the terminal asks for nothing more"


@pytest.mark.parametrize(
    ("action", "status", "named"),
    [
        ("postgres.matches", "done", True),
        ("postgres.matches", "allowed", False),
        ("content.matches", "done", False),
        ("no.such", "done", False),
    ],
)
def test_the_remedy_names_the_comparison_that_the_run_made(tmp_path, action, status, named):
    result = told(tmp_path, 118792).result
    check = StepResult(id="verify.9", action=action, host="db", status=status, seconds=1.0)
    result = result.model_copy(update={"steps": (*result.steps, check)})
    (shown,) = [one for one in rows.findings_of(result) if one.code == "removed-data-missing"]
    assert shown.remedy.startswith("verify.9 found the restored data equal to the backup") is named
    assert ("for example by `postgres.matches`" in shown.remedy) is not named


def test_a_complete_restore_has_neither(tmp_path):
    view = told(tmp_path, 118795)
    assert "removed-data-missing" not in {one.code for one in view.result.findings}
    assert "did not come back" not in headlines.sentence(view)
    assert "none of the canary's " in headlines.sentence(view), "it saw no other rows"
    (row,) = [one for one in rows.rows_of(view.result) if one.key == "rpo"]
    assert (row.state, row.mark) == ("met", "")


def test_the_remark_on_lost_rows_comes_before_the_one_on_the_backup():
    steps = [
        remarks.Step("backup.1", "postgres.dump", "done", {"identity": {"manifest": "aa"}, "location": "s3://b/today"}),
        remarks.Step("inject.1", "postgres.drop_table", "done", removed(118795)[1]),
        remarks.Step("restore.1", "postgres.restore_table", "done", {"made": {"manifest": "aa"}} | restored(118792)[1]),
    ]
    told = remarks.of_run(steps, "2026-01-02T10:00:00Z", None)["rpo"]
    assert told.mark == f" {remarks.SHORT_MARK}{remarks.MARK}"
    assert told.text == f"A{LOSS[1:]}; {remarks.MAY_NOT_COUNT}. {remarks.OWN_BACKUP}"
    assert remarks.legend([told.mark]).count(remarks.SHORT_MARK) == 1
    assert remarks.OWN_BACKUP in remarks.legend([told.mark])


def test_a_removal_whose_restore_counts_nothing_is_no_claim_about_the_removed_rows(tmp_path):
    view = told(tmp_path)
    assert "removed-data-missing" not in {one.code for one in view.result.findings}
    assert "did not come back" not in headlines.sentence(view)
    assert "none of the canary's " in headlines.sentence(view)
    (row,) = [one for one in rows.rows_of(view.result) if one.key == "rpo"]
    assert (row.state, row.mark) == ("met", "")


@pytest.mark.parametrize(("first", "last", "missing"), [(20, 118795, False), (118795, 20, True)])
def test_a_restore_that_ran_again_counts_by_its_last_outcome_everywhere(tmp_path, first, last, missing):
    story = Story(tmp_path).good()
    number = next(number for number, one in enumerate(story.events) if (one.kind, one.step) == ("done", "restore.1"))
    story.events.insert(number, story.events[number])
    for at, facts in ((number, restored(first)[1]), (number + 1, restored(last)[1])):
        story.change(at, facts=facts)
    gone = next(number for number, one in enumerate(story.events) if (one.kind, one.step) == ("done", "inject.1"))
    story.change(gone, facts=removed(118795)[1])
    view = story.judge()
    (row,) = [one for one in rows.rows_of(view.result) if one.key == "rpo"]
    assert ("removed-data-missing" in {one.code for one in view.result.findings}) is missing
    assert ("did not come back" in headlines.sentence(view)) is missing
    assert bool(row.mark) is missing


def test_the_next_steps_of_a_passed_suite_name_the_remedy_on_the_terminal_and_in_the_report(tmp_path):
    view = told(tmp_path, 118792).model_copy(update={"owner": "dba"})
    suite, _ = samples.suite()
    passed = suite.model_copy(update={"verdict": Verdict.PASSED})
    step = (
        (
            f"for {view.result.drill} (owner dba): compare the restored data with the manifest of the backup (for example by "
            "`postgres.matches`); then repeat the drill"
        ),
        f"{view.program} drill {view.result.drill}",
    )
    assert step in suite_steps.in_suite(passed, [view])
    assert step in suite_steps.after_suite(view.program, passed, [view], "lab")
    without = [text for text, _ in suite_steps.in_suite(passed, [samples.passed()])]
    assert without == ["repeat the suite", "verify this record"], "a drill without a grave finding needs none"
