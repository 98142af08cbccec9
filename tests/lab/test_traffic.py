"""Traffic in the background."""

import urllib.error
import urllib.request

from drillbook.lab.layout import Lab
from tests import waiting


def test_traffic_makes_documents_and_leaves_traces(lab: Lab) -> None:
    def total() -> float:
        with urllib.request.urlopen(f"{lab.api}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        bucket = 'http_request_duration_seconds_bucket{route="/api/v1/documents/{number}"'
        assert any(line.startswith(bucket) for line in lines)
        return float(next(line for line in lines if line.startswith("documents_total")).split()[1])

    before = total()
    waiting.until(lambda: total() > before, "a new document")
    assert "duration=" in (lab.home("app-1") / "log" / "access.log").read_text().splitlines()[-1]
