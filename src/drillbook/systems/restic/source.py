"""Backup source of the kind `restic`: snapshots in a repository on disk, on an SFTP server, in S3, or in another storage
that restic supports.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from fnmatch import fnmatchcase
from functools import partial
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.backup_source import Backup, BackupSource, Checked, need_programs, no_backup
from drillbook.sdk.host import as_user
from drillbook.sdk.in_place import InPlace
from drillbook.sdk.manual_restore import Block, ManualRestore
from drillbook.sdk.sandbox import Sandbox
from drillbook.sdk.service import KeptIn, Service
from drillbook.systems.restic import manual_restore
from drillbook.systems.restic.in_place import ResticInPlace
from drillbook.systems.restic.repository import Repository, Snapshot
from drillbook.values import Secret

OLDEST = (0, 17)
"""Oldest supported version of restic. Since this version, a missing repository and a wrong password have different exit
statuses.
"""
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
AbsolutePath = Annotated[str, Field(pattern=r"^/")]


class ResticSource(BackupSource):
    """Snapshots of one backup job in a restic repository."""

    kind: Literal["restic"] = "restic"
    METHOD: ClassVar[tuple[str, str]] = (
        "restic",
        "`restic`; the password of the repository, and the right to read the repository",
    )
    RESTORES_TO: ClassVar[tuple[str, ...]] = ("folder",)
    RESTORES_IN_PLACE: ClassVar[tuple[str, ...]] = ("folder",)
    PROGRAMS: ClassVar[tuple[str, ...]] = ("grep", "restic")
    RESTORE_PROGRAMS: ClassVar[tuple[str, ...]] = ("grep", "rm")

    repository: Secret | str = Field(
        description="Address of the repository in the form that restic expects, such as /srv/restic, sftp:user@host:/srv/restic or s3:https://host/bucket."
    )
    password: Secret = Field(description="Password of the repository.")
    paths: tuple[AbsolutePath, ...] = Field(
        min_length=1,
        description="Paths that the job backs up. Snapshots that lack one of these paths belong to other jobs.",
    )
    tags: tuple[str, ...] = Field(default=(), description="Tags that all snapshots of the job have.")
    snapshot_host: str = Field(
        default="",
        description="Host name that the job's snapshots contain, as a shell pattern. Empty: all snapshots must "
        "have the same host name.",
    )
    env: dict[Variable, Secret | str] = Field(
        default_factory=dict, description="Further environment variables for restic, such as AWS_ACCESS_KEY_ID."
    )
    read: Literal["snapshot", "repository"] = Field(
        default="snapshot",
        description=(
            "Data that `backup.check` reads. `snapshot`: only the data of the snapshot. `repository`: the data "
            "of the whole repository (`restic check --read-data`). The structure of the whole repository is verified in both cases."
        ),
    )

    @property
    def kept_in(self) -> tuple[KeptIn, ...]:
        """Path of the repository, if it is a folder on the source's host. It is empty for any other repository."""
        path = self.repository.removeprefix("local:") if isinstance(self.repository, str) else ""
        return (KeptIn(self.host, path),) if path.startswith("/") else ()

    def backups(self, ctx: Context) -> list[Backup]:
        """List the snapshots of the job. These are the snapshots that match its paths, tags and host name."""
        with self.opened(ctx) as repository:
            snapshots = repository.snapshots()
        matching = [snapshot for snapshot in snapshots if self._of_job(snapshot)]
        if snapshots and not matching:
            raise no_backup(self, f"a snapshot of {self._job}", _others(snapshots))
        hosts = sorted({snapshot.hostname for snapshot in matching})
        if len(hosts) > 1 and not self.snapshot_host:
            raise CouldNotVerify(
                f"{self.name}: the snapshots are from several hosts: {', '.join(hosts[:5])}",
                hint="set `snapshot_host` to the host name of the job, or to `*` when this host name changes",
            )
        return [_backup(snapshot) for snapshot in matching]

    def _of_job(self, snapshot: Snapshot) -> bool:
        covered = all(_recorded(snapshot.paths, path) is not None for path in self.paths)
        return covered and set(self.tags) <= set(snapshot.tags) and fnmatchcase(snapshot.hostname, self.snapshot_host or "*")

    @property
    def _job(self) -> str:
        tags = f" with the tags {', '.join(self.tags)}" if self.tags else ""
        return f"{', '.join(self.paths)}{tags}{f' of {self.snapshot_host}' if self.snapshot_host else ''}"

    def manual_restore(self, manual: ManualRestore) -> list[Block]:
        """Return the commands with which a person restores a backup without Drillbook."""
        variables: dict[str, Secret | str] = {"RESTIC_REPOSITORY": self.repository, "RESTIC_PASSWORD": self.password}
        filters = [f"--path={path}" for path in self.paths] + ([f"--tag={','.join(self.tags)}"] if self.tags else [])
        if self.snapshot_host and not set(self.snapshot_host) & set("*?["):
            filters.append(f"--host={self.snapshot_host}")
        return manual_restore.blocks(manual, variables | self.env, filters)

    def manual_move(self, manual: ManualRestore) -> list[Block] | str:
        """Return the commands with which a person puts the restored folder in the place of the service's folder."""
        return manual_restore.move(manual)

    def check(self, ctx: Context, backup: Backup) -> Checked:
        """Verify the structure of the repository and every byte of the snapshot, and count the files in the snapshot."""
        findings: list[Finding] = []
        covered: list[str] = []
        facts: Facts = {}
        with self.opened(ctx) as repository:
            try:
                findings += self._abandoned(repository, facts)
                self._read(repository, backup, covered)
                findings += self._empty(repository, backup, facts)
            except StepFailed as error:
                findings += error.findings
        return Checked(tuple(findings), tuple(covered), self._unseen(), facts)

    def _abandoned(self, repository: Repository, facts: Facts) -> list[Finding]:
        """Return a finding about abandoned locks. Raises CouldNotVerify while another restic process changes the repository."""
        locks = repository.locks()
        facts["locks"] = [str(lock) for lock in locks]
        for lock in locks:
            if lock.exclusive and not lock.stale:
                raise CouldNotVerify(
                    f"{self.name}: another restic process is changing the repository: {lock}",
                    hint="run the step again when that process has finished",
                )
        stale = "; ".join(str(lock) for lock in locks if lock.stale)
        return [finding("backup-locked", title=self.name, wanted="no abandoned lock", measured=stale)] if stale else []

    def _read(self, repository: Repository, backup: Backup, covered: list[str]) -> None:
        """Verify the structure of the repository, and the data of the snapshot or of the whole repository (field `read`).
        For each check that passes, append a text to ``covered``. Raises StepFailed with a finding when a check fails.
        """
        whole = self.read == "repository"
        repository.call("check", *(("--read-data",) if whole else ()), output="dropped")
        covered.append("the structure of the whole repository was verified (restic check)")
        if not whole:
            repository.call("dump", "--archive", "tar", backup.facts["snapshot"], "/", output="dropped")
        covered.append(f"every byte of the {self.read} was read, decrypted, and compared with its SHA-256")

    def _unseen(self) -> tuple[str, ...]:
        others = () if self.read == "repository" else ("the data of other snapshots",)
        return ("files that are missing in the snapshot, such as files that restic was not permitted to read", *others)

    def _empty(self, repository: Repository, backup: Backup, facts: Facts) -> list[Finding]:
        """Count the files below each path of the job. Return a finding for each path without any file."""
        counts = facts["files"] = {path: _count(repository, backup, path) for path in self.paths}
        return [
            finding("backup-empty", title=f"{backup.id}:{path}", wanted="at least one file", measured="no file")
            for path, count in counts.items()
            if count == 0
        ]

    def restore(self, ctx: Context, backup: Backup, box: Sandbox, at: datetime | None) -> Facts:
        """Restore the whole snapshot into the folder `data` of the sandbox, and read every restored file again."""
        cache = f"{box.folder}/cache"
        repository = self._repository(box.host.name, box.fetch, cache)
        snapshot = backup.facts["snapshot"]
        if backup.bytes is None:
            stats = json.loads(repository.call("stats", "--json", "--mode", "restore-size", snapshot).text)
            box.need_space(int(stats["total_size"]))
        begun = time.monotonic()
        done = repository.call("restore", "--json", "--quiet", "--verify", "--target", f"{box.folder}/data", snapshot)
        seconds = round(time.monotonic() - begun, 3)
        box.run("rm", "-rf", "--", cache).check()
        summary = json.loads(done.text.splitlines()[-1])
        return {
            "files": int(summary["total_files"]),
            "bytes": int(summary["total_bytes"]),
            "seconds": {"restore_and_verify": seconds},
        }

    def in_place(self, ctx: Context, service: Service) -> InPlace:
        """Return the object that restores a backup into the original folder after the folder was deleted."""
        return ResticInPlace(ctx, service, self)

    def saved_as(self, repository: Repository, backup: Backup, path: str) -> str:
        """Return the path inside the snapshot where the files of ``path`` are. A backup job may have saved them under a shorter
        path. The result is empty when the snapshot does not contain these files.
        """
        return next((end for end in _ends(path) if repository.count(backup.facts["snapshot"], end)), "")

    def ready(self, ctx: Context) -> None:
        """Check that the host of the source has restic 0.17 or later. Check also that no setting has several lines, because
        settings are passed to restic as environment variables.
        """
        _need_restic(ctx)
        super().ready(ctx)
        self._variables()

    def ready_sandbox(self, ctx: Context, service: Service) -> None:
        """Check that the host of ``service`` has restic and can reach the repository."""
        _need_restic(ctx)
        local = isinstance(self.repository, str) and re.match(r"(local:)?/", self.repository)
        if local and service.host != self.host:
            raise NotReady(
                f"the repository {self.repository} is on the host {self.host}, but {service.name} is on the host {service.host}",
                hint="use an address that both hosts can reach, such as sftp:user@host:/path, or a sandbox on the same host",
            )

    @contextmanager
    def opened(self, ctx: Context) -> Iterator[Repository]:
        """Yield the repository as seen from the host of the step. Restic's cache is removed when the `with` block ends."""
        if self.run_as:  # another user cannot read this user's private folder, so restic runs without a cache
            yield self._repository(ctx.host.name, partial(_run_as, ctx, self.run_as), "")
            return
        with ctx.temporary("restic") as cache:
            yield self._repository(ctx.host.name, ctx.run, cache)

    def _repository(self, host: str, run: Any, cache: str) -> Repository:
        return Repository(self.name, host, run, cache, self._variables())

    def _variables(self) -> dict[str, str]:
        """Return the environment variables of restic. Raises NotReady when the value of a variable has several lines."""
        given: Mapping[str, Secret | str] = {
            **self.env,
            "RESTIC_REPOSITORY": self.repository,
            "RESTIC_PASSWORD": self.password,
        }
        variables = {name: value.reveal() if isinstance(value, Secret) else value for name, value in given.items()}
        for name, value in variables.items():
            if "\n" in value or "\0" in value:
                raise NotReady(
                    f"{self.name}: the value of {name} has more than one line", hint="use a value without line breaks"
                )
        return variables


