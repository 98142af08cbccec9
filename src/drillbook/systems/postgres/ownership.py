"""Checks that a data directory, the server that uses it, the server's unit, and the server at the port belong together.

An inventory may name the wrong host, port, folder or unit. Therefore a check precedes every fault that destroys data, and
every restore that writes data. Two things are compared: the system identifier of the cluster, and the lock file
``postmaster.pid`` with process, folder, start time and port. Both are read twice, through the server and from the folder on
the host, and the values must be equal. A copy of a cluster may have the same identifier and even the same lock file, but
the server of the copy is another process.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context
from drillbook.sdk.host import once_more, printable
from drillbook.sdk.manager import manager_of
from drillbook.sdk.manager.lineage import SCRIPT, Lineage
from drillbook.sdk.manager.unit import UnitState
from drillbook.systems.postgres.connection import Connection, answers, connected, first_row, reason
from drillbook.systems.postgres.programs import Tools

# FOLDER: a server uses the folder if the working directory of its process is this folder. The lock file contains the pid
# as the server sees it, which in a container differs from the pid on the host.
# Standard input is the pid of the unit's main process, or 0: as an argument it would need another rule of sudo in every run.
_LOOK = (
    SCRIPT
    + """
read -r main other
cd -- "$1" 2>/dev/null || exit 0
test -f global/pg_control || exit 0
echo "system $(od -An -td8 -N8 global/pg_control | tr -d ' ')"
here=$(stat -L -c %d:%i .)
for pid in "$(head -n 1 postmaster.pid 2>/dev/null)" "$main"; do
  case $pid in ''|0|*[!0-9]*) continue ;; esac
  test "$(stat -L -c %d:%i "/proc/$pid/cwd" 2>/dev/null)" = "$here" || continue
  echo "pid $pid"
  head -n 4 postmaster.pid | sed 's/^/file /'
  lineage "$pid"
  break
done
"""
)
_ASK = """
SELECT system_identifier::text, pg_catalog.pg_read_file('postmaster.pid'), pg_catalog.current_setting('data_directory')
FROM pg_catalog.pg_control_system()
"""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Cluster in a data directory, and the server that uses the directory.

    ``system``: system identifier of the cluster; ``pid``: main process of the server, or None if no server runs; ``lock``:
    content of the lock file; ``lineage``: ancestors and control groups of the main process.
    """

    system: str
    pid: int | None
    lock: tuple[str, ...]
    lineage: Lineage


def look(tools: Tools, main: int | None = None) -> Cluster | None:
    """Examine the data directory, and return its cluster, or None when it contains no cluster. Raises HostError when the
    host cannot be used.

    ``main``: main process of the unit, if it is known.
    """
    argv, given = ("sh", "-c", _LOOK, "sh", tools.service.data_directory), f"{main or 0}\n".encode()
    output = once_more(lambda: tools.owned(argv, env={"LC_ALL": "C"}, stdin=given))
    values_by_key: dict[str, list[str]] = {}
    lines = output.check().text.splitlines()
    for line in lines:
        key, _, value = line.partition(" ")
        values_by_key.setdefault(key, []).append(value.strip())
    if "system" not in values_by_key:
        return None
    pid = int(values_by_key["pid"][0]) if "pid" in values_by_key else None
    return Cluster(values_by_key["system"][0], pid, tuple(values_by_key.get("file", ())), Lineage.read(lines))


def must_answer(session: Connection, tools: Tools) -> None:
    """Raise StepFailed when ``session`` is connected to another server than the server of the data directory.

    Raises HostError when the host cannot be used.
    """
    if why := _difference(session, tools, look(tools)):
        raise _foreign(tools, why)


def must_be_free(ctx: Context, tools: Tools) -> None:
    """Raise StepFailed when a server answers at the port. Call this function only when the data directory contains no cluster:
    a server at the port then uses another directory.

    Raises HostError when the host cannot be used.
    """
    if answers(ctx, tools.service):
        raise _foreign(
            tools,
            f"a server answers at the port {tools.service.port}, but {tools.service.data_directory} contains no cluster",
        )


