"""Owner of a data directory: the server that works in it, the unit that runs that server, and the one at the port.

An inventory may name the wrong host, port, folder or unit. Before anything is destroyed, and before the first write of a
restore, the server that answers is shown to be the one of the data directory: by the system identifier of the cluster, and
by its lock file (``postmaster.pid``: process, folder, time of start, port), as the server itself reads it and as it lies
in the folder on the host. A copy of a cluster has its identifier, and even its lock file, but not its process.
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
from drillbook.systems.postgres.connection import Connection, answers, connected, one, reason
from drillbook.systems.postgres.tools import Tools

# FOLDER PID: a server works in the folder when its process has it as its working directory. The lock file has the number
# that the server has for itself, in a container another one than the unit's main process has on the host.
_LOOK = (
    SCRIPT
    + """
cd -- "$1" 2>/dev/null || exit 0
test -f global/pg_control || exit 0
echo "system $(od -An -td8 -N8 global/pg_control | tr -d ' ')"
here=$(stat -L -c %d:%i .)
for pid in "$(head -n 1 postmaster.pid 2>/dev/null)" "$2"; do
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
    """The cluster in a data directory, and the server that works in it."""

    system: str
    pid: int | None
    lock: tuple[str, ...]
    lineage: Lineage


def look(tools: Tools, main: int | None = None) -> Cluster | None:
    """The cluster in the data directory; ``main`` is the main process of its unit. None: there is none. Raises HostError."""
    argv = ("sh", "-c", _LOOK, "sh", tools.service.data_directory, str(main or 0))
    output = once_more(lambda: tools.owned(argv, env={"LC_ALL": "C"}))
    found: dict[str, list[str]] = {}
    lines = output.check().text.splitlines()
    for line in lines:
        key, _, value = line.partition(" ")
        found.setdefault(key, []).append(value.strip())
    if "system" not in found:
        return None
    pid = int(found["pid"][0]) if "pid" in found else None
    return Cluster(found["system"][0], pid, tuple(found.get("file", ())), Lineage.read(lines))


def must_answer(session: Connection, tools: Tools) -> None:
    """Raise StepFailed unless the server of ``session`` is the one that works in the data directory. HostError."""
    if why := _difference(session, tools, look(tools)):
        raise _foreign(tools, why)


def must_be_free(ctx: Context, tools: Tools) -> None:
    """Raise StepFailed where a server answers at the port before there is a cluster of its own. HostError."""
    if answers(ctx, tools.service):
        raise _foreign(tools, f"a server answers there, and no cluster is in {tools.service.data_directory}")


def must_own(ctx: Context, tools: Tools) -> None:
    """Raise CouldNotVerify unless the data directory, the unit and the server at the port belong together. HostError.

    What does not run is not compared: a server that is down answers nowhere, and its unit is then down as well.
    """
    service = tools.service
    unit = manager_of(tools.host).state(tools.host, service.unit, tools.deadline) if service.unit else None
    cluster = look(tools, unit.pid if unit else None)
    works = cluster is not None and cluster.pid is not None
    if unit is not None and cluster is not None and works and not cluster.lineage.is_of(unit, cluster.pid):
        raise CouldNotVerify(
            f"{tools.host.name}: a server works in {service.data_directory}, and it is not of the unit "
            f"{unit.unit}, which is {unit.word}",
            hint=_HINT,
        )
    if unit is not None and unit.state == "running" and not works:
        raise CouldNotVerify(
            f"{tools.host.name}: the unit {unit.unit} is {unit.word}, and no server works in {service.data_directory}",
            hint=_HINT,
        )
    if not answers(ctx, service):
        if works:
            raise CouldNotVerify(
                f"{tools.host.name}: the server in {service.data_directory} does not answer at "
                f"{service.address}:{service.port}",
                hint=_HINT,
            )
        return
    try:
        with connected(ctx, service, database="postgres") as session:
            why = _difference(session, tools, cluster)
    except psycopg.Error as error:
        raise CouldNotVerify(f"{service.name} cannot be asked which cluster it is: {reason(error)}", hint=_HINT) from error
    if why:
        raise CouldNotVerify(_said(tools, why), hint=_HINT)


_HINT = "check `host`, `unit`, `data_directory`, `address` and `port` of the service in the inventory"


def _difference(session: Connection, tools: Tools, cluster: Cluster | None) -> str:
    """Why the server of ``session``, which the host sees too, is not that of ``cluster``; empty when it is."""
    if cluster is None:
        return f"no cluster is in {tools.service.data_directory}"
    if cluster.pid is None:
        return f"no server works in {tools.service.data_directory}"
    system, lock, folder = one(session, _ASK)
    if str(system) != cluster.system:
        return f"it serves the cluster {system} in {printable(str(folder), limit=200)}, and here is {cluster.system}"
    if not _same(str(lock), cluster.lock):
        return f"it works in {printable(str(folder), limit=200)}, as another process"
    return ""


def _same(lock: str, here: tuple[str, ...]) -> bool:
    return len(here) == 4 and tuple(line.strip() for line in lock.split("\n")[:4]) == here


def _said(tools: Tools, why: str) -> str:
    return (
        f"{tools.host.name}: the server at {tools.service.address}:{tools.service.port} is not the one of "
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
                remedy=f"{_HINT}; find out whose the server at the port is.",
            )
        ],
    )


def asked_on_host(tools: Tools) -> None:
    """Raise StepFailed unless the host's own programs reach the server of the data directory as well. HostError."""
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
        said = output.stderr.decode("utf-8", "replace").strip()[-300:] or f"the cluster {system.strip()[:40]}"
        raise _foreign(tools, f"the programs on this host reach another one, or none: {said}")


_ON_HOST = (
    "SELECT system_identifier || E'\\n' || pg_catalog.pg_read_file('postmaster.pid') FROM pg_catalog.pg_control_system()"
)
