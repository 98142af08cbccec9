"""Actions that only read a collection, with a server (the lab's stand-in, or DRILLBOOK_QDRANT_URL) and PostgreSQL."""

import pytest

pytest.importorskip("qdrant_client", reason="the extra `qdrant` is not installed")
from qdrant_client import models

from drillbook.errors import StepFailed
from tests.systems.qdrant.world import ROWS, UUIDS, codes, point, vector


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
