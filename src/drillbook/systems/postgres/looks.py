"""Recognises PostgreSQL clusters on a host: those that Debian's tools list, and other servers that run.

The script ``looks.sh`` lists the clusters, and the databases of those that run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

from drillbook.sdk.looks import Entry, Listener, Look, Recognised, Seen, remark, unit_line

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A PostgreSQL cluster, as the script ``looks.sh`` lists it. If the script runs without the rights of root, some fields
    can be empty, such as ``socket`` and ``databases``.
    """

    version: str
    status: str
    owner: str
    data: str
    bin: str
    socket: str
    databases: tuple[tuple[str, str], ...] = ()
    """Pairs of the name of a database and the name of its owner."""


class PostgresLook(Look):
    """Recognition of PostgreSQL clusters on a host."""

    PROGRAMS = ("postgres", "postmaster")
    RISK = 3
    SCRIPT = files(__package__).joinpath("looks.sh").read_text(encoding="utf-8")

    def of_listener(self, listener: Listener) -> Recognised | None:
        """Return None, because ``others`` lists each server by its data directory."""
        return None

    def others(self, seen: Seen) -> Iterator[Recognised]:
        """Yield one service for each data directory. First come the clusters that Debian's tools list, and then the running
        servers that these tools do not list.
        """
        known: set[str] = set()
        for version, name, port, status, owner, data, binaries, socket, pid, *_ in seen.rows.get("cluster", []):
            if data in known or not port.isdecimal():
                continue
            known.add(data)
            databases = dict.fromkeys((row[1], row[2]) for row in seen.rows.get("database", []) if row[0] == port)
            unit = seen.units.get(pid, "") or (f"postgresql@{version}-{name}" if name else "")
            cluster = Cluster(version, status, owner, data, binaries, socket, tuple(databases))
            yield Recognised("database", name, int(port), unit, status == "online", details=cluster)

    def kind_remark(self, service: Recognised) -> str:
        """Return the version of the cluster."""
        return f"PostgreSQL {service.details.version}"

    def fields(self, service: Recognised, entry: Entry) -> Iterator[str]:
        """Yield the lines that describe a cluster in the inventory. The line `run_as` is left out when the SSH user owns the
        cluster.
        """
        cluster: Cluster = service.details
        database, role = cluster.databases[0] if cluster.databases else ("DATABASE", "ROLE")
        others = ", ".join(other for other, _ in cluster.databases[1:])
        hint = (
            f"other databases: {others}"
            if others
            else ""
            if cluster.databases
            else "replace DATABASE and ROLE by the real names"
        )
        owns = "this is the owner of the database; write the role of the application instead" * bool(cluster.databases)
        yield from ("reach: ssh", f"port: {service.port}")
        yield f"database: {json.dumps(database)}{remark(hint)}"
        yield f"user: {json.dumps(role)}{remark(owns)}"
        yield f"password: !env {entry.variable}_PASSWORD{remark('secret: the password of this role')}"
        socket = cluster.socket or "/var/run/postgresql"
        guess = "" if cluster.socket else "the usual folder, because the real one was not found"
        owner = cluster.owner if _PLAIN.fullmatch(cluster.owner) else "postgres"
        yield f"admin: {{user: {owner}, socket: {json.dumps(socket)}}}{remark(guess)}"
        yield from [f"run_as: {json.dumps(cluster.owner)}"] if cluster.owner != entry.user else []
        yield f"data_directory: {json.dumps(cluster.data)}"
        yield from ([f"bin: {json.dumps(cluster.bin)}"] if cluster.bin else [])
        yield unit_line(service.unit)

    def remarks(self, seen: Seen) -> Iterator[str]:
        """Yield sentences about servers without a known data directory, and about clusters that do not run."""
        clusters = list(self.others(seen))
        ports = {cluster.port for cluster in clusters if cluster.runs}
        for listener in seen.listeners:
            if self.recognises(listener) and listener.port not in ports:
                yield f"PostgreSQL listens on port {listener.port}; its data directory could not be seen"
        for cluster in clusters:
            if not cluster.runs:
                yield f"the cluster {cluster.details.data} is not running ({cluster.details.status})"


LOOKS = {"postgres": PostgresLook()}
