"""The Qdrant actions with a server (the lab's stand-in, or DRILLBOOK_QDRANT_URL), PostgreSQL and a store."""

import contextlib
import hashlib
import json
import math
import random
from pathlib import Path

import pytest

pytest.importorskip("qdrant_client", reason="the extra `qdrant` is not installed")

from qdrant_client import models

from drillbook.engine.provenance import Provenance
from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.sdk.action import find
from drillbook.values import Secret
from tests.needs import missing
from tests.ports import free_ports
from tests.systems.postgres.site import BUCKET, secret, site
from tests.systems.qdrant import server
from tests.systems.refusals import refused_until

ROWS = 60
QUERY = "SELECT id FROM chunks WHERE indexed"
SOURCE = """SELECT id, (SELECT array_agg(get_byte(sha256(convert_to(content, 'UTF8')), i) / 255.0 - 0.5 ORDER BY i)
FROM generate_series(0, 15) AS i), jsonb_build_object('text', content) FROM chunks"""
UUIDS = ["3f2504e0-4f89-11d3-9a0c-0305e82c3301", "936da01f-9abd-4d9d-80c7-02af85c822a8"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stack")
    with site(folder / "site") as place, server.serving(folder) as url:
        rows = place.place("rows", database="postgres")
        rows.create()
        rows.start()
        rows.sql(
            "CREATE ROLE clerk LOGIN PASSWORD 'hidden-user-word'",
            "CREATE TABLE chunks (id bigint PRIMARY KEY, content text NOT NULL, indexed boolean NOT NULL DEFAULT true)",
            "GRANT SELECT ON chunks TO clerk",
        )
        yield place, url, rows


def vector(number):
    chance = random.Random(number)
    return [chance.uniform(-1, 1) for _ in range(server.SIZE)]


def point(number, **payload):
    return models.PointStruct(id=number, vector=vector(str(number)), payload={"text": f"text of {number}", **payload})


@pytest.fixture
def world(stack):
    """Sixty rows, their vectors, and everything that the actions of a test share."""
    place, url, rows = stack
    rows.sql("TRUNCATE chunks", f"INSERT INTO chunks SELECT i, 'text of ' || i FROM generate_series(1, {ROWS}) AS i")
    with server.collection(url, [point(number) for number in range(1, ROWS + 1)]) as service:
        yield World(place, url, rows, service)


class World:
    def __init__(self, place, url, rows, service):
        self.place, self.url, self.rows, self.service = place, url, rows, service
        self.run_id = f"run-{service.collection[-12:]}"

    def ctx(self, **changes):
        ctx = self.place.context(run=self.run_id, step=changes.pop("step", "inject.1"))
        ctx.services["vectors"] = self.service.model_copy(update=changes)
        return ctx

    def run(self, name, *, ctx=None, **fields):
        return self.place.run(name, ctx=ctx or self.ctx(), service="vectors", **fields)

    def snapshot(self):
        return self.run("qdrant.snapshot", to=f"s3://{BUCKET}/{self.service.collection}")

    def against(self, name, **fields):
        return self.run(name, database="rows", query=QUERY, **fields)

    @contextlib.contextmanager
    def client(self):
        """Official Qdrant client, and the collection's name."""
        own = server.client(self.url)
        yield own, self.service.collection
        own.close()

    def put(self, *points):
        with self.client() as (own, name):
            own.upsert(name, points=list(points), wait=True)

    def delete(self, *ids):
        with self.client() as (own, name):
            own.delete(name, points_selector=list(ids), wait=True)

    def get(self, number):
        with self.client() as (own, name):
            found = own.retrieve(name, ids=[number], with_vectors=True, with_payload=True)
        return found[0] if found else None


def codes(failure):
    return [(one.code, one.title.rpartition(" ")[2]) for one in failure.value.findings]


def undo(ctx, action):
    put_back = action.undo(ctx)
    return find(put_back.action).model_validate(json.loads(json.dumps(put_back.params))).run(ctx)


def test_counting_and_comparing_ids_both_ways(world):
    assert world.run("qdrant.count")["points"] == ROWS
    facts = world.against("qdrant.ids", equal=True)
    assert (facts["rows"], facts["points"], facts["missing"], facts["strays"]) == (ROWS, ROWS, 0, 0)
    world.delete(3, 40)
    world.put(point(1000), point(UUIDS[0]))
    facts = world.against("qdrant.ids")
    assert (facts["missing"], facts["missing_ids"], facts["strays"], facts["stray_ids"]) == (
        2,
        ["3", "40"],
        2,
        ["1000", UUIDS[0]],
    )
    with pytest.raises(StepFailed) as failure:
        world.against("qdrant.ids", equal=True)
    assert codes(failure) == [
        ("vector-missing", "3"),
        ("vector-missing", "40"),
        ("vector-unexpected", "1000"),
        ("vector-unexpected", UUIDS[0]),
    ]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT id FROM chunks WHERE false", "returned no id"),
        ("SELECT id, id FROM chunks", "2 columns"),
        ("SELECT 'x' FROM chunks", "values that are not ids"),
        ("SELECT id FROM nothing", "the query on rows failed"),
        ("DELETE FROM chunks RETURNING id", "the query on rows failed"),
        ("CREATE TABLE mine (a int)", "the query on rows failed"),
    ],
)
def test_a_query_that_gives_no_ids_verifies_nothing(world, query, said):
    with pytest.raises(CouldNotVerify, match=said):
        world.run("qdrant.ids", database="rows", query=query)
    assert world.rows.sql("SELECT count(*) FROM chunks") == [(ROWS,)]


