"""Checks that the server at the address uses the data directory on this host, and that the unit in the inventory runs this
server.

A fault drops databases, and a restore replaces the data directory and starts the unit. If the inventory named a wrong host,
address, folder or unit, the databases, the directory and the unit would belong to different servers. A server that takes
part in replication is refused, because a statement that drops a database would reach the other servers too.
"""

from __future__ import annotations

import time

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk.action import Context
from drillbook.sdk.host import as_user
from drillbook.sdk.manager import manager_of
from drillbook.sdk.manager.lineage import IN_FOLDER, Lineage, same_age
from drillbook.systems.mariadb.client import Client, connected, verifying
from drillbook.systems.mariadb.service import Mariadb

_HINT = "check `host`, `unit`, `data_directory`, `address` and `port` of the service in the inventory"
_STATE = """
SELECT @@pid_file AS pid_file, @@datadir AS directory,
  (SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'UPTIME') AS uptime,
  (SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'SLAVES_CONNECTED') AS followers,
  (SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'SLAVES_RUNNING') AS following,
  (SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_VARIABLES WHERE VARIABLE_NAME = 'WSREP_ON') AS galera
"""
# FOLDER PID_FILE IN_FOLDER: read the pid of the unit's main process, or 0, from standard input. Examine the process in the pid
# file and that of the unit; see ``lineage.IN_FOLDER``.
_LOOK = """
folder=$1 script=$3
read -r main other
case $2 in /*) file=$2 ;; *) file=$1/$2 ;; esac
pid=$(cat -- "$file" 2>/dev/null)
case $pid in '' | *[!0-9]*) pid=0 ;; esac
echo "$pid $main" | sh -c "$script" sh "$folder"
"""


def must_own(ctx: Context, service: Mariadb, client: Client) -> None:
    """Raise CouldNotVerify unless the server of ``client`` uses the data directory on this host, is run by the unit, and
    takes no part in replication.
    """
    begun = time.monotonic()
    with verifying(service):
        (row,) = client.rows(_STATE)
    if row["galera"] == "ON":
        raise CouldNotVerify(f"{service.name} is a node of a Galera cluster, and a drill would change the other nodes too")
    if row["followers"] not in (None, "0") or row["following"] not in (None, "0"):
        raise CouldNotVerify(
            f"{service.name} takes part in replication, and a drill would change the other servers too",
            hint="use a service without replication, such as a copy of production",
        )
    folder = service.data or str(row["directory"]).rstrip("/")
    unit = manager_of(ctx.host).state(ctx.host, service.unit, ctx.deadline) if service.unit else None
    words, main = ("sh", "-c", _LOOK, "sh", folder, str(row["pid_file"] or ""), IN_FOLDER), (unit and unit.pid) or 0
    output = ctx.run(*as_user(service.run_as, words), env={"LC_ALL": "C"}, stdin=f"{main}\n".encode())
    lines, between = output.check().text.splitlines(), time.monotonic() - begun
    process = next((line.split()[1:] for line in lines if line.startswith("process ")), None)
    at = f"{ctx.host.name}: the server at {service.socket or f'{service.address}:{service.port}'}"
    if process is None or not same_age(float(row["uptime"] or 0), float(process[2]), between):
        raise CouldNotVerify(f"{at} is not the server that uses {folder} on this host", hint=_HINT)
    if unit is not None and not Lineage.read(lines).is_of(unit, int(process[0])):
        raise CouldNotVerify(f"{at} does not belong to the unit {unit.unit} (state: {unit.word})", hint=_HINT)


def ready(ctx: Context, service: Mariadb) -> None:
    """Raise NotReady unless the server at the address uses the data directory, is run by the unit, and takes no part in
    replication.
    """
    try:
        with connected(ctx, service) as client:
            must_own(ctx, service, client)
    except CouldNotVerify as error:
        raise NotReady(error.message, hint=error.hint) from error


def answers(ctx: Context, service: Mariadb) -> bool:
    """Return True when a server answers at the address and accepts the login in the inventory."""
    try:
        with connected(ctx, service) as client, verifying(service):
            client.rows("SELECT 1 AS alive")
    except CouldNotVerify:
        return False
    return True
