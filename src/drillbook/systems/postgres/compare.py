"""Compares tables and sequences of a backup and a database, and reports each difference as a finding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from drillbook.findings import Finding, finding
from drillbook.systems.postgres.manifest import Sequence_, Table


def tables(wanted: Sequence[Table], present: Sequence[Table]) -> Iterator[Finding]:
    """Yield a finding for each missing, unexpected or different table."""
    there = {table.name: table for table in present}
    known = {table.name for table in wanted}
    for table in wanted:
        now = there.get(table.name)
        if now is None:
            yield finding("table-missing", title=table.name, wanted=_content(table), measured="no such table")
        elif table.digest is not None and (now.rows, now.digest) != (table.rows, table.digest):
            yield finding("table-content", title=table.name, wanted=_content(table), measured=_content(now))
    for table in present:
        if table.name not in known and table.digest is not None:
            yield finding("table-unexpected", title=table.name, wanted="no such table", measured=_content(table))


def _content(table: Table) -> str:
    return f"{table.rows} rows" + (f", digest {table.digest}" if table.digest else "")


def sequences(wanted: Sequence[Sequence_], present: Sequence[Sequence_]) -> Iterator[Finding]:
    """Yield a finding for each sequence that is missing, has another increment, or has too low a value. A sequence with too
    low a value could issue the same numbers again. Of a cyclic sequence, only the existence is checked.
    """
    there = {sequence.name: sequence for sequence in present}
    for sequence in wanted:
        now = there.get(sequence.name)
        if now is None:
            yield finding("sequence-behind", title=sequence.name, wanted=_position(sequence), measured="no such sequence")
        elif not sequence.cycle and (now.increment != sequence.increment or now.reached < sequence.reached):
            yield finding(
                "sequence-behind", title=sequence.name, wanted=f"at least {_position(sequence)}", measured=_position(now)
            )


def _position(sequence: Sequence_) -> str:
    step = f", in steps of {sequence.increment}" if sequence.increment != "1" else ""
    return f"{sequence.last_value}{'' if sequence.is_called else ' (not yet issued)'}{step}"
