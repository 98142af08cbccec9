"""Content of a MariaDB server: the row count and the digest of every table, and the definitions of all objects.

For each row of a table, the server computes the MD5 of the row's columns as text. The digest of the table is the sum of the
first 64 bits of these MD5 values. So the digest depends neither on the order of the rows nor on the storage engine. The
statement CHECKSUM TABLE is not used, because its result has only 32 bits and differs between server versions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from drillbook.errors import CouldNotVerify
from drillbook.sdk.action import Context
from drillbook.sdk.in_place import CANARY_COLUMNS
from drillbook.systems.mariadb.client import Client, Fields, Result, connected, name, text, verifying
from drillbook.systems.mariadb.service import Mariadb

FORMAT = "drillbook/mariadb-content/1"
ALGORITHM = "sum of md5[0:8] of the columns as text"
SYSTEM_SCHEMAS = ("information_schema", "mysql", "performance_schema", "sys")
SESSION = (
    "SET SESSION time_zone = '+00:00', sql_mode = '', max_statement_time = 0;\n"
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;\n"
    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY;\n"
)
LISTING = """
SELECT TABLE_SCHEMA AS s, TABLE_NAME AS t, TABLE_TYPE AS kind, ENGINE AS engine, TABLE_COMMENT AS comment
FROM information_schema.TABLES WHERE {where} ORDER BY 1, 2
"""
COLUMNS = """
SELECT TABLE_SCHEMA AS s, TABLE_NAME AS t, COLUMN_NAME AS c, DATA_TYPE AS type
FROM information_schema.COLUMNS WHERE {where} ORDER BY 1, 2, ORDINAL_POSITION
"""
_MADE = f"{CANARY_COLUMNS[0]} varchar(100) PRI,{CANARY_COLUMNS[1]} int PRI"
CANARIES = f"""
SELECT TABLE_SCHEMA AS s, TABLE_NAME AS t FROM information_schema.COLUMNS WHERE {{where}} GROUP BY 1, 2
HAVING GROUP_CONCAT(CONCAT_WS(' ', COLUMN_NAME, REPLACE(COLUMN_TYPE, '(11)', ''), COLUMN_KEY) ORDER BY ORDINAL_POSITION)
  = {text(_MADE)}
"""  # noqa: S608  only constants are inserted
"""Query that finds the tables that `sql.canary` created. A drill may choose the name of such a table. Therefore the query
recognises a table by its columns, their types, and its primary key. A team's own table is not found even if its columns have
the same names. A view is not found either, because views have no keys."""
PROGRAMS = """
SELECT 'TRIGGER' AS kind, TRIGGER_SCHEMA AS s, TRIGGER_NAME AS t FROM information_schema.TRIGGERS WHERE {TRIGGER}
UNION ALL SELECT ROUTINE_TYPE, ROUTINE_SCHEMA, ROUTINE_NAME FROM information_schema.ROUTINES WHERE {ROUTINE}
UNION ALL SELECT 'EVENT', EVENT_SCHEMA, EVENT_NAME FROM information_schema.EVENTS WHERE {EVENT}
ORDER BY 1, 2, 3
"""
_GEOMETRY = {
    "geometry",
    "point",
    "linestring",
    "polygon",
    "multipoint",
    "multilinestring",
    "multipolygon",
    "geometrycollection",
}
_TEXTS = re.compile(r".*(char|text|binary|blob)$|enum|set|json|vector")


class Table(BaseModel):
    """Content of one table, sequence or view."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    """``BASE TABLE``, ``SYSTEM VERSIONED``, ``SEQUENCE`` or ``VIEW``."""
    rows: int | None = Field(default=None, ge=0)
    digest: str = ""
    """Digest of the rows. It is empty for a view."""
    error: str = ""
    """Error message of the server when the table could not be read. It is empty otherwise."""


class Content(BaseModel):
    """Content of a server or of one database. The manifest that a later comparison reads has this format, too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = Field(default=FORMAT, pattern=f"^{re.escape(FORMAT)}$")
    database: str
    server: str
    algorithm: str = ALGORITHM
    tables: dict[str, Table]
    definitions: dict[str, str]
    """Digests of the objects' definitions. Each key is the kind and the name of an object. The value is the SHA-256 of the
    CREATE statement without the AUTO_INCREMENT counter. If the service consists of a single database, the name of this
    database is left out as well. The value is empty if the service's account is not allowed to read the statement.
    """


def measure(ctx: Context, service: Mariadb) -> tuple[Content, dict[str, str]]:
    """Read the content of a service. Return the content, and the text of each definition. One transaction reads the rows of
    all tables.

    Raises CouldNotVerify when the server cannot be read, and HostError when the host cannot be used.
    """
    with connected(ctx, service) as client, verifying(service):
        tables = listed(client)
        objects = client.rows(
            PROGRAMS.format(**{kind: of_database(service, kind) for kind in ("TRIGGER", "ROUTINE", "EVENT")})
        )
        version = client.rows("SELECT VERSION() AS v")[0]["v"] or ""
        digests = _digests(client, tables)
        texts = dict(_definitions(client, [*tables, *objects]))
    return (
        Content(
            database=service.database,
            server=version,
            tables={key(service, row): digests[key(service, row)] for row in tables},
            definitions={key: hashlib.sha256(said.encode()).hexdigest() if said else "" for key, said in texts.items()},
        ),
        texts,
    )


def listed(client: Client) -> list[dict[str, str]]:
    """Return the schema, name, type, engine and comment of all tables and views. Raises the errors of ``Client.results``."""
    return [row for result in client.results(listing(client.service)) for row in listed_in(result)]


