"""Comparison of a restored copy with the database that still runs: tables that stand still, ranges of keys, numbers of rows.

Production went on after the backup. A table that only grows is compared by ranges of a key that grows with it, up to the
newest row of the copy but for a margin: rows with a lower key may have been committed after the backup was taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import Finding, finding

STILL = "whole table"


class Keyed(BaseModel):
    """Comparison of one table; without fields as a whole: nothing was written to it since the backup."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = Field(default="", description="Column whose values grow with each new row; empty: the table stands still.")
    up_to: Literal["newest"] | int | str = Field(
        default="newest", description="Largest key to compare; `newest`: that of the copy, but for `margin`."
    )
    margin: int = Field(
        default=100,
        ge=0,
        description="Number of newest rows of the copy that `up_to: newest` leaves out, since others with "
        "lower keys may have been committed after the backup.",
    )
    ranges: int = Field(default=8, ge=1, le=1000, description="Number of ranges, each with about as many rows.")


Tables = Annotated[
    dict[str, Keyed],
    Field(description="Tables to compare by their name, each with its `key`: `{orders: {key: id}, countries: {}}`."),
]
Tolerance = Annotated[
    float | None,
    Field(
        ge=0,
        description="Share by which the number of rows of every table may differ from production's, such as 0.05; empty: rows "
        "are not counted.",
    ),
]


@dataclass(frozen=True, slots=True)
class Rows:
    """Number and digest of rows."""

    number: int
    digest: str


class Reader(Protocol):
    """A database that is compared, in one snapshot."""

    def names(self) -> list[str]:
        """Return the names of all tables with rows of their own."""

    def has(self, table: str) -> bool:
        """Return True when there is a table of that name."""

    def count(self, table: str) -> int:
        """Return the number of rows of a table."""

    def bounds(self, table: str, keyed: Keyed) -> list[str]:
        """Return the largest key of each range in order, as text; empty when there is no row to compare."""

    def rows(self, table: str, key: str, low: str | None, high: str | None) -> Rows:
        """Return the rows with keys above ``low`` and up to ``high``; all without a ``key``."""

    def outside(self, table: str, key: str, high: str) -> tuple[int, int]:
        """Return the numbers of rows with keys above ``high``, and of those without a key."""


@dataclass(slots=True)
class Comparison:
    """Result of a comparison: findings, and facts."""

    findings: list[Finding] = field(default_factory=list)
    ranges: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    volume: dict[str, list[int]] = field(default_factory=dict)
    not_compared: dict[str, str] = field(default_factory=dict)
    unverified: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def facts(self, algorithm: str) -> dict[str, Any]:
        """Return the facts."""
        return {
            "tables": len(self.ranges),
            "rows": sum(part["rows"] for parts in self.ranges.values() for part in parts),
            "ranges": self.ranges,
            "volume": self.volume,
            "not_compared": self.not_compared,
            "algorithm": algorithm,
        }

    def answer(self, name: str, facts: dict[str, Any]) -> dict[str, Any]:
        """Return the facts. Raises StepFailed with all findings, CouldNotVerify when a named table was not compared."""
        if self.findings:
            said = f"{name} differs from production in {len(self.findings)} places: {self.findings[0].title}"
            raise StepFailed(said, findings=self.findings, facts=facts)
        if self.unverified:
            table = self.unverified[0]
            raise CouldNotVerify(
                f"no row of {table} could be compared: {self.not_compared[table]}", hint="lower its `margin`, or name a key"
            )
        return facts


def compare(copy: Reader, production: Reader, tables: Mapping[str, Keyed], tolerance: float | None) -> Comparison:
    """Compare ``tables`` by their keys, and the number of rows of all tables. Raises the errors of the readers."""
    result = Comparison()
    names = production.names()
    if tolerance is not None:
        _compare_numbers(copy, production, names, tolerance, result)
    for table, keyed in tables.items():
        _compare_table(copy, production, table, keyed, result)
    rest = "only its number of rows" if tolerance is not None else "the step names neither it nor a tolerance"
    result.not_compared |= {table: rest for table in names if table not in tables}
    return result


def _compare_numbers(copy: Reader, production: Reader, names: list[str], tolerance: float, result: Comparison) -> None:
    for table in names:
        wanted = production.count(table)
        if not copy.has(table):
            result.missing.append(table)
            result.findings.append(_missing(table, f"{wanted} rows"))
            continue
        there = copy.count(table)
        result.volume[table] = [there, wanted]
        if abs(there - wanted) > tolerance * wanted:
            within = f"{wanted} rows as in production, at most {tolerance:.1%} more or less"
            result.findings.append(finding("copy-volume", title=table, wanted=within, measured=f"{there} rows"))


def _compare_table(copy: Reader, production: Reader, table: str, keyed: Keyed, result: Comparison) -> None:
    if not copy.has(table):
        if table not in result.missing:
            result.findings.append(_missing(table, "the table of production"))
        return
    highs: list[str | None] = [*copy.bounds(table, keyed)] if keyed.key else [None]
    if not production.has(table) or not highs:
        none = f"the copy has no row below its newest {keyed.margin}" if not highs else "production has no such table"
        result.unverified.append(table)
        result.not_compared[table] = none
        return
    parts = []
    for low, high in zip([None, *highs], highs, strict=False):
        where = f"{keyed.key} {'up to' if low is None else f'above {low}, up to'} {high}" if keyed.key else STILL
        there, wanted = copy.rows(table, keyed.key, low, high), production.rows(table, keyed.key, low, high)
        parts.append({"range": where, "rows": there.number, "equal": there == wanted})
        if there != wanted:
            title = f"{table}, {where}" if keyed.key else table
            result.findings.append(
                finding("copy-differs", title=title, wanted=f"{_said(wanted)} in production", measured=_said(there))
            )
    result.ranges[table] = parts
    if isinstance(last := highs[-1], str):
        result.not_compared[table] = _outside(copy.outside(table, keyed.key, last), production, table, keyed.key, last)


def _outside(there: tuple[int, int], production: Reader, table: str, key: str, last: str) -> str:
    newer, others = production.outside(table, key, last)
    return f"{key} above {last}: {there[0]} rows of the copy, {newer} of production; without a key: {there[1]} and {others} rows"


def _missing(table: str, wanted: str) -> Finding:
    return finding("table-missing", title=table, wanted=wanted, measured="no such table")


def _said(rows: Rows) -> str:
    return f"{rows.number} rows, digest {rows.digest}"
