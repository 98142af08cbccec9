"""Reads properties of a database and of its server. A backup records these properties in addition to the content of the
database.
"""

from __future__ import annotations

import re
from typing import Any

from drillbook.errors import CouldNotVerify
from drillbook.sdk.transfer import NAME
from drillbook.systems.postgres.connection import Connection, first_row
from drillbook.systems.postgres.content import Snapshot
from drillbook.systems.postgres.manifest import Cluster, Database

# to_jsonb is used because the column for the locale has one name in PostgreSQL 15 and 16, another since 17, and does not
# exist before.
_DATABASE = """
SELECT d.datname, r.rolname, pg_catalog.pg_encoding_to_char(d.encoding), coalesce(j ->> 'datlocprovider', 'c'),
       d.datcollate, d.datctype, coalesce(j ->> 'datlocale', j ->> 'daticulocale', ''), d.datconnlimit,
       pg_catalog.pg_database_size(d.oid)
FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles r ON r.oid = d.datdba,
     LATERAL (SELECT pg_catalog.to_jsonb(d) AS j) AS x
WHERE d.datname = pg_catalog.current_database()
"""

_SERVER = """
SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()), pg_catalog.current_setting('server_version'),
       pg_catalog.current_setting('server_version_num')::int, pg_catalog.current_setting('data_checksums') = 'on'
"""

# See _DATABASE; a size is in its setting's unit, and `template0` has the locale that initdb gave the cluster.
_CLUSTER = """
SELECT pg_catalog.pg_encoding_to_char(d.encoding), coalesce(j ->> 'datlocprovider', 'c'), d.datcollate, d.datctype,
       coalesce(j ->> 'datlocale', j ->> 'daticulocale', ''), coalesce(j ->> 'daticurules', ''),
       pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size')),
       pg_catalog.current_setting('data_directory_mode') LIKE '_75_'
FROM pg_catalog.pg_database d, LATERAL (SELECT pg_catalog.to_jsonb(d) AS j) AS x WHERE d.datname = 'template0'
"""

_CONFIGURATION = """
SELECT DISTINCT f.path, pg_catalog.current_setting('data_directory') FROM (
  SELECT sourcefile AS path FROM pg_catalog.pg_file_settings
  UNION SELECT pg_catalog.current_setting(name) FROM (VALUES ('config_file'), ('hba_file'), ('ident_file')) AS x (name)
) AS f WHERE f.path IS NOT NULL
"""


def database(session: Connection) -> Database:
    """Return the properties of the database that ``session`` is connected to."""
    row = first_row(session, _DATABASE)
    return Database(**dict(zip(Database.model_fields, row, strict=True)))


def of(snap: Snapshot) -> dict[str, Any]:
    """Return the fields of a manifest that describe the server and the database."""
    identifier, version, number, checksums = first_row(snap.owner, _SERVER)
    extensions = snap.owner.execute("SELECT extname, extversion FROM pg_catalog.pg_extension ORDER BY 1").fetchall()
    roles = snap.owner.execute("SELECT rolname FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_' ORDER BY 1").fetchall()
    return {
        "system_identifier": identifier,
        "server_version": version,
        "server_version_num": number,
        "data_checksums": checksums,
        "database": database(snap.owner),
        "extensions": dict(extensions),
        "roles": tuple(role for (role,) in roles),
        "cluster": cluster(snap.owner),
    }


def cluster(session: Connection) -> Cluster:
    """Return those properties of the cluster that initdb has set."""
    return Cluster(**dict(zip(Cluster.model_fields, first_row(session, _CLUSTER), strict=True)))


def configured_outside(session: Connection) -> tuple[str, ...]:
    """Return the paths of the configuration files outside the data directory, such as Debian's below /etc."""
    rows = session.execute(_CONFIGURATION).fetchall()
    return tuple(sorted(path for path, data in rows if not path.startswith(data.rstrip("/") + "/")))


def configuration(session: Connection) -> dict[str, bytes]:
    """Return the content of each configuration file in the data directory. The key of each entry is the file's path relative
    to this directory.

    Files outside the data directory survive a loss of this directory, and are not backed up. ``configured_outside``
    returns their paths. Raises CouldNotVerify when the name of a file cannot be stored in a backup.
    """
    content_by_name: dict[str, bytes] = {}
    for path, data in session.execute(_CONFIGURATION).fetchall():
        name = path.removeprefix(data.rstrip("/") + "/")
        if name != path:
            if not re.fullmatch(NAME, name):
                raise CouldNotVerify(f"the configuration file {name!r} has a name that cannot be stored in a backup")
            content_by_name[name] = bytes(first_row(session, "SELECT pg_catalog.pg_read_binary_file(%s)", path)[0])
    return content_by_name
