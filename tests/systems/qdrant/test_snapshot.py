"""The server's own snapshot in a backup, stored and restored."""

import hashlib
import json

import pytest

from drillbook.errors import StepFailed
from tests.systems.postgres.site import BUCKET
from tests.systems.qdrant.world import ROWS, point


def test_a_lost_collection_comes_back_by_the_servers_own_snapshot(world):
    facts = world.snapshot()
    assert facts["snapshot_bytes"] > 0
    with world.client() as (own, name):
        assert own.list_snapshots(name) == [], "nothing is left on the server"
        own.delete_collection(name)
    back = world.run("qdrant.restore", **{"from": facts["location"]})
    assert (back["by"], back["created"], back["points"]) == ("snapshot", True, ROWS)
    assert world.run("qdrant.matches", manifest=facts["manifest"])["digest"] == facts["digest"]
    world.delete(1)
    world.put(point(99))
    assert world.run("qdrant.restore", by="snapshot", **{"from": facts["location"]})["by"] == "snapshot"
    assert world.run("qdrant.matches", manifest=facts["manifest"])["digest"] == facts["digest"]


def test_a_snapshot_that_the_server_refuses_is_told_and_the_points_bring_it_back(world):
    facts = world.snapshot()
    prefix = world.service.collection
    damaged = f"other/{prefix}"
    for key in world.place.keys(prefix):
        world.place.s3().copy_object(
            Bucket=BUCKET, Key=key.replace(prefix, damaged), CopySource={"Bucket": BUCKET, "Key": key}
        )
    data = b"no snapshot at all"
    made = json.loads(world.place.s3().get_object(Bucket=BUCKET, Key=f"{damaged}/manifest.json")["Body"].read())
    made["snapshot"] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    world.place.s3().put_object(Bucket=BUCKET, Key=f"{damaged}/manifest.json", Body=json.dumps(made).encode())
    world.place.s3().put_object(Bucket=BUCKET, Key=f"{damaged}/collection.snapshot", Body=data)
    with world.client() as (own, name):
        own.delete_collection(name)
    with pytest.raises(StepFailed, match="refused the snapshot") as failure:
        world.run("qdrant.restore", by="snapshot", **{"from": f"s3://{BUCKET}/{damaged}"})
    assert "X-Amz" not in str(failure.value)
    back = world.run("qdrant.restore", **{"from": f"s3://{BUCKET}/{damaged}"})
    assert (back["by"], back["written"]) == ("points", ROWS)
    assert back["snapshot_refused"]
    assert world.run("qdrant.matches", manifest=facts["manifest"])["points"] == ROWS


def test_a_snapshot_is_left_out_when_it_is_not_wanted_or_when_clients_write(world, monkeypatch):
    from drillbook.systems.qdrant.client import Session

    plain = world.run("qdrant.snapshot", to=f"s3://{BUCKET}/plain/{world.service.collection}", server_snapshot=False)
    assert plain["snapshot_left_out"] == "not wanted"
    with pytest.raises(StepFailed, match="contains no snapshot"):
        world.run("qdrant.restore", by="snapshot", **{"from": plain["location"]})
    forget = Session.forget_snapshot

    def late(session, name):
        forget(session, name)
        world.put(point(500))

    monkeypatch.setattr(Session, "forget_snapshot", late)
    facts = world.snapshot()
    assert facts["snapshot_left_out"].startswith("clients wrote after the export of the points began, ")
    assert facts["points"] == ROWS
    assert [key.rpartition("/")[2] for key in world.place.keys(world.service.collection)] == [
        "manifest.json",
        "points-00001.jsonl.gz",
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda place, key: place.s3().put_object(Bucket=BUCKET, Key=key, Body=b"damaged"),
        lambda place, key: place.s3().delete_object(Bucket=BUCKET, Key=key),
    ],
    ids=["other", "missing"],
)
def test_a_damaged_snapshot_is_noticed_and_never_handed_to_the_server(world, change):
    facts = world.snapshot()
    change(world.place, f"{world.service.collection}/collection.snapshot")
    for name, more in (("backup_intact", {}), ("restore", {"by": "snapshot"})):
        with pytest.raises(StepFailed) as failure:
            world.run(f"qdrant.{name}", **{"from": facts["location"]}, **more)
        assert failure.value.findings[0].title.endswith("collection.snapshot")
    assert world.run("qdrant.count")["points"] == ROWS
