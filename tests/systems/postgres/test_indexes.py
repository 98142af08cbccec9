"""Tables that are read as a whole, after a crash too."""

import threading

import pytest

from tests.systems.postgres import fixtures

place, small = fixtures.place, fixtures.small


@pytest.mark.parametrize("known", [True, False])
def test_a_table_that_is_read_as_a_whole_is_found_after_a_crash(place, small, known):
    """A server that crashed forgets how many rows its tables have, and no earlier value may be known, either."""
    table = "goods" if known else "fresh"
    small.sql(
        "DROP TABLE IF EXISTS fresh",
        "CREATE TABLE fresh (id int, code text) WITH (autovacuum_enabled = off)",
        "INSERT INTO fresh SELECT g, md5(g::text) FROM generate_series(1, 20000) AS g",
    )
    small.kill()
    small.start()
    reading = f"SELECT count(*) FROM {table} WHERE code || '' = 'x'"
    over = threading.Event()
    reads = threading.Thread(target=lambda: [small.sql(reading) for _ in iter(over.is_set, True)])
    reads.start()
    try:
        found = place.run("postgres.indexes", service="small", watch="8s")
    finally:
        over.set()
        reads.join()
    assert [one["table"] for one in found["heavy"]] == [table]
    assert 19_000 <= found["heavy"][0]["live_rows"] <= 21_000
