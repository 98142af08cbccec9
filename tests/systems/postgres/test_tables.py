"""One table is dropped or emptied, and restored while others write, with real servers and a real store."""

import contextlib
import re
import threading
import time
import uuid
from dataclasses import replace

import psycopg
import pytest

from drillbook.attestation.manifests import ManifestKeys
from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.judge import shortfall
from drillbook.judge.result import StepResult
from drillbook.report import remarks
from drillbook.systems.postgres import content
from drillbook.systems.postgres.tables import Name
from tests.ports import free_port
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import ADMIN_PASSWORD, BUCKET
from tests.systems.refusals import refused_until

place, primary, target = fixtures.place, fixtures.primary, fixtures.target

EXTRA = (
    "COMMENT ON COLUMN orders.item IS 'what'",
    "CREATE VIEW totals AS SELECT t.id, t.i, count(o.id) FROM types t LEFT JOIN orders o ON o.type_id = t.id GROUP BY t.id",
    "GRANT SELECT ON totals TO auditor",
    "COMMENT ON VIEW totals IS 'counted'",
    "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TRIGGER stamped BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION stamp()",
    "CREATE INDEX orders_item ON orders (item)",
    "CREATE TABLE lines (order_id int REFERENCES orders ON DELETE CASCADE, n int)",
    "INSERT INTO lines SELECT g, g FROM generate_series(1, 300) AS g",
    "GRANT SELECT, UPDATE (item) ON orders TO auditor",
    "CREATE POLICY mine ON secured USING (a > 1)",
    "ALTER TABLE orders ADD CONSTRAINT named CHECK (item <> '')",
    "CREATE TABLE log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text)",
    "GRANT SELECT, INSERT ON log, lines TO clerk",
    "CREATE TABLE kin (id int PRIMARY KEY); CREATE TABLE heir () INHERITS (kin)",
    "INSERT INTO kin VALUES (1), (2); INSERT INTO heir VALUES (3)",
)


@pytest.fixture(scope="module")
def backup(place, primary):
    primary.sql(*EXTRA)
    return place.run("postgres.dump", service="primary", to=f"s3://{BUCKET}/tables")


STEP = {"id": "restore.1", "action": "postgres.restore_table", "host": "db", "status": "done", "seconds": 1.0}


def digests(place):
    with content.snapshot(place.context(), place.clusters["primary"].service) as snap:
        return {table.name: (table.rows, table.digest) for table in content.tables(snap, content.relations(snap))}


def codes(failure):
    return [one.code for one in failure.value.findings]


def restore(place, backup, table, **options):
    return place.run("postgres.restore_table", service="primary", table=table, **{"from": backup["location"]}, **options)


def test_a_key_of_a_partitioned_table_that_could_not_come_back_refuses_the_restore_before_the_fault(place, primary, backup):
    """Before PostgreSQL 18, such a key cannot be added again while present rows violate it."""
    primary.sql("CREATE TABLE whole (id int PRIMARY KEY)")
    primary.sql("CREATE TABLE shards (p int REFERENCES whole) PARTITION BY LIST (p)")
    action = place.action("postgres.restore_table", service="primary", table="whole", **{"from": backup["location"]})
    [(version,)] = primary.sql("SELECT current_setting('server_version_num')::int")
    if version >= 180000:
        action.ready(place.context())
        primary.sql("DROP TABLE shards")
    else:
        refused_until(
            lambda: action.ready(place.context()),
            "the partitioned table shards has a foreign key to public.whole",
            lambda: primary.sql("DROP TABLE shards"),
        )
    primary.sql("DROP TABLE whole")


def test_a_restore_whose_server_does_not_answer_is_refused_before_the_fault(place, primary, backup):
    place.extra["away"] = primary.service.model_copy(update={"name": "away", "port": free_port()})
    action = place.action("postgres.restore_table", service="away", table="types", **{"from": backup["location"]})
    refused_until(
        lambda: action.ready(place.context()),
        "away cannot be queried for the foreign keys that reference types: ",
        lambda: place.extra.update(away=primary.service),
    )
    del place.extra["away"]


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


