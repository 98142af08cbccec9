"""One table restored in one transaction while others write, with its rows compared before anybody sees them."""

import uuid

import psycopg
import pytest

from drillbook.errors import StepFailed
from drillbook.judge import shortfall
from drillbook.judge.result import StepResult
from tests.systems.estate import codes
from tests.systems.postgres import fixtures, one_table
from tests.systems.postgres.one_table import STEP, WAITS, digests, restore, rival, short
from tests.systems.postgres.site import ADMIN_PASSWORD

place, primary, backup = fixtures.place, fixtures.primary, one_table.backup


@pytest.mark.parametrize("table", ["types", "parent", "parts_1", "secured", '"Odd Schema"."Table ""x"".%s"'])
def test_a_dropped_table_comes_back_with_all_that_went_along(place, primary, backup, table):
    """Everything that CASCADE removed is restored, including grants and comments; other tables keep later writes."""
    primary.sql(f"INSERT INTO log (note) VALUES ('after the backup {uuid.uuid4()}')")
    before = digests(place)
    ctx = place.context(step="inject.1")
    drop = place.action("postgres.drop_table", service="primary", table=table)
    drop.ready(ctx)
    assert drop.active(ctx) is False
    assert drop.undo(ctx).kind == "restore"
    removed = drop.run(ctx)["removed_data"]
    assert drop.active(ctx) is True
    with pytest.raises(StepFailed) as failure:
        place.run("postgres.matches", service="primary", manifest=backup["manifest"], tables=[table])
    assert {"table-missing", "schema-differs"} <= set(codes(failure))
    facts = restore(place, backup, table)
    assert drop.active(ctx) is False
    assert facts["restored_data"] == removed, "with the rows of the tables that inherit from it"
    assert digests(place) == before
    assert facts["compared"] == "the rows were checked in the transaction that restored the table"
    place.run("postgres.matches", service="primary", manifest=backup["manifest"], ignore={"log": "written since"})


def test_content_that_differs_is_never_seen(place, primary, backup, monkeypatch):
    """Manifest and archive of the backup disagree: the transaction is rolled back completely."""
    from drillbook.systems.postgres import single_table

    honest = single_table.SingleRestore._after

    def other(self, restored, names):
        return honest(self, [one.model_copy(update={"digest": "0" * 16}) for one in restored], names)

    monkeypatch.setattr(single_table.SingleRestore, "_after", other)
    place.run("postgres.drop_table", service="primary", table="lines")
    with pytest.raises(StepFailed) as failure:
        restore(place, backup, "lines")
    assert codes(failure) == ["table-content"]
    assert failure.value.findings[0].wanted.startswith("300 rows")
    assert primary.sql("SELECT to_regclass('lines')") == [(None,)]
    monkeypatch.undo()
    restore(place, backup, "lines")


def test_an_error_line_is_a_finding_and_nothing_stays(place, primary, backup):
    """The key of the orders was dropped since the backup, so that their lines cannot reference it."""
    place.run("postgres.drop_table", service="primary", table="lines")
    primary.sql("ALTER TABLE orders DROP CONSTRAINT orders_pkey")
    with pytest.raises(StepFailed) as failure:
        restore(place, backup, "lines")
    assert codes(failure) == ["restore-errors"]
    assert "no unique constraint" in failure.value.findings[0].measured
    assert primary.sql("SELECT to_regclass('lines')") == [(None,)]
    restore(place, backup, "orders", replace=True)
    restore(place, backup, "lines")
    place.run("postgres.matches", service="primary", manifest=backup["manifest"], ignore={"log": "written since"})


@pytest.mark.parametrize(
    ("table", "later", "replace"),
    [
        ("lines", "DELETE FROM orders WHERE id = 7", False),
        (
            "orders",
            "WITH one AS (INSERT INTO orders (item) VALUES ('new') RETURNING id) INSERT INTO lines SELECT id, 0 FROM one",
            True,
        ),
    ],
)
def test_a_table_comes_back_although_rows_violate_its_foreign_key(place, primary, backup, table, later, replace):
    """An order was deleted since the backup, or a line of a new order was written. Only the key is not checked."""
    if not replace:
        place.run("postgres.drop_table", service="primary", table=table)
    primary.sql(later)
    facts = restore(place, backup, table, replace=replace)
    assert facts["broken_references"] == ["lines_order_id_fkey of public.lines"]
    assert facts["compared"] == "the rows were checked in the transaction that restored the table"
    key = "SELECT convalidated FROM pg_constraint WHERE conname = 'lines_order_id_fkey'"
    assert primary.sql(key) == [(False,)]
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        primary.sql("INSERT INTO lines VALUES (-1, 0)")
    (found,) = [one for one in shortfall.findings([StepResult(**STEP, facts=facts)]) if one.code == "references-broken"]
    assert "lines_order_id_fkey of public.lines" in found.measured
    for name in ("orders", "lines"):
        again = restore(place, backup, name, replace=True)
    assert "broken_references" not in again
    assert primary.sql(key) == [(True,)]
    place.run("postgres.matches", service="primary", manifest=backup["manifest"], ignore={"log": "written since"})


