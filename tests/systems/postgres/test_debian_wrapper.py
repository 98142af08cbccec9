"""Debian's wrapper for PostgreSQL's programs: without a host it answers for another version than with one."""

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.systems.postgres import reader_version
from drillbook.systems.postgres.programs import Tools
from drillbook.systems.postgres.service import Admin
from drillbook.systems.postgres.source import PgDumpSource
from tests.needs import missing, need
from tests.systems.postgres import dumps, fixtures, majors
from tests.systems.postgres.site import BUCKET
from tests.systems.refusals import refused_until

place = fixtures.place
WRAPPER = Path("/usr/share/postgresql-common/pg_wrapper")


@pytest.fixture(scope="module")
def mixed(place):
    """Folder with a server of version 15 beside Debian's wrapper, which chooses pg_restore of the newest version."""
    if not WRAPPER.exists():
        missing("Debian's wrapper is not installed (postgresql-client-common)")
    newest = subprocess.run(
        ["/usr/bin/pg_restore", "--version"], env={**os.environ, "PGHOST": "/"}, capture_output=True, text=True, check=False
    ).stdout
    if not re.search(r"\) (1[7-9]|2\d)\.", newest):
        missing("PostgreSQL 17 is not installed (Debian: postgresql-client-17)")
    folder = Path(majors.programs(15, place.folder / "bin-mixed"))
    for name in ("pg_restore", "psql"):
        (folder / name).unlink()
        (folder / name).symlink_to(WRAPPER)
    return folder


@pytest.fixture(scope="module")
def dump(place, mixed, tmp_path_factory):
    """Folder with a whole dump of a server of version 15."""
    cluster = place.place("production-15", bin=majors.programs(15, place.folder / "bin-15"))
    cluster.create()
    cluster.start()
    cluster.sql("CREATE DATABASE shop", database="postgres")
    cluster.sql("CREATE TABLE kept AS SELECT generate_series(1, 100) AS id")
    folder = tmp_path_factory.mktemp("dumps")
    dsn = cluster.dsn("shop")
    environ = {**os.environ, "PGPASSWORD": dsn.pop("password")}
    argv = [f"{cluster.service.bin}/pg_dump", "-Fc", "--no-owner", "--no-acl", f"--file={folder}/shop.dump"]
    subprocess.run([*argv, "--dbname", psycopg.conninfo.make_conninfo(**dsn)], env=environ, check=True)
    return folder


@pytest.fixture
def rehearse(place, dump):
    need("unshare")
    made = []

    def restore(bin_):
        sandbox = {"folder": str(place.folder / "box"), "data_may_leave": True}
        place.place("copy", password=None, database="shop", admin=Admin(user="postgres"), bin=str(bin_), sandbox=sandbox)
        place.extra["nightly"] = PgDumpSource(name="nightly", host="db-1", at=str(dump), bin=str(bin_))
        made.append((place.action("backup.restore", service="copy", **{"from": "nightly"}), place.context(step="restore.1")))
        return made[0]

    yield restore
    (action, ctx) = made[0]
    for command in action.undo(ctx).commands:
        place.host.run(command, deadline=ctx.deadline).check()
    del place.clusters["copy"]
    (place.folder / "copy").rmdir()


