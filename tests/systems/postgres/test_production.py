"""Restored copy compared with the running database: ranges of keys, tables without changes, numbers of rows."""

from dataclasses import replace

import pytest

from drillbook.errors import CouldNotVerify, PlanError, StepFailed
from drillbook.sdk.earlier_results import EarlierStep
from drillbook.systems.postgres.service import Postgres
from tests.systems.estate import codes
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import Site

place = fixtures.place
TABLES = (
    "CREATE TABLE orders (id bigint PRIMARY KEY, note text)",
    "INSERT INTO orders SELECT g, md5(g::text) FROM generate_series(1, 10000) AS g",
    "CREATE TABLE countries AS SELECT g AS id, md5(g::text) AS name FROM generate_series(1, 200) AS g",
    'CREATE TABLE "Odd Events" ("At" timestamptz, payload jsonb) PARTITION BY RANGE ("At")',
    "CREATE TABLE events_1 PARTITION OF \"Odd Events\" FOR VALUES FROM ('2026-01-01Z') TO ('2026-01-02Z')",
    "CREATE TABLE events_2 PARTITION OF \"Odd Events\" FOR VALUES FROM ('2026-01-02Z') TO ('2027-01-01Z')",
    "INSERT INTO \"Odd Events\" SELECT '2026-01-01Z'::timestamptz + g * interval '1 min', '{}' FROM generate_series(1, 4000) AS g",
    "CREATE TABLE tiny AS SELECT 1 AS id",
)
GROWN = (
    "INSERT INTO orders SELECT g, 'new' FROM generate_series(10001, 10500) AS g",
    "INSERT INTO \"Odd Events\" VALUES ('2026-06-01Z', '{}')",
)


@pytest.fixture(scope="module")
def cluster(place: Site):
    made = place.place("production")
    made.create()
    made.start()
    made.sql("CREATE DATABASE shop", database="postgres")
    made.sql(*TABLES)
    made.sql("CREATE DATABASE kept TEMPLATE shop", database="postgres")
    made.sql(*GROWN)
    return made


@pytest.fixture
def copy(place: Site, cluster):
    """Copy from before production grew."""
    cluster.sql("CREATE DATABASE copy TEMPLATE kept", database="postgres")
    place.extra["copy"] = cluster.service.model_copy(update={"name": "copy", "database": "copy"})
    yield lambda *statements: cluster.sql(*statements, database="copy")
    cluster.sql("DROP DATABASE copy WITH (FORCE)", database="postgres")


def compare(place: Site, last: EarlierStep | None = None, **fields):
    action = place.action("postgres.compare", service="copy", against="production", **fields)
    action.ready(place.context())
    return action.run(replace(place.context(), earlier=lambda *which: {("postgres.compare", "copy"): last}[which]))


@pytest.fixture
def reader(place: Site, cluster):
    """Service `reading`: production for a role that may only read, without a data directory, as docs/sandbox.md shows it."""
    known = cluster.service
    cluster.sql(
        f"CREATE ROLE reader LOGIN IN ROLE pg_read_all_data PASSWORD '{known.admin.password.reveal()}'", database="postgres"
    )
    fields = {
        "name": "reading",
        "host": known.host,
        "address": known.address,
        "port": known.port,
        "database": known.database,
    }
    admin = {"user": "reader", "password": known.admin.password}
    place.extra["reading"] = Postgres.model_validate({**fields, "user": "reader", "admin": admin, "managed": True})
    yield cluster
    cluster.sql("DROP ROLE reader", database="postgres")


def test_production_is_compared_by_a_role_that_may_only_read(place, copy, reader):
    action = place.action(
        "postgres.compare", service="copy", against="reading", tables={**GROWING, "countries": {}}, tolerance=0.1
    )
    action.ready(place.context())
    facts = action.run(place.context())
    assert (facts["tables"], facts["rows"]) == (3, 9900 + 3900 + 200)
    assert facts["volume"]["public.countries"] == [200, 200]
    reader.sql("ALTER TABLE countries ENABLE ROW LEVEL SECURITY")
    try:
        with pytest.raises(CouldNotVerify, match="row-level security"):
            action.run(place.context())
        reader.sql("ALTER ROLE reader BYPASSRLS")
        assert action.run(place.context())["rows"] == facts["rows"]
    finally:
        reader.sql("ALTER TABLE countries DISABLE ROW LEVEL SECURITY")


GROWING = {"orders": {"key": "id"}, '"Odd Events"': {"key": "At", "ranges": 3}}


def failed(place: Site, **fields):
    with pytest.raises(StepFailed) as failure:
        compare(place, **fields)
    return failure


def test_a_copy_of_a_database_that_grew_is_equal_as_far_as_it_goes(place, copy):
    facts = compare(place, tables={**GROWING, "countries": {}})
    assert (facts["tables"], facts["rows"]) == (3, 9900 + 3900 + 200)
    assert [part["rows"] for part in facts["ranges"]["public.orders"]] == [1238, 1238, 1238, 1238, 1237, 1237, 1237, 1237]
    assert facts["ranges"]["public.orders"][1]["range"] == "id above 1238, up to 2476"
    assert all(part["equal"] for parts in facts["ranges"].values() for part in parts)
    assert facts["ranges"]["public.countries"] == [{"range": "whole table", "rows": 200, "equal": True}]
    told = facts["not_compared"]
    assert told["public.orders"] == (
        "rows with id above 9900: 100 in the copy, 600 in production; rows without a key: 0 in the copy, 0 in production"
    )
    assert told["public.tiny"] == "the step sets neither `tables` for this table nor `tolerance`"
    assert "public.events_1" in told


