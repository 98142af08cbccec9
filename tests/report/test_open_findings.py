"""Lost writes within the objective: information in every format, never an open finding, and `result.json` stays the same."""

from __future__ import annotations

import io
import json
import re
from types import SimpleNamespace

import pytest
from rich.console import Console

from drillbook.audit.findings import findings
from drillbook.findings import CATALOGUE, finding
from drillbook.judge.recovered_later import CONTROLLER_DIED_FIRST
from drillbook.judge.result import Objective, Result, Verdict
from drillbook.judge.verdicts import CONTROLLER_DIED
from drillbook.report import changes, html, index, junit, markdown, open_findings, rows, suite_steps, suites
from drillbook.report.formats import as_json, result_data
from drillbook.report.open_findings import LOST_WRITES, NOT_COUNTED, WITHIN
from drillbook.report.rows import findings_of
from drillbook.report.terminal import summary
from tests.report import samples
from tests.report.test_agreement import plain

REMEDY = CATALOGUE[LOST_WRITES].remedy


def test_a_value_that_was_not_measured_is_not_called_measured() -> None:
    """A stalled controller received no answers, so that nothing was measured."""
    problem = finding("controller-stalled", measured="not measured: http.available: 3 samples")
    view = samples.passed()
    view = view.model_copy(update={"result": view.result.model_copy(update={"findings": (problem,)})})
    assert open_findings.told(problem)[0] == ("not measured", "http.available: 3 samples")
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(summary.summary(view))
    for text in (html.render(view), markdown.render(view), junit.render(view), console.export_text()):
        words = plain(text)
        assert "http.available: 3 samples" in words
        assert "easured: not measured" not in words
        assert not re.search(r"[Mm]easured +not measured: http", words)


def with_rpo(met: bool | None) -> Result:
    """Result of the passed run, which lost writes, with another answer to its RPO. Returns one without an RPO for None."""
    known = samples.passed().result
    rpo = known.objectives["rpo"].model_copy(update={"met": met})
    return known.model_copy(update={"objectives": {**known.objectives, "rpo": rpo}})


def text(what: object) -> str:
    console = Console(width=120, file=io.StringIO())
    with console.capture() as printed:
        console.print(what)
    return " ".join(printed.get().split())


def test_losses_within_the_objective_are_information_in_every_report_of_the_run() -> None:
    view = samples.passed()
    (found,) = rows.findings_of(view.result)
    assert (found.severity, found.title) == ("information", f"Acknowledged writes were lost, {WITHIN}")
    for shown in (plain(html.render(view)), markdown.render(view), text(summary.summary(view))):
        assert found.title in shown
        assert REMEDY not in shown
    assert "medium" not in plain(html.render(view)).split("Findings")[2].split("Next")[0]
    assert "Acknowledged writes" not in text(summary.line(view)), "the RPO of a suite's table tells it"
    assert [one.severity for one in view.result.findings] == ["medium"], "the contract is unchanged"


@pytest.mark.parametrize("met", [False, None])
def test_losses_beyond_the_objective_or_without_a_verified_one_stay_open(met: bool | None) -> None:
    (found,) = rows.findings_of(with_rpo(met))
    assert (found.severity, found.remedy) == ("medium", REMEDY)
    known = samples.passed().result
    (found,) = rows.findings_of(known.model_copy(update={"objectives": {}}))
    assert found.severity == "medium"


def test_a_suite_and_the_index_count_no_open_finding() -> None:
    told, views = samples.suite()
    sentence = suites.suite_sentence(suites.suite_rows(told, [view for view in views if view.result.verdict == "passed"]))
    assert "Open findings" not in sentence
    result = json.loads(samples.passed().result.model_dump_json(by_alias=True))
    assert index.entry(result).beside == ""
    result["objectives"]["rpo"]["met"] = None
    assert index.entry(result).beside == "1 medium finding"


@pytest.mark.parametrize(("verdict", "state"), [("passed", WITHIN), ("aborted", NOT_COUNTED)])
def test_the_audit_shows_them_within_the_objective_only_if_the_run_passed(verdict: str, state: str) -> None:
    result = samples.passed().result.model_copy(update={"verdict": Verdict(verdict)})
    run = SimpleNamespace(
        environment="lab",
        service="db",
        drill="lost",
        run="1",
        name="1",
        folder="1",
        started="2026-01-01",
        damage="",
        left=False,
        verdict=verdict,
        result=result,
    )
    (row,) = findings([run])
    assert (row.severity, row.state) == ("information", state)
    (shown,) = [finding for finding in findings_of(result) if finding.code == LOST_WRITES]
    for title in (shown.title, row.title):
        assert (WITHIN in title) is (verdict == "passed")
        assert title.endswith(state)


def test_a_loss_that_is_new_and_within_the_objective_is_no_new_finding_to_mend() -> None:
    view = samples.repeated()
    assert "new finding" not in changes.summary(view)
    (row,) = [one for one in changes.change_rows(view) if LOST_WRITES in one.what]
    assert not row.loud


@pytest.mark.parametrize(("met", "doubt"), [(None, True), (False, False), (True, False)])
def test_lost_writes_whose_rpo_does_not_count_are_not_said_to_exceed_it(met: bool | None, doubt: bool) -> None:
    lost = finding("acknowledged-writes-lost", wanted="at most 60 s of writes", measured="3 of 90")
    rpo = Objective(target_s=60.0, measured_s=10.2, error_s=0.1, met=met)
    (shown,) = open_findings.as_shown([lost], {"rpo": rpo})
    assert shown.title.endswith("; it is not verified whether the loss is within the objective") is doubt