def test_a_pg_restore_that_is_newer_than_the_sandbox_is_refused_before_and_is_no_damage_of_the_dump(place, rehearse, mixed):
    action, ctx = rehearse(mixed)
    with pytest.raises(NotReady) as refused:
        action.ready(ctx)
    named = re.search(r"set `services\.copy\.bin`.* at least as new as the pg_dump .* such as (.*)", refused.value.hint)[1]
    whole = {str(path.parent) for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")}
    assert whole <= set(named.split(" or ")), "the dump may be newer than the server that is first on the PATH"
    assert str(mixed) not in named.split(" or "), "its pg_restore and its server have two versions"
    with pytest.raises(CouldNotVerify, match="the server of the restore has version 15"):
        action.run(ctx)
    place.host.run(("rm", "-rf", "--", str(place.folder / "box")), deadline=ctx.deadline).check()
    copy = ctx.services["copy"]
    services = [copy.model_copy(update={"bin": str(place.folder / "bin-15")}), copy]

    def check():
        action.ready(replace(ctx, services={**ctx.services, "copy": services[-1]}))

    refused_until(
        check,
        r"server of the restore has version 15 and does not know transaction_timeout, which pg_restore of version \d+ sets",
        services.pop,
    )


def test_only_folders_that_can_read_the_dump_are_named(place, rehearse, mixed, shop, tmp_path):
    cluster, _ = shop
    (tmp_path / "shop.dump").write_bytes(dumps.Source(cluster, tmp_path).dump("--format=custom"))
    (tmp_path / "folder").mkdir()
    dumps.Source(cluster, tmp_path / "folder").folder_dump("shop", "--compress=0")
    action, ctx = rehearse(mixed)
    for at in (tmp_path, tmp_path / "folder"):
        source = ctx.services["nightly"].model_copy(update={"at": str(at)})
        with pytest.raises(NotReady, match="the server of the restore has version 15") as refused:
            action.ready(replace(ctx, services={**ctx.services, "nightly": source}))
        named = re.search(r", such as (.*)", refused.value.hint)[1].split(" or ")
        assert "/usr/lib/postgresql/17/bin" in named
        assert not [folder for folder in named if "/15/" in folder], "its pg_restore is too old for the dump"


def test_without_a_folder_that_can_read_the_dump_an_installation_is_asked_for(place, mixed):
    service = place.place("asked-18", bin=str(mixed)).service
    with pytest.raises(NotReady) as refused:
        reader_version.need_server(Tools.of(place.context(), service), made=99)
    assert re.search(r"pg_dump that made the backup, after you installed PostgreSQL \d+ there$", refused.value.hint)


def test_programs_of_one_version_restore_the_dump(place, rehearse):
    action, ctx = rehearse(place.folder / "bin-15")
    action.ready(ctx)
    assert action.run(ctx)["tables"] == 1


def test_the_version_of_a_program_is_the_one_that_connects(place, mixed):
    service = place.place("asked", bin=str(mixed)).service
    major, text = Tools.of(place.context(), service).version("pg_restore")
    assert major >= 17, text


@pytest.fixture(scope="module")
def newest(place, mixed):
    """Folder with programs of version 17, of which Debian's wrapper chooses 15 when no host is named."""
    default = place.folder / "clusters" / "15" / "main"
    default.mkdir(parents=True)
    (default / "postgresql.conf").write_text(f"port = 5432\ndata_directory = '{default}'\n")
    folder = Path(dumps.programs_17(place.folder / "bin-17"))
    for name in ("pg_restore", "psql"):
        (folder / name).write_text(
            f'#!/bin/sh\nexport PG_CLUSTER_CONF_ROOT={default.parent.parent}\nexec "/usr/bin/{name}" "$@"\n'
        )
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    said = subprocess.run([folder / "pg_restore", "--version"], env=plain, capture_output=True, text=True, check=False)
    if ") 15." not in said.stdout:
        missing("Debian's PostgreSQL 15 is not installed (Debian: postgresql-client-15)")
    return folder


@pytest.fixture(scope="module")
def shop(place, newest):
    """Server of version 17 with a foreign server, and a backup of it in the store."""
    cluster = place.place("production-17", bin=str(newest))
    cluster.create()
    cluster.start()
    cluster.sql("CREATE ROLE clerk LOGIN", database="postgres")
    cluster.sql("CREATE DATABASE shop", database="postgres")
    cluster.sql(
        "CREATE TABLE kept AS SELECT generate_series(1, 100) AS id",
        "ALTER TABLE kept ADD PRIMARY KEY (id)",
        "CREATE FOREIGN DATA WRAPPER nothing",
        "CREATE SERVER far FOREIGN DATA WRAPPER nothing",
        "CREATE MATERIALIZED VIEW seen AS SELECT count(*) AS n FROM kept",
        "ALTER DATABASE shop SET work_mem = '5MB'",
    )
    return cluster, place.run("postgres.dump", service="production-17", to=f"s3://{BUCKET}/shop")


def test_a_dump_is_read_by_the_pg_restore_whose_version_was_asked(place, shop, newest, tmp_path):
    cluster, _ = shop
    (tmp_path / "shop.dump").write_bytes(dumps.Source(cluster, tmp_path).dump("--format=custom", "--no-owner", "--no-acl"))
    source = PgDumpSource(name="newer", host="db-1", at=str(tmp_path), database="shop", bin=str(newest))
    ctx = place.context()
    source.ready(ctx)
    checked = source.check(ctx, source.backups(ctx)[0])
    assert (checked.findings, checked.facts["rows_by_table"]) == ((), {"public.kept": 100})


def test_a_backup_is_verified_by_the_pg_restore_whose_version_was_asked(place, shop):
    _, backup = shop
    action = place.action("postgres.backup_intact", service="production-17", **{"from": backup["location"]})
    action.ready(place.context())
    action.run(place.context())


def test_a_backup_is_restored_by_the_pg_restore_whose_version_was_asked(place, shop, newest):
    _, backup = shop
    try:
        copy = place.place("copy-17", bin=str(newest))
        place.run("postgres.restore", service="copy-17", **{"from": backup["location"]})
        assert copy.sql("SHOW work_mem") == [("5MB",)]
    finally:
        place.clusters.pop("copy-17").destroy()


def test_rows_and_tables_are_restored_by_the_pg_restore_whose_version_was_asked(place, shop):
    cluster, backup = shop
    given = {"service": "production-17", "table": "kept", "from": backup["location"]}
    cluster.sql("DELETE FROM kept WHERE id > 50")
    assert place.run("postgres.restore_rows", where="id > 50", **given)["restored"] == 50
    cluster.sql("DROP MATERIALIZED VIEW seen", "DROP TABLE kept")
    place.run("postgres.restore_table", **given)
    assert cluster.sql("SELECT count(*) FROM kept") == [(100,)]


def test_a_dump_with_views_is_restored_by_the_pg_restore_whose_version_was_asked(place, shop, newest, tmp_path):
    need("unshare")
    cluster, _ = shop
    tmp_path.chmod(0o755)
    (tmp_path / "shop.dump").write_bytes(dumps.Source(cluster, tmp_path).dump("--format=custom", "--no-owner", "--no-acl"))
    sandbox = {"folder": str(place.folder / "box-17"), "data_may_leave": True}
    admin = Admin(user="postgres")
    place.place("views", password=None, database="shop", admin=admin, bin=str(newest), sandbox=sandbox)
    place.extra["newer"] = PgDumpSource(name="newer", host="db-1", at=str(tmp_path), bin=str(newest))
    action, ctx = place.action("backup.restore", service="views", **{"from": "newer"}), place.context(step="restore.1")
    try:
        action.ready(ctx)
        assert action.run(ctx)["foreign_servers"] == 1
    finally:
        for command in action.undo(ctx).commands:
            place.host.run(command, deadline=ctx.deadline).check()
        del place.clusters["views"], place.extra["newer"]
