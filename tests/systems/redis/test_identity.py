"""Identity of a keyspace, by the mark of the run that saved it."""

from drillbook.sdk.action import find
from drillbook.systems.redis.content import mark_of
from tests.sameness import holds
from tests.systems.postgres.site import BUCKET
from tests.systems.redis.cache import forged


def test_two_keyspaces_saved_by_one_run_are_two(cache):
    """As when the save of one cache is used to allow a flush of another; a second save of the same cache changes
    nothing.
    """
    ctx = cache.context()
    facts = [cache.run("redis.save", ctx=ctx, to=f"s3://{BUCKET}/two-{ctx.run_id}-{number}") for number in range(2)]
    proofs = [cache.run("redis.backup_intact", ctx=ctx, **{"from": one["location"]}) for one in facts]
    flush = cache.action("redis.flush")
    assert [holds(proof, flush, ctx) for proof in proofs] == [True, True]
    cache.client().set(mark_of(ctx.run_id), "another server's")
    assert [holds(proof, flush, ctx) for proof in proofs] == [False, False]
    assert find("redis.matches")(service="cache", manifest=facts[0]["manifest"]).subject(ctx) == flush.subject(ctx)


def test_a_save_of_before_does_not_say_what_it_is_of(place, cache, saved):
    ctx = cache.context()
    cache.client().set(mark_of(ctx.run_id), "whatever", ex=600)
    location = forged(place, saved, mark="")
    assert holds(cache.run("redis.backup_intact", ctx=ctx, **{"from": location}), cache.action("redis.flush"), ctx) is None
