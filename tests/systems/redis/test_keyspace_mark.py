"""Actions `redis.mark` and `redis.unmark`, on a real server."""

from drillbook.sdk.action import find
from drillbook.systems.redis.content import MARK_S, mark_of
from drillbook.systems.redis.in_place import MARKED
from tests.ports import free_ports
from tests.systems.refusals import refused_until


def test_a_keyspace_is_marked_until_the_undo_and_can_be_flushed_meanwhile(cache):
    ctx, mark = cache.context(), cache.action("redis.mark")
    mark.ready(ctx)
    assert (mark.active(ctx), cache.client().exists(mark_of(ctx.run_id))) == (False, 0), "the check leaves no key"
    undo = mark.undo(ctx)
    assert mark.run(ctx) == {"key": mark_of(ctx.run_id)}
    assert mark.active(ctx) is True
    assert MARK_S - 60 < cache.client().ttl(mark_of(ctx.run_id)) <= MARK_S
    assert [path.read_text() for path in (ctx.folder / "evidence").glob(f"{ctx.step}*{MARKED}")] == ["cache"]
    before = cache.client().get(mark_of(ctx.run_id))
    mark.run(ctx)
    assert cache.client().get(mark_of(ctx.run_id)) == before, "a second mark keeps the first"
    assert cache.run("redis.flush", ctx=ctx)["keys_after"] == 0
    assert mark.active(ctx) is False
    mark.run(ctx)
    unmark = find(undo.action).model_validate(undo.params)
    assert [unmark.run(ctx)["removed"] for _ in range(2)] == [1, 0]


def test_a_replica_is_not_marked(cache):
    mark, ctx = cache.action("redis.mark"), cache.context()
    cache.client().replicaof("127.0.0.1", free_ports(1)[0])
    refused_until(lambda: mark.ready(ctx), "is a slave", lambda: cache.client().replicaof("NO", "ONE"))
