"""Restores one table in one transaction. The transaction compares the rows with the backup before other sessions see them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from psycopg import sql

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import BROKEN, REPLACED, RESTORED, Context, Facts
from drillbook.sdk.answer_limits import Answer, Ignored
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.store import Store
from drillbook.systems.postgres import content, foreign_keys, tables
from drillbook.systems.postgres.archive import Selection, entries, select
from drillbook.systems.postgres.connection import Connection, after_deadlocks, connected, first_row
from drillbook.systems.postgres.dump import ARCHIVE, failing
from drillbook.systems.postgres.manifest import Manifest, Table
from drillbook.systems.postgres.programs import AS_CLIENT, Tools
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.stages import Stages
from drillbook.systems.postgres.tables import Name
from drillbook.systems.postgres.verification import Proof, must_be_right

LOCK_TIMEOUT = "30s"
TRANSACTION = "transaction"
_NUMBER = """SELECT 'transaction=' || pg_catalog.pg_current_xact_id() || ' system=' || system_identifier || '{rows}'
|| coalesce(' replaced=' || nullif(pg_catalog.current_setting('drillbook.replaced', true), ''), '')
FROM pg_catalog.pg_control_system();"""
_NUMBERED = re.compile(rb"transaction=(\d+) system=(\d+)(?: rows=(\d+))?(?: replaced=(\d+))?")
_UNCHECKED = "SELECT pg_catalog.current_setting('drillbook.unchecked', true);"
_STATUS = "SELECT pg_catalog.pg_xact_status(%s::pg_catalog.xid8)"
DIFFERS = re.compile(r"drillbook: (\d+) rows, digest ([0-9a-f]{16}) in (.*)")

_RELATIONS = """
SELECT n.nspname || ' ' || c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
"""

# Counts the rows of a table that the restore replaces. A damaged table may be unreadable; it is replaced without a count.
REPLACES = """
DECLARE found bigint;
BEGIN
  PERFORM pg_catalog.set_config('drillbook.replaced', '', true);
  IF pg_catalog.to_regclass({name}) IS NULL THEN
    RETURN;
  END IF;
  LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE;
  BEGIN
    SELECT pg_catalog.count(*) INTO found FROM {table};
    PERFORM pg_catalog.set_config('drillbook.replaced', found::text, true);
  EXCEPTION WHEN OTHERS THEN
    NULL;
  END;
END
"""

# The digest as in content.py, computed in the transaction that copied the rows.
COMPARE = """
DECLARE found bigint; total numeric; digest text;
BEGIN
  SELECT pg_catalog.count(*), coalesce(pg_catalog.sum(pg_catalog.hashtextextended(({row})::text, 0)), 0)
    INTO found, total FROM ONLY {table} AS "_row_";
  total := pg_catalog.mod(pg_catalog.mod(total, 18446744073709551616) + 18446744073709551616, 18446744073709551616);
  digest := pg_catalog.lpad(pg_catalog.to_hex(pg_catalog.div(total, 4294967296)::bigint), 8, '0')
         || pg_catalog.lpad(pg_catalog.to_hex(pg_catalog.mod(total, 4294967296)::bigint), 8, '0');
  IF found <> {rows} OR digest <> {digest} THEN
    RAISE EXCEPTION 'drillbook: % rows, digest % in %', found, digest, {name};
  END IF;
END
"""


def _output_to(path: str) -> str:
    """Return psql's command that makes psql write the results of queries to the file ``path``."""
    quoted = path.replace("\\", "\\\\").replace("'", "''")
    return f"\\o '{quoted}'"


def _telling_unchecked(path: str) -> str:
    """Return psql commands for a list of the restored foreign keys that some rows violate. The commands write the names of
    these keys to the file ``path`` on the host.
    """
    return "\n".join((_output_to(path), "\\pset tuples_only on", "\\pset format unaligned", _UNCHECKED, "\\o", ""))