def test_a_closed_table_is_read_but_not_written_until_it_is_admitted(place, primary, backup):
    place.run("postgres.drop_table", service="primary", table="lines")
    over, seen = threading.Event(), {"written": 0, "refused": 0, "elsewhere": 0}

    def write():
        with primary.connect(user="clerk") as session:
            while not over.is_set():
                try:
                    session.execute("INSERT INTO lines VALUES (1, 0)")
                    seen["written"] += 1
                except psycopg.errors.ReadOnlySqlTransaction:
                    seen["refused"] += 1
                except psycopg.errors.UndefinedTable:
                    pass
                session.execute("INSERT INTO log (note) VALUES ('meanwhile')")
                seen["elsewhere"] += 1
                time.sleep(0.002)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        ctx = place.context(step="restore.1")
        action = place.action(
            "postgres.restore_table", service="primary", table="lines", closed=True, **{"from": backup["location"]}
        )
        undo = action.undo(ctx)
        assert action.run(ctx)["closed"] is True
        assert action.active(ctx) is True
        for _ in range(2):
            place.run("postgres.matches", service="primary", manifest=backup["manifest"], tables=["public.lines"])
        assert (seen["written"], primary.sql("SELECT count(*) FROM lines")) == (0, [(300,)])
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction, match="until its restore is verified"):
            primary.sql("TRUNCATE lines")
        assert action.run(ctx)["compared"] == "the table existed and equals the backup", "safe to run again"
        assert place.run(undo.action, **undo.params) == {"tables": ["public.lines"]}
        until = time.monotonic() + 5
        while not seen["written"] and time.monotonic() < until:
            time.sleep(0.01)
    finally:
        over.set()
        writer.join()
    assert min(seen.values()) > 0, seen
    assert place.run(undo.action, **undo.params) == {"tables": []}
    assert action.active(ctx) is False
    assert primary.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'drillbook'") == [(0,)]
    primary.sql("DELETE FROM lines WHERE n = 0")


def test_what_is_there_is_not_overwritten_unless_asked(place, primary, backup):
    primary.sql("INSERT INTO orders (item) VALUES ('newer')")
    with pytest.raises(StepFailed) as failure:
        restore(place, backup, "orders")
    assert codes(failure) == ["restore-target"]
    assert primary.sql("SELECT count(*) FROM orders WHERE item = 'newer'") == [(1,)]
    assert restore(place, backup, "orders", replace=True)["replaced"] is True
    place.run("postgres.matches", service="primary", manifest=backup["manifest"], tables=["orders", "lines"])


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


# --- a cluster for one run, from the newest backup --------------------------------------------------------------------


def test_the_newest_backup_is_told_by_what_it_says(place, primary, backup):
    """Not by upload time, not a backup of another service, and not an object that only resembles a backup."""
    nightly = place.context(run="20260101T030000.000Z-nightly-dump-0001")
    later = place.run("postgres.dump", ctx=nightly, service="primary", to=f"s3://{BUCKET}/newest/b")
    first = place.s3().get_object(Bucket=BUCKET, Key="tables/manifest.json")["Body"].read()
    place.s3().put_object(Bucket=BUCKET, Key="newest/a/manifest.json", Body=first)
    other = first.replace(b'"service":"primary"', b'"service":"another"').replace(b'"server_time":"2', b'"server_time":"3')
    assert other != first
    place.s3().put_object(Bucket=BUCKET, Key="newest/c/manifest.json", Body=other)
    place.s3().put_object(Bucket=BUCKET, Key="newest/d/manifest.json", Body=b'{"format":"drillbook/postgres-backup/1"}')
    place.s3().put_object(Bucket=BUCKET, Key="newest/e/manifest.json", Body=b"{}")
    found = place.run("postgres.newest_backup", service="primary", store="store", prefix="newest/")
    assert (found["location"], found["manifest"]) == (later["location"], later["manifest"])
    assert (found["count"], found["unreadable"]) == (2, ["newest/d/manifest.json"])
    assert (found["taken_by"], found["routine"]) == ("nightly-dump", False)
    assert 0 <= found["age_s"] < 3600, "the age of the newest, not of the one in the future"
    routine = {"service": "primary", "store": "store", "prefix": "newest/", "taken_by": ["nightly-dump"]}
    with pytest.raises(StepFailed) as failure:
        place.run("postgres.newest_backup", **routine, max_age="1ms")
    assert codes(failure) == ["backup-too-old"]
    with pytest.raises(CouldNotVerify, match="no backup of primary"):
        place.run("postgres.newest_backup", service="primary", store="store", prefix="nothing/")
    none = place.run("postgres.newest_backup", service="primary", store="store", prefix="nothing/", required=False)
    assert none["found"] is False


