"""Backup source of the kind `pg_dump`: dumps in any format made by pg_dump, and dumps made by pg_dumpall.

The dumps may be compressed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import ClassVar, Literal

from pydantic import Field

from drillbook.errors import NotReady
from drillbook.language.lists import listed
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.backup import UNKNOWN_S, began_too_long_ago
from drillbook.sdk.backup_files import FileBackups, moment_in
from drillbook.sdk.backup_places import BEGINNINGS_NEED, HostFolder, Prefix, StoredFile
from drillbook.sdk.backup_source import Backup, Checked, need_one, need_programs, stamp
from drillbook.sdk.expected_differences import Reasons
from drillbook.sdk.host import Host, printable
from drillbook.sdk.in_place import InPlace
from drillbook.sdk.manual_restore import Block, ManualRestore
from drillbook.sdk.programs import Programs
from drillbook.sdk.sandbox import Sandbox, Sandboxed
from drillbook.sdk.service import Service
from drillbook.systems.postgres import disposable_server, dump_reading, dump_start, manual_restore, reader_version
from drillbook.systems.postgres.dump_in_place import DumpInPlace
from drillbook.systems.postgres.dump_judgement import MAKE_GLOBALS, Judgement, another
from drillbook.systems.postgres.dump_outline import roles_made
from drillbook.systems.postgres.dump_restoring import Restoring
from drillbook.systems.postgres.programs import Tools
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.tar.source import unpacker

_OF_DIRECTORY = re.compile(r"(toc\.dat|\d+\.dat|blobs?(_\d+)?\.(dat|toc))(\.gz|\.zst|\.lz4)?")
"""Pattern of the names of files that make up a dump in directory format."""


class PgDumpSource(FileBackups):
    """Backup source of dumps made by pg_dump or pg_dumpall.

    A dump in directory format is a folder. A dump in any other format is a file.
    """

    TAKEN: ClassVar[str] = "the dump"
    kind: Literal["pg_dump"] = "pg_dump"
    METHOD: ClassVar[tuple[str, str]] = ("pg_dump", "`postgresql` (client and server); a user other than root")
    RESTORES_TO: ClassVar[tuple[str, ...]] = ("postgres",)
    RESTORES_IN_PLACE: ClassVar[tuple[str, ...]] = ("postgres",)
    PROGRAMS: ClassVar[tuple[str, ...]] = ("awk", "date", "grep", "head", "mkdir", "od", "rm", "sed", "tail", "tr")
    LIST_PROGRAMS: ClassVar[tuple[str, ...]] = ("date",)
    RESTORE_PROGRAMS: ClassVar[tuple[str, ...]] = ("awk", "cat", "grep", "head", "mkdir", "od", "rm", "sed", "tail", "tr")

    database: str = Field(
        default="",
        description="Name of the database that a dump must contain; empty: the database of `service`, if set.",
    )
    globals: str = Field(
        default="",
        description="Shell pattern of the files that `pg_dumpall --globals-only` wrote. They are in the same location as the "
        "dumps. With each dump, the file whose time is nearest to that of the dump is restored.",
    )
    without_data: Reasons = Field(
        default_factory=dict,
        description="Tables whose rows the backup job leaves out on purpose, such as by `--exclude-table-data`, each with the "
        "reason. Each name has its schema, such as `public.log`; `*` stands for any text. Other tables without rows are a finding.",
    )
    bin: str = Field(default="", description="Folder of pg_restore on the source's host; empty: search PATH.")
    jobs: int = Field(
        default=2,
        ge=1,
        le=64,
        description="Number of parallel jobs of pg_restore, for formats that permit parallel restores.",
    )

    @property
    def place_programs(self) -> tuple[str, ...]:
        """Programs that read the first bytes of the dumps. These bytes contain the time at which a dump began."""
        return BEGINNINGS_NEED

    def expected(self, ctx: Context) -> str:
        """Return the name of the database that a dump must contain, or an empty text when the name is unknown."""
        service = ctx.services.get(self.service)
        return self.database or (service.database if isinstance(service, Postgres) else "")

    def backups(self, ctx: Context) -> list[Backup]:
        """List the dumps that match the pattern: single files, and folders with a dump in directory format.

        Files of `pg_dumpall --globals-only` are left out when there are dumps beside them.
        """
        folders: dict[str, list[StoredFile]] = {}
        single: list[StoredFile] = []
        for file in self.place(ctx).files(ctx):
            path = PurePosixPath(file.name)
            if _OF_DIRECTORY.fullmatch(path.name):
                folders.setdefault(str(path.parent), []).append(file)
            elif not self._is_globals(file):
                single.append(file)
        dumps = [*single, *(dump_start.folder(name, files) for name, files in folders.items())]
        matched = self.matching(dumps)
        begun = dump_start.heads(ctx, self.place(ctx), [file.name for file in matched], folders)
        newest_first = sorted(matched, key=self._moment, reverse=True)
        roles = dump_start.globals_only(ctx, self.place(ctx), newest_first, begun)
        if roles and not self.globals:
            ctx.remark(self._left_out([file.name for file in newest_first if file.name in roles]))
        backups = [self._backup(file) for file in [dump for dump in matched if dump.name not in roles] or matched]
        starts = dump_start.starts(ctx.host_named(self.host), begun, ctx.deadline)
        return [self._with_start(backup, starts.get(backup.id)) for backup in backups]

    def _left_out(self, names: Sequence[str]) -> str:
        """Return a remark about the files ``names``. These files match the pattern of the dumps, but contain only roles."""
        named = listed([printable(name, limit=200) for name in names], 1)
        return (
            f"{self.name} leaves out {named}: only roles (pg_dumpall --globals-only), no database; set "
            f"{self.setting('globals')} to restore the roles, too"
        )

    def _moment(self, file: StoredFile) -> tuple[datetime, str]:
        """Return the key by which files are sorted: a time, and the name of the file.

        With `newest: name`, the time is the time in the file's name. If the name contains no time, and with any other value of
        `newest`, the time is the modification time of the file.
        """
        named = moment_in(file.name, self.time) if self.newest == "name" else None
        return named or file.modified, file.name

    def _is_globals(self, file: StoredFile) -> bool:
        return bool(self.globals) and fnmatchcase(PurePosixPath(file.name).name, self.globals)

    def _with_start(self, backup: Backup, start: datetime | None) -> Backup:
        """Return a copy of ``backup`` that also states the time at which its dump began. This makes the measurement error
        of its time larger.

        The time of a backup is the time at which its dump ended. But the data is from the time at which the dump began.
        Therefore the duration of the dump is added to ``error_s``. Without a plausible start time, ``error_s`` does not change.
        """
        apart = (backup.taken_at - start).total_seconds() if start else None
        if apart is None or (self.newest == "modified" and apart < -backup.error_s):
            basis = f"{backup.basis}; {dump_start.contradiction(start)}" if start else backup.basis
            return replace(backup, basis=basis, facts={**backup.facts, "started_at": None})
        ago = (
            f"by its own record, the dump began {apart:.0f} s earlier (time zone of {self.host}), and its data is from then"
        )
        return replace(
            backup,
            began=start,
            error_s=round(backup.error_s + abs(apart), 3),
            basis=f"{backup.basis.removesuffix(UNKNOWN_S).rstrip('; ')}; {ago}",
            facts={**backup.facts, "started_at": stamp(start) if start else None},
        )

    @contextmanager
    def brought(self, ctx: Context, backup: Backup, host: Host, folder: str) -> Iterator[str]:
        """Transfer the file or folder of ``backup`` to ``host``, and yield its path on ``host``."""
        place = self.place(ctx)
        near = isinstance(place, HostFolder) and place.is_near(ctx, backup.id, host)
        members = [] if near else [file.name for file in place.files(ctx) if file.name.startswith(f"{backup.id}/")]
        if not members:
            with super().brought(ctx, backup, host, folder) as path:
                yield path
            return
        copy = f"{folder}/dump"
        host.run(("mkdir", "-m", "700", "--", copy), deadline=ctx.deadline).check()
        try:
            for name in members:
                place.bring(ctx, name, host, copy)
            yield copy
        finally:
            host.run(("rm", "-rf", "--", copy), deadline=ctx.deadline)

    @contextmanager
    def roles_brought(self, ctx: Context, backup: Backup, host: Host, folder: str) -> Iterator[str]:
        """Transfer the file of roles that belongs to ``backup`` to ``host``, and yield its path on ``host``.

        Yield an empty text if there is no such file.
        """
        name = self._file_of_roles(ctx, backup)
        if not name:
            yield ""
            return
        with super().brought(ctx, replace(backup, id=name), host, folder) as path:
            yield path

    def _file_of_roles(self, ctx: Context, backup: Backup) -> str:
        """Return the name of the file of roles whose time is nearest to the time of ``backup``.

        Return an empty text when there is no file of roles.
        """
        files = [file for file in self.place(ctx).files(ctx) if self._is_globals(file)] if self.globals else []
        return min(files, key=lambda file: abs(file.modified - backup.taken_at)).name if files else ""

    def creates_roles(self, ctx: Context, backup: Backup) -> bool | None:
        """Return True when ``backup`` is a dump of pg_dumpall, because such a dump creates its roles itself. Return False
        for any other dump. Return None when the beginning of the dump cannot be read, and record that the roles could not
        be verified.
        """
        if backup.id in self._tables_of_contents(ctx):
            return False
        begun = self.beginning(ctx, (backup.id,)).data
        if not begun:
            ctx.unsure(
                f"the roles of the backup {backup.id} of {self.name}, because the beginning of this backup cannot be read"
            )
            return None
        return b"-- PostgreSQL database cluster dump" in begun

    def check(self, ctx: Context, backup: Backup) -> Checked:
        """Read the whole dump, count its rows, and check its end marker and the roles that it needs."""
        with (
            ctx.temporary("dump") as folder,
            self.brought(ctx, backup, ctx.host, folder) as path,
            self.roles_brought(ctx, backup, ctx.host, folder) as roles,
        ):
            form = dump_reading.form_of(ctx.host, path, ctx.deadline)
            accepted = (self.without_data, self.setting("without_data"))
            judgement = Judgement(backup.id, ctx.host.name, form, self.expected(ctx), self.setting("bin"), *accepted)
            if form.format in ("empty", "unfinished"):
                return judgement.without_content()
            program = self._pg_restore
            if form.archive:
                need_programs(ctx, (program,), hint=f"set {self.setting('bin')} to the folder of pg_restore")
            reading = dump_reading.read(ctx.host, path, form, program, ctx.deadline)
            compression, begun = dump_reading.header(ctx.host, path, form, program, ctx.deadline)
            named = self._roles_named(ctx, roles) if self.globals else None
            absent = self._no_globals if self.globals and not roles else ""
            checked = judgement.of(reading, compression, named, absent)
            return self._with_record(checked, backup, begun) if begun else checked

    def _with_record(self, checked: Checked, backup: Backup, begun: datetime) -> Checked:
        """Return ``checked`` with the time at which the dump began according to its header, and with a finding if this is too
        long before the time of the backup. The list shows this only for dumps whose beginning it can read.
        """
        late = (
            began_too_long_ago(backup, begun, at=backup.taken_at, max_age=self.max_age, every=self.every)
            if backup.began is None
            else []
        )
        return replace(checked, findings=(*checked.findings, *late), facts={**checked.facts, "begun_at": stamp(begun)})

    def begins(self, data: bytes) -> bool:
        """Return True if ``data``, the first bytes of a file, are those of a dump of databases. A file of roles is no such dump."""
        return bool(dump_start.archive(data)) or b"-- PostgreSQL database dump\n" in data

    def manual_restore(self, manual: ManualRestore) -> list[Block]:
        """Return the commands with which a person restores a backup without Drillbook."""
        if not isinstance(manual.target, Postgres):
            return []
        return manual_restore.blocks(manual, replace(self.by_hand, second=self.globals), manual.target, self.jobs)

    def manual_move(self, manual: ManualRestore) -> list[Block] | str:
        """Return the commands with which a person puts the new cluster in the place of the service's data directory."""
        return manual_restore.move(manual, manual.target) if isinstance(manual.target, Postgres) else []

    def ready(self, ctx: Context) -> None:
        """Check the programs and the location, and that the newest dump can be decompressed and read by pg_restore."""
        super().ready(ctx)
        self._need_reader(ctx, ctx, self._pg_restore)

    @property
    def _pg_restore(self) -> str:
        return str(PurePosixPath(self.bin) / "pg_restore") if self.bin else "pg_restore"

    def _need_reader(self, ctx: Context, inside: Context, program: str, tools: Tools | None = None) -> None:
        """Check that the programs in the context ``inside`` can read the dump that the step uses.

        The programs for decompression must exist, and pg_restore (``program``) must know the format. ``inside`` is the step's
        host or the sandbox's container. ``tools``: programs of the server that will load the dump; None: the server is not
        checked. This server must know the settings in the SQL of the dump. For a plain dump, psql must know the commands of
        the dump too. Raises NotReady when a program is missing or too old for this dump.
        """

        setting = (tools.service if tools else self).setting("bin")

        def check(backup: Backup) -> None:
            for name in filter(None, (backup.id, self._file_of_roles(ctx, backup))):
                begun = self.beginning(ctx, (tocs.get(name, name),), inside=inside.host if inside is not ctx else None)
                packed = "" if name in tocs else begun.packed
                if not begun.data and name not in tocs:
                    packed = packed or next(iter(unpacker(name)), "")
                for tool in filter(None, (packed, "tar" if dump_start.is_tar(begun.data) else "")):
                    if inside.missing(tool):
                        raise dump_reading.no_unpacker(inside.host, tool, name)
                archive = dump_start.archive(begun.data)
                if begun.data and not archive and b"-- PostgreSQL database" not in begun.data:
                    self.unlike(ctx, name, "a dump of pg_dump or pg_dumpall")
                reader_version.need_format(ctx, inside.host, program, archive, name, setting=setting)
                if name == backup.id:
                    self._foresee_another(ctx, backup, begun.data)
                    self._foresee_no_roles(ctx, backup, begun.data)
                if tools and archive:
                    reader_version.need_server(tools, archive)
                if tools and begun.data and not archive:
                    preamble = dump_reading.preamble(ctx.host, begun.data, ctx.deadline)
                    reader_version.need_preamble(tools, preamble, name)

        candidates = self.candidates(ctx)
        tocs = self._tables_of_contents(ctx) if candidates else {}
        need_one(ctx, candidates, check)

    def ready_table(self, ctx: Context, service: Postgres) -> None:
        """Check that one table can be restored on the step's host: the host has the programs for this, and the dumps are
        archives.

        Raises NotReady when a program is missing, or the dump that the step uses is plain SQL.
        """
        tools = Tools.of(ctx, service, ctx.host)
        tools.need(("pg_restore", "psql"), 0)
        need_programs(ctx, ("awk", "cat", "head", "od", "tr"))
        self._need_reader(ctx, ctx, tools.path("pg_restore"))

        def check(backup: Backup) -> None:
            begun = self.beginning(ctx, (tocs.get(backup.id, backup.id),))
            archive = dump_start.archive(begun.data)
            reader_version.need_running(ctx, tools, archive)
            if begun.data and not archive:
                raise NotReady(
                    f"{backup.id} of {self.name} is plain SQL, from which one table cannot be restored",
                    hint="take the dumps with `pg_dump --format=custom`",
                )

        candidates = self.candidates(ctx)
        tocs = self._tables_of_contents(ctx) if candidates else {}
        if not candidates:
            reader_version.need_running(ctx, tools)
        need_one(ctx, candidates, check)
        self.need_here(ctx)

    @property
    def _no_globals(self) -> str:
        where = f" in {self.at}" if isinstance(self.at, str) else ""
        return f"no file{where} matches {self.globals!r} of {self.setting('globals')}"

    def _foresee_no_roles(self, ctx: Context, backup: Backup, beginning: bytes) -> None:
        """Record in the check before a drill that the roles are not verified, if the field `globals` of the source names
        files with the roles, but no such file exists.

        Nothing is recorded when an earlier step may make the file. Nothing is recorded for a dump of pg_dumpall either,
        because such a dump creates its roles.
        """
        needed = self.globals and not ctx.changed and b"database cluster dump" not in beginning
        if needed and not self._file_of_roles(ctx, backup):
            ctx.unsure(f"the roles of the backup {backup.id}: {self._no_globals}. {MAKE_GLOBALS}")

    def _foresee_another(self, ctx: Context, backup: Backup, beginning: bytes) -> None:
        """Record a finding if the dump contains another database than the expected one. This is a part of the check before a
        drill. ``beginning``: first bytes of the dump.
        """
        expected, named = self.expected(ctx), dump_start.database(beginning)
        if named and expected and named != expected:
            self.foresee(ctx, [another(backup.id, expected, named, ctx.host.name)])

    def _tables_of_contents(self, ctx: Context) -> dict[str, str]:
        """Return the path of the table of contents of each dump in directory format. The key of each entry is the name of
        the dump.
        """
        place = self.place(ctx)
        files = place.files(ctx) if isinstance(place, HostFolder | Prefix) else ()
        paths = [PurePosixPath(file.name) for file in files]
        return {str(path.parent): str(path) for path in paths if path.name in ("toc.dat", "toc.dat.gz")}

    def _roles_named(self, ctx: Context, path: str) -> tuple[str, ...]:
        """Return the roles that the file of roles at ``path`` creates. The result is empty when ``path`` is empty."""
        if not path:
            return ()
        form = dump_reading.form_of(ctx.host, path, ctx.deadline)
        lines = () if form.format == "empty" else dump_reading.outline(ctx.host, path, form, "", ctx.deadline)
        return roles_made(lines)

    def restore(self, ctx: Context, backup: Backup, box: Sandbox, at: datetime | None) -> Facts:
        """Restore the roles and the database of a dump into a new server in the sandbox. Then compute planner statistics."""
        restoring = Restoring(ctx, box, backup.id, self.expected(ctx), self.jobs)
        with (
            self.brought(ctx, backup, box.files, box.folder) as path,
            self.roles_brought(ctx, backup, box.files, box.folder) as roles,
        ):
            return restoring.carry_out(path, roles)

    def in_place(self, ctx: Context, service: Service) -> InPlace:
        """Return an object that restores a dump into a service that has lost its data directory."""
        return DumpInPlace(ctx, service, self)

    def ready_sandbox(self, ctx: Context, service: Sandboxed) -> None:
        """Check that the sandbox's host has the PostgreSQL server and client programs that a restore needs."""
        disposable_server.ready(ctx, service, ("initdb", "pg_ctl", "psql", "pg_restore"))
        if isinstance(service, Postgres) and service.sandbox and service.sandbox.isolation == "container":
            box = Sandbox.of(ctx, service)
            tools, inside = disposable_server.tools_of(box, box.trial), replace(ctx, host=box.trial, programs=Programs())
            self._need_reader(ctx, inside, tools.path("pg_restore"), tools)
        elif isinstance(service, Postgres) and service.sandbox:
            tools = Tools.of(ctx, service, ctx.host)
            self._need_reader(ctx, ctx, tools.path("pg_restore"), tools)
        self.need_here(ctx)
