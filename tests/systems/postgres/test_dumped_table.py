"""One table comes back from a dump that the team took itself, or nothing changes."""

import gzip
import os
import subprocess
import uuid
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest

from drillbook.errors import NotReady, StepFailed
from drillbook.sdk.backup_source import Backup
from drillbook.systems.postgres import content
from drillbook.systems.postgres.dumped_table import unfit, unfit_here
from drillbook.systems.postgres.source import PgDumpSource
from drillbook.systems.postgres.tables import Name
from drillbook.systems.tar.source import TarSource
from tests.systems.postgres import fixtures, majors
from tests.systems.postgres.dumps import Source, cut, largest
from tests.systems.postgres.test_killed import Dying
from tests.systems.refusals import refused_until

place, primary = fixtures.place, fixtures.primary
ODD = '"Odd Schema"."Table ""x"".%s"'


@pytest.fixture(scope="module")
def dumped(primary, tmp_path_factory):
    primary.sql("CREATE TABLE log (note text)")
    return Source(primary, tmp_path_factory.mktemp("dumps"))


@pytest.fixture
def nightly(place, primary, tmp_path):
    """The backup source, whose folder is empty at first."""
    source = PgDumpSource(
        name="nightly", host="db-1", service="primary", at=str(tmp_path / "nightly"), bin=primary.service.bin
    )
    (tmp_path / "nightly").mkdir()
    place.extra["nightly"] = source
    yield tmp_path / "nightly"
    del place.extra["nightly"]


def digests(place):
    with content.snapshot(place.context(), place.clusters["primary"].service) as snap:
        return {table.name: (table.rows, table.digest) for table in content.tables(snap, content.relations(snap))}


def step(place, table, service="primary"):
    return place.action("postgres.restore_table_from_dump", service=service, table=table, **{"from": "nightly"})


def restore(place, table):
    action, ctx = step(place, table), place.context(step="restore.1")
    action.ready(ctx)
    return action.run(ctx)


def take(dumped, folder, form):
    kind, _, packed = form.partition(".")
    path = folder / "shop.dump"
    if kind == "directory":
        dumped.dump("--format=directory", f"--file={path}")
    else:
        data = dumped.dump(f"--format={kind}")
        path.write_bytes(gzip.compress(data) if packed else data)
    return path


@pytest.mark.parametrize(
    ("table", "form"),
    [("types", "custom"), ("parent", "directory"), ("secured", "tar"), (ODD, "custom.gz"), ("types", "tar.gz")],
)
def test_a_dropped_table_comes_back_from_an_own_dump_with_all_that_went_along(place, primary, dumped, nightly, table, form):
    take(dumped, nightly, form)
    primary.sql(f"INSERT INTO log (note) VALUES ('after the dump {uuid.uuid4()}')")
    before, drop = digests(place), place.action("postgres.drop_table", service="primary", table=table)
    removed = drop.run(place.context(step="inject.1"))["removed_data"]
    assert drop.active(place.context(step="inject.1")) is True
    facts = restore(place, table)
    assert digests(place) == before
    assert facts["restored_data"] == removed
    assert (facts["backup"]["id"], facts["in_place"]) == ("shop.dump", True)
    assert facts["compared"] == "the rows were checked in the transaction that restored the table"
    assert not list((place.folder / "scratch").rglob("*.sql")), "nothing is left on the host"


def test_a_table_that_a_killed_controller_restored_keeps_what_was_written_since(place, primary, dumped, nightly):
    """psql committed, and the controller died before it recorded this. The step runs again."""
    take(dumped, nightly, "custom")
    removed = place.run("postgres.drop_table", service="primary", table="orders")["removed_data"]
    action, ctx = step(place, "orders"), place.context(step="restore.1")
    assert action.run(replace(ctx, host=Dying(target=place.host.target)))["restored_data"] == removed
    primary.sql("DELETE FROM orders WHERE id = 1")
    facts = action.run(ctx)
    assert facts["compared"] == "the rows were checked in the transaction of an earlier attempt of this step"
    assert (facts["rows"], facts["restored_data"]) == (removed["rows of public.orders in primary"] - 1, removed)
    place.host.run(("rm", "-rf", ctx.scratch), deadline=ctx.deadline).check()


def test_a_table_that_exists_is_not_overwritten(place, primary, dumped, nightly):
    take(dumped, nightly, "custom")
    before = digests(place)
    with pytest.raises(StepFailed, match=r"the table public\.types exists; nothing was overwritten") as failure:
        restore(place, "types")
    assert failure.value.findings[0].remedy.startswith("This step never replaces a table."), "it has no field `replace`"
    assert digests(place) == before


