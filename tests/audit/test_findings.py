"""Findings in an audit: the next step is the first instruction of the remedy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drillbook.audit import content, html, markdown, summary
from drillbook.audit.alert_causes import alerts
from drillbook.audit.findings import FindingRow
from drillbook.findings import CATALOGUE, finding
from drillbook.journal.run_state import RunState
from drillbook.project import finished_runs
from drillbook.report import open_findings, rows
from tests.audit import stories
from tests.audit.stories import ACKS, DOWN, SAMPLES
from tests.audit.test_chain import audited
from tests.audit.test_told_of_runs import kept
from tests.report.test_agreement import plain

ROW = FindingRow("backup-shrunken", "high", "A title", "lab", "sample", 1, 1, "2026-03-10", "2026-03-10", "open", "", 1)


@pytest.mark.parametrize(
    ("code", "remedy", "step"),
    [
        ("backup-gap", "Find out why. Then repeat it.", "Find out why"),
        (
            "backup-gap",
            "The store damages data. Scrub the store. Take a new backup.",
            "The store damages data. Scrub the store",
        ),
        ("backup-gap", "It was so. If it is so, it stays. Restore the file.", "Restore the file"),
        ("backup-gap", "If a client changed it, refuse clients.", "If a client changed it, refuse clients"),
        ("backup-gap", "A program may have written it.", ""),
        ("backup-gap", "", ""),
        ("objective-not-verified", "Correct the problem that is named above.", ""),
    ],
)
def test_the_first_instruction_of_a_remedy_is_the_next_step(code, remedy, step):
    assert replace(ROW, code=code, remedy=remedy).first_step == step


def test_most_remedies_of_the_catalogue_have_a_first_step():
    known = {code: one for code, one in CATALOGUE.items() if one.severity in ("critical", "high", "medium")}
    without = [code for code, one in known.items() if not replace(ROW, code=code, remedy=one.remedy).first_step]
    assert sorted(without) == ["aborted", "backup-unproven", "file-unexpected", "not-ready", "objective-not-verified"]


def test_what_only_follows_from_another_finding_is_counted_as_in_the_report(book):
    run = book.run("2026-02-10T09:00:00").fault().availability(*SAMPLES).canary(ACKS, [[1, 400]])
    run.add(11.0, "phase.started", phase="restore").step(11.0, 12.0, "restore.1", "app-1", effect="write")
    run.add(12.0, "phase.ended", phase="restore", status="done").add(12.0, "phase.started", phase="verify")
    run.add(12.5, "step.started", "verify.1", "controller", action="file.stat", phase="verify", effect="read", params={})
    cause = finding("http-unexpected", step="verify.1", wanted="status 201", measured="status 200").model_dump(mode="json")
    how = {"outcome": "failed", "code": "x", "message": "it broke", "facts": {}, "seconds": 0.5, "attempts": 1}
    run.add(13.0, "failed", "verify.1", "controller", findings=[cause], **how)
    run.add(14.0, "phase.ended", phase="verify", status="failed").end().close()
    audit = audited(book)
    judged = finished_runs.judged(RunState(run.folder)).result
    assert len([one for one in rows.findings_of(judged) if one.severity == "high"]) == 1, "the report counts one"
    assert [(one.code, one.in_newest) for one in audit.findings] == [("http-unexpected", 1), ("objective-not-verified", 2)]
    assert [one.code for one in audit.shown_findings] == ["http-unexpected"]
    (alert,) = [one.text for one in alerts(audit) if "ended failed" in one.text]
    assert "(1 high finding; " in alert or "(1 high finding)" in alert
    for page in (html.render(audit), markdown.render(audit), summary.render(audit)):
        assert "An objective could not be verified" not in page
        assert "3 high findings" not in plain(page)
    for page in (html.render(audit), markdown.render(audit)):
        assert "therefore the RTO and the RPO do not count" in plain(page)
    told = {row["code"]: row for row in content.as_data(audit)["findings"]}["objective-not-verified"]
    assert (told["count"], told["runs"], told["in_newest"]) == (2, 1, 2), "the keys of earlier versions mean the same"
    assert (told["own_count"], told["own_runs"], told["own_in_newest"]) == (0, 0, 0)


def recovered_later(book, removed, restored):
    """Audit of a run whose controller died in its restore phase, and whose recovery brought back ``restored`` rows."""
    rows_of = "rows of public.chunks in database"
    run = book.run("2026-02-10T09:00:00").availability(*SAMPLES).canary(ACKS, [[1, 400]])
    run.add(9.9, "phase.started", phase="inject")
    undo = {"kind": "restore", "commands": [], "action": "", "params": {}, "why": "only a restore brings it back"}
    run.step(10.0, 10.2, "inject.1", "app-1", effect="fault", undo=undo, removed_data={rows_of: removed})
    run.add(10.2, "phase.ended", phase="inject", status="done").add(11.0, "phase.started", phase="restore")
    run.resumed("2026-02-10T09:05:00")
    run.add(3.0, "recovery.started", operator="bob@ops", tool="drillbook 0")
    run.step(4.0, 5.0, "restore.1", "app-1", effect="write", restored_data={rows_of: restored})
    run.add(6.0, "recovery.finished", residue=[]).close()
    return audited(book), finished_runs.judged(RunState(run.folder))


@pytest.mark.parametrize("restored", [119122, 119131])
def test_the_audit_counts_the_findings_of_a_recovered_run_as_its_report_and_tells_its_loss(book, restored):
    audit, view = recovered_later(book, 119131, restored)
    shown = rows.findings_of(view.result)
    told = [row for row in audit.shown_findings if row.severity != "low"]
    assert sum(row.times for row in told) == len(shown) == sum(row.open_now for row in told)
    assert len(shown) < len(rows.each_finding(view.result)), "two objectives share a finding"
    lossy = restored < 119131
    assert ("removed-data-missing" in {row.code for row in told}) is lossy
    (alert,) = [one for one in alerts(audit) if "ended aborted" in one.text]
    number = open_findings.counted(open_findings.grave(shown))
    assert f"({number}" in alert.text
    assert alert.step.startswith("Compare the restored data with the manifest" if lossy else "run it again: ")
    assert "drill sample" in alert.step
    for page in (html.render(audit), markdown.render(audit), summary.render(audit)):
        assert ("with at least 9 rows lost: " in plain(page)) is lossy
        assert number in plain(page)
        assert "the verification did not run" not in plain(page)


@pytest.mark.parametrize(
    ("remedy", "said"), [("Take a new backup. Then wait.", "Take a new backup"), ("", "correct the problem")]
)
def test_what_to_do_about_a_finding_of_a_passed_run_is_its_remedy(book, remedy, said):
    audit = replace(audited(stories.quiet(book)), findings=(replace(ROW, remedy=remedy),))
    (one,) = [one for one in alerts(audit) if "sample in lab has" in one.text]
    assert one.step == f"{said}, then run the drill again"


def test_a_finding_that_each_run_has_again_says_what_closes_it(book):
    row = replace(ROW, code="removed-data-missing", remedy="Enter the missing data again.")
    (one,) = [
        one for one in alerts(replace(audited(stories.quiet(book)), findings=(row,))) if "sample in lab has" in one.text
    ]
    assert one.step == "Enter the missing data again. Then close the finding as the report says"
    assert one.action.startswith(
        f"Next: {one.step}: let the drill also restore the data that is newer than the backup, for example from an "
        "archived log, and run the drill again. "
    ), "the audit says how"


def refused_by(book, dead):
    way = finding("unfinished-run", title=dead.id, measured="unfinished").model_dump(mode="json")
    refused = book.run("2026-02-10T10:00:00")
    refused.add(1.0, "ended.early", why="refused", message="a run is not finished", findings=[way]).end().close()


def test_a_refused_run_hides_no_run_before_it_that_did_not_end_well(book):
    """The refused run tried nothing. Lists and the index show the run before it, too."""
    dead = book.run("2026-02-10T09:00:00").fault().close()
    alone = audited(book)
    refused_by(book, dead)
    audit = audited(book)
    assert [run.run for run in audit.failing.values()] == [dead.id]
    assert not [one for one in alerts(audit) if "refused" in one.text]
    service, before = (next(row for row in summary.service_rows(each) if row.service == "api") for each in (audit, alone))
    assert (service.state, service.beside) == ("unfinished", before.beside)
    states = {row.code: row.state for row in audit.findings}
    assert states.pop("unfinished-run") == "a reason why a later run was refused"
    assert states == {row.code: row.state for row in alone.findings}
    assert {row.why for row in audit.proven} == {"the run did not end"}
    shown = markdown.render(audit), plain(html.render(audit))
    for text in shown:
        assert "unfinished, 0 of" in text, "coverage"
    dead.resumed("2026-02-11T09:00:00").close()
    assert "aborted" in [row.state for row in summary.service_rows(audited(book))]


def test_an_unfinished_run_is_no_open_finding_after_its_recovery_and_a_refusal_is_counted_nowhere(book):
    """Lists and the index count only findings of a run that began. The summary counts the same."""
    dead = book.run("2026-02-10T09:00:00", drill="api-down", text=DOWN).fault().close()
    refused_by(book, dead)

    def told():
        audit = audited(book)
        (row,) = [row for row in audit.findings if row.code == "unfinished-run"]
        (alert,) = [alert for alert in alerts(audit) if " ended refused " in alert.text]
        assert "finding" not in alert.text
        return row

    assert (told().state, told().open_now) == ("a reason why the newest run was refused", 0)
    dead.resumed("2026-02-11T09:00:00").close()
    assert (told().state, told().open_now) == ("the unfinished run was recovered since", 0)


def test_the_findings_of_a_run_that_never_began_are_the_reasons_for_this_and_not_open(book):
    """The newest run of one drill was refused, and that of another was not run here. Both have an instruction that still helps."""
    way = finding("guard-environment", wanted="staging", measured="lab").model_dump(mode="json")
    full = finding(
        "approval-not-verified", measured="the tool is missing", remedy="Find out why the tool is missing."
    ).model_dump(mode="json")
    lacking = finding("not-run-here", measured="no service mariadb").model_dump(mode="json")
    book.run("2026-02-10T09:00:00").close()
    for at, drill, why, found in (
        ("2026-02-10T10:00:00", "api-down", "refused", [full]),
        ("2026-02-10T11:00:00", "guarded", "refused", [way, full]),
        ("2026-02-10T12:00:00", "elsewhere", "not run here", [lacking]),
    ):
        run = book.run(at, drill=drill, text=DOWN.replace("api-down", drill))
        run.add(1.0, "ended.early", why=why, message="it cannot begin", findings=found).end().close()
    audit = audited(book)
    states = {(row.drill, row.code): (row.state, row.open_now, row.in_newest) for row in audit.findings}
    assert states[("api-down", "approval-not-verified")] == ("a reason why the newest run was refused", 0, 1)
    assert states[("guarded", "guard-environment")] == ("a reason why the newest run was refused", 0, 1)
    assert states[("elsewhere", "not-run-here")] == ("a reason why the newest run was not run here", 0, 1)
    assert {drill for (drill, _), (state, *_) in states.items() if state == "open"} == {"sample"}, "that run began"
    (alert,) = [one for one in alerts(audit) if one.about == "api-down in lab"]
    assert alert.step.startswith("Find out why the tool is missing. After the correction: "), "the remedy still helps"
    (alert,) = [one for one in alerts(audit) if one.about == "guarded in lab"]
    assert "schedule.retire guarded" in alert.step, "a drill that does not belong there"
    for text in (plain(html.render(audit)), markdown.render(audit)):
        assert text.count("a reason why the newest run was refused") >= 3


def test_the_title_of_a_service_that_was_not_good_again_names_the_end_of_a_killed_run(book):
    """Its verification did not end, so neither the title nor the text speaks of it."""
    (row,) = [row for row in kept(book, "still_broken").findings if row.code == "not-recovered"]
    assert row.title == "The service was not proven good again when the run ended"