def test_a_snapshot_is_whole_matches_and_never_overwrites(world):
    facts = world.snapshot()
    assert (facts["points"], facts["files"]) == (ROWS, 1)
    assert world.run("qdrant.backup_intact", **{"from": facts["location"]})["points"] == ROWS
    assert world.run("qdrant.matches", manifest=facts["manifest"])["digest"] == facts["digest"]
    with pytest.raises(StepFailed, match="never overwrites"):
        world.snapshot()


def test_matches_names_what_is_missing_other_and_too_much(world):
    facts = world.snapshot()
    world.delete(7)
    world.put(
        point(8, text="another text"), models.PointStruct(id=9, vector=vector("other"), payload=point(9).payload), point(77)
    )
    with pytest.raises(StepFailed) as failure:
        world.run("qdrant.matches", manifest=facts["manifest"])
    assert codes(failure) == [
        ("vector-missing", "7"),
        ("vector-content", "8"),
        ("vector-content", "9"),
        ("vector-unexpected", "77"),
    ]


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
    assert "clients wrote" in facts["snapshot_left_out"]
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


def test_nothing_is_no_backup(world):
    world.delete(*range(1, ROWS + 1))
    with pytest.raises(StepFailed, match="contains no points"):
        world.snapshot()
    assert world.place.keys(world.service.collection) == []


def test_deleted_points_come_back_by_the_undo_and_only_those(world):
    before = {number: world.get(number) for number in (1, 2, 3)}
    ctx, action = world.ctx(), world.place.action("qdrant.delete_points", service="vectors", count=3)
    action.ready(ctx)
    assert action.active(ctx) is None
    undo(ctx, action)
    assert action.active(ctx) is False
    assert action.run(ctx) == {"deleted": 3, "skipped": 0, "ids": ["1", "2", "3"]}
    again = type(action).model_validate(json.loads(action.model_dump_json()))
    assert again.active(ctx) is True, "also seen by a recovery, which has only the parameters"
    world.put(point(2, text="a client wrote this"))
    assert undo(ctx, again) == {"written": 2, "there": 1}
    assert again.active(ctx) is False
    assert world.get(2).payload["text"] == "a client wrote this"
    assert [world.get(n) == before[n] for n in (1, 3)] == [True, True]
    assert undo(ctx, again) == {"written": 0, "there": 3}
    assert world.run("qdrant.count")["points"] == ROWS


def test_points_that_changed_since_they_were_chosen_are_not_deleted(world):
    ctx, action = world.ctx(), world.place.action("qdrant.delete_points", service="vectors", ids=[4, 5])
    action.undo(ctx)
    world.put(point(5, text="newer"))
    assert action.run(ctx)["deleted"] == 1
    assert world.get(5).payload["text"] == "newer"
    with pytest.raises(StepFailed, match="the point to delete, 4"):
        world.place.action("qdrant.delete_points", service="vectors", ids=[4]).undo(ctx)


def test_a_record_that_was_changed_brings_nothing_back(world):
    ctx, action = world.ctx(), world.place.action("qdrant.delete_points", service="vectors", count=2)
    back = action.undo(ctx)
    action.run(ctx)
    file = Path(ctx.folder, "evidence", back.params["record"])
    file.write_bytes(file.read_bytes().replace(b"text of 1", b"text of X"))
    with pytest.raises(StepFailed, match="restore the collection"):
        find(back.action).model_validate(back.params).run(ctx)
    assert world.run("qdrant.count")["points"] == ROWS - 2