def test_a_backup_that_a_drill_took_for_itself_is_no_routine_backup(place, primary, backup):
    """It is newer than the last one of the nightly drill, and would hide that this one has stopped."""
    for name in ("nightly-dump", "table-dropped"):
        ctx = place.context(run=f"20260101T030000.000Z-{name}-0001")
        place.run("postgres.dump", ctx=ctx, service="primary", to=f"s3://{BUCKET}/routine/{ctx.run_id}/dpa")
    store = {"service": "primary", "store": "store", "prefix": "routine/"}
    newest = place.run("postgres.newest_backup", **store)
    assert (newest["taken_by"], newest["routine"], newest["count"]) == ("table-dropped", False, 2)
    routine = place.run("postgres.newest_backup", **store, taken_by=["nightly-dump"], max_age="26h")
    assert (routine["taken_by"], routine["routine"], routine["count"]) == ("nightly-dump", True, 1)
    assert routine["snapshot_at"] < newest["snapshot_at"]
    with pytest.raises(
        CouldNotVerify, match="that weekly took; it has backups that other drills took: nightly-dump, table-dr"
    ):
        place.run("postgres.newest_backup", **store, taken_by=["weekly"], max_age="26h")
    assert place.run("postgres.newest_backup", **store, taken_by=["weekly"], required=False)["found"] is False
    with pytest.raises(ValueError, match="`max_age` needs `taken_by`"):
        place.action("postgres.newest_backup", **store, max_age="26h")


def test_the_newest_backup_must_be_vouched_for(place, primary, backup, tmp_path, monkeypatch):
    """A manifest with recomputed digests is the newest one, but has no signature."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    ctx = replace(place.context(), vouchers=ManifestKeys(tmp_path))
    facts = place.run("postgres.dump", ctx=ctx, service="primary", to=f"s3://{BUCKET}/vouched/a")
    assert facts["signed"] is True
    search = {"service": "primary", "store": "store", "prefix": "vouched/"}
    found = place.run("postgres.newest_backup", ctx=ctx, **search)
    assert (found["vouched"], "unvouched" in found) == (True, False)
    body = place.s3().get_object(Bucket=BUCKET, Key="vouched/a/manifest.json")["Body"].read()
    place.s3().put_object(Bucket=BUCKET, Key="vouched/a/manifest.json", Body=body.replace(b'"run":"', b'"run":"another-'))
    with pytest.raises(
        CouldNotVerify, match=r"the newest backup of primary, s3://.*: the signature of the manifest does not match"
    ):
        place.run("postgres.newest_backup", ctx=ctx, **search)
    place.s3().delete_object(Bucket=BUCKET, Key="vouched/a/manifest.json.sig")
    with pytest.raises(CouldNotVerify, match="the manifest is not signed"):
        place.run("postgres.newest_backup", ctx=ctx, **search)
    found = place.run("postgres.newest_backup", ctx=ctx, signed=False, **search)
    assert (found["vouched"], found["unvouched"]) == (False, "the manifest is not signed")
    asked = place.run("postgres.newest_backup", ctx=ctx, required=False, **search)
    assert (asked["vouched"], "unvouched" in asked) == (False, False), "nothing is taken yet"


def test_a_backup_of_tomorrow_is_not_the_newest(place, primary, backup):
    """A backup with a wrong clock would hide that no later one is taken."""
    body = place.s3().get_object(Bucket=BUCKET, Key="tables/manifest.json")["Body"].read()
    ahead = re.sub(rb'"server_time":"[0-9]+', b'"server_time":"2999', body)
    assert ahead != body
    place.s3().put_object(Bucket=BUCKET, Key="ahead/a/manifest.json", Body=ahead)
    place.s3().put_object(Bucket=BUCKET, Key="ahead/b/manifest.json", Body=body)
    with pytest.raises(CouldNotVerify, match=r"is dated 2999.* s in the future: s3://.*/ahead/a"):
        place.run("postgres.newest_backup", service="primary", store="store", prefix="ahead/")


def test_a_cluster_of_one_run_is_removed_by_that_run_alone(place, backup, target):
    name = target.service.name
    ctx = place.context(step="restore.1")
    restore = place.action("postgres.restore", service=name, temporary=True, **{"from": backup["location"]})
    target.data.mkdir()
    theirs = target.data / "theirs"
    theirs.touch()
    said = "is not empty, but a temporary cluster needs an empty folder"
    refused_until(lambda: restore.ready(ctx), said, theirs.unlink)
    target.data.rmdir()
    assert restore.active(ctx) is False
    undo = restore.undo(ctx)
    restore.run(ctx)
    assert restore.active(ctx) is True
    with pytest.raises(NotReady, match="not empty"):
        restore.ready(ctx)
    with pytest.raises(StepFailed) as failure:
        restore.run(place.context(step="restore.1"))
    assert codes(failure) == ["restore-target"]
    target.sql("DELETE FROM lines")
    restore.run(ctx)  # as after a killed controller of this run: its own cluster is created again
    assert target.sql("SELECT count(*) FROM lines") == [(300,)]
    remove = place.action(undo.action, **undo.params)
    with pytest.raises(StepFailed, match="belongs to the other run") as failure:
        remove.run(replace(ctx, run_id="another"))
    assert codes(failure) == ["restore-target"]
    (target.data / "drillbook.temporary").rename(target.data / "kept")
    with pytest.raises(StepFailed, match="not a temporary cluster"):
        remove.run(ctx)
    assert target.sql("SELECT count(*) FROM lines") == [(300,)], "nothing happened to it"
    (target.data / "kept").rename(target.data / "drillbook.temporary")
    assert remove.run(ctx)["removed"] is True
    assert not target.data.exists()
    assert restore.active(ctx) is False
    assert remove.run(ctx) == {"removed": False, "files": 0, "bytes": 0}


def test_nothing_stays_of_a_cluster_of_one_run_whose_server_was_killed(place, backup, target):
    """Its socket and the socket's lock belong to no server any more, and are outside the data directory."""
    ctx = place.context(step="restore.1")
    restore = place.action("postgres.restore", service=target.service.name, temporary=True, **{"from": backup["location"]})
    undo = restore.undo(ctx)
    restore.run(ctx)
    sockets = [target.data.parent / f".s.PGSQL.{target.service.port}{end}" for end in ("", ".lock")]
    assert all(path.exists() for path in sockets)
    target.kill()
    assert all(path.exists() for path in sockets)
    assert place.action(undo.action, **undo.params).run(ctx)["removed"] is True
    assert not target.data.exists()
    assert [path for path in sockets if path.exists()] == []


