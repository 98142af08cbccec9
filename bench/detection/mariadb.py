"""Backups of MariaDB: the status of the client or of --prepare, and rows of all tables afterwards."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.detection.tools import COMPRESSION, COUNTS, LIST, RESTORE, Case, Tool, fails, tester
from tests.systems.mariadb import site
from tests.systems.mariadb.artefacts import Taken

TABLES = (
    "SELECT table_name FROM information_schema.tables WHERE table_schema = '{0}' AND table_type = 'BASE TABLE' ORDER BY 1"
)


def counted(login: list[str], database: str) -> list[str]:
    """Number of rows of each table of a database; raises CalledProcessError when one cannot be counted."""

    def ask(text: str) -> list[str]:
        words = [*login, "--batch", "--skip-column-names"]
        return subprocess.run(words, input=text, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()

    names = [name.replace("`", "``") for name in ask(TABLES.format(database))]
    return [f"{name} {ask(f'SELECT COUNT(*) FROM `{database}`.`{name}`')[0]}" for name in names]


@contextmanager
def dump_tools(taken: Taken) -> Iterator[list[Tool]]:
    server = taken.server
    login = server.login("mariadb")
    wanted = counted(login, "shop")
    numbers = itertools.count()
    tried = {"database": ""}

    def restored(case: Case) -> bool:
        tried["database"] = f"tried{next(numbers)}"
        server.sql(f"CREATE DATABASE {tried['database']}")
        path = case.one("dumps")
        unpack = f"{tester(path)[0]} -dc" if tester(path) else "cat"
        return fails("sh", "-c", f'file=$1; shift; {unpack} < "$file" | "$@"', "sh", path, *login, tried["database"])

    def differs(case: Case) -> bool:
        return counted(login, tried["database"]) != wanted

    yield [
        COMPRESSION,
        Tool("mariadb < dump", RESTORE, restored),
        Tool("rows of all tables", COUNTS, differs),
    ]


@contextmanager
def physical_tools(taken: Taken) -> Iterator[list[Tool]]:
    wanted = counted(taken.server.login("mariadb"), "shop")

    def unpacked(case: Case) -> bool | None:
        path = case.one()
        if path.is_dir():
            return None
        unpack = f"{tester(path)[0]} -dc" if tester(path) else "cat"
        return fails("sh", "-c", f'{unpack} < "$1" | mbstream -x -C "$2"', "sh", path, case.folder("by-hand"))

    def prepared(case: Case) -> bool:
        data = case.root / "by-hand"
        chain = sorted(path for path in (case.root / "backups").iterdir() if path.is_dir())
        if chain:
            shutil.copytree(chain[0], data)
        tool = ["mariadb-backup", "--no-defaults", "--prepare", f"--target-dir={data}"]
        return any(
            fails(*tool, *((f"--incremental-dir={step}",) if number else ())) for number, step in enumerate(chain or [data])
        )

    def differs(case: Case) -> bool:
        return started(case.root / "by-hand", case.root) != wanted

    yield [
        Tool("mbstream -x", LIST, unpacked),
        Tool("mariadb-backup --prepare", RESTORE, prepared),
        Tool("rows in the started server", COUNTS, differs),
    ]


def started(data: Path, root: Path) -> list[str] | None:
    """Rows of each table in a server on the copy; None when it does not start or ends."""
    socket = str(root / "s")
    words = [
        "--no-defaults",
        f"--datadir={data}",
        f"--socket={socket}",
        f"--tmpdir={root}",
        "--skip-networking",
        "--skip-grant-tables",
    ]
    undo = len(list(data.glob("undo0*")))
    with (root / "by-hand.log").open("wb") as log:
        child = subprocess.Popen(
            [site.tool("mariadbd"), *words, f"--innodb-undo-tablespaces={undo}", *site.AS_ROOT], stdout=log, stderr=log
        )
        login, until = ["mariadb", "--no-defaults", f"--socket={socket}"], time.monotonic() + 60
        try:
            while fails(*login, "-e", "DO 1"):
                if child.poll() is not None or time.monotonic() > until:
                    return None
                time.sleep(0.05)
            return counted(login, "shop")
        except subprocess.SubprocessError:
            return None
        finally:
            child.kill()
            child.wait()
