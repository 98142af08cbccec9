"""One table is dropped or emptied, with real servers and a real store."""

import pytest

from drillbook.errors import NotReady, StepFailed
from drillbook.systems.postgres.tables import Name
from tests.systems.estate import codes
from tests.systems.postgres import fixtures, one_table
from tests.systems.postgres.one_table import WAITS, restore, rival
from tests.systems.refusals import refused_until

place, primary, backup = fixtures.place, fixtures.primary, one_table.backup


def test_what_a_drop_says(place, primary, backup):
    facts = place.run("postgres.drop_table", service="primary", table="public.orders")
    assert (facts["table"], facts["rows"]) == ("public.orders", 500)
    assert facts["bytes"] > 8192
    assert sorted(facts["cascaded"]) == ["constraint lines_order_id_fkey on table lines", "view totals"]
    brought = restore(place, backup, "public.orders")
    assert brought["rows"] == 500
    assert facts["removed_data"] == brought["restored_data"] == {"rows of public.orders in primary": 500}
    assert {"public orders", "public totals", "public orders_id_seq"} <= set(brought["relations"])
    assert primary.sql("INSERT INTO orders (item) VALUES ('new') RETURNING id") == [(501,)], "the sequence is where it was"
    primary.sql("DELETE FROM orders WHERE id = 501")


def test_deleted_rows(place, primary, backup):
    ctx = place.context(step="inject.7")
    delete = place.action("postgres.delete_rows", service="primary", table="lines", where="order_id <= 100 -- the first")
    delete.ready(ctx)
    assert delete.active(ctx) is False
    counted = {"rows of public.lines in primary where order_id <= 100 -- the first": 100}
    assert delete.run(ctx) == {"table": "public.lines", "removed_data": counted, "rows": 100, "left": 200}
    assert delete.active(ctx) is True
    assert delete.undo(ctx).kind == "restore"
    restore(place, backup, "lines", replace=True)
    assert delete.active(ctx) is False
    other = place.action("postgres.delete_rows", service="primary", table="lines", where="order_id < 0")
    with pytest.raises(NotReady, match=r"primary: no row of public\.lines matches `where`"):
        other.ready(ctx)
    with pytest.raises(StepFailed, match="nothing was deleted"):
        other.run(place.context(step="inject.8"))
    assert other.active(place.context(step="inject.8")) is False, "nothing was deleted, so nothing is active"


def test_deleted_rows_are_known_as_deleted_whatever_a_client_writes_since(place, primary, backup):
    ctx = place.context(step="inject.71")
    delete = place.action("postgres.delete_rows", service="primary", table="lines", where="order_id <= 100")
    assert delete.untouched(ctx) is True
    delete.run(ctx)
    primary.sql("INSERT INTO lines VALUES (7, 7)")
    assert delete.active(ctx) is False
    assert delete.untouched(ctx) is False
    restore(place, backup, "lines", replace=True)


def test_a_dropped_table_is_known_as_dropped_although_a_program_made_it_anew(place, primary, backup):
    ctx = place.context(step="inject.72")
    drop = place.action("postgres.drop_table", service="primary", table="lines")
    assert drop.untouched(ctx) is True
    drop.run(ctx)
    assert drop.untouched(ctx) is False
    primary.sql("CREATE TABLE lines (order_id int, n int)")
    assert drop.active(ctx) is False
    assert drop.untouched(ctx) is False
    restore(place, backup, "lines", replace=True)


@pytest.mark.parametrize(("name", "fields"), [("delete_rows", {"where": "order_id <= 100"}), ("drop_table", {})])
def test_a_commit_that_the_server_refused_has_touched_nothing(place, primary, backup, name, fields):
    """A failing deferred trigger is the last obstacle before a commit."""
    primary.sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''never''; END'",
        "CREATE TABLE kept (n int REFERENCES orders ON DELETE CASCADE); INSERT INTO kept VALUES (1)",
        "CREATE CONSTRAINT TRIGGER refused AFTER DELETE ON lines DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION refuse()",
        "CREATE FUNCTION stir() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM kept; END'",
        "CREATE CONSTRAINT TRIGGER refused AFTER DELETE ON kept DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION refuse()",
        "CREATE EVENT TRIGGER stirred ON sql_drop WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION stir()",
    )
    ctx = place.context(step=f"inject.73{name}")
    action = place.action(f"postgres.{name}", service="primary", table="lines", **fields)
    try:
        with pytest.raises(StepFailed, match="never"):
            action.run(ctx)
        assert len(list((ctx.folder / "evidence").glob(f"{ctx.step}.*"))) == 1, "it came as far as the commit"
        assert action.untouched(ctx) is True
        assert primary.sql("SELECT count(*) FROM lines") == [(300,)]
    finally:
        primary.sql(
            "DROP EVENT TRIGGER stirred",
            "DROP TABLE kept",
            "DROP FUNCTION stir",
            "DROP TRIGGER refused ON lines",
            "DROP FUNCTION refuse",
        )