def listing(service: Mariadb) -> str:
    """Return the SQL statement that lists the tables and views of a service."""
    return LISTING.format(where=of_database(service, "TABLE"))


def listed_in(result: Result) -> list[dict[str, str]]:
    """Parse the answer of the server to the statement from ``listing``, and return its rows."""
    return [{key: value or "" for key, value in row} for row in result.rows]


def full_name(row: Any) -> str:
    """Return the quoted, schema-qualified name of an object."""
    return f"{name(row['s'])}.{name(row['t'])}"


def of_database(service: Mariadb, kind: str = "TABLE") -> str:
    """Return the WHERE condition that limits a query of information_schema to the service's database. If the service has no
    `database`, the condition excludes the system databases. ``kind``: beginning of the column's name, such as TABLE for
    TABLE_SCHEMA.
    """
    column = f"{kind}_SCHEMA"
    if service.database:
        return f"{column} = {text(service.database)}"
    return f"{column} NOT IN ({', '.join(repr(schema) for schema in SYSTEM_SCHEMAS)})"


def key(service: Mariadb, row: Any) -> str:
    """Return the key of an object in ``Content``. The key is the object's name. When the service has more than one database,
    the name of the database precedes it.
    """
    return str(row["t"]) if service.database else f"{row['s']}.{row['t']}"


def _digests(client: Client, tables: Sequence[dict[str, str]]) -> dict[str, Table]:
    columns: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for column in client.rows(COLUMNS.format(where=of_database(client.service))):
        columns.setdefault((str(column["s"]), str(column["t"])), []).append((str(column["c"]), str(column["type"])))
    asked = [row for row in tables if row["kind"] != "VIEW"]
    statements = [_digest(number, row, columns.get((row["s"], row["t"]), [])) for number, row in enumerate(asked)]
    results, errors = client.forced(SESSION + ";\n".join(statements))
    fields_by_number = {int(fields["number"] or 0): fields for result in results for fields in map(dict, result.rows)}
    content = {key(client.service, row): Table(kind="VIEW") for row in tables if row["kind"] == "VIEW"}
    for number, row in enumerate(asked):
        content[key(client.service, row)] = _table(row, fields_by_number.get(number), errors)
    return content


def _digest(number: int, row: dict[str, str], columns: Sequence[tuple[str, str]], where: str = "TRUE") -> str:
    values = ", ".join(_value(column, kind) for column, kind in columns) or "''"
    digest = f"CAST(CONV(LEFT(MD5(CONCAT_WS(',', {values})), 16), 16, 10) AS UNSIGNED)"
    return (
        f"SELECT {number} AS number, COUNT(*) AS n, COUNT(h) AS hashed, COALESCE(SUM(h), 0) AS total "  # noqa: S608  quoted
        f"FROM (SELECT {digest} AS h FROM {full_name(row)} WHERE {where}) AS hashes"
    )


def of_rows(client: Client, row: dict[str, str], where: str) -> Table:
    """Return the number and the digest of those rows of a table that meet the condition ``where``. Raises the errors of
    ``Client.results``.
    """
    wanted = f"TABLE_SCHEMA = {text(row['s'])} AND TABLE_NAME = {text(row['t'])}"
    columns = [(str(column["c"]), str(column["type"])) for column in client.rows(COLUMNS.format(where=wanted))]
    return _table(row, client.rows(SESSION + _digest(0, row, columns, where))[0], "")


def _value(column: str, kind: str) -> str:
    quoted = name(column)
    if kind in _GEOMETRY:
        form = f"MD5(CONCAT(ST_SRID({quoted}), ',', HEX(ST_AsBinary({quoted}))))"
    elif _TEXTS.fullmatch(kind):
        form = f"MD5({quoted})"
    else:
        form = f"CAST({quoted}{' + 0' if kind == 'bit' else ''} AS CHAR)"
    return f"IFNULL({form}, '-')"


def _table(row: dict[str, str], fields: Any, errors: str) -> Table:
    if fields is None:
        return Table(kind=row["kind"], error=row["comment"] or errors or "no answer")
    if fields["n"] != fields["hashed"]:
        raise CouldNotVerify(
            f"the server could not compute the digest of a row of the table {row['t']}; the row may be too long"
        )
    return Table(kind=row["kind"], rows=int(fields["n"]), digest=str(int(fields["total"]) % 2**64))


def _definitions(client: Client, rows: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """Yield the type and the name of each object, and its CREATE statement. The statement is empty if the service's account
    may not read it.
    """
    statements = [f"SHOW CREATE {_kind(row)} {full_name(row)}" for row in rows]
    results, _ = client.forced("SET SESSION time_zone = '+00:00';\n" + ";\n".join(statements), client.service.database)
    row_by_statement = {result.statement: result.rows[0] for result in results if result.rows}
    for row, statement in zip(rows, statements, strict=True):
        yield (
            f"{_kind(row).lower()} {key(client.service, row)}",
            _normal(client.service, row_by_statement.get(statement, [])),
        )


def _kind(row: Any) -> str:
    return {"BASE TABLE": "TABLE", "SYSTEM VERSIONED": "TABLE"}.get(row["kind"], str(row["kind"]))


def _normal(service: Mariadb, fields: Fields) -> str:
    """Return a CREATE statement without the AUTO_INCREMENT counter and without the name of the database."""
    said = next((value for key, value in fields if key.startswith(("Create ", "SQL Original")) and value), "")
    if service.database:
        said = said.replace(f"{name(service.database)}.", "")
    # The counter precedes the comment of the table, which may contain the same words.
    return re.sub(r"^(\)[^'\n]*?) AUTO_INCREMENT=\d+", r"\1", said, flags=re.MULTILINE)
