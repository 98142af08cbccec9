"""Debian's wrapper for PostgreSQL's programs: without a host it answers for another version than with one."""

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.systems.postgres.dump_source import PgDumpSource
from drillbook.systems.postgres.service import Admin
from drillbook.systems.postgres.tools import Tools
from tests.needs import missing, need
from tests.systems.postgres import fixtures, majors
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
    assert re.search(r"set `services\.copy\.bin`.* such as /\S+", refused.value.hint)
    with pytest.raises(CouldNotVerify, match="the server of the restore is 15"):
        action.run(ctx)
    place.host.run(("rm", "-rf", "--", str(place.folder / "box")), deadline=ctx.deadline).check()
    copy = ctx.services["copy"]
    services = [copy.model_copy(update={"bin": str(place.folder / "bin-15")}), copy]

    def check():
        action.ready(replace(ctx, services={**ctx.services, "copy": services[-1]}))

    refused_until(check, r"pg_restore is \d+, but the server of the restore is 15, .* transaction_timeout", services.pop)


def test_programs_of_one_version_restore_the_dump(place, rehearse):
    action, ctx = rehearse(place.folder / "bin-15")
    action.ready(ctx)
    assert action.run(ctx)["tables"] == 1


def test_the_version_of_a_program_is_the_one_that_connects(place, mixed):
    service = place.place("asked", bin=str(mixed)).service
    major, text = Tools.of(place.context(), service).version("pg_restore")
    assert major >= 17, text
