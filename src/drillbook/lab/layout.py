"""Where everything of a lab is: its folder, its ports, and ``lab.json``, which remembers both."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from drillbook.errors import LabError

HOSTS = ("app-1", "db-1", "db-2", "store-1")
SECRETS = ("pg_admin", "pg_app", "s3_key", "s3_secret", "redis", "vectors")
BUCKETS = ("dr-backups", "dpa-originals")
ADDRESS = "127.0.0.1"
USER = "drill"
REGION = "us-east-1"
DATABASE = "dpa"
COLLECTION = "chunks"
MARK = "DRILLBOOK_LAB_FOLDER"
"""Environment variable that every process of a lab carries; its value is the folder."""

# The place of a name is its offset in the lab's block of ports.
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
MONITORING = "the Debian packages prometheus and prometheus-alertmanager"
"""Debian packages of the programs that monitor a lab; no wheel has them."""


@dataclass(frozen=True, slots=True)
class Lab:
    """One lab. ``base`` is its first port; ``pid`` and ``started`` identify its daemon, 0 when there is none."""

    folder: Path
    base: int
    identity: str = ""
    pid: int = 0
    started: int = 0
    ready: bool = False
    monitored: bool = True
    """The machine has what monitors a lab, as far as is known."""

    @classmethod
    def preferred(cls, folder: Path) -> Self:
        """The lab of ``folder`` with the ports that it gets when they are free: always the same for the same folder."""
        number = int(hashlib.sha256(str(folder).encode()).hexdigest()[:8], 16)
        return cls(folder, FIRST_PORT + number % BLOCKS * BLOCK)

    @classmethod
    def free(cls, folder: Path) -> Self:
        """The lab of ``folder`` on the first block from the preferred one of which every port is free."""
        first = cls.preferred(folder).base - FIRST_PORT
        for step in range(BLOCKS):
            lab = cls(folder, FIRST_PORT + (first + step * BLOCK) % (BLOCKS * BLOCK))
            if all(_bindable(lab.base + offset) for offset in range(BLOCK)):
                return lab
        raise LabError("no free block of ports between 20000 and 29999", hint="end what listens there: ss -tlnp")

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """What ``lab.json`` says, or None when there is none that can be read."""
        try:
            data = json.loads((folder / "lab.json").read_text(encoding="utf-8"))
            return cls(
                folder,
                monitored=data.get("monitored", True),
                **{name: data[name] for name in ("base", "identity", "pid", "started", "ready")},
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self) -> None:
        """Write ``lab.json``, atomically."""
        data = dataclasses.asdict(self) | {"folder": str(self.folder)}
        put(self.folder / "lab.json", json.dumps(data, indent=1) + "\n")

    def port(self, name: str) -> int:
        """The port of ``name``, one of PORTS."""
        return self.base + PORTS.index(name)

    def home(self, host: str) -> Path:
        """Home folder of a host's user."""
        return self.folder / host

    def data_directory(self, host: str) -> Path:
        """PGDATA of a database host."""
        return self.home(host) / "pgdata"

    @property
    def relays(self) -> Path:
        """Folder of the files that say how the relays of app-1 behave."""
        return self.home("app-1") / "relay"

    def secret(self, name: str) -> str:
        """The secret of that name."""
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
    def vectors(self) -> str:
        """URL of the stand-in for a Qdrant server."""
        return f"http://{ADDRESS}:{self.port('vectors')}"

    def values(self) -> dict[str, str | int]:
        """Every value that an inventory can ask for, by its dotted path."""
        values: dict[str, str | int] = {
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
            "relay.postgres": self.port("relay.postgres"),
            "relay.redis": self.port("relay.redis"),
            "relay.postgres.control": str(self.relays / "postgres"),
            "relay.redis.control": str(self.relays / "redis"),
            "vectors.url": self.vectors,
            "vectors.collection": COLLECTION,
            "prometheus.url": f"http://{ADDRESS}:{self.port('prometheus')}",
            "alertmanager.url": f"http://{ADDRESS}:{self.port('alertmanager')}",
            "missing.monitoring": "" if self.monitored else MONITORING,
            "postgres.database": DATABASE,
            "postgres.user": DATABASE,
            "postgres.admin": "postgres",
        }
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
        return values | {f"secrets.{name}": str(self.folder / "secrets" / name) for name in SECRETS}


def default_folder(project: Path) -> Path:
    """Folder of a project's lab: short, as a socket's path has to be, and the same every time."""
    if chosen := os.environ.get("DRILLBOOK_LAB"):
        return Path(chosen).resolve()
    number = hashlib.sha256(str(project.resolve()).encode()).hexdigest()[:8]
    return Path(f"/var/tmp/drillbook-{os.getuid()}-{number}")


def lookup(folder: Path, path: str) -> str | int:
    """The value of a dotted path, such as ``ssh.db-1`` or ``api.url``; ``secrets.NAME`` is the path of the secret's file.

    When the lab is down it is the value that it would prefer. Raises LabError for an unknown path.
    """
    values = (Lab.read(folder) or Lab.preferred(folder)).values()
    if path in values:
        return values[path]
    near = difflib.get_close_matches(path, values, n=4, cutoff=0.5) or sorted(values)
    raise LabError(f"the lab has no value {path!r}", hint="near names: " + ", ".join(near))


def put(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a text file so that nobody ever reads half of it."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def _bindable(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError:
            return False
    return True
