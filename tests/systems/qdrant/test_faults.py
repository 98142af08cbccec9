"""Faults of a collection with their undo."""

import json
import math
from pathlib import Path

import pytest

from drillbook.errors import StepFailed
from drillbook.sdk.action import find
from tests.systems.qdrant.world import ROWS, point, undo


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