@pytest.mark.parametrize(
    ("wrong", "title"),
    [
        ("UPDATE orders SET note = 'x' WHERE id = 3000", "public.orders, id above 2476, up to 3714"),
        ("DELETE FROM orders WHERE id = 4", "public.orders, id up to 1239"),
        ("UPDATE \"Odd Events\" SET payload = '[]' WHERE \"At\" = '2026-01-01 00:07Z'", 'public."Odd Events", At up to '),
        ("UPDATE countries SET name = upper(name) WHERE id = 7", "public.countries"),
    ],
)
def test_a_row_that_differs_is_told_with_its_range(place, copy, wrong, title):
    copy(wrong)
    failure = failed(place, tables={**GROWING, "countries": {}})
    found = failure.value.findings
    assert {one.code for one in found} == {"copy-differs"}
    assert title in found[0].title


def test_rows_that_were_committed_after_the_backup_with_lower_keys_are_in_the_margin(place, copy):
    copy("DELETE FROM orders WHERE id IN (9950, 9990)")
    assert compare(place, tables={"orders": {"key": "id"}})["tables"] == 1
    assert codes(failed(place, tables={"orders": {"key": "id", "margin": 0}})) == ["copy-differs"]


def test_up_to_a_key_of_the_drill(place, copy):
    copy("UPDATE orders SET note = 'x' WHERE id = 3000")
    facts = compare(place, tables={"orders": {"key": "id", "up_to": 2500, "ranges": 2}})
    assert [part["range"] for part in facts["ranges"]["public.orders"]] == ["id up to 1250", "id above 1250, up to 2500"]


def test_nothing_is_equal_that_was_not_compared(place, copy):
    with pytest.raises(CouldNotVerify, match=r"no row of public\.tiny could be compared"):
        compare(place, tables={"tiny": {"key": "id"}, **GROWING})
    assert compare(place, tables={"tiny": {"key": "id", "margin": 0}})["rows"] == 1
    with pytest.raises(CouldNotVerify, match="no_such_column"):
        compare(place, tables={"orders": {"key": "no_such_column"}})
    copy("CREATE TABLE only_here AS SELECT 1 AS id")
    with pytest.raises(CouldNotVerify, match="production has no such table"):
        compare(place, tables={"only_here": {}})


def test_a_table_that_the_copy_lacks(place, copy):
    copy("DROP TABLE orders")
    assert codes(failed(place, tables=GROWING)) == ["table-missing"]
    assert codes(failed(place, tolerance=1.0)) == ["table-missing"]
    assert codes(failed(place, tables=GROWING, tolerance=1.0)) == ["table-missing"]


def test_the_number_of_rows_within_a_tolerance(place, copy):
    facts = compare(place, tolerance=0.05)
    assert facts["volume"]["public.orders"] == [10000, 10500]
    assert facts["not_compared"]["public.countries"] == "only the number of rows in the table was compared"
    failure = failed(place, tolerance=0.01)
    assert codes(failure) == ["copy-volume"]
    assert failure.value.findings[0].measured == "10000 rows"
    copy("TRUNCATE countries")
    assert codes(failed(place, tolerance=0.05)) == ["copy-volume"]


def test_the_number_of_rows_beside_the_last_run(place, copy):
    """Production lost the same rows, so that only the last rehearsal shows this."""
    rows = {"public.orders": [11000, 11200], "public.countries": [200, 200], "public.old": [7, 7]}
    last = EarlierStep("20260101T000000.000Z-rehearse-0000", "2026-01-01T00:00:00+00:00", {"volume": rows})
    facts = compare(place, last=last, history=0.2)
    assert facts["history"] | {"new": None} == {
        "run": last.run, "started": last.started, "tables": 2, "new": None, "gone": ["public.old"]
    }  # fmt: skip
    assert "public.tiny" in facts["history"]["new"]
    copy("DELETE FROM countries WHERE id > 150")
    failure = failed(place, last=last, history=0.2)
    assert codes(failure) == ["copy-volume"]
    assert failure.value.findings[0].title.endswith(": public.countries")
    assert failure.value.findings[0].measured == "150 rows"
    assert last.run in failure.value.findings[0].wanted
    assert (
        failed(place, last=last, history=0.2, tolerance=0.1).value.findings[0].wanted.startswith("200 rows as in production")
    )


def test_the_first_run_has_no_history(place, copy):
    assert "no earlier run" in compare(place, history=0.0)["history"]["not_compared"]


def test_a_database_is_not_compared_with_itself_and_something_is(place, copy):
    with pytest.raises(PlanError, match="would be compared with itself"):
        place.action("postgres.compare", service="copy", against="copy", tolerance=1).ready(place.context())
    with pytest.raises(PlanError, match="set `tables`, `tolerance` for the number"):
        compare(place)
