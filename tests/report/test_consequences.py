"""One cause is one finding: objectives that are not verified because of it are named in it."""

from __future__ import annotations

from drillbook.report import consequences, html, open_findings, rows
from drillbook.report.terminal import summary
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
