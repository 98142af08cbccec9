"""Structure of a database: all its objects with their properties, read from the catalogs in one snapshot.

A backup stores the structure in one file, and the schema as text in another file. Kinds of objects for which there is no
catalog query are compared as text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from psycopg import sql
from pydantic import Field

from drillbook.sdk.stored_backup import Part
from drillbook.systems.postgres import materialized_views
from drillbook.systems.postgres.connection import Connection, first_row
from drillbook.systems.postgres.content import DIGEST, Relation, Snapshot
from drillbook.systems.postgres.differences import Difference, Objects
from drillbook.systems.postgres.keyed_digests import Sealing
from drillbook.systems.postgres.materialized_views import View
from drillbook.systems.postgres.privileges import MEMBERS, grants
from drillbook.systems.postgres.structure_queries import QUERIES
from drillbook.values import canonical

FILE = "structure.json"
EXTENSION, ROWS = "extension", "configuration of an extension"
LARGE_OBJECTS = "large object"
MOST_LARGE_OBJECTS = 20_000
"""Maximum number of large objects that are recorded one by one. If there are more, only one digest of all large objects
is recorded.
"""
NOT_COVERED = (
    "kinds of objects without a query (such as casts, operators, text search, foreign servers, subscriptions, security labels) "
    "are compared as the text of pg_dump, without the passwords in it; owners of extensions are not compared, and neither are "
    "grants on columns of system tables"
)

# A closed database has its real connection limit, and the run that restored it, in its settings.
_DATABASE = """
SELECT pg_catalog.quote_ident(d.datname), d.oid, d.datconnlimit, pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
  'owner', pg_catalog.pg_get_userbyid(d.datdba), 'encoding', pg_catalog.pg_encoding_to_char(d.encoding),
  'collation', d.datcollate, 'character type', d.datctype, 'locale provider', coalesce(j ->> 'datlocprovider', 'c'),
  'locale', coalesce(j ->> 'datlocale', j ->> 'daticulocale'), 'template', d.datistemplate,
  'tablespace', (SELECT t.spcname FROM pg_catalog.pg_tablespace t WHERE t.oid = d.dattablespace),
  'grants', {grants},
  'comment', pg_catalog.shobj_description(d.oid, 'pg_database')))
