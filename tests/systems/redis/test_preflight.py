"""Rights that the user of a Redis service lacks: reported before a drill, and with them the step works."""

import time
from dataclasses import replace

import pytest

from drillbook.errors import DrillbookError
from drillbook.systems.redis.content import mark_of
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


@pytest.fixture
def run(server):
    """Context of one run, whose mark is removed afterwards."""
    context = server.context()
    yield context
    server.client().delete(mark_of(context.run_id))


USES = ("info", "exists", "set", "expire", "get", "del")


@pytest.mark.parametrize("lacks", ["INFO", "EXISTS", "SET", "EXPIRE", "GET", "DEL"])
def test_a_mark_needs_each_right_that_writes_reads_and_removes_it(server, allow, run, lacks):
    has = [f"+{one}" for one in USES if one != lacks.lower()]
    allow(*has)
    mark, unmark = server.action("redis.mark", service="cache"), server.action("redis.unmark", service="cache")
    before = server.client().info("stats")["total_error_replies"], server.client().dbsize()

    def give():
        assert not server.client().exists(mark_of(run.run_id)), "the check writes nothing"
        allow(*has, f"+{lacks.lower()}")

    refused_until(lambda: mark.ready(run), f"cache: this step could not run {lacks}: .*no permissions", give)
    assert server.client().dbsize() == before[1]
    mark.run(replace(run, services={"cache": server.service}))
    assert mark.active(run)
    assert unmark.run(run) == {"removed": 1}


def test_a_mark_needs_the_right_on_its_key(server, allow, run):
    rules = [f"+{one}" for one in USES]
    allow("resetkeys", "~session:*", *rules)
    mark = server.action("redis.mark", service="cache")
    with pytest.raises(DrillbookError, match="key"):
        mark.run(run)
    refused_until(lambda: mark.ready(run), "cache: this step could not run EXISTS: .*key", lambda: allow(*rules))
    mark.run(run)


def test_a_mark_that_exists_is_not_written_by_the_check(server, allow, run):
    server.client().set(mark_of(run.run_id), "kept", ex=100)
    allow(*(f"+{one}" for one in USES))
    told = []
    server.action("redis.mark", service="cache").ready(replace(run, doubt=told.append))
    assert ["may write the mark" in text and "it exists already" in text for text in told] == [True]
    assert (server.client().get(mark_of(run.run_id)), server.client().ttl(mark_of(run.run_id)) > 90) == (b"kept", True)


def test_a_replica_takes_no_mark(server, run):
    mark = server.action("redis.mark", service="cache")
    server.client().replicaof("127.0.0.1", free_port())
    try:
        with pytest.raises(DrillbookError, match="its master overwrites"):
            mark.run(run)
        refused_until(
            lambda: mark.ready(run),
            "cache is a slave, and its master overwrites every change",
            lambda: server.client().replicaof("NO", "ONE"),
        )
    finally:
        server.client().replicaof("NO", "ONE")
    mark.run(run)


def test_a_login_that_the_server_refuses_is_not_verified(server, allow):
    allow("+@all")
    told, action = [], server.action("redis.usage", service="cache")
    server.client().execute_command("ACL", "SETUSER", "reader", "resetpass", ">another")
    context = replace(server.context(), doubt=told.append)
    action.ready(context)
    action.ready(context)
    assert ["the login at cache: " in text and "invalid username-password pair" in text for text in told] == [True]
    told.clear()
    allow("+@all")
    action.ready(replace(server.context(), doubt=told.append))
    assert told == []
