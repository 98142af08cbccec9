"""Layout of a Docker lab: its folder, its ports, and its names in the Docker engine."""

from __future__ import annotations

import difflib
import hashlib
import os
from pathlib import Path

from drillbook.errors import LabError
from drillbook.lab import layout
from drillbook.lab.layout import ADDRESS, COLLECTION, DATABASE, REGION, SECRETS, USER, Lab

MACHINES = {"app": "app-1", "db": "db-1", "spare": "db-2", "store": "store-1"}
"""Machines of the Docker lab, by name. The value is the name of the same machine in the embedded lab. Both labs use this
second name for the SSH port: ``ssh.app-1`` is the port of the machine `app`.
"""
SERVICES = (
    "app",
    "api",
    "relay",
    "traffic",
    "db",
    "spare",
    "store",
    "cache",
    "s3",
    "vectors",
    "exporter",
    "prometheus",
    "alertmanager",
)
"""The services in ``lab/compose.yml``."""
ON = {"api": "app", "relay": "app", "traffic": "app", "cache": "store", "s3": "store", "vectors": "store", "exporter": "db"}
"""Containers that share the network and the processes of a machine. The key of each entry is the container, and the value is
the machine.
"""
SANDBOX = "/var/tmp/sandbox-db"
"""Folder of the database sandbox on the machine `spare`."""
PREFIX = "docker."
"""Prefix of paths in an inventory that select values of the Docker lab, such as ``docker.ssh.db-1``."""


class DockerLab(Lab):
    """One Docker lab. Its ports have the names of the embedded lab's ports.

    Most ports have the same number inside the container as on the host. Inside its container, SSH has port 22, Prometheus
    port 9090, and Alertmanager port 9093.
    """

    @property
    def project(self) -> str:
        """Name of the project in Docker Compose. It is different for each folder."""
        return f"drillbook-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]}"

    def container(self, service: str) -> str:
        """Name of the container of ``service``."""
        return f"{self.project}-{service}-1"

    def values(self) -> dict[str, str | int]:
        """All values that inventories can refer to. The key of each value is its dotted path, such as ``ssh.db-1``."""
        values: dict[str, str | int] = {
            "folder": str(self.folder),
            "address": ADDRESS,
            "user": USER,
            "identity": str(self.folder / "id"),
            "known_hosts": str(self.folder / "known_hosts"),
            "project": self.project,
            "engine": os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock",
            "api.url": self.api,
            "api.port": self.port("api"),
            "sandbox.database": SANDBOX,
            "spare_api.url": f"http://{ADDRESS}:{self.port('spare-api')}",
            "s3.endpoint": self.s3,
            "s3.region": REGION,
            "redis.port": self.port("redis"),
            "postgres.db": self.port("postgres.db-1"),
            "postgres.spare": self.port("postgres.db-2"),
            "postgres.database": DATABASE,
            "postgres.user": DATABASE,
            "relay.postgres": self.port("relay.postgres"),
            "relay.redis": self.port("relay.redis"),
            "vectors.url": self.vectors,
            "vectors.collection": COLLECTION,
            "prometheus.url": f"http://{ADDRESS}:{self.port('prometheus')}",
            "alertmanager.url": f"http://{ADDRESS}:{self.port('alertmanager')}",
        }
        values |= {f"ssh.{machine}": self.port(f"ssh.{host}") for machine, host in MACHINES.items()}
        values |= {f"container.{service}": self.container(service) for service in SERVICES}
        return values | {f"secrets.{name}": str(self.folder / "secrets" / name) for name in SECRETS}


def default_folder(project: Path) -> Path:
    """Return the folder of a project's Docker lab. It is next to the folder of the project's embedded lab."""
    beside = layout.default_folder(project)
    return beside.with_name(beside.name + "-docker")


def lookup(folder: Path, path: str) -> str | int:
    """Return a value of the lab, such as a port. ``path``: dotted path of the value, without the prefix ``docker.``. Raises
    LabError for an unknown path.

    While the lab is down, return the value for a lab that uses its preferred ports.
    """
    values = (DockerLab.read(folder) or DockerLab.preferred(folder)).values()
    if path in values:
        return values[path]
    near = difflib.get_close_matches(path, values, n=4, cutoff=0.5) or sorted(values)
    raise LabError(f"the Docker lab has no value {path!r}", hint="similar names: " + ", ".join(near))
