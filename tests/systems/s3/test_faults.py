"""Faults of objects with their undo."""

from dataclasses import replace

import pytest

from drillbook.errors import StepFailed
from drillbook.sdk.action import find
from tests.sameness import holds
from tests.systems.refusals import refused_until
from tests.systems.s3.live import act, body, context, copied, undo


def test_deleted_objects_come_back_by_the_undo_and_only_those(place, versioned):
    place.s3().delete_object(Bucket=versioned, Key="b/three")
    ctx = context(place, versioned)
    action = place.action("s3.delete_objects", service="live", prefix="a/", count=2)
    action.ready(ctx)
    undo(place, ctx, action)
    assert action.active(ctx) is False
    assert action.run(ctx)["deleted"] == 2
    assert action.active(ctx) is True
    again = place.action("s3.delete_objects", service="live", prefix="a/", count=2)
    assert again.active(ctx) is True, "also seen by a recovery, which has only the parameters"
    undo(place, ctx, again)
    undo(place, ctx, again)
    assert action.active(ctx) is False
    history = place.s3().list_object_versions(Bucket=versioned)
    assert [one["Key"] for one in history["DeleteMarkers"]] == ["b/three"], "what somebody else deleted stays deleted"


def test_what_somebody_else_deleted_too_is_left_and_told(place, versioned):
    ctx = context(place, versioned)
    action = place.action("s3.delete_objects", service="live", keys=["a/one", "a/two"])
    put_back = action.undo(ctx)
    action.run(ctx)
    place.s3().delete_object(Bucket=versioned, Key="a/one")
    with pytest.raises(StepFailed, match="such as a/one, were also deleted by another client"):
        find(put_back.action).model_validate(put_back.params).run(ctx)
    assert body(place, versioned, "a/two")
    assert action.active(ctx) is True


def test_a_corrupted_object_is_put_back_and_what_others_wrote_stays(place, versioned):
    ctx = context(place, versioned)
    action = place.action("s3.corrupt_object", service="live", key="b/three")
    undo(place, ctx, action)
    action.run(ctx)
    assert action.run(ctx)["changed"] == 0, "twice does no more"
    assert action.active(ctx) is True
    damaged = body(place, versioned, "b/three")
    assert len(damaged) == len(b"b/three" * 100)
    assert damaged != b"b/three" * 100
    undo(place, ctx, action)
    undo(place, ctx, action)
    assert (action.active(ctx), body(place, versioned, "b/three")) == (False, b"b/three" * 100)
    assert len(place.s3().list_object_versions(Bucket=versioned, Prefix="b/three")["Versions"]) == 1
    action.run(ctx)
    place.s3().put_object(Bucket=versioned, Key="b/three", Body=b"a client's")
    assert action.active(ctx) is False
    undo(place, ctx, action)
    assert body(place, versioned, "b/three") == b"a client's"


def test_objects_are_lost_for_good_only_as_the_copy_holds_them(place, plain):
    facts = copied(place, plain)
    place.s3().put_object(Bucket=plain, Key="a/two", Body=b"since the copy")
    ctx = context(place, plain)
    action = place.action("s3.lose_objects", service="live", prefix="a/", **{"from": facts["location"]})
    action.ready(ctx)
    assert action.undo(ctx).kind == "restore"
    assert action.active(ctx) is False
    assert action.untouched(ctx) is True
    proof = act(place, plain, "s3.backup_intact", **{"from": facts["location"]})
    assert holds(proof, action, ctx) is True
    elsewhere = ctx.services["live"].model_copy(update={"endpoint": "http://127.0.0.1:1"})
    assert holds(proof, action, replace(ctx, services=ctx.services | {"live": elsewhere})) is False
    assert action.run(ctx)["skipped"] == 1
    assert action.active(ctx) is True
    assert action.untouched(ctx) is False
    assert body(place, plain, "a/two") == b"since the copy"
    assert act(place, plain, "s3.restore", **{"from": facts["location"]})["restored"] == 2
    assert action.active(ctx) is False


def test_an_object_that_does_not_exist_is_not_damaged(place, versioned):
    ctx, action = context(place, versioned), place.action("s3.corrupt_object", service="live", key="b/four")
    refused_until(
        lambda: action.ready(ctx),
        f"the object b/four does not exist in {versioned}",
        lambda: place.s3().put_object(Bucket=versioned, Key="b/four", Body=b"four"),
    )
