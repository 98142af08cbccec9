"""Database of a team with its pgBackRest repository: a real server of Debian that archives its WAL."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from tests.needs import missing, need
from tests.systems.estate import Estate
from tests.systems.postgres.site import programs

BINARIES = Path("/usr/lib/postgresql/17/bin")
STANZA, PORT = "main", 5432


def settings(folder: Path, repository: Path, **more: str) -> Path:
    """The team's pgbackrest.conf, with paths that a restore in a sandbox must not use."""
    lines = {
        "repo1-path": repository,
        "repo1-retention-full": 9,
        "lock-path": folder / "lock",
        "log-path": folder / "log",
        "log-level-file": "off",
        "start-fast": "y",
        "delta": "y",
        "link-all": "y",
        "job-retry": 0,
        **more,
    }
    pg = {"pg1-path": folder / "data", "pg1-socket-path": folder, "pg1-port": PORT, "pg1-user": "postgres"}
    path = repository.parent / f"{repository.name}.conf"
    sections = (("global", lines), (STANZA, pg))
    path.write_text("".join(f"[{name}]\n" + "".join(f"{k}={v}\n" for k, v in part.items()) for name, part in sections))
    return path


class Team:
    """One cluster and its repository, both below ``folder``."""

    def __init__(self, folder: Path, **options: str) -> None:
        need("pgbackrest")
        if not (BINARIES / "initdb").exists():
            missing("postgresql-17 is not installed")
        folder.mkdir()
        for name in ("repo", "lock", "log"):
            (folder / name).mkdir()
        self.folder, self.repository = folder, folder / "repo"
        self.config = settings(folder, self.repository, **options)
        self.bin = programs(folder / "bin", BINARIES)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def create(self, stanza: str = "stanza-create") -> None:
        """Create a new cluster with a row in the table `seen`, and a stanza for it."""
        initdb = [str(self.bin / "initdb"), "-D", str(self.data), "-U", "postgres", "-k", "--no-sync", "-E", "UTF8"]
        subprocess.run([*initdb, "--locale=C", "--auth=trust"], check=True, capture_output=True)
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(
                f"listen_addresses = ''\nunix_socket_directories = '{self.folder}'\nport = {PORT}\nshared_buffers = 16MB\n"
                f"archive_mode = on\narchive_command = '{self.argv('archive-push')} %p'\nfsync = off\n"
                "track_commit_timestamp = on\nmax_connections = 37\n"
            )
        self.start()
        self.run(stanza)
        # In postgresql.auto.conf, which a backup contains: times without an offset would be in this zone.
        self.sql("ALTER SYSTEM SET timezone = 'America/New_York'", "SELECT pg_reload_conf()")
        self.sql("CREATE TABLE seen (id int PRIMARY KEY)")

    def control(self, *arguments: str) -> None:
        self.control_of(self.data, *arguments)

    def control_of(self, data: Path, *arguments: str) -> None:
        """Run pg_ctl for the cluster in ``data``."""
        argv = [str(self.bin / "pg_ctl"), "-D", str(data), "-w", "-s", "-l", f"{data}.log", *arguments]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start(self) -> None:
        self.control("start")

    def stop(self) -> None:
        self.control("stop", "-m", "immediate")

    def argv(self, *arguments: str) -> str:
        return " ".join(["pgbackrest", f"--config={self.config}", f"--stanza={STANZA}", *arguments])

    def run(self, *arguments: str) -> None:
        done = subprocess.run(self.argv(*arguments).split(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def backup(self, kind: str) -> str:
        """Take a backup. Return its label."""
        self.run(f"--type={kind}", "backup")
        return sorted(path.name for path in (self.repository / "backup" / STANZA).glob("2*"))[-1]

    def archived(self) -> None:
        """Wait until all written WAL is in the repository."""
        self.run("check")

    def sql(self, *statements: str) -> list[Any]:
        with psycopg.connect(
            host=str(self.folder), port=PORT, user="postgres", dbname="postgres", autocommit=True
        ) as session:
            for statement in statements:
                cursor = session.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def write(self, row: int) -> datetime:
        """Write a row. Return the time of its commit as the server records it."""
        self.sql(f"INSERT INTO seen VALUES ({row})")
        moment: datetime = self.sql(f"SELECT pg_xact_commit_timestamp(xmin) FROM seen WHERE id = {row}")[0][0]
        return moment

    def copy(self, folder: Path, **options: str) -> Path:
        """Copy the repository with separate settings, so that a test can damage it. Return its path."""
        to = folder / "copied"
        shutil.copytree(self.repository, to)
        settings(self.folder, to, **options)
        return to


@contextlib.contextmanager
def team(folder: Path, **options: str) -> Iterator[Team]:
    """Team whose server runs during the block."""
    made = Team(folder, **options)
    try:
        made.create()
        yield made
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            made.stop()


def estate(root: Path, of: Team, repository: Path, *, sandbox: dict[str, Any] | None = None, **source: Any) -> Estate:
    """Estate with the team's database, the backups in ``repository``, and a sandbox `copy`."""
    database = {
        "kind": "postgres",
        "database": "postgres",
        "user": "postgres",
        "admin": {"user": "postgres"},
        "bin": str(of.bin),
    }
    return Estate(
        root,
        services={
            "database": {**database, "address": str(of.folder), "port": PORT, "data_directory": str(of.data)},
            "copy": {**database, "port": PORT, "data_directory": "/set/by/drillbook", "sandbox": sandbox or {}},
        },
        backups={
            "wal": {
                "kind": "pgbackrest",
                "service": "database",
                "stanza": STANZA,
                "config": str(repository.parent / f"{repository.name}.conf"),
                **source,
            }
        },
    )


def digest(folder: Path) -> str:
    """Digest of everything below a folder: names, modes, modification times, contents."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        status = path.stat()
        total.update(f"{path.relative_to(folder)} {status.st_mode} {status.st_mtime_ns} {status.st_ctime_ns}".encode())
        if path.is_file():
            total.update(path.read_bytes())
    return total.hexdigest()
