"""One server, one PostgreSQL and one store for all tests of this folder."""

import pytest

from tests.systems.postgres.site import site
from tests.systems.qdrant import server


@pytest.fixture(scope="session")
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


@pytest.fixture
def world(stack):
    """Sixty rows, their vectors, and everything that the actions of a test share."""
    from tests.systems.qdrant.world import ROWS, World, point  # needs the extra `qdrant`, and skips the test without it

    place, url, rows = stack
    rows.sql("TRUNCATE chunks", f"INSERT INTO chunks SELECT i, 'text of ' || i FROM generate_series(1, {ROWS}) AS i")
    with server.collection(url, [point(number) for number in range(1, ROWS + 1)]) as service:
        yield World(place, url, rows, service)
