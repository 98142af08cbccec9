"""Restores single rows of a table from a backup. Rows written since the backup are kept."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from psycopg import sql

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import RESTORED, Context, Facts
from drillbook.sdk.answer_limits import Answer
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.store import Store
from drillbook.systems.postgres import content
from drillbook.systems.postgres.connection import connected
from drillbook.systems.postgres.dump import ARCHIVE, failing
from drillbook.systems.postgres.manifest import Table
from drillbook.systems.postgres.programs import AS_CLIENT, Tools
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.single_table import COMPARE, DIFFERS, LOCK_TIMEOUT
from drillbook.systems.postgres.stages import Stages
from drillbook.systems.postgres.tables import Name, chosen, counted
from drillbook.systems.postgres.verification import Proof, must_be_right

TEMPORARY = "drillbook_rows"
# All columns that can be written, each with a flag that is true for columns of the primary key.
_COLUMNS = """
SELECT a.attname, coalesce(a.attnum = ANY (i.indkey::int2[]), false)
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary
WHERE n.nspname = %s AND c.relname = %s AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attnum
"""
# Redirect the data in the script to the temporary table: only the first COPY line counts, since a row may look like one.
_TURN = """
LC_ALL=C awk '!turned && sub(/^COPY .* \\(/, "COPY pg_temp.drillbook_rows (") { turned = 1 } { print }' "$1" > "$2"
"""
_AFTER = """
CREATE TEMP TABLE drillbook_counted ON COMMIT DROP AS SELECT
  (SELECT pg_catalog.count(*) FROM pg_temp.{rows} AS b JOIN {table} AS l ON {same}
   WHERE (b.*)::text IS DISTINCT FROM (l.*)::text) AS differing,
  0::bigint AS restored;
WITH back AS (
  INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE
  SELECT {columns} FROM (SELECT * FROM pg_temp.{rows} WHERE ({where}
)) AS b WHERE NOT EXISTS (SELECT FROM {table} AS l WHERE {same}) RETURNING 1
) UPDATE drillbook_counted SET restored = (SELECT pg_catalog.count(*) FROM back);
DO $$ BEGIN
  IF (SELECT pg_catalog.count(*) FROM pg_temp.{rows} AS b JOIN {table} AS l ON {same}
      WHERE (b.*)::text IS DISTINCT FROM (l.*)::text) <> (SELECT differing FROM drillbook_counted) THEN
    RAISE EXCEPTION 'drillbook: a trigger or a rule changes rows while they are restored';
  END IF;
