"""Restores a dump into an empty server in a sandbox.

First the needs of the dump are checked. Then roles and data are loaded, and statistics are computed."""

from __future__ import annotations

import re
from collections.abc import Sequence

import psycopg
from psycopg import sql

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.host import Output, printable
from drillbook.sdk.sandbox import Sandbox
from drillbook.systems.postgres import disposable_server, dump_reading, foreign_views, reader_version
from drillbook.systems.postgres.connection import Connection, connected, first_row, reason
from drillbook.systems.postgres.dump_judgement import Judgement
from drillbook.systems.postgres.dump_outline import Made, Outline, outline_of
from drillbook.systems.postgres.dump_reading import Form
from drillbook.systems.postgres.programs import AS_CLIENT, ENVIRONMENT
from drillbook.systems.postgres.stages import Stages

BUILT_IN = ("postgres", "template0", "template1")
"""Databases that initdb creates in every cluster."""
PRELOADED = ("pg_cron", "pgaudit", "timescaledb", "citus", "pg_stat_statements", "pg_partman_bgw")
"""Extensions that work only if their library is in the server's setting shared_preload_libraries."""
_TRIAL = "drillbook_trial"
PLAIN = Form("none", "plain", checksum=False)
"""Form of a plain SQL file that is not compressed."""
# FILE FILTER TOOL OPTION PROGRAM...: decompress FILE, edit it with the sed script FILTER if one is given, and pipe it to
# PROGRAM.
_FEED = """
file=$1 filter=$2 tool=$3 option=$4
shift 4
exec 3>&1
{ "$tool" ${option:+"$option"} < "$file"; echo "unpacker $?" >&3; } |
  if test -n "$filter"; then LC_ALL=C sed -E "$filter"; else cat; fi |
  { "$@" >/dev/null; echo "program $?" >&3; }
"""
_BROKEN_PIPE = "141"
"""Exit status (128 + 13) that a shell reports for a program killed by the signal SIGPIPE."""
_SIZE = """
SELECT pg_catalog.pg_database_size(pg_catalog.current_database()),
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast')
"""