@dataclass(frozen=True, slots=True)
class TableRestore:
    """Base class of restores of one table from an archive of pg_dump, in one transaction."""

    OF_EXISTING: ClassVar[str] = (
        "To replace it by the table of the backup, write `replace: true`; rows newer than the backup are then lost."
    )

    ctx: Context
    service: Postgres
    table: Name
    closed: bool
    replace: bool
    stages: Stages = field(default_factory=Stages, kw_only=True)

    @property
    def tools(self) -> Tools:
        """Runner of PostgreSQL's programs on the service's host."""
        return Tools.of(self.ctx, self.service, self.ctx.host)

    @property
    def _folder(self) -> str:
        return f"table-{self.ctx.step}"

    def _committed(self) -> re.Match[bytes] | None:
        """Return the note of an earlier attempt of this step whose transaction was committed, or None when there is no such
        attempt.

        The controller of an earlier attempt may have died after the commit. A second restore would then lose the rows that
        clients have written since the first restore. The note is a file on the host with the ID of the transaction and the
        number of restored rows.
        """
        try:
            kept = self.ctx.host.get(f"{self.ctx.scratch}/{self._folder}/{TRANSACTION}")
        except FileNotFoundError:
            return None
        match = _NUMBERED.search(kept)
        if match is None:
            return None
        with connected(self.ctx, self.service) as session:
            if match[2].decode() != str(
                first_row(session, "SELECT system_identifier FROM pg_catalog.pg_control_system()")[0]
            ):
                return None
            while (status := first_row(session, _STATUS, match[1].decode())[0]) == "in progress":
                self.ctx.deadline.wait(0.1)
            return match if status == "committed" else None

    def _refuse_existing(self) -> StepFailed:
        """Return the error for a table that exists and must not be overwritten."""
        return StepFailed(
            f"{self.service.name}: the table {self.table} exists; nothing was overwritten",
            findings=[
                finding(
                    "restore-target",
                    title=str(self.table),
                    wanted="no such table",
                    measured="a table that differs from the backup",
                    remedy=self.OF_EXISTING,
                )
            ],
        )

    def _write_script(self, archive: str, roles: Collection[str], scratch: str) -> Selection:
        """Write the SQL that restores the table from ``archive`` to ``table.sql`` and ``keys.sql`` in ``scratch``.

        Return the entries of the archive that the SQL restores. ``roles``: possible owners of the table.
        """
        with self.stages.time("script"):
            chosen = self._selection(archive, roles)
            rows, keys = foreign_keys.split(chosen.lines)
            self._write_part(archive, rows, f"{scratch}/table.sql", scratch)
            script = ""
            if keys:
                self._write_part(archive, keys, f"{scratch}/keys.sql", scratch)
                kept = self.ctx.host.get(f"{scratch}/keys.sql").decode("utf-8", "surrogateescape")
                script = foreign_keys.tolerant(kept)
            self.ctx.host.put(script.encode("utf-8", "surrogateescape"), f"{scratch}/keys.sql")
        return chosen

    def _write_part(self, archive: str, chosen: Sequence[str], path: str, scratch: str) -> None:
        """Write the SQL of the ``chosen`` lines of the archive's list to the file ``path``."""
        lines = "".join(f"{line}\n" for line in chosen)
        self.ctx.host.put(lines.encode("utf-8", "surrogateescape"), f"{scratch}/list")
        arguments = (f"--use-list={scratch}/list", f"--file={path}", archive)
        output = self.ctx.run(self.tools.path("pg_restore"), *arguments, env=AS_CLIENT)
        must_be_right(self.ctx, "pg_restore", output)

    def _carry_out(self, chosen: Selection, restored: Sequence[Table], scratch: str) -> Facts:
        """Run the written SQL in one transaction. The transaction fails unless the rows of each table in ``restored`` have
        the digest that the backup records. A table without a recorded digest is not compared.
        """
        names = [Name.parse(table.name) for table in restored]
        back = sum(table.rows for table in restored) if chosen.whole else None
        host = self.ctx.host
        host.put(self._before(f"{scratch}/{TRANSACTION}", back).encode(), f"{scratch}/before.sql")
        after = _telling_unchecked(f"{scratch}/{foreign_keys.UNCHECKED}") + self._after(restored, names)
        host.put(after.encode(), f"{scratch}/after.sql")
        with self.stages.time("data"):
            parts = [f"{scratch}/{name}.sql" for name in ("before", "table", "keys", "after")]
            output = self.tools.transaction(*parts, sink=Ignored())
            self._look_for_difference(output.stderr, restored)
            must_be_right(self.ctx, "psql", output)
        note = _NUMBERED.search(host.get(f"{scratch}/{TRANSACTION}"))
        return self._facts(restored, chosen, "the rows were checked in the transaction that restored the table", note)

    def _selection(self, archive: str, roles: Collection[str]) -> Selection:
        """Return the entries of the archive that restore the table."""
        sink = Answer(f"{self.ctx.host.name}: the archive's list")
        self.ctx.run(self.tools.path("pg_restore"), "--list", "--verbose", archive, sink=sink, env=AS_CLIENT).check()
        listed = entries(sink.text, roles)
        with connected(self.ctx, self.service) as session:
            there, _ = after_deadlocks(lambda: self._relations(session))
        chosen = select(listed, self.table.listed, there.__contains__)
        if chosen is None:
            raise CouldNotVerify(
                f"the table of contents of the archive lacks the table {self.table}, which the backup contains",
                hint="partitioned tables and foreign tables can only be restored with the whole database",
            )
        return chosen

    def _relations(self, session: Connection) -> set[str]:
        """Return the names of all relations.

        When ``replace`` is true, leave out the relations that a drop of the table would remove. To find them, the table is
        dropped in a transaction that is rolled back.
        """
        with session.transaction(force_rollback=True):
            if self.replace:
                session.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(LOCK_TIMEOUT))
                session.execute(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(self.table.sql))
            return {name for (name,) in session.execute(_RELATIONS.encode()).fetchall()}

    def _before(self, kept: str, back: int | None) -> str:
        """Return the first statements of the transaction.

        These statements write the ID of the transaction and the number of replaced rows to the file ``kept`` on the host.
        ``back``: number of rows to restore. ``back`` is None when a dependent table is not restored: the replaced rows include
        the rows of this table, so the two numbers could not be compared.
        """
        lines = [
            "SET LOCAL statement_timeout = 0;",  # the script of pg_restore sets it later, after rows were counted
            "SET LOCAL lc_messages = 'C';",
            "SET LOCAL client_min_messages = warning;",
            "SET LOCAL synchronous_commit = on;",
            f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}';",
        ]
        if self.replace:
            body = sql.SQL(REPLACES).format(table=self.table.sql, name=sql.Literal(self.table.quoted)).as_string(None)
            lines.append(f"DO {sql.Literal(body).as_string(None)};")
        lines += [_output_to(kept), _NUMBER.format(rows="" if back is None else f" rows={back}"), "\\o"]
        if self.replace:
            lines.append(f"DROP TABLE IF EXISTS {self.table.quoted} CASCADE;")
        return "\n".join(lines) + "\n"

    def _after(self, restored: Sequence[Table], names: Sequence[Name]) -> str:
        """Return the last statements of the transaction. They compare each restored table with the digest in the backup, and
        fail when a table differs. A table without a digest in the backup is not compared. The statements also compute planner
        statistics. If ``closed`` is true, the statements also close the tables to writers.
        """
        parts = [f"SET LOCAL {name} = '{value}';" for name, value in content.SETTINGS.items()]
        for table, name in zip(restored, names, strict=True):
            if body := self._comparison(table, name):
                parts.append(f"DO {sql.Literal(body.as_string(None)).as_string(None)};")
        parts += [f"ANALYZE {name.quoted};" for name in names]
        if self.closed:
            parts.append(tables.closing(names).as_string(None))
        return "\n".join(parts) + "\n"

    def _comparison(self, table: Table, name: Name) -> sql.Composed | None:
        """Return the body of an SQL block (DO). The block raises an error when the restored table differs from the backup.

        Return None when the backup records no digest of the table.
        """
        if table.digest is None:
            return None
        return sql.SQL(COMPARE).format(
            table=name.sql,
            rows=sql.Literal(table.rows),
            digest=sql.Literal(table.digest),
            name=sql.Literal(str(name)),
            row=content.row_of(table.columns or ()),
        )

    def _look_for_difference(self, stderr: bytes, restored: Sequence[Table]) -> None:
        match = DIFFERS.search(stderr.decode("utf-8", "replace"))
        if match is None:
            return
        wanted = next((table for table in restored if str(Name.parse(table.name)) == match[3].strip()), None)
        raise StepFailed(
            (
                f"{self.service.name}: the restored content of {match[3]} differs from the digest in the backup's "
                "manifest; the restore was rolled back"
            ),
            findings=[
                finding(
                    "table-content",
                    title=match[3],
                    measured=f"{match[1]} rows, digest {match[2]}",
                    wanted=f"{wanted.rows} rows, digest {wanted.digest}" if wanted else "the backup's content",
                )
            ],
        )

    def _broken(self) -> list[str]:
        """Return the names of the foreign keys that were restored although rows of the present database violate them."""
        try:
            kept = self.ctx.host.get(f"{self.ctx.scratch}/{self._folder}/{foreign_keys.UNCHECKED}")
        except FileNotFoundError:
            return []
        return [name for name in kept.decode("utf-8", "replace").split("\n") if name]

    def _facts(
        self, restored: Sequence[Table], chosen: Selection | None, compared: str, note: re.Match[bytes] | None
    ) -> Facts:
        """Return the facts of the step. ``note``: match of the note that the transaction recorded about the restore, or None
        if there is no note.
        """
        broken = self._broken()
        back, replaced = (None if note is None or note[key] is None else int(note[key]) for key in (3, 4))
        with connected(self.ctx, self.service) as session:
            is_closed = tables.closed(session, self.table)
            rows = int(first_row(session, sql.SQL("SELECT pg_catalog.count(*) FROM ONLY {}").format(self.table.sql))[0])
        counts = [(RESTORED, back), (REPLACED, replaced)]
        return {
            key: value
            for fact, number in counts
            for key, value in tables.counted(fact, self.service.name, self.table, number).items()
        } | {
            "rows": rows,
            "digests": {table.name: table.digest for table in restored},
            "compared": compared,
            "relations": list(chosen.relations) if chosen else [],
            "entries": len(chosen.lines) if chosen else 0,
            "kept": list(chosen.kept) if chosen else [],
            "closed": is_closed,
            "replaced": self.replace,
            "seconds": self.stages.seconds,
            **({BROKEN: broken} if broken else {}),
        }


