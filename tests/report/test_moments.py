"""Names of the moments that a timeline marks."""

from __future__ import annotations

from drillbook.report import html, moments, rows
from tests.report import samples


def test_a_service_is_not_called_recovered_when_its_verification_failed() -> None:
    bad = samples.step("verify.1", "http.responds", status="failed").result
    for view, name in (
        (samples.passed(), "recovered"),
        (unproven := samples.view(samples.result(steps=(bad,))), "good again"),
    ):
        assert moments.mark_name(view.result, "recovered") == name
        assert name in [row[0] for row in rows.moment_rows(view)]
    page = html.render(unproven)
    assert ">recovered " not in page
    assert "the recovery is not verified" in page
    assert moments.mark_name(unproven.result, "disruption") == "disruption"
