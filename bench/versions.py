"""Versions of the tools whose answers or times the benchmarks record."""

from __future__ import annotations

import shutil
import subprocess

COMMANDS = {
    "pg_dump (Debian)": ("/usr/lib/postgresql/17/bin/pg_dump", "--version"),
    "pgbackrest": ("pgbackrest", "version"),
    "restic": ("restic", "version"),
    "mariadb-dump": ("mariadb-dump", "--version"),
    "mariadb-backup": ("mariadb-backup", "--version"),
    "tar": ("tar", "--version"),
    "borg": ("borg", "--version"),
    "firedrill": ("firedrill", "--version"),
}


def versions() -> dict[str, str]:
    """First line of each tool's version output; empty for a tool that is not installed."""
    return {name: _version(argv) for name, argv in COMMANDS.items()}


def _version(argv: tuple[str, ...]) -> str:
    if not shutil.which(argv[0]):
        return ""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else ""
