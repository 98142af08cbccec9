"""Backups of a collection: taken, verified and restored."""

import pytest

pytest.importorskip("qdrant_client", reason="the extra `qdrant` is not installed")
from qdrant_client import models

from drillbook.engine.provenance import Provenance
from drillbook.errors import NotReady, StepFailed
from drillbook.sdk.action import find
from tests.systems.qdrant import server
from tests.systems.qdrant.world import QUERY, ROWS, UUIDS, World, point


def test_a_snapshot_is_whole_matches_and_never_overwrites(world):
    facts = world.snapshot()
    assert (facts["points"], facts["files"]) == (ROWS, 1)
    assert world.run("qdrant.backup_intact", **{"from": facts["location"]})["points"] == ROWS
    assert world.run("qdrant.matches", manifest=facts["manifest"])["digest"] == facts["digest"]
    with pytest.raises(StepFailed, match="never overwrites"):
        world.snapshot()


def test_a_restore_writes_what_differs_and_makes_a_lost_collection_anew(world):
    with world.client() as (own, name):
        own.create_payload_index(name, "text", models.PayloadSchemaType.KEYWORD, wait=True)
    facts = world.snapshot()
    world.delete(7)
    world.put(point(8, text="another text"), point(77))
    back = world.run("qdrant.restore", **{"from": facts["location"]})
    assert (back["written"], back["deleted"], back["unchanged"], back["created"]) == (2, 1, ROWS - 2, False)
    assert world.run("qdrant.matches", manifest=facts["manifest"])["points"] == ROWS
    with world.client() as (own, name):
        own.delete_collection(name)
    with pytest.raises(NotReady, match="vectors: there is no collection"):
        world.place.action("qdrant.count", service="vectors").ready(world.ctx())
    assert world.run("qdrant.restore", by="points", **{"from": facts["location"]})["created"] is True
    world.place.action("qdrant.count", service="vectors").ready(world.ctx())
    assert world.run("qdrant.matches", manifest=facts["manifest"])["digest"] == facts["digest"]
    with world.client() as (own, name):
        assert own.get_collection(name).payload_schema["text"].data_type == models.PayloadSchemaType.KEYWORD


def test_named_and_sparse_vectors_and_uuids_come_back(stack):
    place, url, rows = stack
    config = {
        "vectors_config": {"small": models.VectorParams(size=3, distance=models.Distance.DOT)},
        "sparse_vectors_config": {"words": models.SparseVectorParams()},
    }
    points = [
        models.PointStruct(
            id=one,
            payload={"n": number, "deep": {"ü": [None, 1.5, True]}},
            vector={"small": [0.1, number, -2], "words": models.SparseVector(indices=[7, 3], values=[0.5, 1e-3])},
        )
        for number, one in enumerate([*UUIDS, 2**63])
    ]
    with server.collection(url, points, **config) as service:
        world = World(place, url, rows, service)
        facts = world.snapshot()
        world.delete(UUIDS[1])
        assert world.run("qdrant.restore", **{"from": facts["location"]})["written"] == 1
        assert world.run("qdrant.matches", manifest=facts["manifest"])["points"] == 3
        assert world.get(UUIDS[1]).payload["deep"] == {"ü": [None, 1.5, True]}


def test_a_backup_of_other_vectors_is_refused(world, stack):
    facts = world.snapshot()
    other = {"vectors_config": models.VectorParams(size=3, distance=models.Distance.DOT)}
    with server.collection(stack[1], [models.PointStruct(id=1, vector=[1, 2, 3])], **other) as service:
        elsewhere = World(*stack, service)
        for name, fields in (("restore", {}), ("reconcile", {"database": "rows", "query": QUERY})):
            with pytest.raises(StepFailed) as failure:
                elsewhere.run(f"qdrant.{name}", **{"from": facts["location"]}, **fields)
            assert [one.code for one in failure.value.findings] == ["vector-config"]
        assert elsewhere.run("qdrant.count")["points"] == 1


def test_a_proof_is_of_the_collection_and_not_of_the_name_of_its_service(world):
    facts = world.snapshot()
    proof = find("qdrant.backup_intact").model_validate({"service": "vectors", "from": facts["location"]})
    found = proof.run(world.ctx())
    assert Provenance().examine(proof, world.ctx(), found)["of_this_service"] is True
    with (
        server.collection(world.url, [point(1)]) as other,
        pytest.raises(StepFailed, match="is not a backup of vectors") as failure,
    ):
        Provenance().examine(proof, world.ctx(collection=other.collection), found)
    assert [one.code for one in failure.value.findings] == ["backup-of-another"]
    assert world.service.collection in failure.value.findings[0].measured
