"""Repair of a collection from its source rows in PostgreSQL."""

import json
from pathlib import Path

import pytest

from drillbook.errors import StepFailed
from tests.systems.qdrant.world import QUERY, ROWS, SOURCE, UUIDS, codes, point


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
