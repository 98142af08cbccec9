"""Changes besides the keys, by a restore or afterwards: users, functions, settings, expiry times of fields."""

import contextlib
import json
import time

import pytest

from drillbook.errors import StepFailed
from drillbook.systems.redis.content import mark_of
from tests.systems.estate import codes
from tests.systems.postgres.site import BUCKET, site
from tests.systems.redis.unit import unit

LIBRARY = "#!lua name=lib\nserver.register_function('f', function() return {} end)"
CLERK_WORD = "word-of-the-clerk"


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with site(tmp_path_factory.mktemp("site")) as place, unit(tmp_path_factory.mktemp("unit"), place.store) as made:
        yield place, made


@pytest.fixture(scope="module")
def saved(stack):
    cache = stack[1]
    fill(cache)
    ctx = cache.context()
    facts = cache.run("redis.save", ctx=ctx, to=f"s3://{BUCKET}/properties")
    assert cache.run("redis.backup_intact", **{"from": facts["location"]})["keys"] == 3
    cache.client().delete(mark_of(ctx.run_id))
    return facts


@pytest.fixture
def cache(stack):
    """The server with the same keys, users, functions and settings for every test."""
    fill(stack[1])
    return stack[1]


TIMES = int(time.time() * 1000) + 3_600_000


def fill(cache):
    client = cache.client()
    client.flushall()
    client.function_flush()
    for name in set(client.acl_users()) - {"default"}:
        client.acl_deluser(name)
    client.execute_command("ACL", "SETUSER", "clerk", "on", f">{CLERK_WORD}", "~session:*", "+get", "+hgetall")
    client.function_load(LIBRARY.format(1))
    client.config_set("maxmemory", 100_000_000)
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("notify-keyspace-events", "AKE")
    client.set("page", "1")
    client.hset("session:1", mapping={"user": "one", "token": "t"})
    client.execute_command("HPEXPIREAT", "session:1", TIMES, "FIELDS", 1, "token")


def matches(cache, saved, **options):
    return cache.run("redis.matches", manifest=saved["manifest"], **options)


def test_the_same_properties_match_and_no_secret_is_in_the_manifest(stack, cache, saved):
    facts = matches(cache, saved)
    assert (facts["keys"], facts["not_covered"]) == (2, [])
    body = stack[0].s3().get_object(Bucket=BUCKET, Key="properties/manifest.json")["Body"].read().decode()
    for word in (CLERK_WORD, cache.service.password.reveal()):
        assert word not in body
    hashed = next(line for line in cache.client().acl_list() if line.startswith("user clerk"))
    assert next(word for word in hashed.split() if word.startswith("#"))[1:] not in body
    assert set(json.loads(body)["properties"]["users"]) == {"clerk", "default"}


SABOTAGES = {
    "user dropped": (lambda c: c.acl_deluser("clerk"), "server-user", "clerk"),
    "user may do more": (lambda c: c.execute_command("ACL", "SETUSER", "clerk", "+@all"), "server-user", "clerk"),
    "user may read more": (lambda c: c.execute_command("ACL", "SETUSER", "clerk", "allkeys"), "server-user", "clerk"),
    "user is off": (lambda c: c.execute_command("ACL", "SETUSER", "clerk", "off"), "server-user", "clerk"),
    "another password": (
        lambda c: c.execute_command("ACL", "SETUSER", "clerk", "resetpass", ">other"),
        "server-user",
        "clerk",
    ),
    "no password": (lambda c: c.execute_command("ACL", "SETUSER", "clerk", "nopass"), "server-user", "clerk"),
    "user added": (lambda c: c.execute_command("ACL", "SETUSER", "ghost", "on", "nopass", "+@all"), "server-user", "ghost"),
    "function dropped": (lambda c: c.function_delete("lib"), "server-function", "lib"),
    "function replaced": (lambda c: c.function_load(LIBRARY.format(2), replace=True), "server-function", "lib"),
    "limit of memory lost": (lambda c: c.config_set("maxmemory", 0), "server-setting", "maxmemory"),
    "eviction lost": (lambda c: c.config_set("maxmemory-policy", "noeviction"), "server-setting", "maxmemory-policy"),
    "events lost": (lambda c: c.config_set("notify-keyspace-events", ""), "server-setting", "notify-keyspace-events"),
    "log no longer written": (lambda c: c.config_set("appendonly", "no"), "server-setting", "appendonly"),
    "field no longer expires": (
        lambda c: c.execute_command("HPERSIST", "session:1", "FIELDS", 1, "token"),
        "key-content",
        "session:1",
    ),
    "field expires later": (
        lambda c: c.execute_command("HPEXPIREAT", "session:1", TIMES + 1000, "FIELDS", 1, "token"),
        "key-content",
        "session:1",
    ),
    "another field expires": (
        lambda c: c.execute_command("HPEXPIREAT", "session:1", TIMES, "FIELDS", 1, "user"),
        "key-content",
        "session:1",
    ),
}


