"""Reads rows of a MariaDB server by ranges of a key, so that a restored copy can be compared with the server in production."""

from __future__ import annotations

import re

from drillbook.sdk.key_ranges import Keyed, Rows
from drillbook.systems.mariadb import content
from drillbook.systems.mariadb.client import Client, name, text

_NEWEST = "SELECT {key} AS newest FROM {table} WHERE {key} IS NOT NULL ORDER BY {key} DESC LIMIT 1 OFFSET {margin}"
_HIGHS = """
SELECT MAX(k) AS high FROM (
  SELECT {key} AS k, NTILE({ranges}) OVER (ORDER BY {key}) AS part FROM {table} WHERE {key} <= {newest}
) AS parts GROUP BY part ORDER BY MAX(k)
"""
_COUNT = "SELECT COUNT(*) AS n FROM {table}"
_OUTSIDE = "SELECT COALESCE(SUM({key} > {high}), 0) AS `above`, COALESCE(SUM({key} IS NULL), 0) AS `without` FROM {table}"
KINDS = ("BASE TABLE", "SYSTEM VERSIONED")


class KeyReader:
    """Reads rows of one of the two compared servers. Each statement reads the data as of the time of this statement."""

    def __init__(self, client: Client) -> None:
        """List the tables. Raises the errors of ``Client.results``."""
        self.client = client
        self.tables = {content.key(client.service, row): row for row in content.listed(client) if row["kind"] in KINDS}

    def names(self) -> list[str]:
        """Return the names of all tables."""
        return list(self.tables)

    def has(self, table: str) -> bool:
        """Return True when there is a table of that name."""
        return table in self.tables

    def count(self, table: str) -> int:
        """Return the number of rows of a table."""
        return int(self._one(_COUNT.format(table=self._name(table)), "n"))

    def bounds(self, table: str, keyed: Keyed) -> list[str]:
        """Divide the keys of a table into ranges. Return the largest key of each range as text, in ascending order."""
        names = {"key": name(keyed.key), "table": self._name(table)}
        newest = str(keyed.up_to)
        if keyed.up_to == "newest":
            rows = self._rows(_NEWEST.format(**names, margin=keyed.margin))
            if not rows:
                return []
            newest = str(rows[0]["newest"])
        rows = self._rows(_HIGHS.format(**names, ranges=keyed.ranges, newest=_literal(newest)))
        return list(dict.fromkeys(str(row["high"]) for row in rows))

    def rows(self, table: str, key: str, low: str | None, high: str | None) -> Rows:
        """Return the number and the digest of the rows with a key above ``low`` and up to ``high``. A bound of None means no
        limit.
        """
        bounds = [f"{name(key)} {sign} {_literal(bound)}" for sign, bound in ((">", low), ("<=", high)) if bound is not None]
        measured = content.of_rows(self.client, self.tables[table], " AND ".join(bounds) or "TRUE")
        return Rows(measured.rows or 0, measured.digest)

    def outside(self, table: str, key: str, high: str) -> tuple[int, int]:
        """Return two numbers: the number of rows with a key above ``high``, and the number of rows whose key is NULL."""
        (row,) = self._rows(_OUTSIDE.format(key=name(key), table=self._name(table), high=_literal(high)))
        return int(row["above"] or 0), int(row["without"] or 0)

    def _name(self, table: str) -> str:
        return content.full_name(self.tables[table])

    def _one(self, sql: str, column: str) -> str:
        (row,) = self._rows(sql)
        return row[column] or ""

    def _rows(self, sql: str) -> list[dict[str, str | None]]:
        return self.client.rows(content.SESSION + sql)


def _literal(value: str) -> str:
    """Return a key as an SQL literal. Integers are not quoted, since the server would compare quoted integers as
    floating-point numbers.
    """
    return value if re.fullmatch(r"-?\d+", value) else text(value)
