"""Commands of a runbook that restore a backup of pgBackRest, on a real repository whose settings lead to other places."""

import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import psycopg
import pytest

from drillbook.sdk.manual_restore import ManualRestore
from tests.systems.pgbackrest.team import PORT, Team, digest, estate

FOLDER = Path("/var/tmp/by-hand-copy-wal")


@pytest.fixture(scope="module")
def linked(tmp_path_factory):
    """Team whose `pg_wal` is a link, and whose tables are also in a tablespace. Its server is stopped."""
    made = Team(tmp_path_factory.mktemp("linked") / "team")
    made.create()
    try:
        space = made.folder / "space"
        space.mkdir(mode=0o700)
        made.sql(f"CREATE TABLESPACE fast LOCATION '{space}'", "CREATE TABLE kept (id int) TABLESPACE fast")
        made.write(1)
        made.control("stop", "-m", "fast")
        shutil.move(made.data / "pg_wal", made.folder / "wal")
        (made.data / "pg_wal").symlink_to(made.folder / "wal")
        made.start()
        made.backup("full")
        made.write(2)
        made.archived()
    finally:
        made.stop()
    return made


@pytest.fixture
def folder():
    shutil.rmtree(FOLDER, ignore_errors=True)
    yield FOLDER
    shutil.rmtree(FOLDER, ignore_errors=True)


def lines(place, at="latest"):
    """Commands that a runbook shows."""
    inventory = place.inventory
    services = {**inventory.services, **inventory.backups}
    source = services["wal"]
    [block] = source.manual_restore(ManualRestore(inventory.hosts, services, services["copy"], source.name, at))
    return textwrap.dedent("\n".join(block.lines))


def test_the_commands_use_no_place_of_the_original(tmp_path, linked, folder):
    """Neither the link of pg_wal, nor a tablespace, nor the links, hosts and recovery options of the team's file."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    copied = linked.copy(tmp_path)
    with (tmp_path / "copied.conf").open("a") as file:
        file.write(
            f"pg1-host=db-1.example\nlink-map=pg_wal={elsewhere}\ntablespace-map=fast={elsewhere}\n"
            f"recovery-option=primary_conninfo=host=db-1.example\nrecovery-option=recovery_end_command=touch {elsewhere}/ended\n"
            f"archive-async=y\nspool-path={elsewhere}\n"
        )
    kept = (linked.data, linked.folder / "wal", linked.folder / "space", elsewhere, copied)
    before = [digest(path) for path in kept]
    place = estate(tmp_path, linked, copied)
    text = lines(place)
    stop = f'"{linked.bin}/pg_ctl" --pgdata={folder}/data --mode=immediate stop'
    try:
        done = subprocess.run(
            ["timeout", "-s", "KILL", "60", "bash", "--norc", "-i"],
            input=text + "\n",
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        with psycopg.connect(host=str(folder), port=PORT, user="postgres", dbname="postgres") as session:
            assert session.execute("SELECT id FROM seen ORDER BY id").fetchall() == [(1,), (2,)], done.stderr
            shown = [session.execute(f"SHOW {name}").fetchone()[0] for name in ("data_directory", "primary_conninfo")]
            assert shown == [f"{folder}/data", ""]
            location = session.execute(
                "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'fast'"
            ).fetchone()
            assert location[0].startswith(f"{folder}/tablespaces/")
    finally:
        subprocess.run(["sh", "-c", stop], check=False, capture_output=True)
    assert not (folder / "data" / "pg_wal").is_symlink()
    assert re.search(r"restore_command = .*archive-get", (folder / "data" / "postgresql.auto.conf").read_text())
    assert [digest(path) for path in kept] == before
