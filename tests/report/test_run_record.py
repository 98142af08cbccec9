"""Record of a run in its reports: its evidence files, and its owner."""

from __future__ import annotations

import json

from drillbook.report import html, markdown, run_record
from tests.report import samples


def test_the_log_of_a_lease_is_an_evidence_file_of_a_run_without_other_evidence() -> None:
    lines = map(json.loads, (samples.JOURNALS / "recovered.jsonl").read_text().splitlines())
    (log,) = [line for line in lines if line["kind"] == "lease.log"]
    view = samples.recorded("recovered")
    assert log["data"]["file"] == "evidence/lease.a.log"
    for page in (html.render(view), markdown.render(view)):
        assert page.count(log["data"]["sha256"]) == 1
        assert "lease on a" in page


def test_the_owner_is_told_with_role_and_address() -> None:
    assert run_record.owner(samples.passed()) == "dba (DBA, dba@example.com)"
    assert run_record.owner(samples.passed().model_copy(update={"owner": ""})) == ""
    assert "The drill has no owner." in html.render(samples.passed().model_copy(update={"owner": ""}))
