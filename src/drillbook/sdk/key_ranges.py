"""Compares a restored copy with the running database, and with the copy that an earlier run restored.

A table without new writes is compared as a whole. A table that only grows is compared by ranges of a key. The values of this
key must grow with each new row. When the step sets ``tolerance`` or ``history``, the numbers of rows are also compared, for
all tables.

The running database has changed since the backup. A row gets its key before it is committed. So a row with a lower key than
the highest key in the copy may have been committed only after the backup, and is then missing in the copy. Therefore the
newest rows of the copy (the margin) are not compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from drillbook.errors import CouldNotVerify, PlanError, StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk.action import Context
from drillbook.sdk.earlier_results import EarlierStep

STILL = "whole table"


class Keyed(BaseModel):
    """Comparison of one table.

    When no field is set, the table is compared as a whole. This works only if nothing was written to the table since the
    backup.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = Field(
        default="",
        description=(
            "Column whose values grow with each new row. Empty: the table is compared as a whole. This works only if nothing was "
            "written to the table since the backup."
        ),
    )
    up_to: Literal["newest"] | int | str = Field(
        default="newest", description="Largest key to compare. `newest`: the largest key in the copy, reduced by `margin`."
    )
    margin: int = Field(
        default=100,
        ge=0,
        description=(
            "For `up_to: newest`: number of the newest rows of the copy that are not compared. Between them, the copy may "
            "lack rows that were committed only after the backup was taken."
        ),
    )
    ranges: int = Field(
        default=8,
        ge=1,
        le=1000,
        description=("Number of ranges into which the rows are divided. Each range has about as many rows as the others."),
    )


Tables = Annotated[
    dict[str, Keyed],
    Field(
        description="Tables to compare. For a table with a column whose values grow, `key` names this column. Example: "
        "`{orders: {key: id}, countries: {}}`."
    ),
]
Tolerance = Annotated[
    float | None,
    Field(
        ge=0,
        description=(
            "Largest permitted difference, as a share such as 0.05, between the number of rows of a table in the copy and "
            "the number in production. Empty: these numbers are not compared."
        ),
    ),
]


History = Annotated[
    float | None,
    Field(
        ge=0,
        description=(
            "Largest permitted difference, as a share such as 0.3, between the number of rows of a table in this copy and "
            "the number in an earlier copy. Empty: these numbers are not compared. The earlier copy comes from the last "
            "run that passed this action for this service in the same environment."
        ),
    ),
]


@dataclass(frozen=True, slots=True)
class Rows:
    """Number of rows and digest of their content."""

    number: int
    digest: str


class Reader(Protocol):
    """Database that is compared. All reads see the same snapshot."""

    def names(self) -> list[str]:
        """Return the names of all tables that contain rows. A table that consists only of partitions is left out."""

    def has(self, table: str) -> bool:
        """Return True when the database has a table of that name."""

    def count(self, table: str) -> int:
        """Return the number of rows of a table."""

    def bounds(self, table: str, keyed: Keyed) -> list[str]:
        """Return the largest key of each range as text, in order. The result is empty when there are no rows to compare."""

    def rows(self, table: str, key: str, low: str | None, high: str | None) -> Rows:
        """Return the number and the digest of the rows with keys above ``low`` and up to ``high``.

        When ``key`` is empty, all rows are included.
        """

    def outside(self, table: str, key: str, high: str) -> tuple[int, int]:
        """Return two numbers: the number of rows with keys above ``high``, and the number of rows whose key is NULL."""


@dataclass(slots=True)
class Comparison:
    """Result of a comparison: findings, and facts."""

    findings: list[Finding] = field(default_factory=list)
    ranges: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    volume: dict[str, list[int]] = field(default_factory=dict)
    history: dict[str, Any] = field(default_factory=dict)
    not_compared: dict[str, str] = field(default_factory=dict)
    unverified: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def facts(self, algorithm: str) -> dict[str, Any]:
        """Return the results of the comparison as facts of its step. ``algorithm``: name of the digest."""
        return {
            "tables": len(self.ranges),
            "rows": sum(part["rows"] for parts in self.ranges.values() for part in parts),
            "ranges": self.ranges,
            "volume": self.volume,
            **({"history": self.history} if self.history else {}),
            "not_compared": self.not_compared,
            "algorithm": algorithm,
        }

    def answer(self, name: str, facts: dict[str, Any]) -> dict[str, Any]:
        """Return ``facts`` if the comparison has no findings, and compared all tables that the step lists.

        Raises StepFailed if there are findings. Raises CouldNotVerify if a listed table could not be compared.
        """
        if self.findings:
            said = f"{name} differs from production in {len(self.findings)} places: {self.findings[0].title}"
            raise StepFailed(said, findings=self.findings, facts=facts)
        if self.unverified:
            table = self.unverified[0]
            raise CouldNotVerify(
                f"no row of {table} could be compared: {self.not_compared[table]}",
                hint="lower `margin` of the table, or set `key` of the table",
            )
        return facts


