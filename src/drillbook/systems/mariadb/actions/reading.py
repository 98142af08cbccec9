"""Actions that only read a MariaDB server: a check of its health, one SQL query, and a check of its tables."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Annotated, Any

from pydantic import Field, field_validator

from drillbook.errors import CouldNotVerify, HostError, StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk.action import Context, Facts, Read
from drillbook.systems.mariadb import content
from drillbook.systems.mariadb.actions.fields import ServiceName
from drillbook.systems.mariadb.client import SqlError, connected, plain, text, verifying
from drillbook.systems.mariadb.disposable_server import need
from drillbook.systems.mariadb.service import Mariadb

ROWS_LIMIT = 1000
READING = re.compile(r"(select|with|show|explain|describe|desc|values|checksum|\()\b|\(", re.IGNORECASE)
"""First words of the statements that `mariadb.sql` permits. A permitted statement may still try to write, for example in a
function. Such a write fails, because the statement runs in a read-only transaction.
"""
WRITING = re.compile(r"\binto\b|/\*M?!", re.IGNORECASE)
"""Parts that `mariadb.sql` refuses in a statement: INTO, which writes a file or a variable, and comments that some servers
execute.
"""
HEALTH = """
SELECT VERSION() AS version, @@read_only AS read_only, @@max_connections AS max_connections,
  (SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'UPTIME') AS uptime_s,
  (SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'THREADS_CONNECTED') AS connections,
  (SELECT COUNT(*) FROM information_schema.TABLES WHERE {where}) AS tables,
  (SELECT COALESCE(SUM(DATA_LENGTH + INDEX_LENGTH), 0) FROM information_schema.TABLES WHERE {where}) AS bytes
"""
_UNCHECKED = "doesn't support check"


class _OfServer(Read):
    """Base of read-only actions that use the client program `mariadb` on the server's host."""

    SERVICE = Mariadb

    service: ServiceName

    def _service(self, ctx: Context) -> Mariadb:
        return ctx.service(self.service, Mariadb)

    def ready(self, ctx: Context) -> None:
        """Check that the host has the client program `mariadb`."""
        need(ctx, self._service(ctx), ("mariadb",))


class Healthy(_OfServer):
    """Check that the server accepts the login in the inventory, and that the tables of its database can be listed.

    The check writes nothing. So it does not test whether a write reaches the disk.
    """

    def run(self, ctx: Context) -> Facts:
        """Facts: ``version``, ``read_only``, ``uptime_s``, ``connections``, ``max_connections``, ``database``,
        ``tables`` (number of tables), ``bytes`` (size of data and indexes)."""
        service = self._service(ctx)
        try:
            with connected(ctx, service) as client:
                (row,) = client.rows(HEALTH.format(where=content.of_database(service)), service.database)
        except (SqlError, HostError) as error:
            raise StepFailed(
                f"{self.service} does not work: {error}",
                findings=[
                    finding(
                        "mariadb-unhealthy",
                        title=self.service,
                        wanted="the server accepts the login and answers",
                        measured=str(error),
                    )
                ],
            ) from error
        facts: Facts = {key: plain(value) for key, value in row.items()}
        return facts | {"database": service.database, "read_only": row["read_only"] not in ("0", "OFF")}


class Sql(_OfServer):
    """Run one SQL query in a read-only transaction."""

    CODE = "query"

    query: Annotated[str, Field(min_length=1, description="The statement: SELECT, WITH, SHOW, EXPLAIN, VALUES or CHECKSUM.")]
    database: Annotated[str, Field(description="Database to use instead of the service's database.")] = ""

    @field_validator("query")
    @classmethod
    def _reads(cls, value: str) -> str:
        if not READING.match(value.strip()) or WRITING.search(value):
            raise ValueError(
                "mariadb.sql runs only SELECT, WITH, SHOW, EXPLAIN, VALUES and CHECKSUM statements without INTO"
            )
        return value

    def run(self, ctx: Context) -> Facts:
        """Facts: ``columns`` (names), ``rows`` (the first 1000 rows, as lists), ``rowcount`` (number of all rows),
        ``truncated`` (true when there are more rows), ``value`` (first field of the first row).

        Integers become JSON numbers, NULL becomes null, and all other values become strings. If the result has no rows,
        ``columns`` is empty.
        """
        service = self._service(ctx)
        # EXECUTE IMMEDIATE accepts only one statement: a second one could end the read-only transaction.
        sql = f"START TRANSACTION READ ONLY;\nEXECUTE IMMEDIATE {text(self.query)};"
        try:
            with connected(ctx, service) as client:
                results = client.results(sql, self.database or service.database)
        except (SqlError, HostError) as error:
            raise StepFailed(f"{self.service}: {error}") from error
        listed = results[-1].rows if results else []
        rows = [[plain(value) for _, value in row] for row in listed[:ROWS_LIMIT]]
        return {
            "columns": [column for column, _ in listed[0]] if listed else [],
            "rows": rows,
            "rowcount": len(listed),
            "truncated": len(listed) > len(rows),
            "value": rows[0][0] if rows and rows[0] else None,
        }


