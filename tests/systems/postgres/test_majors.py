"""Servers of each major version with their own tools: some lack pg_amcheck, or have a pg_dump without named
compressions.
"""

import contextlib
import subprocess

import pytest

from drillbook.errors import NotReady, StepFailed
from tests.systems.postgres import fixtures, majors
from tests.systems.postgres.site import ADMIN_PASSWORD, BUCKET

place = fixtures.place


@pytest.mark.parametrize("major", majors.MAJORS)
def test_a_database_is_dumped_proven_restored_and_compared(place, major):
    programs = majors.programs(major, place.folder / f"bin-{major}")
    old, spare = place.place(f"old-{major}", bin=programs), place.place(f"spare-{major}", bin=programs)
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
    place.action("postgres.dump", service=f"old-{major}", to=f"s3://{BUCKET}/old-{major}").ready(place.context())
    with (
        pytest.raises(NotReady, match=f"is PostgreSQL {major}; this fault needs 14 or newer")
        if major < 14
        else contextlib.nullcontext()
    ):
        place.action("postgres.hold_connections", service=f"old-{major}").ready(place.context())
    locks = place.action("postgres.locks", service=f"old-{major}")
    with (
        pytest.raises(NotReady, match=f"old-{major}: is older than PostgreSQL 14")
        if major < 14
        else contextlib.nullcontext()
    ):
        locks.ready(place.context())
        assert "held" in locks.run(place.context())
    dumped = place.run("postgres.dump", service=f"old-{major}", to=f"s3://{BUCKET}/old-{major}")
    assert f" {major}." in dumped["tools"]["pg_dump"]
    place.run("postgres.backup_intact", service=f"old-{major}", **{"from": dumped["location"]})
    place.run("postgres.restore", service=f"spare-{major}", **{"from": dumped["location"]})
    assert place.run("postgres.matches", service=f"spare-{major}", manifest=dumped["manifest"])["rows"] == 1000
    assert spare.sql("SELECT count(*) FROM sold") == [(1000,)]
    assert str(spare.sql("SHOW server_version")[0][0]).startswith(f"{major}.")
    spare.sql("UPDATE sold SET what = 'other' WHERE id = 7")
    with pytest.raises(StepFailed):
        place.run("postgres.matches", service=f"spare-{major}", manifest=dumped["manifest"])
