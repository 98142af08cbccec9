"""Repositories of pgBackRest: info, verify, the status of a restore, and rows in a server started on the copy."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.detection.tools import COUNTS, LIST, RESTORE, VERIFY, Case, Tool, fails
from tests.systems.pgbackrest.team import STANZA

from drillbook.systems.postgres.disposable_server import SAFE


def asked(case: Case, *words: object) -> bool:
    source: Any = case.estate.inventory.services[case.estate.source]
    given = {f"PGBACKREST_{key.upper().replace('-', '_')}": str(value) for key, value in source.options.items()}
    return fails("pgbackrest", f"--config={source.config}", f"--stanza={STANZA}", *words, env={**os.environ, **given})


def restored(case: Case) -> bool:
    data, tool = case.folder("by-hand"), case.folder("tool")
    data.chmod(0o700)
    return asked(
        case, f"--pg1-path={data}", f"--lock-path={tool}", "--delta=n", "--reset-link-map", "--archive-mode=off", "restore"
    )


@contextmanager
def tools(made: SimpleNamespace) -> Iterator[list[Tool]]:
    wanted = made.team.sql("SELECT count(*) FROM seen")[0][0]

    def differs(case: Case) -> bool:
        return rows(made.team.bin, case.root / "by-hand", case.root) != wanted

    yield [
        Tool("pgbackrest info", LIST, lambda case: asked(case, "info")),
        Tool("pgbackrest verify", VERIFY, lambda case: asked(case, "verify")),
        Tool("pgbackrest restore", RESTORE, restored),
        Tool("rows in the started server", COUNTS, differs),
    ]


def rows(binaries: Path, data: Path, socket: Path) -> int | None:
    """Rows of the table in a server started on the copy; None when it does not start."""
    if not (data / "PG_VERSION").exists():
        return None
    chosen = {
        **SAFE,
        "restore_command": None,
        "unix_socket_directories": str(socket),
        "max_connections": "37",
        "max_wal_senders": "10",
    }
    options = " ".join(f"-c {name}='{value}'" for name, value in chosen.items() if value is not None)
    control = [str(binaries / "pg_ctl"), "-D", str(data), "-s", "-l", str(socket / "by-hand.log")]
    (data / "pg_hba.conf").write_text("local all all trust\n")
    try:
        if fails(*control, "-w", "-t", "60", "-o", options, "start"):
            return None
        argv = [
            binaries / "psql",
            "-XAtq",
            "-h",
            socket,
            "-U",
            "postgres",
            "-d",
            "postgres",
            "-c",
            "SELECT count(*) FROM seen",
        ]
        done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False)
        return int(done.stdout) if done.returncode == 0 else None
    finally:
        with suppress(subprocess.SubprocessError):
            subprocess.run([*control, "stop", "-m", "immediate"], check=False, capture_output=True, timeout=60)