def test_points_that_hold_a_secret_are_not_deleted(world):
    from drillbook.redact import Redactor

    world.put(point(1, text="the password is hunter2hunter2"))
    ctx = world.ctx()
    import dataclasses

    ctx = dataclasses.replace(ctx, redactor=Redactor(["hunter2hunter2"]))
    with pytest.raises(StepFailed, match="contains a secret"):
        world.place.action("qdrant.delete_points", service="vectors", count=2).undo(ctx)
    assert world.place.action("qdrant.delete_points", service="vectors", count=2).active(ctx) is None


def test_strays_are_like_real_points_and_the_undo_takes_only_them(world):
    ctx, action = world.ctx(), world.place.action("qdrant.add_strays", service="vectors", count=100)
    action.ready(ctx)
    assert action.active(ctx) is False
    assert undo(ctx, action) == {"removed": 0}
    facts = action.run(ctx)
    assert action.run(ctx)["ids"] == facts["ids"], "twice is once"
    assert (facts["added"], world.run("qdrant.count")["points"]) == (100, ROWS + 100)
    assert all(0 <= int(one) < 2**53 for one in facts["ids"])
    stray = world.get(int(facts["ids"][0]))
    assert stray.payload["text"].startswith("text of ")
    assert math.isclose(sum(x * x for x in stray.vector), 1, abs_tol=1e-5)
    assert action.active(ctx) is True
    assert world.against("qdrant.ids")["strays"] == 100
    world.put(point(int(facts["ids"][0]), text="a client's own"))
    assert undo(ctx, action) == {"removed": 99}
    assert action.active(ctx) is False
    with pytest.raises(StepFailed, match="not written by this run"):
        action.run(ctx)
    other = world.place.action("qdrant.add_strays", service="vectors", count=3)
    assert set(other.run(world.ctx(step="inject.2"))["ids"]).isdisjoint(facts["ids"])


def test_reconcile_brings_what_is_missing_and_deletes_what_is_too_much(world):
    snapshot = world.snapshot()
    world.rows.sql("INSERT INTO chunks VALUES (61, 'written after the snapshot')", "DELETE FROM chunks WHERE id = 60")
    world.delete(1, 2, 3)
    world.put(point(5000), point(UUIDS[0]))
    facts = world.against("qdrant.reconcile", source=SOURCE, **{"from": snapshot["location"]})
    assert {key: facts[key] for key in ("missing", "strays", "from_backup", "from_source", "deleted", "left", "points")} == {
        "missing": 4,
        "strays": 3,
        "from_backup": 3,
        "from_source": 1,
        "deleted": 3,
        "left": 0,
        "points": ROWS,
    }
    kept = Path(world.ctx().folder, facts["evidence"]["file"]).read_text().splitlines()
    assert [json.loads(line)["id"] for line in kept[1:]] == [60, 5000, UUIDS[0]]
    assert world.against("qdrant.ids", equal=True)["points"] == ROWS
    again = world.against("qdrant.reconcile", source=SOURCE, **{"from": snapshot["location"]})
    assert (again["from_backup"], again["from_source"], again["deleted"]) == (0, 0, 0)


def test_after_reconcile_every_point_is_as_in_the_snapshot(world):
    snapshot = world.snapshot()
    world.delete(*range(1, 30))
    world.put(point(5000))
    assert world.against("qdrant.reconcile", **{"from": snapshot["location"]})["from_backup"] == 29
    assert world.run("qdrant.matches", manifest=snapshot["manifest"])["digest"] == snapshot["digest"]


def test_strays_that_hold_a_secret_are_not_deleted(world):
    import dataclasses

    from drillbook.redact import Redactor

    world.put(point(70, text="the password is hunter2hunter2"))
    action = world.place.action("qdrant.reconcile", service="vectors", database="rows", query=QUERY)
    with pytest.raises(StepFailed, match="the 1 points without a row were not deleted: a payload contains a secret"):
        action.run(dataclasses.replace(world.ctx(), redactor=Redactor(["hunter2hunter2"])))
    assert world.get(70)


def test_too_many_strays_are_refused_and_nothing_is_changed(world):
    snapshot = world.snapshot()
    world.rows.sql("UPDATE chunks SET indexed = false WHERE id > 20")
    world.delete(1)
    with pytest.raises(StepFailed, match="nothing was changed") as failure:
        world.against("qdrant.reconcile", max_strays=39, **{"from": snapshot["location"]})
    assert {code for code, _ in codes(failure)} == {"vector-unexpected"}
    world.rows.sql("UPDATE chunks SET id = id + 10000", "UPDATE chunks SET indexed = true")
    with pytest.raises(StepFailed, match="59 of 59 points have no row"):
        world.against("qdrant.reconcile", **{"from": snapshot["location"]})
    assert world.run("qdrant.count")["points"] == ROWS - 1


