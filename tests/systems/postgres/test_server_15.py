"""A server of PostgreSQL 15 with its own tools, whose pg_dump knows no name of a compression."""

import subprocess
from pathlib import Path

import pytest

from tests.systems.postgres import fixtures
from tests.systems.postgres.site import ADMIN_PASSWORD, AS_NOBODY, BUCKET

place = fixtures.place
BIN = Path("/usr/lib/postgresql/15/bin")
pytestmark = pytest.mark.skipif(
    not (BIN / "pg_dump").exists(), reason="PostgreSQL 15 is not installed (Debian: postgresql-15)"
)


@pytest.fixture
def programs(place):
    """The programs of 15, those that refuse root wrapped so that they run as nobody."""
    folder = place.folder / "bin-15"
    folder.mkdir()
    for tool in BIN.iterdir():
        wrapped = tool.name in ("initdb", "pg_ctl")
        (folder / tool.name).write_text(f'#!/bin/sh\nexec {" ".join(AS_NOBODY) if wrapped else ""} "{tool}" "$@"\n')
        (folder / tool.name).chmod(0o755)
    return str(folder)


def test_a_database_of_15_is_dumped_proven_and_restored(place, programs):
    old, spare = place.place("old", bin=programs), place.place("spare-15", bin=programs)
    password = old.data.parent / "password"
    password.write_text(ADMIN_PASSWORD)
    subprocess.run(
        [
            f"{programs}/initdb",
            "-D",
            str(old.data),
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale",
            "C",
            "--no-sync",
            "--auth",
            "scram-sha-256",
            "--pwfile",
            str(password),
        ],
        check=True,
        capture_output=True,
    )
    with (old.data / "postgresql.conf").open("a") as file:
        file.write(
            f"\nlisten_addresses = '127.0.0.1'\nport = {old.service.port}\nunix_socket_directories = '{old.data.parent}'\n"
        )
    old.start()
    old.sql("CREATE DATABASE shop", database="postgres")
    old.sql(
        "CREATE TABLE sold (id int PRIMARY KEY, what text)",
        "INSERT INTO sold SELECT n, 'thing ' || n FROM generate_series(1, 1000) AS n",
    )
    place.action("postgres.dump", service="old", to=f"s3://{BUCKET}/old").ready(place.context())
    dumped = place.run("postgres.dump", service="old", to=f"s3://{BUCKET}/old")
    assert " 15." in dumped["tools"]["pg_dump"]
    place.run("postgres.backup_intact", service="old", **{"from": dumped["location"]})
    place.run("postgres.restore", service="spare-15", **{"from": dumped["location"]})
    assert place.run("postgres.matches", service="spare-15", manifest=dumped["manifest"])["rows"] == 1000
    assert spare.sql("SELECT count(*) FROM sold") == [(1000,)]
