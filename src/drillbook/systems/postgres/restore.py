"""Restores a backup: verifies its files, creates a clean target, loads the data, and admits clients unless `closed` is set."""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace

import psycopg
from psycopg import sql

from drillbook.errors import HostError, StepFailed
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.answer_limits import Answer
from drillbook.sdk.host import Deadline
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.store import Store
from drillbook.systems.postgres import access, cluster, cluster_mark, ownership, removal
from drillbook.systems.postgres.connection import Connection, connected
from drillbook.systems.postgres.dump import ARCHIVE, CONFIG, GLOBALS, failing
from drillbook.systems.postgres.manifest import Database, Manifest
from drillbook.systems.postgres.programs import AS_CLIENT, Tools
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.stages import Stages
from drillbook.systems.postgres.verification import Proof, must_be_right

CONFIG_LIMIT = 16 << 20
_WHOLE = "whole.json"
_IDENTITY = """
SELECT s.system_identifier, d.oid FROM pg_catalog.pg_control_system() s, pg_catalog.pg_database d WHERE d.datname = %s
"""
_NOT_AGAIN = re.compile(r"\\connect |CREATE DATABASE |ALTER DATABASE .* (CONNECTION LIMIT = |SET \"?drillbook\.)")
_OF_DATABASE = re.compile(r"^\d+; \d+ \d+ (DATABASE PROPERTIES|(ACL|COMMENT|SECURITY LABEL) - DATABASE) ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Restoring:
    """Restore of one backup into a database of the server."""

    ctx: Context
    service: Postgres
    store: Store
    origin: Reference
    closed: bool
    jobs: int
    temporary: bool = False
    stages: Stages = field(default_factory=Stages)

    @property
    def tools(self) -> Tools:
        """Runner of PostgreSQL's programs on the host of the restore."""
        return Tools.of(self.ctx, self.service, self.ctx.host)

    @property
    def proof(self) -> Proof:
        """Verifier of the backup. Every backup is verified before it is restored."""
        return Proof(self.ctx, self.store, self.origin)

    def run(self) -> Facts:
        """Restore the backup. Raises StepFailed with findings when the restore fails, HostError when the host cannot be
        used, and Cancelled when the run is stopped.
        """
        with failing("the restore failed"):
            backup = self.proof.manifest()
            if backup.database.name != self.service.database:
                raise self._not_clean(
                    f"the backup contains the database {backup.database.name}, not {self.service.database}"
                )
            with self.ctx.temporary("restore") as scratch:
                with self.stages.time("total"):
                    fresh = self._restore(backup, scratch)
                return self._facts(backup, fresh=fresh)

    def _restore(self, backup: Manifest, scratch: str) -> bool:
        """Restore the cluster if it is lost, then its roles and the database. Return True when a new cluster was created."""
        with self.stages.time("fetch"):
            folder = self.proof.fetch(backup, self.tools, scratch)
        begun = time.monotonic()
        fresh = self._target(backup, folder)
        with cluster.starting(self.ctx, self.tools), connected(self.ctx, self.service, database="postgres") as session:
            ownership.must_answer(session, self.tools)
            ownership.asked_on_host(self.tools)
            self.stages.seconds["cluster"] = round(time.monotonic() - begun, 3)
            if not self._done_before(session):
                self._bring_back(session, backup, folder, fresh=fresh)
            if not self.closed:
                access.open_up(session, self.service.database)
        return fresh

    def _bring_back(self, session: Connection, backup: Manifest, folder: str, *, fresh: bool) -> None:
        """Restore the database under a provisional name. Rename it as soon as it is complete and on disk."""
        self._must_be_clean(session)
        with self.stages.time("globals"):
            self._globals(session, backup, f"{folder}/{GLOBALS}", fresh=fresh)
            made = _create_database(session, self.service.database, self._by, backup)
        try:
            self._load(f"{folder}/{ARCHIVE}", made)
            with self.stages.time("sync"):
                session.execute("CHECKPOINT")
                cluster.sync(self.tools)
            self.ctx.evidence(_WHOLE, json.dumps(self._identity(session, made)))
            with self.stages.time("properties"):
                self._name(f"{folder}/{ARCHIVE}", made)
        except BaseException:
            self._drop()
            raise

    @property
    def _by(self) -> str:
        return f"{self.ctx.run_id} {self.ctx.step}"

    def _done_before(self, session: Connection) -> bool:
        """Return True when an earlier attempt of this step, whose controller died, has restored the database completely.

        If the database refuses clients, a setting of the database names the run and the step that restored it. The result is
        True if it names this run and this step. If the database admits clients, the result is True if its identity is the
        identity in the step's evidence.
        """
        if access.closed(session, self.service.database):
            return access.restored_by(session, self.service.database) == self._by
        kept = (self.ctx.folder / "evidence").glob(f"{self.ctx.step}.*.{_WHOLE}*")
        there = self._identity(session, self.service.database)
        return there is not None and any(json.loads(path.read_bytes() or b"null") == there for path in kept)

    def _identity(self, session: Connection, name: str) -> Facts | None:
        """Return facts that distinguish the database ``name`` from a later database of the same name.

        Return None if the database does not exist.
        """
        row = session.execute(_IDENTITY, (name,)).fetchone()
        return {"run": self.ctx.run_id, "system": str(row[0]), "oid": int(row[1])} if row else None

    def _drop(self) -> None:
        """Drop the unfinished database, even in a run that was stopped.

        Errors are ignored, because the undo or the next attempt would drop the database too.
        """
        ctx = replace(self.ctx, deadline=Deadline.after(20))
        with suppress(psycopg.Error, HostError, TimeoutError), connected(ctx, self.service, database="postgres") as session:
            access.drop_provisional(session, self.service.database, self.ctx.run_id)

    def _target(self, backup: Manifest, folder: str) -> bool:
        """Create a cluster if there is none. Return True when a cluster was created.

        Raises StepFailed when the data directory contains files that are not a cluster. For a temporary cluster, also
        raises StepFailed when the data directory already contains a cluster.
        """
        state = cluster.state(self.tools)
        if state == "other":
            raise self._not_clean(f"{self.service.data_directory} contains files that are not a cluster")
        if state == "cluster" and self.temporary and cluster_mark.owner(self.tools) == self.ctx.run_id:
            cluster_mark.stop(self.ctx, self.tools)  # an incomplete attempt of this run is stopped and removed
            removal.remove(self.tools)
            state = "absent"
        if state == "cluster" and self.temporary:
            raise self._not_clean(
                f"{self.service.data_directory} is not empty; a temporary cluster needs an empty data directory"
            )
        fresh = state != "cluster"
        if fresh:
            ownership.must_be_free(self.ctx, self.tools)
            with cluster.made_aside(self.tools, self.ctx.run_id) as made:
                cluster.create(made, cluster.initdb_options(made, backup))
                if self.temporary:
                    cluster_mark.mark(made, self.ctx.run_id)
                self._configure(made, backup, folder)
        return fresh

    def _configure(self, made: Tools, backup: Manifest, folder: str) -> None:
        cluster.configure_outside(made, backup.configured_in)
        for name in backup.files:
            if name.startswith(CONFIG + "/"):
                data = self.ctx.host.get(f"{folder}/{name}", limit=CONFIG_LIMIT)
                cluster.write(made, name.removeprefix(CONFIG + "/"), data)
        if (backup.service, backup.host) != (self.service.name, self.ctx.host.name):
            cluster.write(made, "postgresql.auto.conf", cluster.overrides(self.service), append=True)

    def _must_be_clean(self, session: Connection) -> None:
        """Make sure that no database has the name of the service's database.

        A database of this name is dropped if it refuses clients, and if it was restored by this run or has no record of a run,
        as in older versions. Raises StepFailed for any other database of this name.
        """
        name = self.service.database
        if not access.exists(session, name):
            return
        if not access.closed(session, name):
            raise self._not_clean(f"the database {name} exists already")
        # Older versions gave a database its real name before it was complete, and did not record the run in it.
        by = access.restored_by(session, name).partition(" ")[0]
        if by not in ("", self.ctx.run_id):
            raise self._not_clean(
                f"the database {name} was restored by the run {by}, which has not admitted clients yet; to undo that "
                f"run: invoke drill.recover {by}"
            )
        session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _not_clean(self, measured: str) -> StepFailed:
        return cluster.not_clean(self.tools, "an empty data directory, or a cluster that lacks the database", measured)

    def _globals(self, session: Connection, backup: Manifest, path: str, *, fresh: bool) -> None:
        """Restore roles and tablespaces. Raises StepFailed when the restore fails.

        Some objects may already exist, which is no error: tablespaces and, in a new cluster, the superuser. In a cluster
        that is not new, all roles of the backup may already exist.
        """
        spaces = [name for (name,) in session.execute("SELECT spcname FROM pg_catalog.pg_tablespace").fetchall()]
        output = self.tools.client("psql", "--no-psqlrc", "--quiet", f"--file={path}", database="postgres")
        tolerated = {f'role "{name}" already exists' for name in ((self.service.admin.user,) if fresh else backup.roles)}
        tolerated |= {f'tablespace "{name}" already exists' for name in spaces}
        must_be_right(self.ctx, "the roles", output, tolerated)

    def _load(self, archive: str, made: str) -> None:
        with self.stages.time("data"):
            output = self.tools.client(
                "pg_restore", "--format=directory", f"--jobs={self.jobs}", "--exit-on-error", archive, database=made
            )
            must_be_right(self.ctx, "pg_restore", output)
        with self.stages.time("analyze"):
            output = self.tools.client("vacuumdb", "--analyze-only", "--quiet", f"--jobs={self.jobs}", database=made)
            must_be_right(self.ctx, "vacuumdb", output)

    def _name(self, archive: str, made: str) -> None:
        """Rename a new database to its real name, and set its properties in the same transaction.

        ``made``: provisional name of the database.
        """
        lines = [
            "BEGIN;",
            "SET LOCAL synchronous_commit = on;",
            access.naming(made, self.service.database).as_string(None) + ";",
            *self._properties(archive),
            "COMMIT;",
        ]
        output = self.tools.client(
            "psql",
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            database="postgres",
            stdin="\n".join(lines).encode("utf-8", "surrogateescape") + b"\n",
        )
        must_be_right(self.ctx, "psql", output)

    def _properties(self, archive: str) -> list[str]:
        """Return SQL statements that set the settings, grants and comment of the database.

        pg_restore does not run these statements when the database exists already.
        """
        pg_restore = self.tools.path("pg_restore")
        listed = Answer(f"{self.ctx.host.name}: the table of contents of the archive")
        self.ctx.run(pg_restore, "--create", "--list", archive, sink=listed, env=AS_CLIENT).check()
        wanted = "".join(line + "\n" for line in listed.text.splitlines() if _OF_DATABASE.match(line))
        if not wanted:
            return []
        self.ctx.host.put(wanted.encode("utf-8", "surrogateescape"), f"{archive}.list")
        written = Answer(f"{self.ctx.host.name}: the SQL statements for the settings, grants and comment of the database")
        chosen = f"--use-list={archive}.list"
        output = self.ctx.run(pg_restore, "--create", chosen, "--file=-", archive, sink=written, env=AS_CLIENT)
        must_be_right(self.ctx, "pg_restore", output)
        lines = written.text.splitlines()
        return [line for line in lines if not _NOT_AGAIN.match(line)]

    def _facts(self, backup: Manifest, *, fresh: bool) -> Facts:
        total = self.stages.seconds["total"]
        return {
            "database": self.service.database,
            "fresh_cluster": fresh,
            "closed": self.closed,
            "bytes": backup.bytes,
            "files": len(backup.files),
            "tables": len(backup.tables),
            "rows": sum(table.rows for table in backup.tables),
            "database_bytes": backup.database.bytes,
            "bytes_per_second": round(backup.database.bytes / max(total, 0.001)),
            "seconds": self.stages.seconds,
            "snapshot_at": backup.server_time,
            "manifest": str(self.origin.below(stored_backup.FILE, self.origin.sha256)),
            "tools": self.tools.need(("pg_restore", "psql"), 0),
        }


def _create_database(session: Connection, name: str, by: str, backup: Manifest) -> str:
    """Create an empty database with the properties in ``backup`` under a provisional name, and return this name."""
    like = backup.database
    locale = sql.SQL(" LC_COLLATE {} LC_CTYPE {}").format(sql.Literal(like.collate), sql.Literal(like.ctype))
    if session.info.server_version >= 150000:
        locale += _provider(like)
    properties = (
        sql.SQL("TEMPLATE template0 ENCODING {} OWNER {}").format(sql.Literal(like.encoding), sql.Identifier(like.owner))
        + locale
    )
    return access.create_closed(session, name, by, like.connection_limit, properties)


def _provider(like: Database) -> sql.Composable:
    if like.provider == "i":
        return sql.SQL(" LOCALE_PROVIDER icu ICU_LOCALE {}").format(sql.Literal(like.locale))
    if like.provider == "b":
        return sql.SQL(" LOCALE_PROVIDER builtin BUILTIN_LOCALE {}").format(sql.Literal(like.locale))
    return sql.SQL(" LOCALE_PROVIDER libc")
