"""Compares tables and sequences of a backup and a database, and reports each difference as a finding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from drillbook.findings import Finding, finding
from drillbook.systems.postgres.manifest import Sequence_, Table


def tables(wanted: Sequence[Table], found: Sequence[Table]) -> Iterator[Finding]:
    """Yield a finding for each missing, unexpected or different table."""
    there = {table.name: table for table in found}
    known = {table.name for table in wanted}
    for table in wanted:
        now = there.get(table.name)
        if now is None:
            yield finding("table-missing", title=table.name, wanted=_content(table), measured="no such table")
        elif table.digest is not None and (now.rows, now.digest) != (table.rows, table.digest):
            yield finding("table-content", title=table.name, wanted=_content(table), measured=_content(now))
    for table in found:
        if table.name not in known and table.digest is not None:
            yield finding("table-unexpected", title=table.name, wanted="no such table", measured=_content(table))


def _content(table: Table) -> str:
    return f"{table.rows} rows" + (f", digest {table.digest}" if table.digest else "")


def sequences(wanted: Sequence[Sequence_], found: Sequence[Sequence_]) -> Iterator[Finding]:
    """Yield a finding for each sequence that is missing or has another increment, or whose value is too low. Such a
    sequence could issue numbers that were issued before."""
    there = {one.name: one for one in found}
    for one in wanted:
        now = there.get(one.name)
        if now is None:
            yield finding("sequence-behind", title=one.name, wanted=_position(one), measured="no such sequence")
        elif not one.cycle and (now.increment != one.increment or now.reached < one.reached):
            yield finding("sequence-behind", title=one.name, wanted=f"at least {_position(one)}", measured=_position(now))


def _position(one: Sequence_) -> str:
    step = f", in steps of {one.increment}" if one.increment != "1" else ""
    return f"{one.last_value}{'' if one.is_called else ' (not yet issued)'}{step}"