@dataclass(frozen=True, slots=True)
class SingleRestore(TableRestore):
    """Restore of one table from a backup of Drillbook in a store. Its rows are compared with the digest in the manifest."""

    store: Store
    origin: Reference

    def run(self) -> Facts:
        """Restore the table. After an error, the database is unchanged.

        Raises StepFailed with findings when the table cannot be restored, HostError when the host cannot be used, and
        Cancelled when the run is stopped.
        """
        with failing(f"the table {self.table} could not be restored"), self.stages.time("total"):
            proof = Proof(self.ctx, self.store, self.origin)
            backup = proof.manifest()
            self._known(backup)
            restored = [table for table in backup.tables if Name.parse(table.name) == self.table]
            if earlier := self._committed():
                return self._facts(
                    restored, None, "the rows were checked in the transaction of an earlier attempt of this step", earlier
                )
            if not self.replace and self._there_already(backup):
                return self._facts(restored, None, "the table existed and equals the backup", None)
            with self.ctx.temporary("table") as scratch:
                with self.stages.time("fetch"):
                    proof.fetch(backup, self.tools, scratch)
                chosen = self._write_script(f"{scratch}/files/{ARCHIVE}", backup.roles, scratch)
                restored = [table for table in backup.tables if Name.parse(table.name).listed in chosen.tables]
                return self._carry_out(chosen, restored, scratch)

    def _known(self, backup: Manifest) -> None:
        recorded, _ = tables.chosen(backup.tables, [self.table.quoted])
        if not recorded and backup.database.name == self.service.database:
            raise StepFailed(
                f"the backup in {self.origin} contains no table {self.table}",
                findings=[
                    finding(
                        "backup-missing",
                        title=f"table {self.table}",
                        wanted=str(self.table),
                        measured="not in the backup's manifest",
                    )
                ],
            )
        if backup.database.name != self.service.database:
            raise StepFailed(f"the backup contains the database {backup.database.name}, not {self.service.database}")

    def _there_already(self, backup: Manifest) -> bool:
        """Return True when the table exists and equals the backup, for example because a run was killed after its restore.

        Raises StepFailed when the table exists and differs from the backup, or admits writers although the step must refuse
        them.
        """
        with connected(self.ctx, self.service) as session:
            if not tables.exists(session, self.table):
                return False
            is_closed = tables.closed(session, self.table)
        if is_closed or not self.closed:
            with content.snapshot(self.ctx, self.service) as snap:
                there = [relation for relation in content.relations(snap) if Name.parse(relation.name) == self.table]
                measured = content.tables(snap, content.as_recorded(there, backup.tables))
            wanted, _ = tables.chosen(backup.tables, [self.table.quoted])
            now, _ = tables.chosen(measured, [self.table.quoted])
            if [(table.rows, table.digest) for table in now] == [(table.rows, table.digest) for table in wanted]:
                return True
        raise self._refuse_existing()