def test_production_is_never_a_temporary_cluster(place, primary):
    with pytest.raises(StepFailed, match="not a temporary cluster"):
        place.run("postgres.remove_cluster", service="primary")
    assert primary.sql("SELECT 1") == [(1,)]


def back(place, backup, table, where):
    return place.run("postgres.restore_rows", service="primary", table=table, where=where, **{"from": backup["location"]})


def test_deleted_rows_come_back_beside_what_was_written_since(place, primary, backup):
    before = digests(place)["public.orders"]
    place.run("postgres.delete_rows", service="primary", table="orders", where="id BETWEEN 11 AND 30")
    primary.sql(
        "INSERT INTO orders (id, item) VALUES (9001, 'since')",
        "UPDATE orders SET item = 'changed' WHERE id = 40",
        "DELETE FROM orders WHERE id = 50",
    )
    facts = back(place, backup, "orders", "id BETWEEN 11 AND 30")
    assert (facts["restored"], facts["differing"], facts["in_backup"]) == (20, 1, 500)
    assert facts["restored_data"] == {"rows of public.orders in primary where id BETWEEN 11 AND 30": 20}
    assert primary.sql("SELECT item FROM orders WHERE id IN (40, 50, 9001) ORDER BY id") == [("changed",), ("since",)]
    assert back(place, backup, "orders", "true")["restored"] == 1
    primary.sql("DELETE FROM orders WHERE id IN (9001, 40)")
    assert back(place, backup, "orders", "id = 40")["restored"] == 1
    assert digests(place)["public.orders"] == before
    assert primary.sql("SELECT count(*) FROM pg_class WHERE relname LIKE 'drillbook%'") == [(0,)]


def short(*facts):
    """Numbers of removed and of restored rows, when the report of these steps would tell of missing ones."""
    steps = [remarks.Step(f"step.{number}", "any", "done", one) for number, one in enumerate(facts, 1)]
    return [(one.removed, one.restored) for one in shortfall.shortfalls(steps)]


def test_rows_that_a_client_or_an_earlier_attempt_brought_back_are_not_missing(place, primary, backup):
    before = digests(place)["public.orders"]
    where = "id BETWEEN 101 AND 200 OR id = 9100"
    primary.sql("CREATE TABLE saved AS SELECT * FROM orders WHERE id <= 103")
    removed = place.run("postgres.delete_rows", service="primary", table="orders", where=where)
    primary.sql("INSERT INTO orders SELECT * FROM saved WHERE id > 100", "DROP TABLE saved")
    facts = back(place, backup, "orders", where)
    assert (facts["restored"], short(removed, facts)) == (97, []), "a client had written three of them again"
    again = back(place, backup, "orders", where)
    assert (again["restored"], short(removed, again)) == (0, []), "the answer to the first commit was lost"
    assert digests(place)["public.orders"] == before
    restore(place, backup, "lines", replace=True)