@pytest.mark.parametrize("where", ["", "  \n"])
def test_a_delete_needs_a_condition(place, where):
    with pytest.raises(ValueError, match="every row would be deleted"):
        place.action("postgres.delete_rows", service="primary", table="lines", where=where)


@pytest.mark.parametrize("where", ["true); DROP TABLE lines; SELECT (1", "nonsense = 1"])
def test_a_condition_is_one_condition(place, primary, backup, where):
    delete = place.action("postgres.delete_rows", service="primary", table="lines", where=where)
    deletes = [delete, place.action("postgres.delete_rows", service="primary", table="lines", where="n = 1")]
    said = "the condition `where` cannot be evaluated on public.lines: "
    refused_until(lambda: deletes[0].ready(place.context()), said, lambda: deletes.pop(0))
    with pytest.raises(StepFailed):
        delete.run(place.context(step="inject.9"))
    assert primary.sql("SELECT count(*) FROM lines") == [(300,)]


def test_tables_that_nobody_knows(place, primary, backup):
    with pytest.raises(NotReady, match=r"no table public\.nosuch"):
        place.action("postgres.drop_table", service="primary", table="nosuch").ready(place.context())
    place.action("postgres.drop_table", service="primary", table="lines").ready(place.context())
    for call in (
        lambda: restore(place, backup, "nosuch"),
        lambda: place.run("postgres.matches", service="primary", manifest=backup["manifest"], tables=["nosuch"]),
    ):
        with pytest.raises(StepFailed) as failure:
            call()
        assert codes(failure) == ["backup-missing"]
    with pytest.raises(ValueError, match="not the name of a table"):
        place.action("postgres.drop_table", service="primary", table="a; DROP TABLE b")
    with pytest.raises(ValueError, match="needs a reason"):
        place.action("postgres.matches", service="primary", manifest=backup["manifest"], ignore={"log": " "})


@pytest.mark.parametrize(
    ("text", "name"),
    [("orders", Name("public", "orders")), ('Sales."A b"', Name("sales", "A b")), ('"a""b"."c.d"', Name('a"b', "c.d"))],
)
def test_names(text, name):
    assert Name.parse(text) == name
    assert Name.parse(name.quoted) == name


def test_a_drop_that_loses_a_deadlock_is_done_again(place, primary, backup):
    ctx = place.context(step="inject.74")
    drop = place.action("postgres.drop_table", service="primary", table="orders")
    with rival(primary, "LOCK TABLE lines IN ACCESS SHARE MODE", "LOCK TABLE orders IN ACCESS SHARE MODE", WAITS):
        facts = drop.run(ctx)
    assert facts["deadlocks"] == 1
    assert sorted(facts["cascaded"]) == ["constraint lines_order_id_fkey on table lines", "view totals"]
    assert drop.active(ctx) is True
    assert drop.untouched(ctx) is False
    restore(place, backup, "orders")


def test_a_deletion_that_loses_a_deadlock_is_done_again(place, primary, backup):
    """The other session has locked the last row, and requests the first one while the deletion waits for the last."""
    primary.sql("CREATE TABLE in_order AS SELECT n FROM generate_series(1, 10) AS n")
    ctx = place.context(step="inject.75")
    delete = place.action("postgres.delete_rows", service="primary", table="in_order", where="n > 0")
    try:
        with rival(
            primary, "SELECT FROM in_order WHERE n = 10 FOR UPDATE", "SELECT FROM in_order WHERE n = 1 FOR UPDATE", WAITS
        ):
            facts = delete.run(ctx)
        assert (facts["deadlocks"], facts["rows"], facts["left"]) == (1, 10, 0)
        assert delete.active(ctx) is True
        assert delete.untouched(ctx) is False
    finally:
        primary.sql("DROP TABLE in_order")
