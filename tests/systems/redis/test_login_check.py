"""Logins of verify steps are tried before a drill."""

from __future__ import annotations

import pytest

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
    assert right.refused_login(ctx) == ""
    for wrong in (secret("not-this-one", "TEST_WRONG_CACHE"), None):
        assert "cache at " in right.model_copy(update={"password": wrong}).refused_login(ctx)
    assert right.model_copy(update={"port": free_port()}).refused_login(ctx) == "", "the drill may start it"