def test_two_tables_one_after_another(place, primary, backup):
    """Objects that need both tables are restored together with the second one."""
    for table in ("lines", "orders", "types"):
        place.run("postgres.drop_table", service="primary", table=table)
    for table in ("types", "lines", "orders"):
        restore(place, backup, table)
    place.run("postgres.matches", service="primary", manifest=backup["manifest"], ignore={"log": "written since"})


def test_what_a_replaced_table_is_compared_with(place, primary, backup):
    primary.sql("INSERT INTO lines VALUES (1, 901), (1, 902), (1, 903)")
    deleted = place.run("postgres.delete_rows", service="primary", table="lines", where="n <= 100")
    facts = restore(place, backup, "lines", replace=True)
    assert facts["rows"] == 300
    assert short(deleted, facts) == [], "whether the deleted rows are among these is not known"
    primary.sql("INSERT INTO lines VALUES (1, 901), (1, 902), (1, 903)")
    dropped = place.run("postgres.drop_table", service="primary", table="lines")
    primary.sql("CREATE TABLE lines (order_id int, n int); INSERT INTO lines VALUES (1, 1)")
    facts = restore(place, backup, "lines", replace=True)
    assert short(dropped, facts) == [(303, 300)]
    assert short(deleted, dropped, facts) == [], "removed twice: nobody knows which rows both removed"
    assert short(dropped, facts, facts) == [], "restored twice"


def test_a_restore_that_loses_a_deadlock_is_done_again(place, primary, backup):
    """The restore drops the existing table, and with it a constraint of another table."""
    with rival(primary, "LOCK TABLE lines IN ACCESS SHARE MODE", "LOCK TABLE orders IN ACCESS SHARE MODE", WAITS):
        facts = restore(place, backup, "orders", replace=True)
    assert facts["rows"] == 500
    assert primary.sql("SELECT count(*) FROM orders") == [(500,)]


def test_rows_that_a_restore_replaces_are_counted_and_their_loss_is_a_finding(place, primary, backup):
    facts = restore(place, backup, "log", replace=True)
    kind = "rows of public.log in primary"
    known = facts["restored_data"][kind]
    primary.sql("INSERT INTO log (note) SELECT 'since' FROM generate_series(1, 3)")
    facts = restore(place, backup, "log", replace=True)
    assert (facts["restored_data"], facts["replaced_data"]) == ({kind: known}, {kind: known + 3})
    step = StepResult(**STEP, facts=facts)
    (found,) = shortfall.findings([step])
    assert (found.code, found.wanted) == ("removed-data-missing", f"all {known + 3} {kind}")
    told = f"restore.1 removed {known + 3} {kind} and restored {known}; these 3 are not in the backup, unless the fault"
    assert told in found.measured
    equal = restore(place, backup, "log", replace=True)
    assert equal["replaced_data"] == equal["restored_data"]
    assert shortfall.findings([step.model_copy(update={"facts": equal})]) == []


SLOW = (
    "CREATE EXTENSION IF NOT EXISTS postgres_fdw",
    "CREATE SERVER slow FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '{port}', dbname 'postgres')",
    "CREATE USER MAPPING FOR postgres SERVER slow OPTIONS (user 'postgres', password '{password}')",
    "CREATE FOREIGN TABLE slow_part () INHERITS (log) SERVER slow OPTIONS (table_name 'slow')",
)


def test_a_statement_timeout_does_not_stop_the_count_of_replaced_rows(place, primary, backup):
    """A part of the table is read from a view that takes longer than the database lets a statement run."""
    here = {"port": primary.service.port, "password": ADMIN_PASSWORD}
    ((before,),) = primary.sql("SELECT count(*) FROM log")
    primary.sql("CREATE VIEW slow AS SELECT 1::bigint AS id, ''::text AS note FROM pg_sleep(1.2)", database="postgres")
    primary.sql(*(one.format(**here) for one in SLOW), "ALTER DATABASE shop SET statement_timeout = '1s'")
    try:
        facts = restore(place, backup, "log", replace=True)
    finally:
        primary.sql("ALTER DATABASE shop RESET statement_timeout", "DROP EXTENSION postgres_fdw CASCADE")
        primary.sql("DROP VIEW slow", database="postgres")
    assert [*facts["replaced_data"].values()] == [before + 1]


def test_what_cannot_be_counted_is_replaced_without_a_count(place, primary, backup):
    primary.sql("DROP TABLE log CASCADE")
    facts = restore(place, backup, "log", replace=True)
    assert (facts["replaced"], "replaced_data" in facts) == (True, False), "there was no table"
    primary.sql("INSERT INTO log (note) VALUES ('lost')", "CHECKPOINT")
    ((path,),) = primary.sql("SELECT pg_relation_filepath('log')")
    primary.kill()
    damaged = primary.data / path
    damaged.write_bytes(b"\xff" * damaged.stat().st_size)
    primary.start()
    with pytest.raises(psycopg.Error, match="invalid page"):
        primary.sql("SELECT count(*) FROM log")
    facts = restore(place, backup, "log", replace=True)
    assert ("replaced_data" in facts, facts["compared"]) == (
        False,
        "the rows were checked in the transaction that restored the table",
    )
    assert shortfall.findings([StepResult(**STEP, facts=facts)]) == []
