"""Record of the databases that a fault drops. The record shows later if the databases are still missing, or have been
restored completely.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.sdk.action import Context
from drillbook.sdk.in_place import evidence_of_run
from drillbook.systems.mariadb.client import Client, connected, text, verifying
from drillbook.systems.mariadb.content import CANARIES, SYSTEM_SCHEMAS, full_name, listed, of_database
from drillbook.systems.mariadb.service import Mariadb

RECORD = "databases.json"
"""Name of the evidence file that lists the tables of the databases. The file is written right before the databases are
dropped.
"""

_SCHEMATA = "SELECT SCHEMA_NAME AS s FROM information_schema.SCHEMATA WHERE SCHEMA_NAME"


def databases(client: Client) -> list[str]:
    """Return the names of the databases on the server that belong to the service. Raises the errors of ``Client.results``."""
    only = client.service.database
    return [name for name in _all(client) if name == only or not only]


def others(client: Client) -> list[str]:
    """Return the names of the databases on the server that do not belong to the service. Raises the errors of
    ``Client.results``.
    """
    mine = databases(client)
    return [name for name in _all(client) if name not in mine]


def _all(client: Client) -> list[str]:
    system = ", ".join(text(name) for name in SYSTEM_SCHEMAS)
    rows = client.rows(f"{_SCHEMATA} NOT IN ({system}) ORDER BY 1")
    return [str(row["s"]) for row in rows]


def tables(client: Client) -> set[str]:
    """Return the names of all tables and views of the service, each with its database. The tables to which the canaries of a
    drill write are left out, because they exist only during the drill. Raises the errors of ``Client.results``.
    """
    own = {f"{row['s']}.{row['t']}" for row in client.rows(CANARIES.format(where=of_database(client.service)))}
    return _everything(client) - own


def _everything(client: Client) -> set[str]:
    """Return the names of all tables and views of the service, including the tables to which the canaries of a drill write.
    Raises the errors of ``Client.results``.
    """
    return {f"{row['s']}.{row['t']}" for row in listed(client)}


def canaries(client: Client) -> list[str]:
    """Return the SQL statements that create the tables of the drill's canaries again. A canary is a probe that writes numbered
    rows during the drill. Raises the errors of ``Client.results``.

    A backup that is older than the drill lacks these tables. Without them, no canary can write after the restore.
    """
    made = []
    for row in client.rows(CANARIES.format(where=of_database(client.service))):
        (shown,) = client.rows(f"SHOW CREATE TABLE {full_name(row)}")
        definition = str(shown["Create Table"]).partition("(")[2]
        made.append(f"CREATE TABLE IF NOT EXISTS {full_name(row)} ({definition}")
    return made


def record(ctx: Context, service: Mariadb, names: Collection[str], held: Collection[str], made: Collection[str]) -> None:
    """Store the names of the databases and of their tables as evidence. Raises StepFailed when a name contains a secret.

    ``made``: statements that create the tables of canaries again.
    """
    listing = {"service": service.name, "databases": sorted(names), "tables": sorted(held), "canaries": sorted(made)}
    said = json.dumps(listing)
    if ctx.redactor.text(said) != said:
        raise StepFailed(f"names of tables of {service.name} contain a secret of the inventory; nothing was lost")
    ctx.evidence(RECORD, said, sync=True)


def recorded(ctx: Context, service: Mariadb) -> dict[str, Any]:
    """Return the newest record of this run. The record is empty when the run has not begun to drop databases."""
    for path in reversed(evidence_of_run(ctx, RECORD)):
        saved: dict[str, Any] = json.loads(path.read_bytes())
        if saved.get("service") == service.name:
            return saved
    return {}


def missing(ctx: Context, service: Mariadb) -> set[str]:
    """Return the databases and tables that this run recorded, and that the server lacks now.

    Raises CouldNotVerify when the server cannot be read, and HostError when the host cannot be used.
    """
    wanted = recorded(ctx, service)
    if not wanted:
        return set()
    with connected(ctx, service) as client, verifying(service):
        # A record of an older version of Drillbook has no key `canaries`, and lists the tables of canaries among the others.
        held = tables(client) if "canaries" in wanted else _everything(client)
        return (set(wanted["databases"]) - set(databases(client))) | (set(wanted["tables"]) - held)


def must_have_data(client: Client) -> tuple[list[str], set[str]]:
    """Return the databases and the tables of the service. Raises CouldNotVerify when there are no tables."""
    with verifying(client.service):
        names, held = databases(client), tables(client)
    if not held:
        raise CouldNotVerify(
            f"{client.service.name} contains no tables",
            hint="check `address`, `port` and `database` of the service in the inventory",
        )
    return names, held