@dataclass(frozen=True, slots=True)
class Wanted:
    """Parts of a comparison: the tables and their keys, and the tolerances for numbers of rows.

    ``tolerance``: largest relative difference between the copy and production. ``history``: largest relative difference
    between the copies of this run and of the last run. ``last``: facts of the same step in the last run.
    """

    tables: Mapping[str, Keyed]
    tolerance: float | None = None
    history: float | None = None
    last: EarlierStep | None = None

    @property
    def counts(self) -> bool:
        """True when the rows of all tables are counted."""
        return self.tolerance is not None or self.history is not None


def wanted(
    ctx: Context, action: str, service: str, tables: Mapping[str, Keyed], *, tolerance: float | None, history: float | None
) -> Wanted:
    """Return the description of a comparison; for ``tolerance`` and ``history``, see ``Wanted``. If ``history`` is given,
    the result includes the facts of the last run. Raises PlanError when the description is empty, so that nothing would be
    compared.
    """
    if not tables and tolerance is None and history is None:
        raise PlanError(
            f"{action}: set `tables`, `tolerance` for the number of rows, or `history`, so that something is compared"
        )
    last = ctx.earlier(action, service) if history is not None else None
    return Wanted(tables, tolerance, history, last)


def compare(copy: Reader, production: Reader, parts: Wanted) -> Comparison:
    """Compare the rows of the tables in ``parts`` by the key columns of these tables. If ``tolerance`` or
    ``history`` is set in ``parts``, also compare the number of rows of every table: with production, with the earlier copy, or
    with both. Raises the errors of the readers.
    """
    result = Comparison()
    names, tables = production.names(), parts.tables
    if parts.counts:
        _compare_numbers(copy, production, names, parts.tolerance, result)
    if parts.history is not None:
        _compare_history(parts.history, parts.last, result)
    for table, keyed in tables.items():
        _compare_table(copy, production, table, keyed, result)
    rest = (
        ("only the number of rows in the table was compared")
        if parts.counts
        else ("the step sets neither `tables` for this table nor `tolerance`")
    )
    result.not_compared |= {table: rest for table in names if table not in tables}
    return result


def _compare_numbers(
    copy: Reader, production: Reader, names: list[str], tolerance: float | None, result: Comparison
) -> None:
    for table in names:
        here = production.count(table)
        if not copy.has(table):
            result.missing.append(table)
            result.findings.append(_missing(table, f"{here} rows"))
            continue
        there = copy.count(table)
        result.volume[table] = [there, here]
        if tolerance is not None and abs(there - here) > tolerance * here:
            within = f"{here} rows as in production, at most {tolerance:.1%} more or fewer"
            result.findings.append(finding("copy-volume", title=table, wanted=within, measured=f"{there} rows"))


def _compare_history(tolerance: float, last: EarlierStep | None, result: Comparison) -> None:
    """Compare the number of rows in each table of the copy with the number in the facts of the last run."""
    before = last.facts.get("volume") if last else None
    if last is None or not before:
        result.history = {"not_compared": "no earlier run in this environment counted the rows of this service"}
        return
    common = [table for table in result.volume if table in before]
    result.history = {
        "run": last.run,
        "started": last.started,
        "tables": len(common),
        "new": sorted(table for table in result.volume if table not in before),
        "gone": sorted(table for table in before if table not in result.volume),
    }
    for table in common:
        now, then = result.volume[table][0], int(before[table][0])
        if abs(now - then) > tolerance * then:
            within = f"{then} rows as in the copy of run {last.run}, at most {tolerance:.1%} more or fewer"
            result.findings.append(finding("copy-volume", title=table, wanted=within, measured=f"{now} rows"))


def _compare_table(copy: Reader, production: Reader, table: str, keyed: Keyed, result: Comparison) -> None:
    if not copy.has(table):
        if table not in result.missing:
            result.findings.append(_missing(table, "the table as in production"))
        return
    highs: list[str | None] = [*copy.bounds(table, keyed)] if keyed.key else [None]
    if not production.has(table) or not highs:
        none = (
            f"every row of the copy belongs to its newest {keyed.margin} rows, which are not compared"
            if not highs
            else "production has no such table"
        )
        result.unverified.append(table)
        result.not_compared[table] = none
        return
    parts = []
    for low, high in zip([None, *highs], highs, strict=False):
        where = f"{keyed.key} {'up to' if low is None else f'above {low}, up to'} {high}" if keyed.key else STILL
        there, here = copy.rows(table, keyed.key, low, high), production.rows(table, keyed.key, low, high)
        parts.append({"range": where, "rows": there.number, "equal": there == here})
        if there != here:
            title = f"{table}, {where}" if keyed.key else table
            result.findings.append(
                finding("copy-differs", title=title, wanted=f"{_said(here)} in production", measured=_said(there))
            )
    result.ranges[table] = parts
    if isinstance(last := highs[-1], str):
        result.not_compared[table] = _outside(copy.outside(table, keyed.key, last), production, table, keyed.key, last)


def _outside(there: tuple[int, int], production: Reader, table: str, key: str, last: str) -> str:
    newer, others = production.outside(table, key, last)
    return (
        f"rows with {key} above {last}: {there[0]} in the copy, {newer} in production; rows without a key: "
        f"{there[1]} in the copy, {others} in production"
    )


def _missing(table: str, expected: str) -> Finding:
    return finding("table-missing", title=table, wanted=expected, measured="no such table")


def _said(rows: Rows) -> str:
    return f"{rows.number} rows, digest {rows.digest}"
