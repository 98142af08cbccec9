"""Ids of source rows, read from PostgreSQL."""

import pytest

from drillbook.errors import CouldNotVerify
from tests.systems.postgres.site import secret
from tests.systems.qdrant.world import QUERY, ROWS
from tests.systems.refusals import refused_until


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


def test_a_database_with_a_wrong_password_is_told_before(world):
    compare = world.place.action("qdrant.ids", service="vectors", database="rows", query=QUERY)
    ctx = world.ctx()
    rows = ctx.services["rows"]
    ctx.services["rows"] = rows.model_copy(update={"password": secret("no", "TEST_WRONG")})
    said = "the query on rows failed: .*password authentication failed"
    refused_until(lambda: compare.ready(ctx), said, lambda: ctx.services.update(rows=rows))