@pytest.fixture
def family(primary):
    """Two tables, of which the second references the first."""
    primary.sql(
        "CREATE TABLE par (id int PRIMARY KEY)",
        "CREATE TABLE chi (p int CONSTRAINT of_par REFERENCES par)",
        "COMMENT ON CONSTRAINT of_par ON chi IS 'it''s kept'",
        "INSERT INTO par VALUES (1), (2)",
        "INSERT INTO chi VALUES (1)",
    )
    yield
    primary.sql("DROP TABLE IF EXISTS par, chi CASCADE")


@pytest.mark.parametrize(
    ("table", "later", "rows"),
    [
        ("par", ["INSERT INTO par VALUES (3)", "INSERT INTO chi VALUES (3)"], 2),
        ("chi", ["DELETE FROM chi", "DELETE FROM par WHERE id = 1"], 1),
    ],
)
def test_a_table_comes_back_although_rows_violate_its_foreign_key(
    place, primary, dumped, nightly, family, table, later, rows
):
    take(dumped, nightly, "custom")
    primary.sql(*later)
    place.run("postgres.drop_table", service="primary", table=table)
    assert restore(place, table)["broken_references"] == ["of_par of public.chi"]
    assert primary.sql(f"SELECT count(*) FROM {table}") == [(rows,)]
    kept = "SELECT convalidated, obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE conname = 'of_par'"
    assert primary.sql(kept) == [(False, "it's kept")]
    assert not list((place.folder / "scratch").rglob("*.sql")), "nothing is left on the host"


def test_foreign_keys_that_rows_fulfil_come_back_checked(place, primary, dumped, nightly, family):
    take(dumped, nightly, "custom")
    place.run("postgres.drop_table", service="primary", table="par")
    assert "broken_references" not in restore(place, "par")
    assert primary.sql("SELECT convalidated FROM pg_constraint WHERE conname = 'of_par'") == [(True,)]


def refusal(place, table, roles=()):
    """Reason that the comparison right before the fault finds."""
    checked = {"format": "custom", "rows_by_table": {f"public.{table}": 2}, "roles": list(roles)}
    ctx = place.context()
    backup = Backup("shop.dump", datetime.now(UTC), "file", 1)
    with_source = place.extra["nightly"].in_place(ctx, place.clusters["primary"].service)
    return step(place, table).unlike(with_source, backup, checked)


def test_a_role_that_was_dropped_since_refuses_the_fault(place, primary, dumped, nightly, family):
    primary.sql("CREATE ROLE gone1", "GRANT SELECT ON par TO gone1")
    take(dumped, nightly, "custom")
    source, ctx = place.extra["nightly"], place.context()
    checked = source.check(ctx, source.backups(ctx)[0]).facts
    assert (refusal(place, "par", checked["roles"]), "gone1" in checked["roles"]) == ("", True)
    primary.sql("REVOKE ALL ON par FROM gone1", "DROP ROLE gone1")
    assert refusal(place, "par", checked["roles"]).startswith("the dump names roles that the server no longer has: gone1;")


def test_a_partitioned_table_whose_key_could_not_come_back_refuses_the_fault(place, primary, nightly, family):
    primary.sql("CREATE TABLE shards (p int REFERENCES par) PARTITION BY LIST (p)")
    try:
        [(version,)] = primary.sql("SELECT current_setting('server_version_num')::int")
        assert bool(refusal(place, "par")) is (version < 180000)
    finally:
        primary.sql("DROP TABLE shards")


def test_other_rows_than_in_the_dump_are_rolled_back(place, primary, dumped, nightly):
    primary.sql("CREATE TABLE wares (id int)", "INSERT INTO wares VALUES (1), (2), (3)")
    take(dumped, nightly, "custom")
    primary.sql(
        "DROP TABLE wares",
        "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN IF new.id = 2 THEN RETURN NULL; END IF; RETURN new; END'",
        "CREATE FUNCTION meddle() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN "
        "CREATE TRIGGER skip BEFORE INSERT ON public.wares FOR EACH ROW EXECUTE FUNCTION public.skip(); END $$",
        "CREATE EVENT TRIGGER meddle ON ddl_command_end WHEN tag IN ('CREATE TABLE') EXECUTE FUNCTION meddle()",
    )
    said = r"public\.wares has 2 rows, but the dump has 3; the restore was rolled back"
    with pytest.raises(StepFailed, match=said) as failure:
        restore(place, "wares")
    assert [one.code for one in failure.value.findings] == ["table-content"]
    assert primary.sql("SELECT to_regclass('public.wares')") == [(None,)]
    primary.sql("DROP EVENT TRIGGER meddle")
    assert restore(place, "wares")["rows"] == 3
    primary.sql("DROP FUNCTION meddle()", "DROP TABLE wares", "DROP FUNCTION skip()")


