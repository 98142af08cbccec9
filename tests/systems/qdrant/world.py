"""Rows, their vectors, and everything that the Qdrant actions of a test share."""

import contextlib
import json
import random

import pytest

pytest.importorskip("qdrant_client", reason="the extra `qdrant` is not installed")
from qdrant_client import models

from drillbook.sdk.action import find
from tests.systems.postgres.site import BUCKET
from tests.systems.qdrant import server

ROWS = 60
QUERY = "SELECT id FROM chunks WHERE indexed"
SOURCE = """SELECT id, (SELECT array_agg(get_byte(sha256(convert_to(content, 'UTF8')), i) / 255.0 - 0.5 ORDER BY i)
FROM generate_series(0, 15) AS i), jsonb_build_object('text', content) FROM chunks"""
UUIDS = ["3f2504e0-4f89-11d3-9a0c-0305e82c3301", "936da01f-9abd-4d9d-80c7-02af85c822a8"]


def vector(number):
    chance = random.Random(number)
    return [chance.uniform(-1, 1) for _ in range(server.SIZE)]


def point(number, **payload):
    return models.PointStruct(id=number, vector=vector(str(number)), payload={"text": f"text of {number}", **payload})


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
