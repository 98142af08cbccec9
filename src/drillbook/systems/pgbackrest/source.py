"""Backup source of the kind `pgbackrest`: backups and archived WAL in a pgBackRest repository."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import psycopg
from pydantic import AfterValidator, Field

from drillbook.errors import HostError, StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.backup_source import Backup, BackupSource, Checked, need_one, no_backup
from drillbook.sdk.host import Host
from drillbook.sdk.in_place import InPlace
from drillbook.sdk.manual_restore import Block, ManualRestore
from drillbook.sdk.sandbox import Sandbox, Sandboxed
from drillbook.sdk.service import KeptIn, Service
from drillbook.systems.pgbackrest import archive as archives
from drillbook.systems.pgbackrest import manual_restore, recovery, verification
from drillbook.systems.pgbackrest.in_place import SYSTEM, RepositoryInPlace
from drillbook.systems.pgbackrest.programs import Program
from drillbook.systems.pgbackrest.repository import Repository, cluster
from drillbook.systems.postgres import disposable_server
from drillbook.systems.postgres.connection import connected, first_row
from drillbook.systems.postgres.service import Postgres
from drillbook.values import Secret

COVERED = (
    "every file of the backup was read, also those in earlier backups, and compared with the manifest",
    "both copies of backup.info, archive.info and the manifest are equal",
    "no page had a wrong checksum when the backup was taken",
    "no WAL segment is missing between the backup and the newest segment",
)
NOT_COVERED = (
    "whether a server starts from the backup and reaches a consistent state",
    "whether rows were already missing or wrong when the backup was taken",
)


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    for name, value in options.items():
        if not name.replace("-", "").isalnum() or name != name.lower():
            raise ValueError(f"{name!r} is not an option of pgbackrest; use a name from its manual, such as repo1-path")
        if isinstance(value, str) and "\n" in value:
            raise ValueError(f"the value of the option {name} contains a line break")
    return options


Options = Annotated[dict[str, Secret | str], AfterValidator(_plain)]


class PgBackRest(BackupSource):
    """Backup source for one stanza of one pgBackRest repository.

    pgbackrest on the source's host must be able to read this repository.
    """

    kind: Literal["pgbackrest"] = "pgbackrest"
    METHOD: ClassVar[tuple[str, str]] = (
        "pgBackRest",
        "`pgbackrest`, `postgresql` of the same major version; reads the repository",
    )
    RESTORES_TO: ClassVar[tuple[str, ...]] = ("postgres",)
    RESTORES_IN_PLACE: ClassVar[tuple[str, ...]] = ("postgres",)
    PROGRAMS: ClassVar[tuple[str, ...]] = ("pgbackrest", "rm", "sed", "tail")
    RESTORE_PROGRAMS: ClassVar[tuple[str, ...]] = (
        *("awk", "cat", "chown", "cp", "du", "grep", "id", "mkdir", "pgbackrest", "rm", "sed"),
        *("sha1sum", "stat", "tail", "tr"),
    )

    stanza: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name of the stanza.")
    repository: int = Field(
        default=1, ge=1, le=256, description="Number of the repository (N of `repoN` in pgbackrest.conf)."
    )
    config: str = Field(
        default="",
        pattern=r"^(/[^\x00\n]*)?$",
        description="Path of pgbackrest.conf, on every host that reads the repository; empty: pgbackrest's own default.",
    )
    options: Options = Field(
        default_factory=dict,
        description="Options that override pgbackrest.conf, such as `repo1-cipher-pass: !env CIPHER_PASS`.",
    )
    sandbox_options: Options = Field(
        default_factory=dict,
        description="Further options for a sandbox on a host other than the source's, such as `repo1-host: repo-1`.",
    )
    bin: str = Field(
        default="", description="Folder of pg_waldump on the source's host; empty: the usual folders of packages, or PATH."
    )
    inclusive: bool = Field(
        default=True,
        description="False: a recovery to a point in time excludes transactions committed exactly at that time.",
    )

    @property
    def kept_in(self) -> tuple[KeptIn, ...]:
        """Place of the repository, if `options` contains the path of the repository, and the repository is on the source's
        host. Otherwise the result is empty.
        """
        path = self.options.get(f"repo{self.repository}-path", "")
        if not isinstance(path, str) or not path or f"repo{self.repository}-host" in self.options:
            return ()
        return (KeptIn(self.host, path),)

    def program(self, ctx: Context, host: Host, *, run_as: str) -> Program:
        """Return a runner of pgbackrest on ``host`` with the options of this source."""
        return Program(self.name, host, ctx.deadline, self._options(host.name), run_as)

    def _options(self, host: str) -> dict[str, str | Secret]:
        """Return the options of pgbackrest on the host named ``host``."""
        options: dict[str, str | Secret] = {"stanza": self.stanza, "repo": str(self.repository)}
        if self.config:
            options["config"] = self.config
        return options | self.options | (self.sandbox_options if host != self.host else {})

    @contextmanager
    def opened(self, ctx: Context) -> Iterator[Repository]:
        """Yield the repository as seen from the source's host. Temporary files are removed after the ``with`` block."""
        program = self.program(ctx, ctx.host, run_as=self.run_as)
        if self.run_as:
            yield Repository(program, self.stanza, programs=self.bin)
            return
        with ctx.temporary("pgbackrest") as folder:
            yield Repository(program, self.stanza, folder, self.bin)

    def backups(self, ctx: Context) -> list[Backup]:
        """List the backups, each with the newest moment to which it can be recovered with the archived WAL."""
        with self.opened(ctx) as repository:
            return repository.backups()

    def check(self, ctx: Context, backup: Backup) -> Checked:
        """Run `pgbackrest verify` on the backup, and check more than this command does.

        There are four additional checks. The two copies of backup.info, of archive.info and of the manifest must be equal.
        No page may have a wrong checksum. No WAL may be missing or damaged. The backup must be a backup of the service's
        cluster.
        """
        with self.opened(ctx) as repository:
            program = repository.program
            findings = verification.problems(verification.verified(program, backup.id), backup.id, ctx.host.name)
            if not findings:
                findings += verification.copies(program, self.stanza, backup.id)
            findings += verification.pages(program, backup.id)
            wal, unread, segments = self._wal(repository, backup.facts)
            if not repository.has(backup.id):
                raise no_backup(self, f"the backup {backup.id}", "the backup expired during the check")
        other, unasked = self._of_another(ctx, backup)
        return Checked(
            (*findings, *wal, *other),
            (
                *COVERED,
                *(
                    ()
                    if unread
                    else ("every WAL segment from the backup on was read, and compared with the digest in its name",)
                ),
                *(() if unasked else (f"the backup is of the cluster of {self.service}",)),
            ),
            (*NOT_COVERED, *filter(None, (unread, unasked))),
            {"wal_segments": segments},
        )

    def _wal(self, repository: Repository, facts: Mapping[str, Any]) -> tuple[list[Finding], str, int]:
        """Return three values: findings about the WAL, the reason why the content of the WAL was not read (or an empty
        text), and the number of segments.
        """
        host = repository.program.host.name
        if not facts["wal_start"]:
            return [], "WAL: the backup was taken from a stopped server, and needs no WAL", 0
        archive = repository.archive(facts)
        way = archive.way(facts["lsn_start"], facts["wal_start"])
        if problem := archives.lacking(archive, way, facts["wal_stop"]):
            return [archives.gap(self.name, problem, host=host)], "", len(way.files)
        reader = archives.Reader(repository.program, repository.temporary, self.bin, facts["version"])
        bad, unread = reader.damaged(archive, way)
        if bad:
            measured = f"{len(bad)} of {len(way.files)} segments are damaged, the first is {bad[0]}"
            return [archives.gap(self.name, measured, host=host)], "", len(way.files)
        return [], f"content of the WAL after the backup: {unread} on {host}" if unread else "", len(way.files)

    def _of_another(self, ctx: Context, backup: Backup) -> tuple[list[Finding], str]:
        """Return a finding if the backup contains another cluster than the cluster of the service.

        Also return the reason why the clusters were not compared, or an empty text.
        """
        service = ctx.services.get(self.service)
        if not isinstance(service, Postgres):
            said = "the field `service` of the source names no service of kind postgres"
            return [], f"whether the backup is of the right cluster: {said}"
        try:
            with connected(ctx, service, database="postgres") as session:
                system = str(first_row(session, SYSTEM)[0])
        except (psycopg.Error, HostError):
            return [], f"whether the backup is of the cluster of {self.service}: this service could not be queried"
        if system == backup.facts["system_identifier"]:
            return [], ""
        wanted, measured = f"the cluster {system} of {self.service}", f"the cluster {backup.facts['system_identifier']}"
        return [finding("backup-of-another", title=self.name, wanted=wanted, measured=measured)], ""

    def restore(self, ctx: Context, backup: Backup, box: Sandbox, at: datetime | None) -> Facts:
        """Restore the files, fetch the WAL, and start a server that replays the WAL. The module ``recovery`` does this."""
        program = self._in_sandbox(ctx, box)
        archive = Repository(program, self.stanza).archive(backup.facts)
        return recovery.Recovery(backup, box, program, archive, at, self.inclusive).run()

    def in_place(self, ctx: Context, service: Service) -> InPlace:
        """Return an object that restores a backup into a service that has lost its data directory."""
        return RepositoryInPlace(ctx, service, self)

    def _in_sandbox(self, ctx: Context, box: Sandbox) -> Program:
        """Return a runner of pgbackrest on the sandbox's host.

        pgbackrest then writes only into the sandbox, and is killed when the sandbox is removed.
        """
        program = self.program(ctx, box.host, run_as=box.service.run_as)
        folders = dict.fromkeys(("lock-path", "log-path", "spool-path"), f"{box.folder}/pgbackrest")
        return replace(program, options={**program.options, **recovery.SAFE, **folders}, sandbox=box.folder)

    def manual_restore(self, manual: ManualRestore) -> list[Block]:
        """Return the commands with which a person restores a backup without Drillbook."""
        if not isinstance(manual.target, Postgres):
            return []
        options = self._options(manual.target.host)
        return manual_restore.blocks(manual, options, manual.target, inclusive=self.inclusive)

    def manual_move(self, manual: ManualRestore) -> str:
        """Return instructions for a person who puts the restored cluster in the place of the service's data directory."""
        return manual_restore.move(manual, self.stanza)

    def ready(self, ctx: Context) -> None:
        """Check that pgbackrest exists and can read the repository. The stanza need not exist yet, because a step of the drill
        may create it.
        """
        super().ready(ctx)
        _can_be_read(Repository(self.program(ctx, ctx.host, run_as=self.run_as), self.stanza))

    def ready_sandbox(self, ctx: Context, service: Sandboxed) -> None:
        """Check that the sandbox's host has pgbackrest, and can read the repository. Also check that this host has PostgreSQL
        in the version of the backup that the step will restore.
        """
        disposable_server.ready(ctx, service, ("postgres", "pg_ctl", "pg_controldata", "pg_waldump"))
        box = Sandbox.of(ctx, service)
        stanza = _can_be_read(Repository(self._in_sandbox(ctx, box), self.stanza))
        majors = [backup.facts["version"] for backup in self.candidates(ctx)]
        majors = majors or [cluster(stanza, row)[0] for row in reversed(stanza.get("backup", ()))]
        need_one(
            ctx, dict.fromkeys(majors), lambda major: recovery.need_major(disposable_server.tools_of(box, box.trial), major)
        )


def _can_be_read(repository: Repository) -> dict[str, Any]:
    """Check that the repository can be read, and return the description of the stanza.

    The description is empty as long as the stanza does not exist. Raises StepFailed or CouldNotVerify when pgbackrest
    fails, and HostError when the host cannot be used.
    """
    try:
        return repository.info()
    except StepFailed as error:
        if [problem.code for problem in error.findings] != ["backup-missing"]:
            raise
        return {}
