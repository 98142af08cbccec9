"""Restores a dump for a service that has lost its data directory. The new cluster gets the configuration of the lost
cluster.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from psycopg import sql

from drillbook.errors import NotReady
from drillbook.sdk.action import Facts
from drillbook.sdk.backup_source import Backup, need_one
from drillbook.sdk.sandbox import Sandbox
from drillbook.systems.postgres import reader_version
from drillbook.systems.postgres.canary_table import LIKE_CANARY
from drillbook.systems.postgres.connection import Connection, connected, first_row
from drillbook.systems.postgres.disposable_server import TEMPLATE, C, tools_of
from drillbook.systems.postgres.in_place import ClusterInPlace, write_configuration
from drillbook.systems.postgres.manifest import OWN_SCHEMA
from drillbook.systems.postgres.programs import Tools

_DATABASES = "SELECT datname FROM pg_catalog.pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY 1"
_UNSET = "SELECT rolpassword IS NULL FROM pg_catalog.pg_authid WHERE rolname = current_user"
# Tables of the database that the dump must contain: all except the tables of canaries, which were created after the dump.
_TABLES = f"""
SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
  AND c.relpersistence <> 't' AND n.nspname <> '{OWN_SCHEMA}'
  AND NOT ({LIKE_CANARY})
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
    AND d.deptype = 'e')
ORDER BY 1
"""  # noqa: S608  only constants are inserted


@dataclass(frozen=True, slots=True)
class DumpInPlace(ClusterInPlace):
    """Restore of a dump into a new cluster that takes the place of a lost cluster."""

    def ready(self) -> None:
        """Check the same as the base class, and also that the application's role will exist after the restore.

        Without its role, the application could not log in. A dump of pg_dumpall contains all roles. A dump of one database
        contains none, so the source must also have a file of roles (`globals`). The role is not checked if it is the superuser
        or if the inventory has no password for it. Raises NotReady when a check fails.
        """
        super(DumpInPlace, self).ready()
        service, source = self.postgres, self.source
        if source.globals or service.password is None or service.user == service.admin.user:
            return

        def check(backup: Backup) -> None:
            if source.creates_roles(self.ctx, backup) is False:
                raise NotReady(
                    f"{source.name} has no file of roles, so {service.user} and all other roles and their passwords would be lost",
                    hint=f"save `pg_dumpall --globals-only` beside the dumps, and set `globals` of {source.name} in the inventory "
                    "to the pattern of these files",
                )

        need_one(self.ctx, source.candidates(self.ctx), check)

    def differs(self, session: Connection, backup: Backup, checked: Facts) -> str:
        """Return the reason why the dump cannot replace the server's databases, tables and roles, or an empty text."""
        try:  # a check before the drill does not read the beginning of every dump, for example of an encrypted one
            reader_version.need_preamble(self.tools, checked.get("preamble", ()), backup.id)
        except NotReady as error:
            return error.message
        held = {*checked.get("databases", ()), self.source.expected(self.ctx)}
        others = [name for (name,) in session.execute(_DATABASES).fetchall() if name not in held]
        if others:
            return f"the cluster also contains the databases {', '.join(others[:5])}, but the backup lacks them"
        tables = [name for (name,) in session.execute(_TABLES).fetchall()]
        held_tables = checked.get("rows_by_table", {})
        if len(held_tables) < int(checked.get("tables", 0)) and len(tables) > len(held_tables):
            return f"only {len(held_tables)} tables of the backup are known, too few for a comparison with {len(tables)} on the server"
        if lacking := [name for name in tables if name not in held_tables]:
            return f"the dump lacks {len(lacking)} of the {len(tables)} tables of the server: {', '.join(lacking[:5])}"
        if checked.get("roles") and not self.source.globals:
            return "the dump has no file of roles (`globals` of the source), so roles and their passwords would be lost"
        return ""

    def settle(self, box: Sandbox) -> None:
        """Set the superuser's password to the password in the inventory. If the restored superuser already has a password,
        change nothing.
        """
        password = self.postgres.admin.password
        if password is None:
            return
        with connected(self.ctx, tools_of(box).service, database=TEMPLATE) as session:
            if first_row(session, _UNSET)[0]:
                session.execute(sql.SQL("ALTER ROLE CURRENT_USER PASSWORD {}").format(sql.Literal(password.reveal())))

    def configure(self, made: Tools, kept: Facts) -> None:
        """Write the configuration, and switch checksums on or off as they were in the lost cluster."""
        write_configuration(made, self.postgres, kept)
        data = made.service.data_directory
        state = made.owned((made.path("pg_controldata"), "--pgdata", data), env=C).check().text
        present = re.search(r"^Data page checksum version: +0$", state, re.MULTILINE) is None
        if kept and kept["checksums"] != present:
            wanted = "--enable" if kept["checksums"] else "--disable"
            made.owned((made.path("pg_checksums"), wanted, "--no-sync", "--pgdata", data)).check()