class Restoring:
    """Restore of one dump into the sandbox ``box``. The folder of the sandbox exists and is empty."""

    def __init__(self, ctx: Context, box: Sandbox, name: str, expected: str, jobs: int) -> None:
        """Prepare the restore of the dump ``name``.

        ``expected``: name of the database that the dump must contain, or an empty text if any database is accepted;
        ``jobs``: number of parallel jobs of pg_restore.
        """
        self.ctx, self.box, self.name, self.expected, self.jobs = ctx, box, name, expected, jobs
        self.tools = disposable_server.tools_of(box)
        self.service = self.tools.service
        self.stages = Stages()
        self.not_filled: dict[str, str] = {}

    def carry_out(self, path: str, roles: str) -> Facts:
        """Restore the file of roles at ``roles``, if there is one, and then the dump at ``path``.

        Raises StepFailed when the dump cannot be restored, and HostError when the host cannot be used.
        """
        form = dump_reading.form_of(self.box.programs, path, self.ctx.deadline)
        judgement = Judgement(self.name, self.box.host.name, form, self.expected, self.service.setting("bin"))
        if form.format in ("empty", "unfinished"):
            raise self._refused(judgement.without_content().findings)
        if form.archive:
            self._must_know_settings()
        with self.stages.time("outline"):
            outline = outline_of(self._lines(form, path, judgement))
        if problems := judgement.of_another(outline):
            raise self._refused(problems)
        made = self._made(outline)
        with self.stages.time("server"):
            disposable_server.start_empty(self.box, settings=self._settings(outline))
        with connected(self.ctx, self.service, database=disposable_server.TEMPLATE) as session:
            self._must_have(session, outline)
        with self.stages.time("roles"):
            facts = self._roles(outline, roles)
        with self.stages.time("data"):
            self._data(form, path, outline, made)
        with self.stages.time("analyze"), connected(self.ctx, self.service) as session:
            session.execute("ANALYZE")
            size, tables = first_row(session, _SIZE)
        return facts | {
            "format": form.format,
            "server_version": outline.server,
            "database": self.service.database,
            "bytes": int(size),
            "tables": int(tables),
            "extensions": list(outline.extensions),
            "foreign_servers": outline.foreign_servers,
            "views_not_filled": self.not_filled,
            "subscriptions_left_out": outline.subscriptions if form.archive else 0,
            "seconds": self.stages.seconds,
        }

    def _must_know_settings(self) -> None:
        """Raise CouldNotVerify when pg_restore is too new for the sandbox's server. The dump may then be intact, although
        it could not be tested.
        """
        try:
            reader_version.need_server(self.tools)
        except NotReady as error:
            raise CouldNotVerify(error.message, hint=error.hint) from None

    def _refused(self, problems: Sequence[Finding]) -> StepFailed:
        return StepFailed(
            f"{self.box.host.name}: the dump {self.name} was not restored: {problems[0].measured}", findings=problems
        )

    def _lines(self, form: Form, path: str, judgement: Judgement) -> Sequence[str]:
        """Return the SQL lines of the dump's outline.

        Raises StepFailed for an archive with a table of contents that cannot be read.
        """
        program = self.tools.path("pg_restore")
        if not form.archive:
            return dump_reading.outline(self.box.programs, path, form, program, self.ctx.deadline)
        reading = dump_reading.read(self.box.programs, path, form, program, self.ctx.deadline, schema_only=True)
        if reading.pg_restore and (problem := judgement.damage(reading)):
            raise self._refused([problem])
        return reading.sql

    def _made(self, outline: Outline) -> Made | None:
        """Return the dump's database that is restored as the sandbox's database.

        This is the database with the name that the sandbox expects. If no database has this name, a dump that creates only one
        database is accepted, unless the sandbox expects a built-in database. Returns None when the dump creates no database.
        Also returns None for a dump of pg_dumpall when the sandbox expects `postgres`, because pg_dumpall does not create
        `postgres`. Raises StepFailed when the dump creates other databases, and none of these rules applies.
        """
        wanted = self.service.database
        same = next((made for made in outline.databases if made.name == wanted), None)
        if same or not outline.databases or (outline.of_cluster and wanted == "postgres"):
            return same
        names = ", ".join(made.name for made in outline.databases)
        if len(outline.databases) > 1 or wanted in BUILT_IN:
            raise StepFailed(
                f"the sandbox {self.service.name} expects the database {wanted}, but the dump {self.name} contains {names}",
                findings=[
                    finding(
                        "backup-of-another",
                        title=self.name,
                        wanted=f"the database {wanted}",
                        measured=names,
                        remedy="Set `database` of the sandbox in the inventory to one of the dump's databases.",
                    )
                ],
            )
        return outline.databases[0]

    def _settings(self, outline: Outline) -> dict[str, str]:
        """Return the server setting shared_preload_libraries for the extensions in the dump. It lists the libraries that
        the extensions need, except those that the host lacks. The result is empty when the extensions need no libraries.
        """
        wanted = [name for name in PRELOADED if name in outline.extensions]
        if not wanted:
            return {}
        folder = self.box.run(self.tools.path("pg_config"), "--pkglibdir").text
        there = [name for name in wanted if self.box.run("test", "-e", f"{folder}/{name}.so").ok]
        return {"shared_preload_libraries": ",".join(there)}

    def _must_have(self, session: Connection, outline: Outline) -> None:
        """Raise StepFailed when the server lacks an extension or a locale that the dump needs."""
        available = {name for (name,) in session.execute("SELECT name FROM pg_catalog.pg_available_extensions").fetchall()}
        lacking = [f"the extension {name}" for name in outline.extensions if name not in available]
        for made in outline.databases:
            options = re.sub(r' TABLESPACE = ("(?:[^"]|"")+"|\S+)| IS_TEMPLATE = \S+| OID = \d+', "", made.options)
            try:
                session.execute(f"CREATE DATABASE {_TRIAL} {options}".encode())
                session.execute(f"DROP DATABASE {_TRIAL}".encode())
            except psycopg.Error as error:
                lacking.append(f"the locale of the database {made.name} ({reason(error)})")
        if lacking:
            raise self._refused(
                [
                    finding(
                        "sandbox-lacks",
                        title=self.service.name,
                        wanted=", ".join(lacking),
                        measured="not installed",
                        host=self.box.host.name,
                    )
                ]
            )

    def _roles(self, outline: Outline, path: str) -> Facts:
        """Create the roles and tablespaces in the file of roles at ``path``, if there is one.

        Then create the roles and tablespaces that the dump needs and that are still missing.
        """
        if path:
            form = dump_reading.form_of(self.box.programs, path, self.ctx.deadline)
            self._psql(form, path, disposable_server.TEMPLATE, self._filter())
        with connected(self.ctx, self.service, database=disposable_server.TEMPLATE) as session:
            roles = self._missing(session, outline.roles, "SELECT rolname FROM pg_catalog.pg_roles")
            for role in roles:
                session.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
            spaces = self._missing(session, outline.tablespaces, "SELECT spcname FROM pg_catalog.pg_tablespace")
            for space in spaces:
                session.execute(sql.SQL("CREATE TABLESPACE {} LOCATION ''").format(sql.Identifier(space)))
        return {"roles_made": roles, "tablespaces_made": spaces, "globals": bool(path)}

    def _missing(self, session: Connection, names: Sequence[str], query: str) -> list[str]:
        there = {name for (name,) in session.execute(query.encode()).fetchall()}
        return [name for name in names if name not in there]

    def _filter(self) -> str:
        """Return a sed script that edits a file of roles. The script leaves out the role of the superuser, which exists
        already, and moves tablespaces into the sandbox.
        """
        admin = '"?' + re.sub(r"([^A-Za-z0-9_ ])", r"\\\1", self.service.admin.user) + '"?'
        return (
            rf"1,/^\\connect /{{/^CREATE ROLE {admin};$/d;s/^(ALTER ROLE {admin} WITH) NOSUPERUSER/\1 SUPERUSER/;"
            r"s/^(CREATE TABLESPACE .* LOCATION) '.*';$/\1 '';/;}"
        )

    def _data(self, form: Form, path: str, outline: Outline, made: Made | None) -> None:
        """Restore the dump, and rename its database to the name in the sandbox's service."""
        wanted, first = self.service.database, disposable_server.TEMPLATE
        if (form.archive and made and made.name in BUILT_IN) or (not made and not outline.of_cluster):
            self._create(made, outline)
            first = wanted
        tolerant = foreign_views.TOLERANT if outline.foreign_servers else ""
        if form.archive:
            views = self._views(form, path) if outline.foreign_servers else ""
            self._pg_restore(form, path, first, create=first != wanted, chosen=views and foreign_views.REST)
            if views:
                self._psql(PLAIN, views, made.name if made and first != wanted else first, tolerant)
        else:
            self._psql(form, path, first, "\n".join(filter(None, (self._filter() if outline.of_cluster else "", tolerant))))
        if made and wanted not in (made.name, first):
            with connected(self.ctx, self.service, database=disposable_server.TEMPLATE) as session:
                names = (sql.Identifier(made.name), sql.Identifier(wanted))
                session.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(*names))

    def _views(self, form: Form, path: str) -> str:
        """Write the REFRESH statements for materialized views in the archive to a file of their own.

        Return the path of this file, or an empty text when there are no such statements.
        """
        argv = ("sh", "-c", foreign_views.SPLIT, "sh", path, self.tools.path("pg_restore"), self.box.folder, *form.unpacker)
        self.box.run(*argv, env=AS_CLIENT).check()
        views = f"{self.box.folder}/{foreign_views.VIEWS}"
        return views if self.box.run("test", "-s", views).ok else ""

    def _create(self, made: Made | None, outline: Outline) -> None:
        """Create the sandbox's database if the restore does not create it. Skip built-in databases such as `postgres`."""
        wanted = self.service.database
        if wanted in BUILT_IN:
            return
        options = made.options if made else f"WITH TEMPLATE = template0 ENCODING = '{outline.encoding}' LOCALE = 'C'"
        statement = sql.SQL("CREATE DATABASE {} ").format(sql.Identifier(wanted)).as_string(None) + options
        with connected(self.ctx, self.service, database=disposable_server.TEMPLATE) as session:
            session.execute(statement.encode())

    def _asking(self, program: str, database: str) -> tuple[str, ...]:
        return self.tools.asking(program, database=database)

    def _pg_restore(self, form: Form, path: str, database: str, *, create: bool, chosen: str) -> None:
        """Restore an archive into the database ``database``.

        If ``chosen`` is not empty, it is the name of a file in the sandbox's folder. Only the entries listed in this
        file are restored.
        """
        argv = (
            *self._asking("pg_restore", database),
            "--exit-on-error",
            "--no-subscriptions",
            *(("--create",) if create else ()),
            *((f"--use-list={self.box.folder}/{chosen}",) if chosen else ()),
        )
        if form.mode == "stdin":
            self._feed(form, path, "", argv)
            return
        jobs = (f"--jobs={self.jobs}",) if form.format in ("custom", "directory") else ()
        output = self.box.run(*argv, *jobs, "--", path, env=ENVIRONMENT)
        if not output.ok:
            raise self._failed("pg_restore", output)

    def _psql(self, form: Form, path: str, database: str, edits: str) -> None:
        argv = (*self._asking("psql", database), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1")
        self._feed(form, path, edits, argv)

    def _feed(self, form: Form, path: str, edits: str, argv: tuple[str, ...]) -> None:
        """Run a program in the sandbox, and let the program read the dump from its standard input."""
        tool, option = (*form.unpacker, "")[:2]
        output = self.box.run("sh", "-c", _FEED, "sh", path, edits, tool, option, *argv, env=ENVIRONMENT)
        status = dict(re.findall(r"^(unpacker|program) (\d+)$", output.text, re.MULTILINE))
        said = printable(output.stderr, limit=100_000)
        # If the program that reads the data has ended, the decompressor fails too; the program's error is then the important
        # one.
        stopped = status.get("unpacker") == _BROKEN_PIPE or "roken pipe" in said
        if status.get("program") != "0" and (stopped or status.get("unpacker") == "0"):
            raise self._failed("psql", output)
        if status.get("unpacker") != "0":
            raise self._refused([self._finding("backup-damaged", "a dump that is read to its end", printable(said))])
        self.not_filled |= foreign_views.not_filled(said)

    def _failed(self, program: str, output: Output) -> StepFailed:
        """Return the error for a program that failed during the restore. The error quotes the program's first error
        message.
        """
        said = printable(output.stderr, limit=4000)
        first = next(
            (line for line in said.splitlines() if re.search(r"error: |ERROR: |FATAL: ", line)),
            printable(said.strip(), limit=300),
        )
        if "No space left on device" in said:
            code, wanted = "sandbox-too-small", "room for the whole copy"
        elif dump_reading.is_damage(first):
            code, wanted = "backup-damaged", "a dump that is read to its end"
        else:
            code, wanted = "restore-errors", "no error"
        problem = self._finding(code, wanted, first, said)
        return StepFailed(f"{self.box.host.name}: {program} could not restore {self.name}: {first}", findings=[problem])

    def _finding(self, code: str, wanted: str, measured: str, said: str = "") -> Finding:
        lines = tuple(said.splitlines()[:8])
        return finding(code, title=self.name, wanted=wanted, measured=measured, evidence=lines, host=self.box.host.name)
