"""Routes of the document API."""

import urllib.error
import urllib.request

from drillbook.lab import seed
from drillbook.lab.layout import Lab

from .conftest import get


def test_the_api_serves_what_is_stored(lab: Lab) -> None:
    assert get(lab, "/health") == (
        200,
        {"status": "ok", "dependencies": {"postgresql": "up", "redis": "up", "s3": "up"}, "failing": {}},
    )
    assert len(get(lab, "/api/v1/documents?limit=7")[1]["documents"]) == 7
    assert [chunk["ordinal"] for chunk in get(lab, "/api/v1/documents/5")[1]["chunks"]] == [1, 2, 3, 4, 5]
    assert get(lab, "/api/v1/documents/999999999")[0] == 404
    with urllib.request.urlopen(f"{lab.api}/api/v1/documents/5/original") as answer:
        assert answer.read() == seed.original(5)
