"""Differences between the expected content of a MariaDB server and the content of its restored copy."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import zip_longest

from drillbook.findings import Finding, finding
from drillbook.systems.mariadb.content import Content, Table

SHOWN = 300
"""A finding shows at most this number of characters of a line of a definition."""
NEVER = {
    "accounts": "users, roles and rights are not compared",
    "float": "values of FLOAT columns are compared only as the server prints them, which omits some digits",
    "next numbers": "AUTO_INCREMENT of a table is not compared",
}
"""Parts of a server that are never compared, each with the reason."""


def tables(wanted: Content, content: Content, skipped: Collection[str]) -> Iterator[Finding]:
    """Yield the differences between tables. The rows of the tables in ``skipped`` are not compared."""
    for name, table in wanted.tables.items():
        copy = content.tables.get(name)
        if copy is None:
            yield finding("table-missing", title=name, wanted=_content(table), measured=f"no such {table.kind.lower()}")
        elif copy.kind != table.kind:
            yield finding("schema-differs", title=name, wanted=table.kind.lower(), measured=copy.kind.lower())
        elif name not in skipped and (copy.error or _differs(table, copy)):
            code = "sequence-behind" if table.kind == "SEQUENCE" and not copy.error else "table-content"
            yield finding(code, title=name, wanted=_content(table), measured=_content(copy))
    for name, copy in content.tables.items():
        if name not in wanted.tables:
            yield finding("table-unexpected", title=name, wanted="no such table", measured=_content(copy))


def definitions(wanted: Content, content: Content, texts: Mapping[str, str], copies: Mapping[str, str]) -> Iterator[Finding]:
    """Yield a finding for each definition that differs. ``texts``: complete texts of the definitions in ``wanted``, empty if
    ``wanted`` is a manifest; ``copies``: complete texts of the definitions in ``content``. With ``texts``, a finding shows the
    first line in which the two texts of a definition differ.

    Missing and additional tables, views and sequences are not included, since the function ``tables`` reports them.
    """
    for name, digest in wanted.definitions.items():
        other = content.definitions.get(name)
        if other is None:
            if not _is_table(name):
                yield finding("schema-differs", title=name, wanted="its definition", measured="no such object")
        elif digest and digest != other:
            first, second = _line(texts.get(name, ""), copies.get(name, ""))
            yield finding(
                "schema-differs", title=name, wanted=first, measured=second if other else "the object could not be read"
            )
    for name in content.definitions:
        if name not in wanted.definitions and not _is_table(name):
            yield finding("schema-differs", title=name, wanted="no such object", measured="an object that only the copy has")


def not_compared(wanted: Content, content: Content, ignore: Mapping[str, str]) -> dict[str, str]:
    """Return the parts that were not compared, each with the reason."""
    servers = f"the backup is of {wanted.server}, the copy runs on {content.server}"
    history = "old versions of the rows: a dump contains these versions only if it was taken with --dump-history"
    return {
        **NEVER,
        **{name: history for name, table in wanted.tables.items() if table.kind == "SYSTEM VERSIONED"},
        **{
            name: "the definition of this object could not be read"
            for name, digest in wanted.definitions.items()
            if not digest
        },
        **{name: table.error for name, table in wanted.tables.items() if table.error},
        **({"server": servers} if wanted.server != content.server else {}),
        **ignore,
    }


def _differs(table: Table, copy: Table) -> bool:
    return not table.error and (table.kind, table.rows, table.digest) != (copy.kind, copy.rows, copy.digest)


def _content(table: Table) -> str:
    if table.error:
        return f"the object could not be read: {table.error}"
    if table.kind == "VIEW":
        return "a view"
    return f"{table.rows} rows, digest {table.digest}"


def _is_table(name: str) -> bool:
    return name.partition(" ")[0] in ("table", "view", "sequence")


def _line(first: str, second: str) -> tuple[str, str]:
    for line, other in zip_longest(first.splitlines(), second.splitlines(), fillvalue=""):
        if line != other:
            return line.strip()[:SHOWN] or "no further line", other.strip()[:SHOWN] or "no further line"
    return "the definition in the manifest", "a different definition"
