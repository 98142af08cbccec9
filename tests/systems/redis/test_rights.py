"""Rights of the service's user, checked without a command that changes something."""

import contextlib

import pytest

from drillbook.errors import NotReady
from drillbook.systems.redis import rights
from drillbook.systems.redis.connection import connected
from drillbook.systems.redis.content import mark_of
from drillbook.systems.redis.service import Redis
from drillbook.values import Secret
from tests.systems.postgres.site import BUCKET
from tests.systems.refusals import refused_until


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (("-flushall",), {"redis.flush": "run FLUSHALL"}),
        (("-bgsave",), {"redis.save": "run BGSAVE"}),
        (("resetkeys", "~session:*"), {"redis.save": "run TYPE, PEXPIRETIME, DUMP, GET, SET, EXPIRE, EXISTS, DEL"}),
    ],
)
def test_ready_says_what_the_server_does_not_let_its_user_do(cache, monkeypatch, rules, said):
    """The check runs no command of the action that changes something."""
    monkeypatch.setenv("CLERK", "word-of-the-clerk")
    cache.client().acl_setuser("clerk", reset=True, enabled=True, passwords=["+word-of-the-clerk"])
    cache.client().execute_command("ACL", "SETUSER", "clerk", "~*", "+@all", *rules)
    ctx, before = cache.context(), cache.client().dbsize()
    given = cache.service.model_dump(exclude={"password", "user"})
    ctx.services["cache"] = Redis(**given, user="clerk", password=Secret(source="env", name="CLERK"))
    try:
        for action in (cache.action("redis.save", to=f"s3://{BUCKET}/never"), cache.action("redis.flush")):
            expected = said.get(action.name())
            with (
                pytest.raises(NotReady, match=f"its user 'clerk' to {expected}\\n") if expected else contextlib.nullcontext()
            ):
                action.ready(ctx)
    finally:
        cache.client().acl_deluser("clerk")
    assert cache.client().dbsize() == before
    assert not cache.client().exists(mark_of(ctx.run_id))


@pytest.mark.parametrize(("name", "untried"), [("redis.save", "BGSAVE"), ("redis.flush", "FLUSHALL")])
def test_a_right_that_the_server_does_not_tell_is_not_verified(cache, clerk, name, untried):
    told = []
    action = cache.action(name, **({"to": f"s3://{BUCKET}/never"} if name == "redis.save" else {}))
    for rules in (("-acl",), ("-acl|dryrun",)):
        action.ready(clerk("~*", "+@all", *rules, doubt=told.append))
        assert told == [f"that the user of cache may run {untried}: the server does not answer ACL DRYRUN to this user"]
        told.clear()
    action.ready(clerk("~*", "+@all", doubt=told.append))
    assert told == []


@pytest.mark.parametrize(("rules", "all_of_it"), [((), True), (("-keys",), False), (("resetkeys", "~session:*"), False)])
def test_a_user_without_any_limit_is_known_without_dryrun(cache, clerk, rules, all_of_it):
    """As on Redis 6, which has no ACL DRYRUN."""
    ctx = clerk("~*", "+@all", *rules)
    with connected(ctx, ctx.services["cache"]) as session:
        assert rights.unlimited(session, b"clerk") is all_of_it


@pytest.mark.parametrize("lacks", ["SCAN", "DUMP", "SET", "DEL"])
def test_a_save_tries_what_the_server_does_not_tell(cache, clerk, lacks):
    hosts = [clerk("~*", "+@all", "-acl", f"-{lacks.lower()}"), None]
    save = cache.action("redis.save", to=f"s3://{BUCKET}/never")

    def mend():
        hosts[0] = clerk("~*", "+@all", "-acl")

    refused_until(lambda: save.ready(hosts[0]), f"cache: this step could not run {lacks}: .*no permissions", mend)
