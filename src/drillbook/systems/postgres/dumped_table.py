"""Restores one table from a dump that the team took itself. The number of its rows is compared with the dump."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import psycopg
from psycopg import sql

from drillbook.errors import CouldNotVerify, HostError, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.backup_source import Backup
from drillbook.systems.postgres import dump_reading, foreign_keys, tables
from drillbook.systems.postgres.archive import Selection
from drillbook.systems.postgres.connection import Connection, connected, reason
from drillbook.systems.postgres.dump import failing
from drillbook.systems.postgres.dump_judgement import MOST_NAMED
from drillbook.systems.postgres.dump_reading import Form
from drillbook.systems.postgres.manifest import Table
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.single_table import TableRestore
from drillbook.systems.postgres.source import PgDumpSource
from drillbook.systems.postgres.tables import Name
from drillbook.systems.postgres.verification import must_be_right

SCRIPT = Form("none", "plain", False)
HOW_TO_DUMP = "`pg_dump --format=custom`"
_COUNT = """
DECLARE found bigint;
BEGIN
  SELECT pg_catalog.count(*) INTO found FROM ONLY {table};
  IF found <> {rows} THEN
    RAISE EXCEPTION 'drillbook: % rows in %', found, {name};
  END IF;
END
"""
_OTHER_NUMBER = re.compile(r"drillbook: (\d+) rows in (.*)")


def unfit(table: Name, checked: Facts) -> str:
    """Return the reason why the table cannot be restored from a dump, or an empty text when it can.

    ``checked``: facts of the verification of the dump.
    """
    if checked.get("format") not in dump_reading.ARCHIVES:
        return f"a dump in the format {checked.get('format')} cannot restore one table; take it with {HOW_TO_DUMP}"
    rows = checked.get("rows_by_table", {})
    if table in {Name.parse(name) for name in rows}:
        return ""
    if len(rows) >= MOST_NAMED:
        return f"only {MOST_NAMED} of the dump's {checked.get('tables')} tables are known, and {table} is not among them"
    return f"the dump contains no rows of {table} that could be counted"


def unfit_here(ctx: Context, service: Postgres, table: Name, checked: Facts) -> str:
    """Return the reason why the table could not be restored from a dump into the present database, or an empty text.

    ``checked``: facts of the verification of the dump. Raises CouldNotVerify when the server cannot be queried.
    """
    if why := unfit(table, checked):
        return why
    try:
        with connected(ctx, service) as session:
            if lacking := sorted(set(checked.get("roles", ())) - _roles(session)):
                return (
                    f"the dump names roles that the server no longer has: {', '.join(lacking[:10])}; create these "
                    "roles again, or take a new dump"
                )
            return foreign_keys.unrestorable(session, table)
    except (psycopg.Error, HostError) as error:
        raise CouldNotVerify(f"{service.name} cannot be compared with the dump: {reason(error)}") from error


def _roles(session: Connection) -> set[str]:
    return {name for (name,) in session.execute("SELECT rolname FROM pg_catalog.pg_roles").fetchall()}


@dataclass(frozen=True, slots=True)
class DumpedTableRestore(TableRestore):
    """Restore of one table from a dump of the backup source ``source``. A table that exists is never overwritten."""

    OF_EXISTING: ClassVar[str] = (
        "This step never replaces a table. To restore it from the dump, rename or drop the present table first; rows "
        "newer than the dump are then lost."
    )

    source: PgDumpSource
    backup: Backup

    def run(self) -> Facts:
        """Restore the table. After an error, the database is unchanged.

        Raises StepFailed with findings when the table cannot be restored, HostError when the host cannot be used, and
        Cancelled when the run is stopped.
        """
        with failing(f"the table {self.table} could not be restored"), self.stages.time("total"):
            if earlier := self._committed():
                return self._facts(
                    [], None, "the rows were checked in the transaction of an earlier attempt of this step", earlier
                )
            with connected(self.ctx, self.service) as session:
                if tables.exists(session, self.table):
                    raise self._refuse_existing()
                roles = _roles(session)
            with self.ctx.temporary("table") as scratch, self._archive(scratch) as archive:
                chosen = self._write_script(archive, roles, scratch)
                return self._carry_out(chosen, self._counted(chosen, scratch), scratch)

    @contextmanager
    def _archive(self, scratch: str) -> Iterator[str]:
        """Copy the archive to the step's host, decompress it if it is compressed, and yield its path."""
        with self.stages.time("fetch"):
            host, deadline = self.ctx.host, self.ctx.deadline
            with self.source.brought(self.ctx, self.backup, host, scratch) as path:
                form = dump_reading.form_of(host, path, deadline)
                if not form.archive:
                    raise StepFailed(f"{self.backup.id} of {self.source.name}: {unfit(self.table, {'format': form.format})}")
                plain = path
                if form.packed != "none":
                    plain = f"{scratch}/archive"
                    script = 'umask 077; file=$1 to=$2; shift 2; exec "$@" < "$file" > "$to"'
                    argv = ("sh", "-c", script, "sh", path, plain, *form.unpacker)
                    must_be_right(self.ctx, form.packed, host.run(argv, deadline=deadline))
                yield plain

    def _counted(self, chosen: Selection, scratch: str) -> list[Table]:
        """Return the chosen tables, each with the number of its rows in the SQL of the restore. Raises StepFailed when this
        SQL is damaged, or contains no rows of the table that the step restores.
        """
        reading = dump_reading.read(self.ctx.host, f"{scratch}/table.sql", SCRIPT, "", self.ctx.deadline)
        rows = {Name.parse(name): number for name, number in reading.rows.items()}
        problem = reading.problems[0] if reading.problems else "" if self.table in rows else "no rows that can be counted"
        if problem:
            raise StepFailed(
                f"{self.backup.id} of {self.source.name} cannot restore {self.table}: {problem}; nothing was changed",
                findings=[
                    finding("backup-damaged", title=self.backup.id, wanted=f"the whole table {self.table}", measured=problem)
                ],
            )
        return [
            Table(name=name.quoted, rows=number, digest=None, bytes=0)
            for name, number in rows.items()
            if name.listed in chosen.tables
        ]

    def _comparison(self, table: Table, name: Name) -> sql.Composed | None:
        return sql.SQL(_COUNT).format(table=name.sql, rows=sql.Literal(table.rows), name=sql.Literal(str(name)))

    def _look_for_difference(self, stderr: bytes, restored: Sequence[Table]) -> None:
        match = _OTHER_NUMBER.search(stderr.decode("utf-8", "replace"))
        if match is None:
            return
        wanted = next((table.rows for table in restored if str(Name.parse(table.name)) == match[2].strip()), None)
        raise StepFailed(
            f"{self.service.name}: {match[2]} has {match[1]} rows, but the dump has {wanted}; the restore was rolled back",
            findings=[
                finding(
                    "table-content", title=match[2], measured=f"{match[1]} rows", wanted=f"{wanted} rows, as in the dump"
                )
            ],
        )