def _run_as(ctx: Context, user: str, *argv: str, **options: Any) -> Any:
    return ctx.run(*as_user(user, argv), **options)


def _backup(snapshot: Snapshot) -> Backup:
    summary = snapshot.summary
    return Backup(
        snapshot.short_id,
        snapshot.time,
        f"start of the snapshot, by the clock of {snapshot.hostname}",
        round((summary.backup_end - summary.backup_start).total_seconds(), 3) if summary else 0.0,
        summary.total_bytes_processed if summary else None,
        facts={"snapshot": snapshot.id, "hostname": snapshot.hostname, "paths": list(snapshot.paths)},
    )


def _recorded(paths: tuple[str, ...], path: str) -> str | None:
    """Return the element of ``paths`` that is ``path`` or a folder above ``path``. Return None when there is no such
    element. ``paths``: the paths that were backed up, as listed in the snapshot.
    """
    above = {str(folder) for folder in (PurePosixPath(path), *PurePosixPath(path).parents)}
    return next((recorded for recorded in paths if str(PurePosixPath(recorded)) in above), None)


def _count(repository: Repository, backup: Backup, path: str) -> int:
    """Count the files at or below ``path`` in the snapshot.

    If a job backed up a relative path, the snapshot contains only the last folders of ``path``: for ``data/x``, files are
    below ``/data/x``. If a job backed up the current folder (``.``), its content is at the top of the snapshot. Therefore the
    function looks in each of these places, until it finds files.
    """
    ends = _ends(path)
    if len(backup.facts["paths"]) == 1:
        ends.append("/")
    return next((count for end in ends if (count := repository.count(backup.facts["snapshot"], end))), 0)


def _ends(path: str) -> list[str]:
    """Return the absolute path ``path``, and then the shorter paths that remain when its first folders are removed one by one.
    For ``/a/b/c``, these are ``/b/c`` and ``/c``.
    """
    parts = PurePosixPath(path).parts[1:]
    return [f"/{'/'.join(parts[start:])}" for start in range(len(parts))]


def _others(snapshots: list[Snapshot]) -> str:
    kinds = sorted({f"{', '.join(snapshot.paths)} of {snapshot.hostname}" for snapshot in snapshots})
    return f"{len(snapshots)} other snapshots: {'; '.join(kinds[:5])}"


def _need_restic(ctx: Context) -> None:
    hint = f"install restic {OLDEST[0]}.{OLDEST[1]} or later on that host"
    need_programs(ctx, ("restic",), hint=hint)
    said = ctx.run("restic", "version").check().text
    match = re.match(r"restic (\d+)\.(\d+)", said)
    if match is None or (int(match[1]), int(match[2])) < OLDEST:
        raise NotReady(f"{ctx.host.name}: the installed restic is too old: {said[:80]}", hint=hint)
