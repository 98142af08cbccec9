"""Compares the materialized views of a database with a backup.

The restore of a dump computes these views again from the restored tables. If the query of a view now returns exactly the
rows of the view, the view is correct, even if it differs from the backup. In this case, the view in the backup was not up
to date with its tables. If a restored view differs both from the backup and from the present result of its query, this is a
finding.

Some queries depend on time, chance or the session, so two results of such a query can differ. For a view with such a query,
the rows are not compared. The view is stale only if it has no rows and its query returns rows.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from drillbook.findings import Finding, finding
from drillbook.sdk.stored_backup import Part
from drillbook.systems.postgres.connection import Connection, first_row, reason
from drillbook.systems.postgres.content import DIGEST, SETTINGS, Relation, Snapshot

KEPT = {"search_path", "row_security", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"}
"""Settings that the snapshot's database session keeps while it runs the query of a materialized view.

The other settings in ``SETTINGS`` are reset to the server's values, because a restore also runs the query with the server's
values.
"""
_UNSTEADY = re.compile(
    r"\b(?:CURRENT_(?:DATE|TIME|TIMESTAMP|USER|ROLE|SCHEMA|CATALOG)|LOCALTIME|LOCALTIMESTAMP|SESSION_USER|TABLESAMPLE|"
    r"(?:now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday|random\w*|setseed|gen_random_uuid|uuid\w*|"
    r"nextval|currval|lastval|txid_\w+|pg_\w+|age|current_setting|current_database|inet_\w+|version)\s*\()",
    re.IGNORECASE,
)
_ABOUT = """
WITH RECURSIVE used (oid) AS (
  SELECT %s::pg_catalog.regclass::oid
  UNION SELECT d.refobjid FROM used u JOIN pg_catalog.pg_class v ON v.oid = u.oid AND v.relkind IN ('v', 'm')
  JOIN pg_catalog.pg_rewrite r ON r.ev_class = u.oid
  JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
    AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass)
SELECT c.relispopulated, pg_catalog.pg_get_userbyid(c.relowner),
  (SELECT pg_catalog.array_agg(pg_catalog.format('%%I.%%I', n.nspname, x.relname)) FROM used u
   JOIN pg_catalog.pg_class x ON x.oid = u.oid AND x.oid <> c.oid AND x.relkind <> 'v'
   JOIN pg_catalog.pg_namespace n ON n.oid = x.relnamespace),
  (SELECT pg_catalog.string_agg(pg_catalog.pg_get_viewdef(u.oid), ' ') FROM used u JOIN pg_catalog.pg_class x ON x.oid = u.oid
   WHERE x.relkind = 'v' OR x.oid = c.oid),
  EXISTS (SELECT FROM used u JOIN pg_catalog.pg_rewrite r ON r.ev_class = u.oid
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
      AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
    JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid AND p.provolatile <> 'i'),
  pg_catalog.pg_get_viewdef(c.oid)
FROM pg_catalog.pg_class c WHERE c.oid = %s::pg_catalog.regclass
"""


class View(Part):
    """Content of a materialized view at one time. ``digest`` is None while the view is not populated."""

    rows: int
    digest: str | None


@dataclass(slots=True)
class Compared:
    """Result of a comparison.

    The keys of ``not_compared`` and ``recomputed`` are names of views, and each value is the reason.
    """

    findings: list[Finding] = field(default_factory=list)
    not_compared: dict[str, str] = field(default_factory=dict)
    recomputed: dict[str, str] = field(default_factory=dict)


def measured(snap: Snapshot, relations: Collection[Relation]) -> dict[str, View]:
    """Return the content of all materialized views among ``relations``. Raises psycopg.Error."""
    return {relation.name: _content(snap.owner, relation.name) for relation in relations if relation.kind == "m"}


def _content(session: Connection, name: str) -> View:
    if not first_row(session, "SELECT relispopulated FROM pg_catalog.pg_class WHERE oid = %s::pg_catalog.regclass", name)[0]:
        return View(rows=0, digest=None)
    return _digest(session, sql.SQL(DIGEST).format(table=sql.SQL(name), where=sql.SQL("")))


def _digest(session: Connection, query: sql.Composable) -> View:
    count, total = first_row(session, query)
    return View(rows=int(count), digest=format(int(total) % 2**64, "016x"))


def compared(snap: Snapshot, wanted: Mapping[str, View], relations: Collection[Relation], out: Collection[str]) -> Compared:
    """Compare the views ``wanted`` of the backup with the existing views ``relations``. Raises psycopg.Error.

    ``out``: tables whose rows are not compared. Some views are left out, because the comparison of the structure reports
    them: missing views, and views that are populated only in the backup or only in the database.
    """
    result = Compared()
    there = {relation.name for relation in relations if relation.kind == "m"}
    for name, before in wanted.items():
        if name in there:
            _compare(snap, name, before, out, result)
    return result


def _compare(snap: Snapshot, name: str, before: View, out: Collection[str], result: Compared) -> None:
    now = _content(snap.owner, name)
    if now == before or None in (now.digest, before.digest):
        return
    _, owner, tables, definition, unsteady, query = first_row(snap.owner, _ABOUT, name, name)
    if left := sorted(set(tables or ()) & set(out)):
        result.not_compared[name] = f"the view is made from {left[0]}, whose rows are not compared"
        return
    fresh = _evaluated(snap, name, owner, query)
    steady = not unsteady and not _UNSTEADY.search(definition)
    if isinstance(fresh, tuple) and fresh[0] == fresh[1]:
        result.recomputed[name] = "the view equals the present result of its query; the view in the backup is older"
    elif steady or (isinstance(fresh, tuple) and not now.rows and fresh[1].rows):
        gives = f"the query of the view returns other content: {fresh[1].rows} rows" if isinstance(fresh, tuple) else fresh
        wanted = f"{before.rows} rows, digest {before.digest}; or the present result of the view's query"
        said = f"{now.rows} rows, digest {now.digest}; {gives}"
        result.findings.append(finding("view-stale", title=name, wanted=wanted, measured=said))
    else:
        result.not_compared[name] = "the query of the view may depend on time, chance or the session"


def _evaluated(snap: Snapshot, name: str, owner: str, query: str) -> tuple[View, View] | str:
    """Return the content of the view, and the present result of its query.

    If the query fails, return a text with the error.
    """
    with snap.session() as session:
        for setting in SETTINGS.keys() - KEPT:
            session.execute(sql.SQL("SET LOCAL {} TO DEFAULT").format(sql.Identifier(setting)))
        kept = _digest(session, sql.SQL(DIGEST).format(table=sql.SQL(name), where=sql.SQL("")))
        session.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(owner)))
        session.execute("SET LOCAL row_security = on")
        rows = sql.SQL("(" + query.rstrip().removesuffix(";") + ")")
        try:
            fresh = _digest(session, sql.SQL(DIGEST.replace("ONLY ", "")).format(table=rows, where=sql.SQL("")))
        except psycopg.Error as error:
            return f"the query that defines the view failed: {reason(error)}"
    return kept, fresh