@pytest.mark.parametrize("name", SABOTAGES)
def test_each_sabotage_has_exactly_its_finding(cache, saved, name):
    change, code, title = SABOTAGES[name]
    change(cache.client())
    try:
        with pytest.raises(StepFailed, match="differs from the backup") as failure:
            matches(cache, saved)
    finally:
        cache.client().config_set("appendonly", "yes")
    assert codes(failure) == [code]
    assert failure.value.findings[0].title.endswith(title)


def test_the_restart_of_a_restore_loses_what_was_set_while_it_ran_and_the_comparison_says_so(cache, saved):
    cache.run("redis.restore", **{"from": saved["location"]})
    with pytest.raises(StepFailed) as failure:
        matches(cache, saved)
    assert sorted((one.code, one.title.rpartition(": ")[2]) for one in failure.value.findings) == [
        ("server-setting", "maxmemory"),
        ("server-setting", "maxmemory-policy"),
        ("server-setting", "notify-keyspace-events"),
        ("server-user", "clerk"),
    ]


def test_what_is_meant_to_differ_is_ignored_with_a_reason(cache, saved):
    cache.client().config_set("maxmemory", 0)
    cache.client().acl_deluser("clerk")
    matches(
        cache, saved, ignore_server={"maxmemory": "the new server has less memory", "user clerk": "not on the new server"}
    )
    with pytest.raises(StepFailed) as failure:
        matches(cache, saved, ignore_server={"user *": "not on the spare"})
    assert codes(failure) == ["server-setting"]
    with pytest.raises(ValueError, match="ignore_server"):
        cache.action("redis.matches", manifest=saved["manifest"], ignore_server={"maxmemory": ""})


def test_a_changed_password_of_the_server_is_seen_and_not_shown(cache, saved):
    client, word = cache.client(), cache.service.password.reveal()
    client.config_set("requirepass", "another-word")
    try:
        client.config_set("masterauth", "another-word")
        client.config_set("requirepass", word)
        with pytest.raises(StepFailed) as failure:
            matches(cache, saved)
        assert {one.title.rpartition(": ")[2] for one in failure.value.findings} <= {"masterauth", "primaryauth"}
        assert "another-word" not in str([one.measured for one in failure.value.findings])
    finally:
        client.config_set("masterauth", "")


def test_a_field_that_has_expired_since_is_no_difference(cache):
    client = cache.client()
    client.hset("brief", mapping={"stays": 1, "goes": 2})
    client.execute_command("HPEXPIRE", "brief", 12_000, "FIELDS", 1, "goes")
    facts = cache.run("redis.save", to=f"s3://{BUCKET}/brief-fields")
    assert matches(cache, facts)["expired"] == 0
    until = time.monotonic() + 60
    while client.hexists("brief", "goes") and time.monotonic() < until:
        time.sleep(0.05)
    assert matches(cache, facts)["expired"] == 1


def test_a_backup_of_an_older_version_is_compared_as_far_as_it_goes(stack, cache, saved):
    place = stack[0]
    location, prefix = place.copy(saved["location"])
    body = json.loads(place.s3().get_object(Bucket=BUCKET, Key=f"{prefix}/manifest.json")["Body"].read())
    del body["fields"], body["properties"]
    place.s3().put_object(Bucket=BUCKET, Key=f"{prefix}/manifest.json", Body=json.dumps(body).encode())
    cache.client().config_set("maxmemory", 0)
    cache.client().execute_command("HPERSIST", "session:1", "FIELDS", 1, "token")
    facts = cache.run("redis.matches", manifest=f"{location.partition('#')[0]}/manifest.json")
    assert facts["not_covered"] == ["expiry times of fields", "functions", "settings", "users"]


def test_what_a_user_may_not_ask_for_is_said_to_be_not_covered(cache, monkeypatch):
    from drillbook.systems.redis.service import Redis
    from drillbook.values import Secret

    monkeypatch.setenv("READER", "word-of-the-reader")
    rules = ("~*", "+@all", "-acl", "-function")
    cache.client().execute_command("ACL", "SETUSER", "reader", "on", ">word-of-the-reader", *rules)
    given = cache.service.model_dump(exclude={"password", "user"})
    ctx = cache.context()
    ctx.services["cache"] = Redis(**given, user="reader", password=Secret(source="env", name="READER"))
    with contextlib.suppress(KeyError):
        facts = cache.run("redis.save", ctx=ctx, to=f"s3://{BUCKET}/reader")
    assert cache.run("redis.matches", ctx=ctx, manifest=facts["manifest"])["not_covered"] == ["functions", "users"]