def test_what_nothing_gives_stays_missing_and_is_told(world):
    world.delete(1, 2)
    with pytest.raises(StepFailed, match="set `from` or `source` to supply") as failure:
        world.against("qdrant.reconcile")
    assert codes(failure) == [("vector-missing", "1"), ("vector-missing", "2")]
    with pytest.raises(StepFailed, match="a row that is not a point"):
        world.against("qdrant.reconcile", source="SELECT id, '1,2', null FROM chunks")


def test_a_stray_whose_row_comes_at_the_last_moment_is_kept(world, monkeypatch):
    from drillbook.systems.qdrant.actions import source_rows

    world.put(point(70), point(71))
    compare = source_rows.difference

    def slow(*args):
        found = compare(*args)
        world.rows.sql("INSERT INTO chunks VALUES (70, 'late') ON CONFLICT DO NOTHING")
        return found

    monkeypatch.setattr(source_rows, "difference", slow)
    facts = world.against("qdrant.reconcile")
    assert (facts["strays"], facts["deleted"], facts["left"]) == (2, 1, 0)
    assert world.get(70)
    assert not world.get(71)


def test_a_database_with_a_wrong_password_is_told_before(world):
    compare = world.place.action("qdrant.ids", service="vectors", database="rows", query=QUERY)
    ctx = world.ctx()
    rows = ctx.services["rows"]
    ctx.services["rows"] = rows.model_copy(update={"password": secret("no", "TEST_WRONG")})
    said = "the query on rows failed: .*password authentication failed"
    refused_until(lambda: compare.ready(ctx), said, lambda: ctx.services.update(rows=rows))


def test_a_wrong_key_a_wrong_port_and_a_deaf_server_are_told(world):
    count = world.place.action("qdrant.count", service="vectors")
    for changes, said in (({"url": f"http://127.0.0.1:{free_ports(1)[0]}"}, "refused"), ({"collection": "other"}, "other")):
        with pytest.raises(CouldNotVerify, match=said):
            count.run(world.ctx(**changes))
        with pytest.raises(NotReady):
            count.ready(world.ctx(**changes))
    restore = find("qdrant.restore").with_unknown({"service": "vectors"}, {"from"})
    for action in (count, restore):
        urls = [{"url": f"http://127.0.0.1:{free_ports(1)[0]}"}, {}]
        refused_until(
            lambda: action.ready(world.ctx(**urls[0])),  # noqa: B023  runs at once
            r"\[Errno 111\] Connection refused",
            lambda: urls.pop(0),  # noqa: B023
        )
    if not server.given():
        with pytest.raises(CouldNotVerify, match="401") as failure:
            count.run(world.ctx(api_key=secret("wrong-key-here", "TEST_QDRANT_WRONG")))
        assert "wrong-key-here" not in str(failure.value)
    assert isinstance(world.service.api_key, Secret | None)


@pytest.mark.parametrize(
    "name", ["qdrant.snapshot", "qdrant.restore", "qdrant.delete_points", "qdrant.add_strays", "qdrant.reconcile"]
)
def test_a_key_that_may_only_read_is_refused_before_the_fault(world, name):
    if server.given():
        missing("the read-only key of this server is unknown")
    needed = {"qdrant.reconcile": {"database": "rows", "query": QUERY}}.get(name, {})
    action = find(name).with_unknown({"service": "vectors", **needed}, {"to", "from", "count"})
    keys = [secret(server.READ_KEY, "TEST_QDRANT_READER"), world.service.api_key]
    before = world.service.collection
    refused_until(
        lambda: action.ready(world.ctx(api_key=keys[0])),
        r"the API key of vectors may read but not write: .*status 403",
        lambda: keys.pop(0),
    )
    assert world.service.collection == before


def test_the_probe_sees_a_lost_point_a_lost_collection_and_a_dead_server(world):
    from drillbook.systems.qdrant.probes import Available

    wide, narrow = (
        Available.model_validate({"service": "vectors", "timeout": "20s", "every": "1s", **more})
        for more in ({}, {"point": "7"})
    )
    assert (wide.check(world.ctx()), narrow.check(world.ctx())) == (None, None)
    world.delete(7)
    assert wide.check(world.ctx()) is None
    assert narrow.check(world.ctx()).startswith("status 404")
    assert wide.check(world.ctx(collection="other")).startswith("status 404")
    assert "refused" in wide.check(world.ctx(url=f"http://127.0.0.1:{free_ports(1)[0]}"))
