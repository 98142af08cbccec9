"""Backup methods: data of a given size, a backup of it, the plain restore, and the matching entries of an inventory."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.systems.mariadb import site
from tests.systems.pgbackrest.team import STANZA, Team

from drillbook.systems.mariadb import disposable_server as mariadb_server
from drillbook.systems.postgres.disposable_server import EMPTY, SAFE

MB = 1 << 20
ROW_BYTES = 190
"""Bytes of one row of the databases, on disk."""
START_S = 300
"""Longest time that a server of a bare restore may take until it answers, in seconds."""
POSTGRES = "database: shop, user: postgres, admin: {user: postgres}"


@dataclass(frozen=True)
class Method:
    """One method of backup."""

    name: str
    tool: str
    """Description of the plain restore for the table."""
    make: Callable[[Path, int], None]
    """Create the backup in the folder, of data of so many MB."""
    bare: Callable[[Path, Path], None]
    """Restore the backup in the first folder into the second, empty one, and wait until it can be used."""
    source: str
    """Entry of the backup in an inventory; FOLDER stands for the folder of the backup."""
    sandbox: str
    """Entry of the sandbox."""


def sh(script: str, *words: object, env: dict[str, str] | None = None) -> str:
    argv = ["sh", "-ec", script, "sh", *map(str, words)]
    # In a session of its own as Drillbook's commands are: the kernel shares the processor between sessions.
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env, start_new_session=True)
    assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


# Files: one half noise, one half text, of 1 MB each.
def files(folder: Path, megabytes: int) -> Path:
    place = folder / "files"
    if not place.exists():
        place.mkdir()
        for number in range(megabytes):
            text = f"{number} a line of a log of a service\n".encode()
            data = os.urandom(MB) if number % 2 else text * (MB // len(text))
            (place / f"{number:05}").write_bytes(data)
    return place


def make_tar(folder: Path, megabytes: int) -> None:
    source = files(folder.parent, megabytes)
    sh('tar -cf - -C "$1" . | zstd -q -1 > "$2"', source, folder / "files.tar.zst")


def bare_tar(folder: Path, target: Path) -> None:
    sh('zstd -dcq "$1" | tar -xpf - -C "$2" --numeric-owner', folder / "files.tar.zst", target)


def restic(folder: Path) -> dict[str, str]:
    return {**os.environ, "RESTIC_REPOSITORY": str(folder / "repository"), "RESTIC_PASSWORD": "bench"}


def make_restic(folder: Path, megabytes: int) -> None:
    source = files(folder.parent, megabytes)
    sh('restic init -q; restic backup -q --host web-1 "$1"', source, env=restic(folder))


def bare_restic(folder: Path, target: Path) -> None:
    script = 'restic restore latest --quiet --verify --no-lock --cache-dir "$1/cache" --target "$1/data"'
    sh(script, target, env=restic(folder))


# PostgreSQL: one server, from which both kinds of backups are taken.
def filler(megabytes: float, table: str = "filler", kind: str = "") -> str:
    """Statements that make a table of so many MB. ``kind``: words before TABLE, such as UNLOGGED."""
    return (
        f"CREATE {kind} TABLE {table} AS SELECT g AS id, md5(g::text) AS a, md5((g * 7)::text) || md5((g * 9)::text) AS b,"
        f" now() AS at, repeat('x', 30) AS c FROM generate_series(1, {int(megabytes * MB / ROW_BYTES)}) AS g;"
        f"ALTER TABLE {table} ADD PRIMARY KEY (id);"
    )


def fill(team: Team, megabytes: int) -> None:
    team.sql("CREATE DATABASE shop TEMPLATE template0")
    argv = [str(team.bin / "psql"), "-qX", "-h", str(team.folder), "-U", "postgres", "-d", "shop", "-v", "ON_ERROR_STOP=1"]
    statements = f"{filler(megabytes)} CHECKPOINT;"
    subprocess.run(argv, input=statements, text=True, check=True, capture_output=True)


@contextmanager
def postgres(folder: Path, megabytes: int) -> Iterator[Team]:
    """Server of a team with its data, running; created once for both methods."""
    place = folder.parent / "postgres"
    if place.exists():
        team = Team.__new__(Team)
        team.folder, team.repository, team.config = place, place / "repo", place / "repo.conf"
        team.bin = place / "bin"
        team.start()
    else:
        team = Team(place, **{"compress-type": "lz4"})
        team.create()
        fill(team, megabytes)
    try:
        yield team
    finally:
        team.control("stop", "-m", "fast")


def make_pg_dump(folder: Path, megabytes: int) -> None:
    with postgres(folder, megabytes) as team:
        argv = [str(team.bin / "pg_dump"), "-h", str(team.folder), "-U", "postgres", "-Fc", "-Z", "gzip:1", "shop"]
        subprocess.run([*argv, "-f", str(folder / "shop.dump")], check=True)


def make_pgbackrest(folder: Path, megabytes: int) -> None:
    with postgres(folder, megabytes) as team:
        team.backup("full")
        team.write(1)
        team.archived()


def started(binaries: Path, target: Path, settings: dict[str, str]) -> None:
    """Start a PostgreSQL server with the settings of a sandbox, and wait until it accepts writes."""
    (target / "pg_hba.conf").write_text("local all all trust\n")
    (target / "postgresql.conf").write_text("")
    (target / "pg_ident.conf").write_text("")
    chosen = {
        "config_file": f"{target}/postgresql.conf",
        "hba_file": f"{target}/pg_hba.conf",
        "ident_file": f"{target}/pg_ident.conf",
        "unix_socket_directories": str(target),
        **SAFE,
        **settings,
    }
    options = shlex.join([word for name, value in chosen.items() for word in ("-c", f"{name}={value}")])
    sh('"$1/pg_ctl" -D "$2/data" -W -s -l "$2/log" -o "$3" start', binaries, target, options)
    ask = [str(binaries / "psql"), "-XAtq", "-h", str(target), "-U", "postgres", "-d", "template1", "-c"]
    ask.append("SELECT 1 / (NOT pg_is_in_recovery())::int")
    until = time.monotonic() + START_S
    while (asked := subprocess.run(ask, capture_output=True, text=True, check=False)).returncode:
        assert time.monotonic() < until, asked.stderr
        time.sleep(0.02)


def bare_pg_dump(folder: Path, target: Path) -> None:
    binaries = folder.parent / "postgres" / "bin"
    sh(
        '"$1/initdb" -D "$2/data" -U postgres --auth=trust --no-sync --no-instructions --encoding=UTF8 --locale=C',
        binaries,
        target,
    )
    started(binaries, target, dict(EMPTY))
    script = """
    "$1/createdb" -h "$2" -U postgres -T template0 shop
    "$1/pg_restore" -h "$2" -U postgres -d shop --exit-on-error --no-subscriptions --jobs=2 "$3"
    "$1/psql" -XAtq -h "$2" -U postgres -d shop -c ANALYZE
    """
    sh(script, binaries, target, folder / "shop.dump")


def bare_pgbackrest(folder: Path, target: Path) -> None:
    place = folder.parent / "postgres"
    script = """
    mkdir -m 700 "$1/data" "$1/tool"
    pgbackrest --config="$2" --stanza="$3" --pg1-path="$1/data" --lock-path="$1/tool" --log-path="$1/tool" --delta=n \
      --reset-link-map --archive-mode=off restore
    rm -f "$1/data/postmaster.pid"
    """
    sh(script, target, place / "repo.conf", STANZA)
    started(
        place / "bin",
        target,
        {
            "restore_command": f"pgbackrest --config={place}/repo.conf --stanza={STANZA} --pg1-path={target}/data archive-get %f %p",
            "max_connections": "37",
            "max_wal_senders": "10",
        },
    )


def stop_postgres(target: Path) -> None:
    pid = target / "data" / "postmaster.pid"
    if pid.exists():
        os.kill(int(pid.read_text().split()[0]), 3)
        while pid.exists():
            time.sleep(0.02)


# MariaDB
def make_mariabackup(folder: Path, megabytes: int) -> None:
    place = folder.parent / "mariadb"
    place.mkdir()
    with site.running(place) as server:
        rows = megabytes * MB // ROW_BYTES
        for part in range(10):
            first, last = part * rows // 10 + 1, (part + 1) * rows // 10
            server.sql(
                "CREATE TABLE IF NOT EXISTS filler(id INT PRIMARY KEY, a CHAR(32), b CHAR(64), c CHAR(30));"
                "INSERT INTO filler SELECT seq, md5(seq), concat(md5(seq * 7), md5(seq * 9)), repeat('x', 30) "
                f"FROM seq_{first}_to_{last};",
                "shop",
            )
        server.backup(f"--target-dir={folder}/full")


def bare_mariabackup(folder: Path, target: Path) -> None:
    words = [
        "--no-defaults",
        f"--datadir={target}/data",
        f"--socket={target}/s",
        f"--pid-file={target}/pid",
        f"--tmpdir={target}/tmp",
        f"--init-file={target}/account.sql",
        "--skip-networking",
        "--skip-slave-start",
        "--skip-log-bin",
        "--skip-name-resolve",
        "--event-scheduler=OFF",
        "--innodb-undo-tablespaces=3",
        *site.AS_ROOT,
    ]
    (target / "tmp").mkdir()
    (target / "account.sql").write_text(mariadb_server.ACCOUNT.format(user="drillbook"))
    script = """
    cp -r "$1/full" "$2/data"
    mariadb-backup --no-defaults --prepare --target-dir="$2/data" --tmpdir="$2/tmp"
    """
    sh(script, folder, target)
    sh('log=$1; shift; "$@" >"$log" 2>&1 </dev/null &', target / "log", site.tool("mariadbd"), *words)
    client = ["mariadb", "--no-defaults", f"--socket={target}/s", "--user=drillbook", "-e", "DO 1"]
    until = time.monotonic() + START_S
    while (asked := subprocess.run(client, capture_output=True, text=True, check=False)).returncode:
        assert time.monotonic() < until, asked.stderr
        time.sleep(0.02)


def stop_mariadb(target: Path) -> None:
    pid = target / "pid"
    if pid.exists():
        number = int(pid.read_text())
        os.kill(number, 9)
        while Path(f"/proc/{number}/exe").exists() and Path(f"/proc/{number}/cmdline").read_bytes():
            time.sleep(0.02)


def removed(target: Path) -> None:
    """Stop the servers of a plain restore, and remove it."""
    stop_postgres(target)
    stop_mariadb(target)
    shutil.rmtree(target, ignore_errors=True)


FOLDER_SANDBOX = "kind: folder"
METHODS = (
    Method(
        "pgbackrest",
        "pgbackrest restore, start with pgbackrest archive-get, recovery to the end of the archive",
        make_pgbackrest,
        bare_pgbackrest,
        f"kind: pgbackrest, stanza: {STANZA}, config: CONFIG",
        f"kind: postgres, {POSTGRES}, port: 5432, data_directory: /set/by/drillbook, bin: BIN",
    ),
    Method(
        "restic",
        "restic restore --verify",
        make_restic,
        bare_restic,
        "kind: restic, repository: FOLDER/repository, password: !env BENCH_PASSWORD, paths: [FILES]",
        FOLDER_SANDBOX,
    ),
    Method(
        "mariabackup",
        "cp -r, mariadb-backup --prepare, start",
        make_mariabackup,
        bare_mariabackup,
        "kind: mariabackup, at: FOLDER",
        'kind: mariadb, database: ""',
    ),
    Method(
        "tar",
        "zstd -dc to tar -x",
        make_tar,
        bare_tar,
        "kind: tar, at: FOLDER",
        FOLDER_SANDBOX,
    ),
    Method(
        "pg_dump",
        "initdb, start, pg_restore --exit-on-error --jobs=2, ANALYZE",
        make_pg_dump,
        bare_pg_dump,
        "kind: pg_dump, at: FOLDER, pattern: shop.dump, bin: BIN",
        f"kind: postgres, {POSTGRES}, bin: BIN",
    ),
)
