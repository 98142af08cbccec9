"""Rights that the user of a Redis service lacks: reported before a drill, and with them the step works."""

import time
from dataclasses import replace

import pytest

from drillbook.errors import DrillbookError
from tests.ports import free_port
from tests.systems.postgres.site import secret
from tests.systems.redis.unit import unit
from tests.systems.refusals import refused_until


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with unit(tmp_path_factory.mktemp("unit")) as made:
        made.start()
        made.client().set("beat:1", str(time.time() - 5))
        made.client().set("session:1", "x", ex=3600)
        yield made


@pytest.fixture
def allow(server):
    """Function that gives the service's user exactly these rights."""
    right = server.service
    server.service = right.model_copy(update={"user": "reader", "password": secret("reader", "TEST_READER")})
    yield lambda *rules: server.client().execute_command("ACL", "SETUSER", "reader", "reset", "on", ">reader", "~*", *rules)
    server.service = right


@pytest.mark.parametrize(
    ("name", "params", "has", "lacks"),
    [
        ("usage", {}, ["+info"], "SCAN"),
        ("usage", {}, ["+scan"], "INFO"),
        ("healthy", {}, ["+ping"], "INFO"),
        ("newest_moment", {"times": ["beat:*"]}, ["+get", "+type"], "SCAN"),
        ("newest_moment", {"times": ["beat:*"]}, ["+scan", "+type"], "GET"),
        ("newest_moment", {"lifetimes": {"session:*": "1h"}}, ["+scan", "+type"], "PEXPIRETIME"),
    ],
)
def test_a_right_that_is_missing_refuses_a_step_that_works_with_it(server, allow, name, params, has, lacks):
    allow(*has)
    action = server.action(f"redis.{name}", service="cache", **params)
    with pytest.raises(DrillbookError, match="no permissions"):
        action.run(server.context())
    told = []
    action.ready(replace(server.context(), changed=True, doubt=told.append))
    assert ["an earlier step may change this" in text for text in told] == [True]
    refused_until(
        lambda: action.ready(server.context()),
        f"cache: this step could not run {lacks}: .*no permissions",
        lambda: allow(*has, f"+{lacks.lower()}"),
    )
    action.run(server.context())


def test_a_server_that_does_not_answer_is_left_to_the_drill(server, allow):
    server.service = server.service.model_copy(update={"port": free_port()})
    action = server.action("redis.usage", service="cache")
    context = server.context()
    action.ready(context)
    assert context.unanswered == {("cache", "", False)}, "the next step does not ask again"
    with pytest.raises(DrillbookError, match="refused"):
        action.run(server.context())
