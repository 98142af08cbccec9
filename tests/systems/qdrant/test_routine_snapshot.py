"""Snapshots that a team's own job stored: finding the newest one, restoring it into a temporary collection, removing this."""

import hashlib
from urllib.request import Request, urlopen

import pytest

pytest.importorskip("qdrant_client", reason="the extra `qdrant` is not installed")

from drillbook.errors import NotReady, StepFailed
from tests.systems.postgres.site import BUCKET
from tests.systems.qdrant import server
from tests.systems.qdrant.world import ROWS, codes, undo


@pytest.fixture
def job(world):
    """Job of a team: a function that lets the server make a snapshot, and stores its file. It returns the file's content."""
    client = world.place.s3()

    def store_snapshot(name="chunks.snapshot", *, checksum=""):
        with world.client() as (own, collection):
            made = own.create_snapshot(collection)
            key = server.api_key()
            headers = {"api-key": key.reveal()} if key else {}
            url = f"{world.url}/collections/{collection}/snapshots/{made.name}"
            with urlopen(Request(url, headers=headers), timeout=30) as answer:
                data = answer.read()
        client.put_object(Bucket=BUCKET, Key=f"{world.run_id}/{name}", Body=data)
        if checksum:
            text = checksum.replace("right", hashlib.sha256(data).hexdigest())
            client.put_object(Bucket=BUCKET, Key=f"{world.run_id}/{name}.checksum", Body=text.encode())
        return data

    return store_snapshot


def newest(world, **fields):
    return world.run("qdrant.newest_snapshot", store="store", prefix=f"{world.run_id}/", **fields)


def copying(world):
    """Context of the step that restores a snapshot, and the action. The copy has its own collection."""
    ctx = world.ctx(step=f"restore.{world.run_id}", collection=f"{world.service.collection}-copy", temporary=True)
    return ctx, world.place.action("qdrant.recover", service="vectors", **{"from": newest(world)["location"]})


def test_the_newest_is_found_and_compared_with_the_checksum_of_the_job(world, job):
    with pytest.raises(StepFailed) as failure:
        newest(world)
    assert codes(failure)[0][0] == "backup-missing"
    job("a.snapshot")
    data = job("b.snapshot", checksum="right  b.snapshot")
    facts = newest(world)
    assert (facts["count"], facts["bytes"], facts["checksum"]) == (2, len(data), True)
    assert facts["location"].endswith(f"b.snapshot#sha256={hashlib.sha256(data).hexdigest()}")
    assert newest(world, pattern="a.*")["checksum"] is False
    with pytest.raises(StepFailed) as failure:
        newest(world, max_age="1ms")
    assert codes(failure)[0][0] == "backup-too-old"
    job("c.snapshot", checksum="0" * 64)
    with pytest.raises(StepFailed) as failure:
        newest(world)
    assert codes(failure)[0][0] == "backup-digest"


def test_a_copy_is_made_and_only_the_copy_is_removed(world, job):
    job()
    ctx, action = copying(world)
    action.ready(ctx)
    assert (action.active(ctx), undo(ctx, action)) == (False, {"removed": False})
    assert action.run(ctx)["points"] == ROWS
    assert action.run(ctx)["points"] == ROWS, "a second attempt of the step replaces its own copy"
    assert action.active(ctx)
    with pytest.raises(StepFailed, match="nothing was removed"):
        undo(world.ctx(step=f"restore.{world.run_id}"), action)
    assert undo(ctx, action) == {"removed": True}
    assert (action.active(ctx), undo(ctx, action)) == (False, {"removed": False})
    assert world.run("qdrant.count")["points"] == ROWS


def test_a_collection_that_exists_is_refused_and_stays(world, job):
    job()
    free, action = copying(world)
    with pytest.raises(NotReady, match="is not a temporary collection"):
        action.ready(world.ctx(step=f"restore.{world.run_id}"))
    ctx = world.ctx(step=f"restore.{world.run_id}", temporary=True)
    with pytest.raises(NotReady, match="exists already, but a temporary one will be made"):
        action.ready(ctx)
    with pytest.raises(StepFailed) as failure:
        action.run(ctx)
    assert codes(failure)[0][0] == "restore-target"
    assert undo(ctx, action) == {"removed": False}
    assert world.run("qdrant.count")["points"] == ROWS
    action.ready(free)


def test_a_snapshot_that_changed_after_its_check_is_refused_by_the_server(world, job):
    job()
    ctx, action = copying(world)
    world.place.s3().put_object(Bucket=BUCKET, Key=f"{world.run_id}/chunks.snapshot", Body=b"something else")
    with pytest.raises(StepFailed) as failure:
        action.run(ctx)
    assert codes(failure)[0][0] == "restore-errors"
    assert "X-Amz" not in str(failure.value), "no signature of the URL"
    assert undo(ctx, action) == {"removed": False}
