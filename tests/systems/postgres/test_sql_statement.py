"""One SQL statement: it reads, and writes only when the step says so."""

import json
import time

import pytest

from drillbook.errors import PlanError, StepFailed
from drillbook.sdk.action import Effect
from tests.systems.postgres import fixtures

place, primary = fixtures.place, fixtures.primary


def test_sql_reads_and_gives_json(place, primary):
    facts = place.run(
        "postgres.sql",
        service="primary",
        query="SELECT id, n, f, e, arr, jb, iv, b FROM types ORDER BY id LIMIT 4",
        **{"as": "admin"},
    )
    assert facts["columns"] == ["id", "n", "f", "e", "arr", "jb", "iv", "b"]
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["value"] == 1
    assert facts["rowcount"] == 4
    big = place.run("postgres.sql", service="primary", query="SELECT generate_series(1, 1500)")
    assert (len(big["rows"]), big["rowcount"], big["truncated"]) == (1000, 1500, True)


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM orders",
        "COMMIT; DELETE FROM orders",
        "SELECT nextval('orders_id_seq')",
        "WITH x AS (DELETE FROM orders RETURNING 1) SELECT * FROM x",
        "SET transaction_read_only = off",
    ],
)
def test_sql_cannot_write_unless_it_says_so(place, primary, query):
    before = primary.sql("SELECT count(*), (SELECT last_value FROM orders_id_seq) FROM orders")
    action = place.action("postgres.sql", service="primary", query=query, **{"as": "admin"})
    assert action.effect is Effect.READ
    if not query.startswith("SET"):
        with pytest.raises(StepFailed):
            action.run(place.context())
    assert primary.sql("SELECT count(*), (SELECT last_value FROM orders_id_seq) FROM orders") == before


def test_sql_writes_and_is_undone(place, primary):
    action = place.action(
        "postgres.sql",
        service="primary",
        query="INSERT INTO empty VALUES (5)",
        effect="write",
        undo_query="DELETE FROM empty WHERE a = 5",
        **{"as": "admin"},
    )
    assert action.effect is Effect.WRITE
    facts = action.run(place.context())
    assert (facts["rowcount"], facts["effect"]) == (1, "write")
    with pytest.raises(StepFailed) as caught:
        action.model_copy(update={"query": "INSERT INTO missing VALUES (5)"}).run(place.context())
    assert caught.value.facts == {"effect": "write"}, "a failure that the drill allows may have changed data"
    assert primary.sql("SELECT a FROM empty") == [(5,)]
    undo = action.undo(place.context())
    for _ in range(2):
        place.run(undo.action, **undo.params)
    assert primary.sql("SELECT a FROM empty") == []
    with pytest.raises(PlanError):
        place.action("postgres.sql", service="primary", query="SELECT 1", undo_query="SELECT 1").ready(place.context())


def test_a_query_ends_with_the_deadline(place, primary):
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        place.run("postgres.sql", ctx=place.context(seconds=1), service="primary", query="SELECT pg_sleep(300)")
    assert time.monotonic() - begun < 300, "before the query ends by itself"
