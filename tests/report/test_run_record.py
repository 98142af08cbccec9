"""Record of a run in its reports: its evidence files."""

from __future__ import annotations

import json

from drillbook.report import html, markdown
from tests.report import samples


def test_the_log_of_a_lease_is_an_evidence_file_of_a_run_without_other_evidence() -> None:
    lines = map(json.loads, (samples.JOURNALS / "recovered.jsonl").read_text().splitlines())
    (log,) = [line for line in lines if line["kind"] == "lease.log"]
    view = samples.recorded("recovered")
    assert log["data"]["file"] == "evidence/lease.a.log"
    for page in (html.render(view), markdown.render(view)):
        assert page.count(log["data"]["sha256"]) == 1
        assert "lease on a" in page
