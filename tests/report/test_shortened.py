"""Sentences about failures keep their reason when they are cut."""

import pytest

from drillbook.findings import Finding
from drillbook.report import open_findings
from drillbook.report.shortened import shortened

URL = "http://127.0.0.1:8000/api/v1/documents"


@pytest.mark.parametrize(
    ("text", "most", "told"),
    [
        (f"verify.3 failed: {URL} answered 200, expected 201", 100, f"verify.3 failed: {URL} answered 200, expected 201"),
        (
            f"verify.3 failed: {URL} answered 200, expected 201",
            60,
            "verify.3 failed: …/documents answered 200, expected 201",
        ),
        (f"from `{URL}/?q=1`: 404", 30, "from `…/documents`: 404"),
        ("https://shop.example.org:8443 answered 503", 40, "shop.example.org:8443 answered 503"),
        ("https://shop.example.org/: no answer", 30, "shop.example.org: no answer"),
        (
            "db-1: `sh -c 'cd /home/dbops/backups; pg_restore -l \"$1\"'` ended with status 1",
            70,
            "db-1: `sh -c 'cd /home/dbops/backups; p…` ended with status 1",
        ),
        ("run `drillbook drill.recover` " + "x" * 60, 50, "run `drillbook drill.recover` " + "x" * 19 + "…"),
        (
            "api_files, guestbook and vectors are not installed: install the Docker lab",
            60,
            "api_files, guestbook and vectors ar…: install the Docker lab",
        ),
        ("two\nlines", 20, "two\\nlines"),
        (
            "shop ended failed: a long reason (1 finding; never passed)",
            56,
            "shop ended failed: a long rea… (1 finding; never passed)",
        ),
    ],
)
def test_the_address_is_cut_and_not_the_reason(text, most, told):
    assert shortened(text, most) == told
    assert len(told) <= most


def test_a_single_other_finding_is_named():
    found = [Finding(code="x", severity="low" if number else "high", title=f"Title {number}") for number in range(3)]
    assert open_findings.first(found[:1]) == "Title 0"
    assert open_findings.first(found[:2]) == "Title 0; Title 1"
    assert open_findings.first(found) == "Title 0, and 2 more"