END $$;
SELECT 'drillbook restored=' || restored || ' differing=' || differing || coalesce(' there=' || (
  SELECT pg_catalog.count(*) FROM (
    SELECT ctid FROM {table} WHERE ({where}
) UNION SELECT l.ctid FROM (SELECT * FROM pg_temp.{rows} WHERE ({where}
)) AS b JOIN {table} AS l ON {same}) AS found
  HAVING NOT EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhparent = {name}::pg_catalog.regclass)
), '') FROM drillbook_counted;
"""
# ``there``: rows that match the condition, or did so in the backup, whoever wrote them. Without tables that inherit, because
# other steps restore the rows of those.
_COUNTED = re.compile(rb"drillbook restored=(\d+) differing=(\d+)(?: there=(\d+))?")


@dataclass(frozen=True, slots=True)
class RowsRestore:
    """Restore of lost rows of one table. A row is restored if it matches ``where`` in the backup and its key is missing in
    the present table.
    """

    ctx: Context
    service: Postgres
    store: Store
    origin: Reference
    table: Name
    where: str
    stages: Stages = field(default_factory=Stages)

    @property
    def tools(self) -> Tools:
        """Runner of PostgreSQL's programs on the service's host."""
        return Tools.of(self.ctx, self.service, self.ctx.host)

    def run(self) -> Facts:
        """Restore the rows in one transaction. After an error, nothing is changed.

        Raises StepFailed with findings when the rows cannot be restored, HostError when the host cannot be used, and
        Cancelled when the run is stopped.
        """
        with failing(f"rows of {self.table} could not be restored"), self.stages.time("total"):
            proof = Proof(self.ctx, self.store, self.origin)
            backup = proof.manifest()
            known, _ = chosen(backup.tables, [self.table.quoted])
            if not known:
                raise StepFailed(
                    f"the backup contains no table {self.table}",
                    findings=[
                        finding(
                            "backup-missing",
                            title=f"table {self.table}",
                            wanted=str(self.table),
                            measured="not in the backup's manifest",
                        )
                    ],
                )
            with self.ctx.temporary("rows") as scratch:
                with self.stages.time("fetch"):
                    proof.fetch(backup, self.tools, scratch)
                return self._bring_back(known[0], scratch)

    def _bring_back(self, table: Table, scratch: str) -> Facts:
        host, out = self.ctx.host, Answer(f"{self.ctx.host.name}: the output of psql")
        host.put(f"{self._entry(f'{scratch}/files/{ARCHIVE}')}\n".encode("utf-8", "surrogateescape"), f"{scratch}/list")
        host.put(self._before().encode(), f"{scratch}/before.sql")
        host.put(self._after(table).encode(), f"{scratch}/after.sql")
        output = self.ctx.run(
            self.tools.path("pg_restore"),
            f"--use-list={scratch}/list",
            f"--file={scratch}/read.sql",
            f"{scratch}/files/{ARCHIVE}",
            env=AS_CLIENT,
        )
        must_be_right(self.ctx, "pg_restore", output)
        self.ctx.run("sh", "-c", _TURN, "sh", f"{scratch}/read.sql", f"{scratch}/rows.sql").check()
        with self.stages.time("data"):
            parts = [f"{scratch}/{name}.sql" for name in ("before", "rows", "after")]
            output = self.tools.transaction(*parts, flags=("--tuples-only", "--no-align"), sink=out)
            self._look_for_difference(output.stderr, table)
            must_be_right(self.ctx, "psql", output)
        matches = list(_COUNTED.finditer(out.getvalue()))[
            -1:
        ]  # an attempt that was rolled back may also have printed such a line
        if not matches:
            raise CouldNotVerify(
                f"{self.service.name}: the output of psql lacks the number of restored rows of {self.table}"
            )
        there = None if matches[0][3] is None else int(matches[0][3])
        return counted(RESTORED, self.service.name, self.table, there, self.where) | {
            "restored": int(matches[0][1]),
            "differing": int(matches[0][2]),
            "in_backup": table.rows,
            "seconds": self.stages.seconds,
        }

    def _entry(self, archive: str) -> str:
        """Return the line of pg_restore's list that restores the rows of the table."""
        sink = Answer(f"{self.ctx.host.name}: the archive's list")
        self.ctx.run(self.tools.path("pg_restore"), "--list", archive, sink=sink, env=AS_CLIENT).check()
        for line in sink.text.splitlines():
            if f" TABLE DATA {self.table.listed} " in line and not line.startswith(";"):
                return line
        raise CouldNotVerify(
            f"the table of contents of the archive has no entry for the rows of {self.table}",
            hint="restore each partition of a partitioned table",
        )

    def _before(self) -> str:
        return (
            "SET LOCAL lc_messages = 'C';\n"
            f"SET LOCAL client_min_messages = warning;\nSET LOCAL lock_timeout = '{LOCK_TIMEOUT}';\n"
            "SET LOCAL synchronous_commit = on;\n"
            f"CREATE TEMP TABLE {TEMPORARY} (LIKE {self.table.quoted} INCLUDING GENERATED) ON COMMIT DROP;\n"
        )

    def _after(self, table: Table) -> str:
        """Return the statements of the transaction that follow the loading of the backup's rows into a temporary table.

        If the manifest contains a digest of the table, the statements first compare the loaded rows with the digest, and fail
        when the rows differ. Then they insert the lost rows into the table.
        """
        with connected(self.ctx, self.service) as session:
            listed = session.execute(_COLUMNS, (self.table.schema, self.table.table)).fetchall()
        keys = [name for name, is_key in listed if is_key]
        if not keys:
            raise StepFailed(
                f"{self.service.name}: the table {self.table} has no primary key to identify its rows; restore the whole "
                "table with `postgres.restore_table`"
            )
        parts = [f"SET LOCAL {name} = '{value}';" for name, value in content.SETTINGS.items()]
        rows = sql.Identifier(TEMPORARY)
        if table.digest is not None:
            body = sql.SQL(COMPARE).format(
                table=sql.Identifier("pg_temp", TEMPORARY),
                rows=sql.Literal(table.rows),
                digest=sql.Literal(table.digest),
                row=content.row_of(table.columns or ()),
                name=sql.Literal(str(self.table)),
            )
            parts.append(f"DO {sql.Literal(body.as_string(None)).as_string(None)};")
        same = sql.SQL(" AND ").join(sql.SQL("l.{0} = b.{0}").format(sql.Identifier(key)) for key in keys)
        columns = sql.SQL(", ").join(sql.Identifier(name) for name, _ in listed)
        parts.append(
            sql.SQL(_AFTER)
            .format(
                rows=rows,
                table=self.table.sql,
                same=same,
                columns=columns,
                name=sql.Literal(self.table.quoted),
                where=sql.SQL(self.where),
            )
            .as_string(None)
        )
        return "\n".join(parts) + "\n"

    def _look_for_difference(self, stderr: bytes, table: Table) -> None:
        match = DIFFERS.search(stderr.decode("utf-8", "replace"))
        if match is not None:
            raise StepFailed(
                f"{self.service.name}: the restored content of {self.table} differs from the digest in the backup's "
                "manifest; nothing was changed",
                findings=[
                    finding(
                        "table-content",
                        title=str(self.table),
                        measured=f"{match[1]} rows, digest {match[2]}",
                        wanted=f"{table.rows} rows, digest {table.digest}",
                    )
                ],
            )
