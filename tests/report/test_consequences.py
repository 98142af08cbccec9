"""One cause is one finding: objectives that are not verified because of it are named in it."""

from __future__ import annotations

from pathlib import Path

from drillbook.report import consequences, html, markdown, open_findings, rows
from drillbook.report.terminal import summary
from tests.judge.story import Story
from tests.judge.test_faultstate import broken_off, undone
from tests.report import renderings, samples
from tests.report.test_agreement import plain

RESULT = samples.failed().result
WORDS = "therefore the RTO and the RPO do not count"


def test_the_finding_of_a_failed_verification_names_the_objectives_that_it_leaves_unverified() -> None:
    raw = [one.code for one in RESULT.findings]
    assert raw.count(consequences.UNVERIFIED) == 2
    found = rows.findings_of(RESULT)
    assert [one.code for one in found] == [code for code in raw if code != consequences.UNVERIFIED]
    assert [WORDS in one.measured for one in found].count(True) == 1
    for text in (html.render(samples.failed()), renderings.printed(summary.summary(samples.failed(), ""), 200)):
        assert plain(text).count(WORDS) == 1


def test_a_stop_during_the_injection_is_one_finding_that_asks_to_correct_nothing(tmp_path: Path) -> None:
    view = undone(broken_off(Story(tmp_path))).end().judge()
    assert [one.code for one in view.result.findings] == ["fault-unproven", "aborted"], "result.json keeps both"
    (found,) = rows.findings_of(view.result)
    assert (found.code, found.severity) == ("aborted", "medium")
    assert found.measured == (
        "the run was stopped by a person (Ctrl-C) before inject.1 on app-1 ended, so the drill proves nothing about the fault"
    )
    for text in (html.render(view), markdown.render(view), renderings.printed(summary.summary(view, ""), 200)):
        assert "fault-unproven" not in plain(text)
        assert "correct the step" not in plain(text)
        assert "Run the drill again" in plain(text)
    told = view.result.model_dump(mode="json", by_alias=True)
    assert [one.code for one in open_findings.of_result(told)] == ["aborted"]


def test_an_injection_that_failed_by_itself_keeps_its_finding_in_a_stopped_run(tmp_path: Path) -> None:
    view = undone(broken_off(Story(tmp_path), outcome="error")).end().judge()
    assert [one.code for one in rows.findings_of(view.result)] == [one.code for one in view.result.findings]
    assert "fault-unproven" in {one.code for one in rows.findings_of(view.result)}


def test_lists_of_runs_count_the_cause_alone() -> None:
    told = RESULT.model_dump(mode="json", by_alias=True)
    assert [one.code for one in open_findings.of_result(told)] == [
        one.code for one in open_findings.grave(rows.findings_of(RESULT))
    ]


def test_a_finding_without_a_grave_cause_stays() -> None:
    alone = [one for one in RESULT.findings if one.code == consequences.UNVERIFIED]
    assert consequences.folded(alone, RESULT.objectives) == alone
    mild = [one if one in alone else one.model_copy(update={"severity": "medium"}) for one in RESULT.findings]
    assert consequences.folded(mild, RESULT.objectives) == mild
    other = {key: one.model_copy(update={"reason": "the disk was full"}) for key, one in RESULT.objectives.items()}
    assert consequences.folded(RESULT.findings, other) == list(RESULT.findings)


def test_a_fault_of_a_run_whose_controller_died_is_told_by_the_verdict_alone() -> None:
    view = samples.recorded("died")
    assert "fault-unproven" in [one.code for one in view.result.findings], "result.json keeps it"
    assert "fault-unproven" not in [one.code for one in rows.findings_of(view.result)]
    told = view.result.model_dump(mode="json", by_alias=True)
    assert "fault-unproven" not in [one.code for one in open_findings.of_result(told)]
    assert "the controller died during the injection" in plain(html.render(view))
