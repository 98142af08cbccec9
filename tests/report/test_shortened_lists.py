"""Shortened lists in a report name the number of omitted entries, and the place of the complete list."""

import pytest

from drillbook.findings import finding
from drillbook.judge.result import DiagnosisResult
from drillbook.report import diagnosis, html, markdown
from drillbook.report.canary_writes import MOST_RANGES
from drillbook.report.rows import findings_of
from tests.report import samples
from tests.report.test_agreement import plain


def lost(ranges, told, *, spans=False):
    """Run that lost writes in this many ranges; its finding contains this number. Older results have no ``spans``."""
    numbers = tuple((10 * number, 10 * number + 3) for number in range(ranges))
    text = "9 of 99 acknowledged writes: numbers " + ", ".join(f"{first} to {last}" for first, last in numbers[:told])
    result = samples.result(findings=(finding("acknowledged-writes-lost", measured=text),))
    rpo = result.objectives["rpo"].model_copy(update={"lost_numbers": numbers, "lost_spans": numbers if spans else None})
    return result.model_copy(update={"objectives": {**result.objectives, "rpo": rpo}})


@pytest.mark.parametrize(
    ("ranges", "more"),
    [
        (1, ""),
        (MOST_RANGES, ""),
        (MOST_RANGES + 1, " and 1 more range, in result.json under objectives.rpo.lost_numbers"),
        (MOST_RANGES + 7, " and 7 more ranges, in result.json under objectives.rpo.lost_numbers"),
    ],
)
def test_ranges_of_lost_writes(ranges, more):
    for spans in (False, True):
        (one,) = findings_of(lost(ranges, MOST_RANGES, spans=spans))
        assert f"to {10 * min(ranges, MOST_RANGES) - 7}{more} (the canary" in one.measured
    for render in (html.render, markdown.render):
        assert ("more range" in plain(render(samples.view(lost(ranges, MOST_RANGES))))) == bool(more)


def test_ranges_without_an_objective_are_perhaps_more():
    result = lost(MOST_RANGES, MOST_RANGES).model_copy(update={"objectives": {}})
    assert f"and perhaps more: the finding names at most {MOST_RANGES} ranges" in findings_of(result)[0].measured
    result = lost(3, 3).model_copy(update={"objectives": {}})
    assert "perhaps" not in findings_of(result)[0].measured


@pytest.mark.parametrize(
    ("causes", "more"), [(5, ""), (6, "One less likely cause is only in"), (9, "4 less likely causes are")]
)
def test_causes_of_a_diagnosis(causes, more):
    ranked = tuple({"cause": f"cause-{number}", "score": 9 - number} for number in range(causes))
    found = DiagnosisResult(
        service="api", expected="cause-0", found="cause-0", seconds=1.0, error_s=0.1, correct=True, ranked=ranked
    )
    assert len(diagnosis.cause_rows(found)) == 5
    assert diagnosis.lead(found).startswith(diagnosis.sentence(found))
    assert more in diagnosis.lead(found)
    assert ("result.json" in diagnosis.lead(found)) == bool(more)