FROM pg_catalog.pg_database d, LATERAL (SELECT pg_catalog.to_jsonb(d) AS j) AS x
WHERE d.datname = pg_catalog.current_database()
""".replace("{grants}", grants("d.datacl", "pg_catalog.acldefault('d', d.datdba)"))
_SETTINGS = """
SELECT CASE s.setrole WHEN 0 THEN '' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(s.setrole)) END, s.setconfig
FROM pg_catalog.pg_db_role_setting s WHERE s.setdatabase = {database}
"""
_CONFIGURATION = """
SELECT c.oid::pg_catalog.regclass::text, f.condition, pg_catalog.quote_ident(e.extname)
FROM pg_catalog.pg_extension e,
LATERAL ROWS FROM (pg_catalog.unnest(e.extconfig), pg_catalog.unnest(e.extcondition)) AS f (relation, condition)
JOIN pg_catalog.pg_class c ON c.oid = f.relation WHERE c.relkind IN ('r', 'p')
"""
_VERSIONS = """
SELECT pg_catalog.quote_ident(name), default_version FROM pg_catalog.pg_available_extensions WHERE installed_version IS NOT NULL
"""
_LARGE_OBJECTS = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_largeobject_metadata"


class Structure(Part):
    """Content of the file ``structure.json``.

    ``objects``: properties of all objects; ``views``: content of the materialized views; ``rest``: all other parts of the
    schema as text.
    """

    format: Literal["drillbook/postgres-structure/1"] = "drillbook/postgres-structure/1"
    salt: str = Field(pattern=r"^[0-9a-f]{32}$")
    objects: Objects
    views: Mapping[str, View]
    rest: str = ""
    """Output of pg_dump about the kinds of objects for which there is no catalog query."""

    def encoded(self) -> bytes:
        """Return the structure as canonical JSON, the format of the file."""
        return canonical(self.model_dump(mode="json"))


def recorded(snap: Snapshot, relations: list[Relation]) -> Structure:
    """Read the structure of the database and the content of its materialized views. Raises psycopg.Error."""
    sealing = Sealing.fresh()
    return Structure(
        salt=sealing.salt, objects=objects(snap.owner, sealing), views=materialized_views.measured(snap, relations)
    )


def objects(session: Connection, sealing: Sealing) -> Objects:
    """Return all objects of the database with their properties. Raises psycopg.Error.

    ``session`` must have the settings of a session that ``content.snapshot`` opens.
    """
    read: Objects = {kind: _rows(session, query) for kind, query in QUERIES.items() if kind != LARGE_OBJECTS}
    read[LARGE_OBJECTS] = _large_objects(session)
    read |= _database(session, sealing)
    read["grants beyond those of the installation on"] = _rows(session, MEMBERS)
    read[ROWS] = _configuration(session)
    return read


def _rows(session: Connection, query: str) -> dict[str, dict[str, Any]]:
    with session.cursor() as cursor:
        return {str(name): properties for name, properties in cursor.stream(query.encode())}


def _large_objects(session: Connection) -> dict[str, dict[str, Any]]:
    query = QUERIES[LARGE_OBJECTS]
    count = int(first_row(session, _LARGE_OBJECTS)[0])
    if count <= MOST_LARGE_OBJECTS:
        return _rows(session, query)
    total = first_row(session, DIGEST.format(table=f"({query})", where="").replace("ONLY ", "").encode())[1]
    return {"all together": {"number": count, "owners, grants and comments": format(int(total) % 2**64, "016x")}}


def _database(session: Connection, sealing: Sealing) -> Objects:
    """Return the database with its properties and settings, and the settings of roles in this database."""
    name, oid, limit, properties = first_row(session, _DATABASE.encode())
    settings: dict[str, list[str]] = dict(session.execute(_SETTINGS.format(database=int(oid)).encode()).fetchall())
    own = settings.pop("", [])
    kept = [setting.partition("=")[2] for setting in own if setting.startswith("drillbook.connection_limit=")]
    properties["connection limit"] = int(kept[0]) if kept else limit
    named = {f"setting {key}": value for key, value in sealing.settings(own).items()}
    return {
        "database": {str(name): properties | named},
        "settings of a role": {
            f"{role} in {name}": {f"setting {key}": value for key, value in sealing.settings(given).items()}
            for role, given in settings.items()
        },
    }


def _configuration(session: Connection) -> dict[str, dict[str, Any]]:
    """Return count and digest of the rows that users added to configuration tables of extensions."""
    content_by_table: dict[str, dict[str, Any]] = {}
    for table, condition, extension in session.execute(_CONFIGURATION).fetchall():
        where = sql.SQL(condition or "")  # the extension's own script defines this condition, and pg_dump uses it unchanged
        count, total = first_row(session, sql.SQL(DIGEST).format(table=sql.SQL(table), where=where))
        digest = format(int(total) % 2**64, "016x")
        content_by_table[str(table)] = {"extension": extension, "rows": int(count), "digest": digest}
    return content_by_table


def expected(recorded: Objects, present: Objects, *, limited: bool) -> Objects:
    """Return the recorded objects that must exist in a restored database.

    An invalid index need not exist, because pg_dump leaves it out. When ``limited`` is true, the configuration rows in tables
    of extensions need not exist either.
    """
    there = present.get("index", {})
    wanted = {kind: objects for kind, objects in recorded.items() if not (limited and kind == ROWS)}
    indexes = wanted.get("index", {})
    return wanted | {"index": {name: index for name, index in indexes.items() if index.get("valid", True) or name in there}}


def versions(session: Connection) -> dict[str, str]:
    """Return the default version of each extension in the database, with the extension's name as the key. Raises
    psycopg.Error.

    The server installs the default version when CREATE EXTENSION is run without a version.
    """
    return dict(session.execute(_VERSIONS).fetchall())


def is_newer_default(difference: Difference, defaults: Mapping[str, str]) -> bool:
    """Return True when an extension has the server's default version, and this version is newer than in the backup.

    This is normal after a restore, because a dump does not record the versions of extensions.
    """
    if (difference.kind, difference.trait) != (EXTENSION, "version"):
        return False
    before, now = str(difference.wanted), str(difference.measured)
    return now == defaults.get(difference.name) and _numbers(before) < _numbers(now)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def code(difference: Difference) -> str:
    """Return the code of the finding for a difference between two structures."""
    if difference.kind == ROWS and difference.trait in ("rows", "digest"):
        return "table-content"
    return "view-stale" if difference.trait == "populated" else "schema-differs"