def test_the_report_of_a_suite_names_the_owner_and_the_remedy_of_each_finding() -> None:
    told, views = samples.suite()
    lost = finding("backup-gap", measured="15 rows are missing")
    views = [samples.passed().model_copy(update={"result": samples.result(findings=(lost,))})]
    passed = told.model_copy(update={"verdict": Verdict.PASSED, "exit": 0})
    steps = [step for step in suite_steps.after_suite(views[0].program, passed, views, "") if "report.open" not in step[1]]
    assert len(steps) == 1
    for text in (html.render_suite(passed, views), markdown.render_suite(passed, views)):
        said = plain(text)
        assert "dba (DBA, dba@example.com)" in said
        assert lost.measured in said
        assert plain(lost.remedy) in said
        for what, command in steps:
            assert what[1:] in said, "a page begins it with a capital"
            assert command in said
    assert f"{lost.title} (owner: dba)" in plain(html.render_suite(passed, views)).split("Exit status")[0]


def test_the_reason_of_an_allowed_failure_is_not_called_wanted() -> None:
    found = finding("allowed-failure", wanted="the mirror is rebuilt", measured="it broke")
    view = samples.passed().model_copy(update={"result": samples.result(findings=(found,))})
    for said in (plain(html.render(view)), plain(markdown.render(view)), text(summary.details(view))):
        (before, _) = said.split("the mirror is rebuilt")
        assert re.search(r"allowed because\W*$", before, re.IGNORECASE)


def test_lost_data_and_the_severest_findings_are_named_before_others_are_counted() -> None:
    found = [
        finding("objective-missed", title="RPO"),
        finding("step-failed"),
        finding("not-recovered"),
        finding("probe-failed"),
        finding("alert-missing"),
        finding("backup-too-old"),
        finding(LOST_WRITES),
        finding("removed-data-missing"),
    ]
    ordered = open_findings.grave(found)
    worst = [one for one in ordered if one.severity == ordered[0].severity]
    told = open_findings.first(ordered)
    for one in [*worst, *found[-2:]]:
        assert one.title in told, told
    assert told.endswith(f", and {len(ordered) - len(worst) - 2} more")
    medium = [one.code for one in ordered if one.severity == "medium"]
    assert set(medium[:2]) == {LOST_WRITES, "removed-data-missing"}


def test_the_reason_of_the_guard_comes_before_findings_that_do_not_matter_in_its_environment():
    found = [finding(code) for code in ("approval-not-verified", "guard-environment", "step-failed")]
    codes = [one.code for one in open_findings.as_shown(found, {})]
    assert codes == ["guard-environment", "approval-not-verified", "step-failed"]


def test_a_run_without_a_verification_names_its_own_end_in_reports_and_lists() -> None:
    view = samples.recorded("still_broken")
    title, wanted = "The service was not proven good again when the run ended", "good without a break before the run ended"
    (shown,) = [one for one in rows.findings_of(view.result) if one.code == "not-recovered"]
    assert (shown.title, shown.wanted) == (title, wanted)
    assert open_findings.of_result(json.loads(as_json(view.result)))[0].title == title
    (recorded,) = [one for one in view.result.findings if one.code == "not-recovered"]
    assert "by the end of the verification" in recorded.title, "result.json keeps its words"
    dead = view.result.model_copy(update={"finished": None})
    (shown,) = [one for one in rows.findings_of(dead) if one.code == "not-recovered"]
    assert shown.remedy == (
        f"Recover the run with `drillbook drill.recover {dead.run}`. Then check if the service is good."
    ), "its restore did not end, so no step of it need be at fault"
    ended = recorded.model_copy(
        update={"title": f"{recorded.title}; recovered later", "remedy": f"Undone. {CONTROLLER_DIED_FIRST}"}
    )
    (shown,) = rows.findings_of(view.result.model_copy(update={"findings": [ended], "finished": view.result.started}))
    assert shown.remedy == "Undone. Run the drill again, to measure the time of a recovery.", "a remedy is something to do"
    verified = [open_findings.at_end(recorded, {"verify": status}) for status in ("done", "failed")]
    assert verified == [recorded, recorded]


@pytest.mark.parametrize(
    ("finished", "reason", "severity"),
    [
        ("2026-02-10T09:00:00Z", CONTROLLER_DIED, "medium"),
        (None, CONTROLLER_DIED, "critical"),
        ("2026-02-10T09:00:00Z", "restore.1 failed", "critical"),
    ],
)
def test_a_recovered_run_must_only_run_again_and_its_lost_data_comes_first(finished, reason, severity):
    codes = ("not-recovered", "objective-not-verified", "removed-data-missing")
    view = samples.recorded("still_broken")
    found = tuple(finding(code, title="RTO") for code in codes)
    result = view.result.model_copy(update={"findings": found, "finished": finished, "reason": reason, "residue": ()})
    shown = rows.findings_of(result)
    listed = open_findings.of_result(json.loads(as_json(result_data(result))))
    for told in (shown, listed):
        assert {one.severity for one in told if one.code == "not-recovered"} == {severity}
    assert (shown[0].code == "removed-data-missing") is (severity == "medium"), (
        "what was lost comes before what was not measured"
    )
    assert result.findings[0].severity == "critical", "result.json keeps what it says"
