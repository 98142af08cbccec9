"""Logins of verify steps are tried before a drill."""

from __future__ import annotations

import pytest

from drillbook.sdk.login_check import refused
from tests.ports import free_port
from tests.systems.postgres.site import secret
from tests.systems.redis.unit import unit


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with unit(tmp_path_factory.mktemp("unit")) as made:
        yield made


def test_a_login_that_the_server_refuses_is_told(server):
    server.start()
    ctx, right = server.context(), server.service
    assert refused(ctx, right) == ""
    for wrong in (secret("not-this-one", "TEST_WRONG_CACHE"), None):
        assert "cache at " in refused(ctx, right.model_copy(update={"password": wrong}))
    assert refused(ctx, right.model_copy(update={"port": free_port()})) == "", "the drill may start it"
