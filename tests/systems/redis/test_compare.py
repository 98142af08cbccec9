"""Comparison of a backup with the keys of a real server."""

import time

import pytest

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.systems.redis.content import text_of
from tests.systems.postgres.site import BUCKET
from tests.systems.redis.cache import LEASE_MS, ODD, codes, matches


def test_equal_content_matches_on_another_server_with_other_encodings_and_hash_seeds(cache, saved):
    cache.restart()
    cache.client().pexpireat("lease", LEASE_MS + 1500)
    facts = matches(cache, saved)
    assert (facts["keys"], facts["expired"]) == (309, 0)


@pytest.mark.parametrize(
    ("change", "code", "title"),
    [
        (lambda c: c.set("views:7", "8"), "key-content", "views:7"),
        (lambda c: c.hset("session:4", "token", "stolen"), "key-content", "session:4"),
        (lambda c: c.rpush("queue", "c"), "key-content", "queue"),
        (lambda c: (c.delete("queue"), c.rpush("queue", "a", "b", "b")), "key-content", "queue"),
        (lambda c: c.srem("large:set", "member-9"), "key-content", "large:set"),
        (lambda c: c.zadd("ranks", {"third": 0.33333}), "key-content", "ranks"),
        (lambda c: c.xadd("events", {"a": "3"}), "key-content", "events"),
        (lambda c: c.xgroup_setid("events", "readers", "2-1"), "key-content", "events"),
        (lambda c: (c.delete("views:7"), c.rpush("views:7", "7")), "key-content", "views:7"),
        (lambda c: c.expire("views:7", 500), "key-content", "views:7"),
        (lambda c: c.persist("lease"), "key-content", "lease"),
        (lambda c: c.pexpireat("lease", LEASE_MS + 2500), "key-content", "lease"),
        (lambda c: c.pexpireat("lease", LEASE_MS - 2500), "key-content", "lease"),
        (lambda c: c.delete(ODD), "key-missing", text_of(ODD)),
        (lambda c: c.move("views:9", 5), "key-missing", "views:9"),
        (lambda c: c.set("stray", 1), "key-unexpected", "stray"),
    ],
    ids=[
        "value",
        "field",
        "longer",
        "order",
        "member",
        "score",
        "entry",
        "group",
        "type",
        "ttl-new",
        "ttl-gone",
        "ttl-later",
        "ttl-sooner",
        "missing",
        "moved",
        "unexpected",
    ],
)
def test_each_difference_has_its_finding(cache, saved, change, code, title):
    change(cache.client())
    with pytest.raises(StepFailed, match="differs from the backup") as failure:
        matches(cache, saved)
    assert code in codes(failure)
    assert any(one.title.endswith(title) for one in failure.value.findings)


def test_many_differences_are_counted_and_not_listed_one_by_one(cache, saved):
    cache.client().delete(*[f"session:{n}" for n in range(100)])
    with pytest.raises(StepFailed) as failure:
        matches(cache, saved)
    assert len(failure.value.findings) == 21
    assert failure.value.findings[-1].title.endswith("80 more keys")
    assert failure.value.facts["differing"] == {"key-missing": 100}


def test_a_key_that_has_expired_since_is_not_missing(place, cache):
    cache.client().set("brief", 1, px=12_000)
    facts = cache.run("redis.save", to=f"s3://{BUCKET}/brief")
    before = matches(cache, facts)
    until = time.monotonic() + 60
    while cache.client().exists("brief") and time.monotonic() < until:
        time.sleep(0.05)
    after = matches(cache, facts)
    assert (before["expired"], after["expired"], after["keys"]) == (0, 1, before["keys"] - 1)


def test_what_is_ignored_is_counted_and_never_all_there_is(cache, saved):
    cache.client().set("views:1000", 1)
    cache.client().set("drillbook:run:row:1", 1)
    facts = matches(cache, saved, ignore={"views:*": "counters go on"})
    assert facts["own_keys"] == 2, "the mark of the save, and the row of a canary"
    assert facts["keys"] + facts["ignored"]["views:*"]["keys"] - 1 + 1 == sum(facts["types"].values()), (
        "with the mark, without views:1000"
    )
    assert facts["ignored"] == {"views:*": {"keys": 152, "why": "counters go on"}}
    assert facts["keys"] == 158
    with pytest.raises(CouldNotVerify, match="no key of the backup could be compared"):
        matches(cache, saved, ignore={"*": "too much"})
    with pytest.raises(ValueError, match="ignore"):
        cache.action("redis.matches", manifest=saved["manifest"], ignore={"views:*": ""})
