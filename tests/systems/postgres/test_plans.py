"""Plans of statements that a server runs at present."""

import contextlib
import threading

import psycopg
import pytest

from tests.systems.postgres import fixtures
from tests.waiting import until

place, small = fixtures.place, fixtures.small


def test_plans_of_running_statements_are_told_and_nothing_is_run(place, small):
    """Statements of the application's role, with and without parameters, the longest first; a statement that writes
    is not repeated.
    """
    statements = [
        ("SELECT pg_sleep(60), count(*) FROM goods WHERE shelf = %s AND code <> 'secret-word'", (7,)),
        ("INSERT INTO goods SELECT id + 100000, code, 1 FROM goods WHERE code = 'x' OR pg_sleep(0.05) IS NULL", ()),
        ("SELECT pg_sleep(60)" + " " * 2000, ()),
        ("SELECT pg_sleep(60); DROP TABLE goods", ()),
    ]
    busy = [*(small.connect(user="clerk") for _ in statements), small.connect()]

    def work(session, query, values):
        with contextlib.suppress(psycopg.errors.QueryCanceled), session:
            session.execute(query.encode(), values or None)

    threads = [
        threading.Thread(target=work, args=args)
        for args in zip(
            busy, [s[0] for s in statements] + ["SELECT pg_sleep(61)"], [s[1] for s in statements] + [()], strict=True
        )
    ]
    for number, thread in enumerate(threads, 1):
        thread.start()
        until(
            lambda count=number: (
                len(
                    small.sql(
                        "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(%' AND state = 'active' AND pid <> pg_backend_pid()"
                    )
                )
                == count
            )
        )
    try:
        told = place.run("postgres.plans", service="small", longer_than="0s", watch="30s", most=5)
    finally:
        for session in busy:
            session.cancel_safe()
        for thread in threads:
            thread.join(60)
    first, second, third, fourth = told["plans"]
    assert first["scanned"] == [
        {"table": "goods", "rows": 20000, "filter": "((goods.code <> ?::text) AND (goods.shelf = $1))", "reads": 1}
    ]
    assert "secret-word" not in str(told)
    assert (second["why"], second["scanned"][0]["rows"]) == ("", 20000)
    assert "track_activity_query_size" in third["why"]
    assert "multiple commands" in fourth["why"]
    assert small.sql("SELECT count(*) FROM goods") == [(20000,)]
    assert place.run("postgres.plans", service="small", longer_than="0s")["plans"] == []


@pytest.mark.parametrize(
    ("query", "reads"),
    [
        ("SELECT (SELECT count(*) FROM goods o WHERE o.code || '' = g.code) FROM goods g ORDER BY id LIMIT 500", 500),
        (
            "SELECT count(*) FROM goods g WHERE code || '' NOT IN (SELECT code || 'y' FROM goods WHERE shelf = 1) AND pg_sleep(1) IS NOT NULL",
            1,
        ),
        ("SELECT pg_sleep(5), (SELECT count(*) FROM goods WHERE shelf = 1)", 1),
    ],
)
def test_a_plan_tells_how_often_a_table_is_read_in_one_run(place, small, query, reads):
    """On a machine of any speed: no statement has to end before it counts."""
    session = small.connect(user="clerk")

    def work():
        with contextlib.suppress(psycopg.errors.QueryCanceled), session:
            session.execute(query.encode())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        told = place.run("postgres.plans", service="small", longer_than="100ms", watch="20s")
    finally:
        session.cancel_safe()
        thread.join(60)
    assert [one["table"] for one in told["plans"][0]["scanned"]] == ["goods"]
    assert told["plans"][0]["scanned"][0]["reads"] == reads