def test_a_damaged_dump_changes_nothing(place, primary, dumped, nightly):
    path = nightly / "shop.dump"
    dumped.dump("--format=directory", "--compress=0", "--table=types", f"--file={path}")
    largest(cut(0.6))(path)
    primary.sql("ALTER TABLE types RENAME TO aside")
    try:
        with pytest.raises(StepFailed):
            restore(place, "types")
        assert primary.sql("SELECT to_regclass('public.types')") == [(None,)]
    finally:
        primary.sql("ALTER TABLE aside RENAME TO types")


def test_plain_sql_and_other_kinds_of_backups_are_refused_before(place, primary, dumped, nightly):
    (nightly / "shop.sql").write_bytes(dumped.dump())
    action, source = step(place, "types"), place.extra["nightly"]
    refused_until(
        lambda: action.ready(place.context()),
        r"shop\.sql of nightly is plain SQL, from which one table cannot be restored",
        lambda: (nightly / "shop.sql").write_bytes(dumped.dump("--format=custom")),
    )
    place.extra["nightly"] = TarSource(name="nightly", host="db-1", service="primary", at=str(nightly))
    refused_until(
        lambda: action.ready(place.context()),
        "nightly is a backup source of the kind tar, which cannot restore one table",
        lambda: place.extra.update(nightly=source),
    )


def test_a_server_that_does_not_answer_or_is_older_than_pg_restore_is_refused_before(place, nightly):
    bin_15 = majors.programs(15, place.folder / "bin-15")
    cluster = place.place("older", bin=bin_15)
    cluster.create()
    (nightly / "shop.dump").write_bytes(b"")
    action = step(place, "types", service="older")
    refused_until(
        lambda: action.ready(place.context()), "older cannot be queried for its version: ", lambda: start(cluster, nightly)
    )
    place.extra["newer"] = cluster.service.model_copy(update={"name": "newer", "bin": str(place.programs)})
    action = step(place, "types", service="newer")
    refused_until(
        lambda: action.ready(place.context()),
        r"the server has version 15 and does not know transaction_timeout, which pg_restore of version 1\d sets",
        lambda: place.extra.update(newer=cluster.service),
    )
    dsn = cluster.dsn("shop")
    argv = [f"{place.programs}/pg_dump", "-Fc", f"--file={nightly}/shop.dump", "--dbname"]
    environ = {**os.environ, "PGPASSWORD": dsn.pop("password")}
    subprocess.run([*argv, psycopg.conninfo.make_conninfo(**dsn)], env=environ, check=True)
    place.extra["newer"] = cluster.service.model_copy(update={"name": "newer", "bin": str(place.programs)})
    with pytest.raises(NotReady) as refused:
        step(place, "types", service="newer").ready(place.context())
    assert refused.value.hint.startswith("take the dumps with pg_dump 15, or update the server: pg_restore 15 cannot read")
    del place.extra["newer"]
    cluster.sql("CREATE TABLE par (p int PRIMARY KEY)", "CREATE TABLE shards (p int REFERENCES par) PARTITION BY LIST (p)")
    ctx, checked = place.context(), {"format": "custom", "rows_by_table": {"public.par": 0}}
    said = unfit_here(ctx, cluster.service, Name("public", "par"), checked)
    assert said == (
        "the partitioned table shards has a foreign key to public.par, and this foreign key could not be restored with the "
        "table"
    )


def start(cluster, folder):
    cluster.start()
    cluster.sql("CREATE DATABASE shop", database="postgres")
    (folder / "shop.dump").write_bytes(Source(cluster, folder).dump("--format=custom"))


@pytest.mark.parametrize(
    ("checked", "said"),
    [
        ({"format": "custom", "rows_by_table": {"public.types": 3}}, ""),
        ({"format": "plain", "rows_by_table": {"public.types": 3}}, "a dump in the format plain cannot restore one table"),
        ({"format": "custom", "rows_by_table": {"other.types": 3}}, "the dump contains no rows of public.types"),
        (
            {"format": "tar", "tables": 2000, "rows_by_table": {f"t{n}": 1 for n in range(1000)}},
            "only 1000 of the dump's 2000",
        ),
    ],
)
def test_a_verified_dump_without_the_table_is_unfit(checked, said):
    assert unfit(Name("public", "types"), checked).startswith(said)
    assert bool(unfit(Name("public", "types"), checked)) is bool(said)
