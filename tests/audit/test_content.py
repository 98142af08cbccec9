"""Counts, proofs and findings of an audit agree with the result.json of each run."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from drillbook.audit import content, deciding_runs, html, markdown, records, summary, wording
from drillbook.audit.alert_causes import alerts
from drillbook.audit.controls import CONTROLS, EVIDENCE
from drillbook.audit.coverage import LEFT_OUT, NO_RUN, NOT_YET
from drillbook.audit.wording import TITLES
from drillbook.cli import audit as desk
from drillbook.journal.journal import read
from drillbook.report import index
from tests.audit import stories
from tests.audit.stories import LEFT
from tests.audit.test_chain import audited
from tests.judge.story import ACKS, DRILL, grid
from tests.judge.test_faultstate import broken_off
from tests.plan.test_planner import HOSTS
from tests.report.test_agreement import plain


def test_a_month_without_any_run_is_a_gap(book):
    audit = audited(stories.year(book))
    row = next(row for row in audit.coverage if row.service == "api")
    assert row.gaps == ("2026-03", "2026-06", "2026-10", "2026-12")
    assert [cell.last for cell in row.cells if cell.span in row.gaps] == [NO_RUN] * 4
    assert row.unproven == ("2026-04", "2026-05", "2026-08", "2026-09")
    assert [(cell.runs, cell.last, cell.residue) for cell in row.cells if cell.span == "2026-09"] == [(1, "failed", True)]


def test_the_newest_failed_runs_are_determined_once_for_all_rows(book, monkeypatch):
    audit = audited(stories.year(book))
    asked, deciding = [], deciding_runs.deciding
    monkeypatch.setattr(deciding_runs, "deciding", lambda runs: asked.append(1) or deciding(runs))
    numbers = []
    for times in (1, 20):
        many = {name: getattr(audit, name) * times for name in ("findings", "missed", "proven")}
        asked.clear()
        list(alerts(grown := replace(audit, **many)))
        assert len(grown.missed_beside_failures) == len(audit.missed_beside_failures) * times
        numbers.append(len(asked))
    assert numbers[0] == numbers[1] > 0


def test_a_month_that_has_not_come_is_no_gap(book):
    """The current month counts as a month in which a run was possible."""
    audit = audited(stories.year(book), today="2026-10-15")
    row = next(row for row in audit.coverage if row.service == "backups")
    assert row.gaps == tuple(f"2026-{month:02}" for month in range(1, 11))
    assert [cell.last for cell in row.cells][-2:] == [NOT_YET] * 2
    row_of_text = next(line for line in markdown.render(audit).splitlines() if line.startswith("| backups |"))
    assert (row_of_text.count("| not yet "), row_of_text.count("| **no run** ")) == (2, 10)
    assert (
        html.render(audit).count("<span>not yet</span>")
        == sum(cell.last == NOT_YET for row in audit.coverage for cell in row.cells)
        >= 2
    )


def test_what_the_inventory_leaves_out_is_shown_with_its_reason_and_is_no_gap(book):
    left = HOSTS.replace("backups: {", "backups: {not_drilled: kept by <another> team, ")
    assert left != HOSTS
    book.run("2026-01-10T09:00:00", hosts=left).good().close()
    audit = audited(book, until="2026-03-31")
    row = next(row for row in audit.coverage if row.service == "backups")
    assert (row.gaps, row.left_out, {cell.last for cell in row.cells}) == ((), "kept by <another> team", {LEFT_OUT})
    assert next(row for row in audit.coverage if row.service == "api").left_out == ""
    assert "exempt: <bdi>kept by &lt;another&gt; team</bdi>" in html.render(audit)
    assert "exempt: kept by &lt;another&gt; team" in markdown.render(audit)
    assert audit.sentence == "1 run of 1 drill: 1 passed. 1 service is exempt from drills by a statement in the inventory."


def test_what_is_left_out_and_drilled_all_the_same_counts_its_runs(book):
    left = HOSTS.replace("api: {", "api: {not_drilled: it keeps nothing, ")
    assert left != HOSTS
    book.run("2026-01-10T09:00:00", hosts=left).good().close()
    row = next(row for row in audited(book, until="2026-02-28").coverage if row.service == "api")
    assert ([cell.last for cell in row.cells], row.gaps, row.passed) == (["passed", LEFT_OUT], (), 1)


def test_a_service_that_no_drill_touches_is_a_gap_all_the_time(book):
    row = next(row for row in audited(stories.year(book)).coverage if row.service == "backups")
    assert (row.runs, len(row.gaps)) == (0, 12)


def test_a_service_counts_as_drilled_under_its_earlier_name(book):
    renamed = HOSTS.replace("  api:", "  frontend:")
    text = DRILL.replace("service: api", "service: frontend").replace("services.api", "services.frontend")
    book.run("2026-01-10T09:00:00").good().close()
    book.run("2026-01-20T09:00:00", text=text, hosts=renamed).good().close()
    rows = {row.service: row for row in audited(book, until="2026-01-31").coverage}
    assert rows["frontend"].runs == 2
    assert rows["frontend"].passed == 2


def test_another_thing_that_bears_the_name_does_not_count(book):
    moved = HOSTS.replace("port: 2201", "port: 2299")
    assert moved != HOSTS
    book.run("2026-01-10T09:00:00").good().close()
    book.run("2026-01-20T09:00:00", hosts=moved).good().close()
    rows = {row.service: row.runs for row in audited(book, until="2026-01-31").coverage}
    assert rows["api"] == 1
    assert rows["api (unit-api on localhost:2201)"] == 1


def test_a_month_is_as_bad_as_the_newest_run_of_its_worst_drill(book):
    book.run("2026-01-10T09:00:00").slow().close()
    book.run("2026-01-20T09:00:00", drill="api-down", text=stories.DOWN).good().close()
    row = next(row for row in audited(book, until="2026-01-31").coverage if row.runs == 2)
    assert (row.cells[0].last, row.cells[0].count) == ("failed", "1 of 2 runs passed")
    book.run("2026-01-25T09:00:00").good().close()
    row = next(row for row in audited(book, until="2026-01-31").coverage if row.runs == 3)
    assert (row.cells[0].last, row.cells[0].count) == ("passed", "2 of 3 runs passed")


def test_refused_runs_are_counted_apart_from_runs_that_did_not_pass(book):
    for day, refused in ((10, False), (11, True), (12, True), (13, False)):
        run = book.run(f"2026-01-{day}T09:00:00")
        (run.refused() if refused else run.good()).close()
    audit = audited(book, until="2026-01-31")
    row = next(row for row in audit.coverage if row.runs)
    assert (row.runs, row.passed, row.refused, row.share) == (4, 2, 2, "2 of 2, 2 refused")
    assert row.cells[0].count == "2 runs, 2 refused"
    assert "Runs passed" in (page := summary.render(audit))
    assert "2 of 2, 2 refused" in plain(page)
    for text in (html.render(audit), markdown.render(audit)):
        assert "2 of 2 runs, 2 refused" in plain(text)
        assert "2 of 4 runs" not in plain(text).split("Missed drills")[0]
    told = next(row for row in json.loads(json.dumps(content.as_data(audit)))["coverage"] if row["runs"])
    assert (told["runs"], told["passed"], told["refused"]) == (4, 2, 2)


def test_a_service_whose_runs_were_all_refused_ran_in_none(book):
    book.run("2026-01-10T09:00:00").refused().close()
    row = next(row for row in audited(book, until="2026-01-31").coverage if row.runs)
    assert (row.share, row.cells[0].count) == ("none ran, 1 refused", "0 of 1 run passed")


@pytest.mark.parametrize(
    ("why", "step"),
    [
        ("the run was stopped by SIGINT", "run it again: `drillbook drill sample`"),
        ("the disk was too full", "mend the cause, then `drillbook drill sample`"),
    ],
)
def test_a_run_that_a_person_stopped_has_no_cause_to_mend(book, why, step):
    run = book.run("2026-01-10T09:00:00")
    run.add(1.0, "ended.early", why="aborted", message=why, findings=[]).end().close()
    assert next(alerts(audited(book, until="2026-01-31"))).step.replace("invoke", "drillbook") == step


def test_a_run_that_a_person_stopped_during_the_injection_has_no_step_to_correct(book):
    run = broken_off(book.run("2026-01-10T09:00:00"))
    intent = next(event.seq for event in read(run.folder / "journal.jsonl").events if event.kind == "intent")
    run.add(11.0, "undone", "inject.1", "app-1", intent=intent, message="undone").end().close()
    audit = audited(book, until="2026-01-31")
    assert "fault-unproven" in {row.code for row in audit.findings}
    assert next(alerts(audit)).step.replace("invoke", "drillbook") == "run it again: `drillbook drill sample`"


def test_a_drill_stays_failed_until_a_run_passes(book):
    book.run("2026-01-10T09:00:00").slow().close()
    book.run("2026-01-20T09:00:00").refused().close()
    audit = audited(book, until="2026-01-31")
    row = next(row for row in audit.coverage if row.runs)
    assert (row.cells[0].last, row.lapsed) == ("failed", ("sample",))
    (service,) = [row for row in summary.service_rows(audit) if row.service == "api"]
    assert (service.state, service.at) == ("failed", "2026-01-10")
    assert next(alerts(audit)).text.startswith("sample in lab ended failed on 2026-01-10")
    book.run("2026-01-25T09:00:00").good().close()
    row = next(row for row in audited(book, until="2026-01-31").coverage if row.runs)
    assert (row.cells[0].last, row.lapsed) == ("passed", ())
    book.run("2026-01-28T09:00:00").refused().close()
    assert next(row for row in audited(book, until="2026-01-31").coverage if row.runs).cells[0].last == "refused"


def test_the_last_run_of_a_month_gives_its_verdict(book):
    book.run("2026-01-10T09:00:00").good().close()
    book.run("2026-01-20T09:00:00").slow().close()
    cell = audited(book, until="2026-01-31").coverage[0].cells[0]
    assert (cell.runs, cell.passed, cell.last) == (2, 1, "failed")


def test_numbers_agree_with_the_results_of_the_runs(book):
    stories.render_all(stories.year(book))
    audit = audited(book)
    results = [json.loads(path.read_text()) for path in sorted(book.reports.glob("**/result.json"))]
    results = [one for one in results if one["started"].startswith("2026")]
    assert len(results) == len(audit.runs) == 10
    by_run = {one["run"]: one for one in results}
    assert {row.run: row.verdict for row in audit.runs} == {run: one["verdict"] for run, one in by_run.items()}
    counted = [one["verdict"] for one in results]
    assert audit.verdicts == {verdict: counted.count(verdict) for verdict in set(counted)}
    standing = [row for row in audit.proven if row.proven]
    assert len(standing) == 4
    for row in standing:
        one = by_run[row.run]
        objective = one["objectives"][row.key]
        assert one["verdict"] == "passed"
        assert (row.measured_s, row.error_s, row.target_s) == (
            objective["measured_s"],
            objective["error_s"],
            objective["target_s"],
        )
        assert objective["met"] is True
    codes = [(one["drill"], found["code"]) for one in results for found in one["findings"]]
    assert {(row.drill, row.code): row.count for row in audit.findings} == {pair: codes.count(pair) for pair in codes}
    assert {row.run for row in audit.not_passed} == {run for run, one in by_run.items() if one["exit"] != 0}


def test_results_that_were_changed_change_nothing(book):
    stories.render_all(stories.year(book))
    before = content.as_data(audited(book))
    for path in book.reports.glob("**/result.json"):
        path.write_text(path.read_text().replace("failed", "passed").replace("inconclusive", "passed"))
    assert content.as_data(audited(book)) == before


def test_only_a_run_that_passed_proves_an_objective(book):
    book.run("2026-01-10T09:00:00").good().close()
    book.run("2026-02-10T09:00:00").unproven().close()
    book.run("2026-03-10T09:00:00").slow().close()
    row = next(row for row in audited(book).proven if row.key == "rto")
    assert (row.state, row.at[:10]) == ("missed", "2026-03-10")
    assert row.notes == ("last proven: 2.41 s +0/−0.11 s on 2026-01-10",)
    late = audited(book, since="2026-02-01")
    row = next(row for row in late.proven if row.key == "rto")
    assert not row.proven
    assert row.measured == "6.41 s +0/−0.11 s"
    assert row.notes == ("before the period: 2.41 s +0/−0.11 s on 2026-01-10",)
    assert all(not row.proven for row in late.proven)
    assert {run.rto for run in late.runs} == {
        "(2.41 s +0/−0.11 s) does not count: the run was inconclusive",
        "6.41 s +0/−0.11 s: missed",
    }


def test_a_figure_that_does_not_count_has_the_same_form_and_reason_everywhere(book, capsys):
    """In the index, on the screen, on the page and in the summary: in parentheses, with the end of the run as the reason."""
    book.run("2026-02-10T09:00:00").slow().close()
    stories.render_all(book)
    audit = audited(book)
    (row,) = [row for row in audit.proven if row.key == "rpo"]
    figure, why = row.uncounted.measured, "does not count: the run failed"
    desk._print(audit, Path("out"))
    screen = " ".join(capsys.readouterr().out.split())
    assert f"({figure.replace('at most', chr(0x2264))})" in screen
    assert "RPO, Detection not counted: the run failed" in screen
    results = [json.loads((run.folder / "result.json").read_text()) for run in book.runs]
    listed = plain(index.render([index.entry(result) for result in results]))
    assert re.search(rf"{re.escape(f'({figure})')} ?\? {why}", " ".join(listed.replace("\u00a0", " ").split()))
    words = [" ".join(plain(text).replace("\u00a0", " ").split()) for text in (html.render(audit), summary.render(audit))]
    assert f"({figure}) ? {why}; target at most 1 s" in words[0]
    assert f"? does not count: sample ({figure}), the run failed" in words[1]
    assert "met, but does not count" not in html.render(audit) + summary.render(audit) + listed
    (point,) = [plot.points[0] for plot in audit.plots if plot.key == "rpo"]
    assert point.title.endswith(f"({figure}), target at most 1 s, {why}")


def test_a_run_without_a_figure_is_a_cross_in_a_chart(book):
    for month, end in ((1, "unproven"), (2, "refused")):
        getattr(book.run(f"2026-0{month}-10T09:00:00"), end)().close()
    (plot,) = [plot for plot in audited(book).plots if plot.key == "rto"]
    assert [point.kind for point in plot.points] == ["unverified", "none"]
    page = html.render(audited(book)).split("RTO of sample in lab</figcaption>")[1].split("</figure>")[0]
    assert page.count('<circle class="unverified"') == 1
    assert page.count('<path class="none"') == 1
    assert "Cross on the base line: there is no figure." in html.render(audited(book))


def test_a_gap_has_the_colour_of_a_warning():
    style = files("drillbook.audit").joinpath("templates/style.css").read_text()
    assert ".gap { --tone: var(--warn);" in style


def test_passed_with_residue_is_no_proof(book):
    book.run("2026-01-10T09:00:00").fault().availability(*stories.SAMPLES).canary(stories.ACKS, [[1, 400]]).recovery().end(
        [stories.LEFT]
    ).close()
    audit = audited(book)
    assert audit.verdicts == {"not verified": 1}
    assert audit.not_passed[0].residue
    assert not any(row.proven for row in audit.proven)


def test_a_figure_above_a_tightened_target_proves_nothing(book):
    book.run("2026-01-10T09:00:00").good().close()
    book.run("2026-02-10T09:00:00", text=DRILL.replace("rto: 5s", "rto: 2s")).refused().close()
    row = next(row for row in audited(book).proven if row.key == "rto")
    note = "the target has changed to 2 s since the run of 2026-01-10: the figure of that run, 2.41 s +0/−0.11 s, is NOT within the new target"
    assert (row.proven, row.state, row.target) == (False, "not proven", "2 s")
    assert note in row.notes
    book.run("2026-03-10T09:00:00", text=DRILL.replace("rto: 5s", "rto: 3s")).refused().close()
    row = next(row for row in audited(book).proven if row.key == "rto")
    assert (row.proven, row.measured) == (True, "2.41 s +0/−0.11 s")
    assert "the target has changed to 3 s since that run: the figure is within the new target, too" in row.notes


def test_a_finding_that_a_recovery_ended_is_not_open_and_says_when_and_by_whom(book):
    run = book.run("2026-01-10T09:00:00").fault()
    run.availability(*grid(5.0, 10.1, True), *grid(10.1, 16.0, False)).canary(ACKS, [[1, 400]]).recovery().end([LEFT])
    (row,) = [row for row in audited(book).findings if row.code == "not-recovered"]
    assert (row.severity, row.state) == ("critical", "open")
    run.resumed("2026-01-11T10:00:00").close()
    (row,) = [row for row in audited(book).findings if row.code == "not-recovered"]
    assert (row.severity, row.state) == ("critical", "recovered later at 2026-01-11 10:00:02 UTC by bob@ops")


@pytest.mark.parametrize("ends", [True, False])
def test_every_list_of_an_audit_counts_the_same_findings_of_a_run_that_was_recovered_later(book, ends):
    run = book.run("2026-01-10T09:00:00").fault()
    run.availability(*grid(5.0, 10.1, True), *grid(10.1, 16.0, False)).canary(ACKS, [[1, 400]])
    if ends:
        run.recovery().end([LEFT])
    run.resumed("2026-01-11T10:00:00").close()
    audit = audited(book)
    (row,) = audit.runs
    assert any(finding.state.startswith("recovered later") for finding in audit.findings) is ends
    (text,) = [alert.text for alert in alerts(audit) if alert.run == row.run]
    assert row.beside
    assert row.beside in text
    (service,) = [one for one in summary.service_rows(audit) if one.service == row.service]
    assert service.beside == row.beside


def test_findings_are_open_until_a_run_passes_without_them(book):
    def state():
        return {row.code: row.state for row in audited(book).findings}

    book.run("2026-01-10T09:00:00").slow().close()
    assert state()["objective-missed"] == "open"
    book.run("2026-02-10T09:00:00").refused().close()
    assert state()["objective-missed"] == "open", "the refused run tried nothing"
    book.run("2026-03-10T09:00:00").good().close()
    assert state()["objective-missed"] == "not seen again"


def test_the_trend_draws_each_run_once_with_its_kind(book):
    audit = audited(stories.year(book))
    plot = next(plot for plot in audit.plots if (plot.drill, plot.key) == ("sample", "rto"))
    assert [point.kind for point in plot.points] == ["met", "missed", "none", "none", "met", "unverified", "met"]
    assert [point.x for point in plot.points] == sorted(point.x for point in plot.points)
    met, missed = plot.points[:2]
    assert missed.y < met.y, "longer is higher"
    assert met.high == met.y < met.low, "the error of an RTO goes only downwards"
    assert plot.target.count("V") == 7
    assert "6.41 s +0/−0.11 s, target at most 5 s, missed" in plot.description


def test_changes_of_plans(book):
    audit = audited(stories.year(book))
    assert [(row.drill, row.at[:10], row.changed) for row in audit.plans] == [("sample", "2026-07-06", ("objectives",))]


def test_a_run_belongs_to_the_day_it_began(book):
    book.run("2026-01-31T23:59:59").good().close()
    book.run("2026-02-01T00:00:00").good().close()
    assert len(audited(book, until="2026-01-31").runs) == 1
    assert len(audited(book, since="2026-02-01").runs) == 1


def test_an_empty_period_says_so(book):
    audit = audited(book)
    assert audit.whole
    assert audit.sentence == "No run began in this period, so nothing was proven."


def test_controls_point_to_sections_and_say_what_is_not_shown():
    assert {one.id for one in CONTROLS} == {
        "A1.2",
        "A1.3",
        "A.5.30",
        "A.8.13",
        "A.8.14",
        "CP-4",
        "CP-9",
        "CP-10",
        "8.1.4.9",
        "Art. 11",
        "Art. 12",
    }
    for one in CONTROLS:
        assert one.evidence in EVIDENCE
        assert one.not_shown
        assert set(one.sections) <= set(TITLES)


@pytest.mark.parametrize("junk", [b"\n", b"{}\n", b"[1]\n", b"\xff\xfe\n", b"null\n{\n", b'{"hash": 1}\n', b"x" * 100_000])
def test_what_is_no_journal_is_never_a_traceback(book, junk):
    folder = book.reports / "20260110T100000.000Z-sample-00ff"
    folder.mkdir()
    (folder / "journal.jsonl").write_bytes(junk)
    audit = audited(book)
    assert not audit.whole
    assert audit.verdicts == {"not verified": 1}


def test_reading_changes_nothing(book):
    stories.quiet(book)
    before = {path: path.read_bytes() for path in book.reports.rglob("*") if path.is_file()}
    records.find(book.reports)
    assert {path: path.read_bytes() for path in book.reports.rglob("*") if path.is_file()} == before


LOOKS = """\
drill: looks
title: It looks
service: api
verify:
  - http.responds: {url: "{{ services.api.url }}"}