def must_own(ctx: Context, tools: Tools) -> None:
    """Raise CouldNotVerify unless data directory, unit and server belong together. Raises HostError for an unusable host.

    If no server uses the data directory, the unit must not run, and no server may answer at the port.
    """
    service = tools.service
    unit = manager_of(tools.host).state(tools.host, service.unit, tools.deadline) if service.unit else None
    cluster = look(tools, unit.pid if unit else None)
    works = cluster is not None and cluster.pid is not None
    if unit is not None and cluster is not None and works and not cluster.lineage.is_of(unit, cluster.pid):
        raise CouldNotVerify(
            f"{tools.host.name}: the server that uses {service.data_directory} does not belong to the unit {unit.unit} "
            f"(state: {unit.word})",
            hint=_hint_of_unit(unit, cluster.lineage),
        )
    if unit is not None and unit.state == "running" and not works:
        raise CouldNotVerify(
            (
                f"{tools.host.name}: no server uses {service.data_directory}, but the state of the unit {unit.unit} is: "
                f"{unit.word}"
            ),
            hint=_HINT,
        )
    if not answers(ctx, service):
        if works:
            raise CouldNotVerify(
                f"{tools.host.name}: the server that uses {service.data_directory} does not answer at "
                f"{service.address}:{service.port}",
                hint=_HINT,
            )
        return
    try:
        with connected(ctx, service, database="postgres") as session:
            why = _difference(session, tools, cluster)
    except psycopg.Error as error:
        raise CouldNotVerify(
            f"{service.name} cannot be queried for the identity of its cluster: {reason(error)}", hint=_HINT
        ) from error
    if why:
        raise CouldNotVerify(_said(tools, why), hint=_HINT)


_HINT = "check `host`, `unit`, `data_directory`, `address` and `port` of the service in the inventory"


def _hint_of_unit(unit: UnitState, lineage: Lineage) -> str:
    """Return a hint for a wrong `unit`. If a unit runs the server of the data directory, the hint names this unit."""
    if not (real := lineage.unit):
        return _HINT
    alone = " (Debian's `postgresql` has no process: it only starts the unit of each cluster)" if unit.exited else ""
    return (
        f"set `unit` of the service to {real.removesuffix('.service')}, the unit that runs the server of this "
        f"data directory{alone}"
    )


def _difference(session: Connection, tools: Tools, cluster: Cluster | None) -> str:
    """Return the reason why ``session`` is not connected to the server of ``cluster``, or an empty text when it is."""
    if cluster is None:
        return f"{tools.service.data_directory} contains no cluster"
    if cluster.pid is None:
        return f"no server uses {tools.service.data_directory}"
    system, lock, folder = first_row(session, _ASK)
    if str(system) != cluster.system:
        return (
            f"the answering server has the cluster {system} in {printable(str(folder), limit=200)}, but the data "
            f"directory of the service contains the cluster {cluster.system}"
        )
    if not _same(str(lock), cluster.lock):
        return f"the answering server is another process, with the data directory {printable(str(folder), limit=200)}"
    return ""


def _same(lock: str, here: tuple[str, ...]) -> bool:
    return len(here) == 4 and tuple(line.strip() for line in lock.split("\n")[:4]) == here


def _said(tools: Tools, why: str) -> str:
    return (
        f"{tools.host.name}: the server at {tools.service.address}:{tools.service.port} is not the server that uses "
        f"{tools.service.data_directory}: {why}"
    )


def _foreign(tools: Tools, why: str) -> StepFailed:
    return StepFailed(
        f"{_said(tools, why)}; nothing was written",
        findings=[
            finding(
                "restore-target",
                title=tools.service.name,
                wanted=f"the server of {tools.service.data_directory}",
                measured=why,
                host=tools.host.name,
                remedy=f"{_HINT}; find out who owns the server at the port.",
            )
        ],
    )


def asked_on_host(tools: Tools) -> None:
    """Run psql on the host. Raise StepFailed when psql reaches another server than the server of the data directory, or no
    server.

    Raises HostError when the host cannot be used.
    """
    output = tools.client(
        "psql",
        "--no-psqlrc",
        "--quiet",
        "--tuples-only",
        "--no-align",
        "--set=ON_ERROR_STOP=1",
        f"--command={_ON_HOST}",
        database="postgres",
    )
    cluster = look(tools)
    system, _, lock = output.text.partition("\n")
    if not output.ok or cluster is None or system.strip() != cluster.system or not _same(lock.strip(), cluster.lock):
        said = printable(output.stderr.strip(), limit=300) or f"the cluster {system.strip()[:40]}"
        raise _foreign(tools, f"PostgreSQL's programs on this host reach another server, or no server: {said}")


_ON_HOST = (
    "SELECT system_identifier || E'\\n' || pg_catalog.pg_read_file('postmaster.pid') FROM pg_catalog.pg_control_system()"
)
