"""Points of a collection in a store: exported in parts, and read again."""

import gzip

import pytest

from drillbook.errors import StepFailed
from drillbook.sdk.backup_writer import taking
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.store import Store
from drillbook.sdk.stored_backup import sha256
from drillbook.systems.qdrant.client import connected
from drillbook.systems.qdrant.export import Export, parts, proven
from drillbook.systems.qdrant.manifest import Manifest, PointsFile
from tests.systems.postgres.site import BUCKET
from tests.systems.qdrant.world import ROWS


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda place, key: place.s3().put_object(Bucket=BUCKET, Key=key, Body=b"damaged"), "backup-digest"),
        (lambda place, key: place.s3().delete_object(Bucket=BUCKET, Key=key), "backup-missing"),
    ],
    ids=["other", "missing"],
)
def test_a_damaged_backup_is_noticed_and_never_restored(world, change, code):
    facts = world.snapshot()
    change(world.place, f"{world.service.collection}/points-00001.jsonl.gz")
    world.delete(5)
    for name in ("backup_intact", "restore"):
        with pytest.raises(StepFailed) as failure:
            world.run(f"qdrant.{name}", **{"from": facts["location"]})
        assert [one.code for one in failure.value.findings] == [code]
    assert world.run("qdrant.count")["points"] == ROWS - 1


def test_nothing_is_no_backup(world):
    world.delete(*range(1, ROWS + 1))
    with pytest.raises(StepFailed, match="contains no points"):
        world.snapshot()
    assert world.place.keys(world.service.collection) == []


def test_points_are_stored_in_parts_and_each_part_is_read_again(world):
    folder = Reference(BUCKET, f"parts/{world.service.collection}")
    ctx, store = world.ctx(), Store(world.place.store)
    with connected(ctx, world.service) as session, taking(store, folder) as backup:
        manifest = Export(backup, part=1500).take(ctx, session, world.service, with_snapshot=False)
    assert len(manifest.files) > 3
    assert sum(file.points for file in manifest.files.values()) == manifest.points == ROWS
    assert sorted(key.rpartition("/")[2] for key in world.place.keys(folder.key)) == [
        "manifest.json",
        *sorted(manifest.files),
    ]
    read = [point.id for points in parts(ctx, store, folder, manifest) for point in points]
    assert read == list(range(1, ROWS + 1))
    assert proven(ctx, store, folder, manifest).digest == manifest.digest


def test_a_backup_with_other_points_than_its_manifest_says_is_refused(world):
    facts = world.snapshot()
    folder, store = Reference.parse(facts["location"]), Store(world.place.store)
    manifest = Manifest.read(store, folder).model_copy(update={"points": ROWS + 1})
    with pytest.raises(StepFailed, match="does not match its manifest") as failure:
        proven(world.ctx(), store, folder, manifest)
    (finding,) = failure.value.findings
    assert (finding.wanted.partition(",")[0], finding.measured.partition(",")[0]) == ("61 points", "60 points")


def test_a_part_that_holds_no_points_is_refused(world):
    facts = world.snapshot()
    folder, store = Reference.parse(facts["location"]), Store(world.place.store)
    manifest, data = Manifest.read(store, folder), gzip.compress(b'{"id": 1}')
    world.place.s3().put_object(Bucket=BUCKET, Key=folder.below("points-00001.jsonl.gz").key, Body=data)
    file = PointsFile(size=len(data), sha256=sha256(data), points=1)
    wrong = manifest.model_copy(update={"files": {"points-00001.jsonl.gz": file}})
    with pytest.raises(StepFailed, match="contains data that is not points") as failure:
        list(parts(world.ctx(), store, folder, wrong))
    assert failure.value.findings[0].measured == "not a point"
