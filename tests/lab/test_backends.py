"""Backends of the API: without the cache and the store, it has reduced functions."""

import pytest

from drillbook.lab.layout import Lab
from tests import waiting
from tests.lab.looking import supervisor

from .conftest import get


@pytest.mark.parametrize(("unit", "name"), [("redis", "redis"), ("s3", "s3")])
def test_other_dependencies_only_degrade_the_api(lab: Lab, unit: str, name: str) -> None:
    supervisor(lab, "store-1", "stop", unit)
    waiting.until(lambda: get(lab, "/health")[1]["status"] == "degraded", "degraded")
    status, body = get(lab, "/health")
    assert (status, body["status"], list(body["failing"])) == (200, "degraded", [name])
    assert get(lab, "/api/v1/documents")[0] == 200
    supervisor(lab, "store-1", "start", unit)
    waiting.until(lambda: get(lab, "/health")[1]["status"] == "ok", "health")