"""


def test_what_nobody_broke_was_not_recovered(book):
    run = book.run("2026-01-10T09:00:00", drill="looks", text=LOOKS)
    run.add(2.0, "phase.started", phase="verify").step(2.1, 2.2, "verify.1", "controller")
    run.add(3.0, "phase.ended", phase="verify", status="done").end().close()
    audit = audited(book)
    assert audit.verdicts == {"passed": 1}
    assert summary.headline(summary.service_rows(audit)) == "Fully proven: 0 of 2 services in lab; 1 rehearsed only."
    assert [row.recovered for row in audit.coverage if row.service == "api"] == [0]
    assert next(one.shows for one in audit.controls if one.id == "A1.2").startswith("Nothing: ")


def test_a_backup_was_compared_only_where_a_verification_did(book):
    book.run("2026-01-10T09:00:00").good().close()
    audit = audited(book)
    assert [row.recovered for row in audit.coverage if row.service == "api"] == [1]
    assert next(one.shows for one in audit.controls if one.id == "A1.2").startswith("Nothing: ")


def test_a_record_that_is_not_complete_is_told_once_in_red(book):
    stories.year(book)
    shutil.rmtree(book.runs[7].folder)
    audit = audited(book)
    assert not audit.whole
    assert "incomplete" not in audit.sentence
    assert "incomplete" in content.as_data(audit)["sentence"]
    for page in (html.render(audit), summary.render(audit)):
        text = page.split("</title>", 1)[1]
        assert (
            text.count("The record is not complete")
            == text.count("There may have been more runs than the record shows")
            == 1
        )


def test_one_run_is_no_trend(book):
    book.run("2026-01-10T09:00:00").good().close()
    once = html.render(audited(book)).split('id="trend"')[1].split("</section>")[0]
    assert "only one run in the period, so there is no trend to draw" in once
    assert "Last figures of RTO and RPO lists" in once
    assert '<svg class="plot"' not in once
    book.run("2026-02-10T09:00:00").good().close()
    twice = html.render(audited(book)).split('id="trend"')[1].split("</section>")[0]
    assert twice.count('<svg class="plot"') == 2
    assert "only one run" not in twice


def test_objectives_that_were_not_proven_have_a_table_of_their_own(book):
    book.run("2026-01-10T09:00:00").good().close()
    book.run("2026-02-10T09:00:00", drill="api-down", text=stories.DOWN).slow().close()
    audit = audited(book)
    unproven = [row for row in audit.proven if not row.proven]
    assert {(row.drill, row.key) for row in unproven} == {("api-down", "rto"), ("api-down", "detect")}
    page = html.render(audit).split('id="proven"')[1].split("</section>")[0]
    text = markdown.render(audit).split("## Last figures")[1].split("\n## ")[0]
    for whole in (page, text):
        proven, rest = whole.split("Missed or not proven at the end of the period")
        assert "2 of 3 objectives proven, 1 missed. Detection by the drill's probe: 1 of 2 met, 1 not proven." in plain(
            proven
        )
        assert "not proven" not in proven.rpartition("Last figure")[2]
        assert "met" not in rest.split("Detection by the drill")[0].split("<tbody>")[-1]
        assert "api-down" in rest
    page = html.render(audited(book, since="2026-02-01"))
    assert "before the period" in page.split("Missed or not proven at the end of the period")[1]


def test_the_last_proven_figures_of_a_drill_share_a_row(book):
    book.run("2026-01-10T09:00:00").good().close()
    rows = html.render(audited(book)).split('id="proven"')[1].split("</section>")[0].split("<tbody>", 1)[1]
    drills, _, probe = rows.partition("<h3>Detection by the drill&#39;s probe")
    assert drills.count("<tr>") == 1
    assert drills.count('class="goal-line"') == 2
    assert drills.count("mono long") == probe.count("mono long") == 1


def test_an_objective_that_only_a_failed_run_met_is_told_in_the_words_of_the_report(tmp_path):
    book = stories.Book(tmp_path)
    book.run("2026-01-10T09:00:00").slow().close()
    audit = audited(book)
    (row,) = [row for row in audit.proven if row.key == "rpo"]
    assert row.state == "not proven"
    assert (row.uncounted.at[:10], row.uncounted.said) == ("2026-01-10", "does not count: the run failed")
    (run,) = audit.runs
    assert run.rpo == f"({row.uncounted.measured}) does not count: the run failed"


def test_the_digests_are_an_appendix_after_the_sign_off(book):
    audit = audited(stories.quiet(book))
    page, text = html.render(audit), markdown.render(audit)
    titles = re.findall(r'<h2 id="([a-z-]+)">', page)
    assert titles[-4:] == ["controls", "terms", "sign-off", "evidence"]
    assert re.findall("^## (.*)$", text, re.M)[-3:] == ["Controls", "Sign-off", "Digests of the journals"]
    assert [one for one, _ in wording.CONTENTS] == titles
    assert f'<span class="date">{audit.runs[0].run[:20]}' in page.split('id="runs"')[1], "the time of a run is not broken"