class Intact(_OfServer):
    """Check every table, view and index with CHECK TABLE.

    The step fails when a table, view or index is damaged. The program `mariadb-check` does not fail in this case.
    """

    TIMEOUT = 3600.0

    extended: Annotated[
        bool,
        Field(
            description="`true`: read every row, and look up its keys in all indexes. This is CHECK TABLE with the option EXTENDED."
        ),
    ] = True

    def run(self, ctx: Context) -> Facts:
        """Facts: ``tables`` (number of checked tables), ``not_checked`` (each table that was not checked, with the reason),
        ``extended`` (value of the parameter `extended`).
        """
        service = self._service(ctx)
        with verifying(service), connected(ctx, service) as client:
            names = {f"{row['s']}.{row['t']}": content.full_name(row) for row in content.listed(client)}
            names = {key: name for key, name in names.items() if key.partition(".")[0] != "information_schema"}
            if not names:
                raise StepFailed(
                    f"{self.service} contains no tables",
                    findings=[finding("table-missing", title=self.service, wanted="tables", measured="none")],
                )
            statements = {key: f"CHECK TABLE {name}{' EXTENDED' * self.extended}" for key, name in names.items()}
            results, errors = client.answered(";\n".join(statements.values()))
        answers = {result.statement: [dict(row) for row in result.rows] for result in results}
        said = {key: answers[statement] for key, statement in statements.items() if statement in answers}
        unchecked = {key: _UNCHECKED for key, rows in said.items() if _UNCHECKED in str(rows)}
        wrong = [*self._corrupt(said, unchecked), *self._silent(names, said, errors)]
        facts: Facts = {"tables": len(said) - len(unchecked), "not_checked": unchecked, "extended": self.extended}
        if wrong:
            raise StepFailed(f"{self.service}: {wrong[0].title}", findings=wrong, facts=facts)
        if not facts["tables"]:
            raise CouldNotVerify(f"no table of {self.service} has a storage engine that supports CHECK TABLE")
        return facts

    def _corrupt(self, said: dict[str, list[dict[str, Any]]], unchecked: dict[str, str]) -> list[Finding]:
        """Return a finding for each table about which CHECK TABLE reports anything but OK."""
        problems = []
        for key, rows in said.items():
            texts = [f"{row['Msg_type']}: {row['Msg_text']}" for row in rows if not _in_order(row)]
            if key not in unchecked and (texts or not rows):
                problems.append(self._finding(key, "; ".join(texts)[:500] or "no answer"))
        return problems

    def _silent(self, names: Collection[str], said: Collection[str], errors: str) -> list[Finding]:
        """Return a list with one finding if the connection broke during the check of a table, because this table may have
        crashed the server. Return an empty list if all tables were checked. Raises CouldNotVerify when a table was not checked
        although the connection works.
        """
        silent = [key for key in names if key not in said]
        if silent and not SqlError(errors).lost:
            raise CouldNotVerify(f"{self.service}: the table {silent[0]} could not be checked: {errors}")
        return [self._finding(key, errors) for key in silent[:1]]

    def _finding(self, table: str, measured: str) -> Finding:
        return finding("table-corrupt", title=table, wanted="status: OK", measured=measured)


def _in_order(row: dict[str, Any]) -> bool:
    return row["Msg_type"] == "status" and row["Msg_text"] in ("OK", "Table is already up to date")