def test_rows_newer_than_the_backup_are_missing_until_somebody_enters_them(place, primary, backup):
    where = "id BETWEEN 101 AND 200 OR id IN (9100, 9101)"
    primary.sql("INSERT INTO orders (id, item) VALUES (9100, 'newer'), (9101, 'newer')")
    removed = place.run("postgres.delete_rows", service="primary", table="orders", where=where)
    assert short(removed, back(place, backup, "orders", where)) == [(102, 100)]
    assert short(removed, back(place, backup, "orders", where)) == [(102, 100)], "also of a second attempt"
    assert short(removed, back(place, backup, "orders", "id < 150")) == [], "another condition: nobody knows"
    primary.sql("INSERT INTO orders (id, item) VALUES (9100, 'newer'), (9101, 'newer')")
    assert short(removed, back(place, backup, "orders", where)) == []
    primary.sql("DELETE FROM orders WHERE id > 9000")
    restore(place, backup, "lines", replace=True)


def test_rows_of_a_table_that_others_inherit_from_are_not_counted_as_restored(place, primary, backup):
    """The rows of the tables that inherit come back in steps of their own."""
    removed = place.run("postgres.delete_rows", service="primary", table="kin", where="true")
    assert removed["rows"] == 3
    facts = back(place, backup, "kin", "true")
    assert (facts["restored"], "restored_data" in facts, short(removed, facts)) == (2, False, [])
    primary.sql("INSERT INTO heir VALUES (3)")


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


def test_rows_that_a_trigger_would_change_are_not_brought_back(place, primary, backup):
    before = digests(place)["public.orders"]
    place.run("postgres.delete_rows", service="primary", table="orders", where="id < 4")
    primary.sql(
        "CREATE FUNCTION twist() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.item := ''other''; RETURN NEW; END'",
        "CREATE TRIGGER twisted BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION twist()",
    )
    try:
        with pytest.raises(StepFailed) as failure:
            back(place, backup, "orders", "id < 4")
        assert "a trigger or a rule changes rows" in failure.value.findings[0].measured
        assert primary.sql("SELECT count(*) FROM orders WHERE id < 4") == [(0,)]
    finally:
        primary.sql("DROP FUNCTION twist() CASCADE")
    back(place, backup, "orders", "id < 4")
    assert digests(place)["public.orders"] == before


def test_conditions_that_hold_more_than_a_condition_are_refused(place, backup):
    for where in ("true; DROP TABLE orders", "true \\! id", " "):
        with pytest.raises(ValueError, match="condition"):
            back(place, backup, "orders", where)
    with pytest.raises(StepFailed, match="contains no table"):
        back(place, backup, "nothing", "true")


@contextlib.contextmanager
def rival(primary, first, second, waits):
    """Session that locks ``first``, and ``second`` as soon as another one ``waits``: a deadlock that the other
    session loses. The server ends a deadlock in the session whose `deadlock_timeout` expires.
    """

    def lock():
        with primary.connect() as session, session.transaction(force_rollback=True):
            session.execute("SET LOCAL deadlock_timeout = '1h'")
            session.execute(first)
            locked.set()
            with primary.connect() as onlooker:
                until = time.monotonic() + 30
                while onlooker.execute(waits).fetchone() == (0,) and time.monotonic() < until:
                    time.sleep(0.01)
            session.execute(second)

    locked = threading.Event()
    thread = threading.Thread(target=lock)
    thread.start()
    try:
        assert locked.wait(30)
        yield
    finally:
        thread.join()


WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted"


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


def test_a_restore_that_loses_a_deadlock_is_done_again(place, primary, backup):
    """The restore drops the existing table, and with it a constraint of another table."""
    with rival(primary, "LOCK TABLE lines IN ACCESS SHARE MODE", "LOCK TABLE orders IN ACCESS SHARE MODE", WAITS):
        facts = restore(place, backup, "orders", replace=True)
    assert facts["rows"] == 500
    assert primary.sql("SELECT count(*) FROM orders") == [(500,)]


def test_rows_whose_restore_loses_a_deadlock_are_brought_back(place, primary, backup):
    """The other session writes the last key, and the first one while the restore waits for the last."""
    primary.sql("DELETE FROM orders WHERE id BETWEEN 301 AND 310")
    row = "INSERT INTO orders (id, item) OVERRIDING SYSTEM VALUE VALUES ({}, 'of a rival')"
    with rival(primary, row.format(310), row.format(301), WAITS):
        facts = back(place, backup, "orders", "id BETWEEN 301 AND 310")
    assert facts["restored"] == 10


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
