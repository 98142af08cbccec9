"""Base of backup sources. A backup source is a list of backups that a team takes with its own tools.

Inventories list the sources under `backups`. Each kind of source (pg_dump, restic, ...) has a class that runs its
backup tool. Through this interface, the actions `backup.*` list, check, measure and restore backups of every kind.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Self, TypeVar

from pydantic import Field, PrivateAttr

from drillbook.errors import DrillbookError, NotReady, StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk import manual_move
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.backup import Backup as Backup  # noqa: PLC0414  re-exported: sources import everything from here
from drillbook.sdk.backup import stamp as stamp  # noqa: PLC0414
from drillbook.sdk.in_place import InPlace
from drillbook.sdk.manual_restore import Block, ManualRestore
from drillbook.sdk.sandbox import Sandbox, Sandboxed
from drillbook.sdk.service import Service, kind_of
from drillbook.values import Duration

T = TypeVar("T")
AHEAD_S = 60.0
"""Seconds by which the time of a backup may be ahead of the controller's clock, since the two clocks may differ."""
END = datetime.max.replace(tzinfo=UTC)
"""Value for the target time of a point-in-time recovery. It means: recover up to the end of the archived log."""
NEEDED = "that the drill uses:"
"""Part of the text of a remark, by which the remark is recognised. A check before a drill makes this remark in two cases: the
backup for the drill was not found, or the backups could not be listed.
"""
UNFIT = "would fail the drill:"
"""Words in a remark of the check before a drill. They show that the drill would fail because of its backup."""
PRINTED_BASIS = "start of the command, by the controller's clock"
"""Beginning of the text ``Backup.basis`` for a backup that is the output of a command. ``Backup.taken_at`` is then the time of
the command, and says nothing about the age of the data.
"""


@dataclass(frozen=True, slots=True)
class Checked:
    """Result of the verification of one backup by its backup source."""

    findings: tuple[Finding, ...]
    covered: tuple[str, ...]
    """Checks that were carried out, as text, such as ``every byte was read``."""
    not_covered: tuple[str, ...]
    """Problems that the checks in ``covered`` cannot detect, as text, such as ``rows that are missing in the dump``."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    not_verified: str = ""
    """Reason why the backup counts as not verified although there are no findings. It is empty when the backup counts as
    verified.
    """


class BackupSource(Service):
    """Base of all kinds of backup sources. ``name`` is the key of the source under `backups` in the inventory."""

    METHOD: ClassVar[tuple[str, str]] = ("", "")
    """Two texts in Markdown: the name of the backup tool, and the needs of a host that uses it. The needs are Debian packages
    other than `util-linux`, and rights.
    """
    RUNS: ClassVar[bool] = False
    SECTION: ClassVar[str] = "backups"
    RESTORES_TO: ClassVar[tuple[str, ...]] = ()
    """Kinds of sandboxes into which a backup of this source can be restored."""
    RESTORES_IN_PLACE: ClassVar[tuple[str, ...]] = ()
    """Kinds of services. A backup of this source can be restored in place into a service of these kinds; see ``in_place``."""
    PROGRAMS: ClassVar[tuple[str, ...]] = ()
    """Programs that are started on the host of the source to list and check backups."""
    LIST_PROGRAMS: ClassVar[tuple[str, ...]] = ()
    """Part of ``PROGRAMS``: the programs that are started to list backups. A class based on ``FileBackups`` declares this
    list only if it is complete; see ``FileBackups.ready_to_list``. The list may be empty.
    """
    RESTORE_PROGRAMS: ClassVar[tuple[str, ...]] = ()
    """Programs that a restore starts on the host of the sandbox or service. Programs that ``ready_sandbox`` looks for are
    not listed.
    """

    service: str = Field(default="", description="Name of the service whose data is backed up.")
    max_age: Duration | None = Field(
        default=None,
        gt=0,
        description=(
            "Largest permitted age of the newest backup. A record in the backup itself, such as the start of a dump, counts if "
            "it is older than the time of the file."
        ),
    )
    every: Duration | None = Field(
        default=None, gt=0, description="Interval of the backup schedule. A longer time between two backups is a finding."
    )

    _selection: tuple[str, str] | None = PrivateAttr(default=("latest", ""))
    """Values of the fields ``at`` and ``backup`` of the step that uses this source. The pair is None when one of the two
    values comes from an earlier step that has not run yet.
    """

    @property
    def lock_name(self) -> str:
        """Name of the lock for this source on its host. It consists of the source's kind and name."""
        return f"backup-{re.sub(r'[^A-Za-z0-9._-]', '_', self.name)}"

    @property
    def searched(self) -> str:
        """Text at the end of the message ``no backup was found``. It tells in which place, and for which names, backups
        were searched. The text is empty when the backup tool itself reports that it found none.
        """
        return ""

    @property
    def tells_age(self) -> bool:
        """True when the time of a backup is the time of its data. False when it is only the time at which the backup was
        listed.
        """
        return True

    @property
    def content_tells_age(self) -> bool:
        """True when the content of a backup shows its age. A step that reads the content then compares this age with
        ``max_age``.
        """
        return False

    def need_age(self, *, reads: bool = False) -> None:
        """Check that the age of the backups is known, if ``max_age`` or ``every`` is set.

        ``reads``: True when the step reads the content of the backup. Raises NotReady when the age is unknown.
        """
        judged = self.max_age is None or (reads and self.content_tells_age)
        limit = "max_age" if not judged else "every" if self.every is not None else ""
        if limit and not self.tells_age:
            also = ", or use `backup.check`, which reads this age" if limit == "max_age" and self.content_tells_age else ""
            raise NotReady(
                f"`{limit}` of {self.name} cannot be judged: the age of the data that its command prints is unknown",
                hint=f"remove `{limit}`, or let `at` name the files of the backups, whose times are known{also}",
            )

    def selecting(self, at: str | None, only: str | None = "") -> Self:
        """Return a copy of this source that selects a backup for one step, as ``chosen`` does. ``at``: `latest`, the id of a
        backup, or a time. ``only``: id of the only backup that is considered, or an empty text. ``at`` or ``only`` is None if
        an earlier step of the drill will set it. Without a call of this method, a source selects its newest backup.
        """
        made = self.model_copy()
        made._selection = None if at is None or only is None else (at, only)
        return made

    def select(self, listed: Sequence[Backup]) -> tuple[Backup, datetime | None]:
        """Return the backup in ``listed`` that the step uses, and the target time of a point-in-time recovery.

        Raises StepFailed when no backup matches, and ValueError for a time without an offset.
        """
        if self._selection is None:
            raise ValueError(f"{self.name}: the backup is not known yet, because an earlier step of the drill selects it")
        return chosen(self, listed, *self._selection)

    def candidates(self, ctx: Context) -> list[Backup]:
        """Return the backups that the step may use, for checks before a drill.

        Usually, the list contains the one backup that ``select`` will return. If an earlier step sets the selection, the list
        contains every backup, newest first, and the caller passes it to ``need_one``. When no backup matches or the backups
        cannot be listed, the list is empty. A check before a drill then records that the backup was not verified, unless an
        earlier step of the drill may make the backup.
        """
        try:
            listed = self.backups(replace(ctx, host=ctx.host_named(self.host)))
            if self._selection is not None:
                return [self.select(listed)[0]]
            newest(self, listed)  # raises an error for an empty list
            return sorted(listed, key=lambda backup: (backup.newest_moment, backup.id), reverse=True)
        except (DrillbookError, OSError) as error:
            if not ctx.changed:
                found_here = getattr(error, "findings", ())
                missing = found_here and found_here[0].code == "backup-missing"
                remedy = f". {(missing and ctx.no_backups) or found_here[0].remedy}" if found_here else ""
                ctx.unsure(f"the backup of {self.name} {NEEDED} {getattr(error, 'message', str(error))}{remedy}")
            return []

    def foresee(self, ctx: Context, problems: Iterable[Finding]) -> None:
        """During a check before a drill, record that the drill cannot pass because the backup that it uses has ``problems``.

        Nothing is recorded in two cases: in a run, and when an earlier step of the drill selects the backup or may make it.
        """
        if self._selection is None or ctx.changed:
            return
        for problem in problems:
            figures = f"wanted: {problem.wanted}; found: {problem.measured}"
            ctx.unsure(f"the backup of {self.name} {UNFIT} {problem.title}; {figures}")

    @abstractmethod
    def backups(self, ctx: Context) -> list[Backup]:
        """List the backups in any order. Only reads. ``ctx.host`` is the host of the source. Raises StepFailed with findings
        when backups are damaged or missing, CouldNotVerify when the list cannot be read, and HostError when the host does
        not answer.
        """

    def manual_move(self, manual: ManualRestore) -> list[Block] | str:
        """Return instructions for a person who restored a copy by hand: how to move the copy into the service.

        By default, the result is a general text. Override this method when commands can move the copy.
        """
        return manual_move.in_general(manual)

    @abstractmethod
    def check(self, ctx: Context, backup: Backup) -> Checked:
        """Verify one backup where it is stored: run the verification of the backup tool, and read every byte.

        Problems of the backup are findings in the result. When the check itself cannot run, it raises StepFailed,
        CouldNotVerify or HostError.
        """

    def is_of_kind(self, ctx: Context, backup: Backup) -> bool | None:
        """Return True if ``backup`` begins like a backup of this kind, and False if it begins like something else, such as a note.

        The result is None when this is unknown, as it is by default.
        """
        return None

    def explained(self, backup: Backup, findings: Sequence[Finding], *, of_kind: bool | None = None) -> tuple[Finding, ...]:
        """Return ``findings`` about ``backup``, with remedies for the fields of this source. The default changes nothing.

        ``of_kind``: the result of ``is_of_kind``.
        """
        return tuple(findings)

    @contextmanager
    def explaining(self, ctx: Context, backup: Backup) -> Iterator[None]:
        """Apply ``explained`` to the findings of a StepFailed that the `with` block raises."""
        try:
            yield
        except StepFailed as error:
            if error.findings:
                error.findings = self.explained(backup, error.findings, of_kind=self.is_of_kind(ctx, backup))
            raise

    @abstractmethod
    def restore(self, ctx: Context, backup: Backup, box: Sandbox, at: datetime | None) -> Facts:
        """Restore a backup into the sandbox ``box``, whose folder is still empty. Start a server if the sandbox has one.

        ``at``: target time of a point-in-time recovery, or END for the newest possible time. When it is None, the target is
        the time of the backup. ``ctx.host`` is the host of the sandbox. The fact ``bytes`` is the number of restored bytes,
        and the fact ``seconds`` contains the duration of each stage. Raises StepFailed with findings when the backup cannot
        be restored, and HostError when the host fails.
        """

    def in_place(self, ctx: Context, service: Service) -> InPlace:
        """Return the object that restores backups into ``service`` itself.

        Raises NotReady when the kind of ``service`` is not in ``RESTORES_IN_PLACE``.
        """
        raise NotReady(
            f"backups of kind {kind_of(self)} can only be restored into a sandbox, not into {service.name}",
            hint="use a service with `sandbox: {}`; see `Rehearse the backups that you have` in the documentation",
        )

    def manual_restore(self, manual: ManualRestore) -> list[Block]:
        """Return the commands with which a person restores a backup without Drillbook. The runbook of a drill shows them.

        The result is empty when backups of this source cannot be restored by such commands.
        """
        return []

    def ready(self, ctx: Context) -> None:
        """Check that the host has the programs that list and check backups, and that the backups can be read.

        If the required programs depend on the backup, override this method and call ``candidates``. Raises NotReady when
        something is missing.
        """
        need_programs(ctx, self.PROGRAMS)

    def ready_to_list(self, ctx: Context) -> None:
        """Check that the backups can be listed on the host of the source, and transferred from there.

        A restore needs nothing else from that host. By default, this method checks the same as ``ready``. Raises
        NotReady when something is missing.
        """
        self.ready(ctx)

    def ready_sandbox(self, ctx: Context, service: Sandboxed) -> None:
        """Check that the host of the sandbox (``ctx.host``) has everything that a restore needs.

        If this depends on the backup, such as on its compression or version, call ``candidates``. Raises NotReady when
        something is missing.
        """


def source_of(ctx: Context, name: str) -> BackupSource:
    """Return the backup source ``name``. Raises PlanError when the inventory has no backup source of that name."""
    return ctx.service(name, BackupSource)  # type: ignore[type-abstract]  # every source is of a concrete kind


def newest(source: BackupSource, backups: Sequence[Backup]) -> Backup:
    """Return the backup that can restore the newest data. Raises StepFailed when there are no backups."""
    if not backups:
        named = [source.setting(field) for field in ("at", "pattern") if field in type(source).model_fields]
        remedy = f"Correct {' or '.join(named)}, or find out why no backup was stored there."
        raise no_backup(source, "at least one backup", f"none{source.searched}", remedy if named else "")
    return max(backups, key=lambda backup: (backup.newest_moment, backup.id))


def chosen(source: BackupSource, listed: Sequence[Backup], at: str, only: str = "") -> tuple[Backup, datetime | None]:
    """Return the backup that ``at`` selects, and the target time of a point-in-time recovery (None for other restores).

    ``at`` is ``latest``, the id of a backup, or a time in ISO 8601 with its offset from UTC. A time selects the newest
    backup that was taken up to that time. For sources with point-in-time recovery, ``latest`` means the end of the archived
    log (END). When ``only`` is given, only the backup with this id is considered. Raises StepFailed when no backup matches,
    and ValueError for a time without an offset.
    """
    backups = [backup for backup in listed if backup.id == only] if only else listed
    if only and not backups:
        raise no_backup(source, f"the backup {only}", f"{len(listed)} others")
    if at == "latest":
        latest = newest(source, backups)
        return latest, END if latest.until is not None else None
    for backup in backups:
        if backup.id == at:
            return backup, None
    moment = parsed_moment(at)
    if moment is None:
        raise no_backup(source, f"the backup {at}", f"{len(backups)} others")
    before = [backup for backup in backups if backup.taken_at <= moment]
    if not before:
        raise no_backup(source, f"a backup of {stamp(moment)} or before", "only newer ones")
    best = max(before, key=lambda backup: (backup.taken_at, backup.id))
    if best.until is not None and best.until < moment:
        raise no_backup(
            source, f"a recovery to {stamp(moment)}", f"the log of the backup {best.id} ends at {stamp(best.until)}"
        )
    return best, moment if best.until is not None else None


def parsed_moment(text: str) -> datetime | None:
    """Parse a time in ISO 8601. Returns None for any other text. Raises ValueError when the time has no offset from UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        raise ValueError(f"the time {text!r} has no offset from UTC; write {text}Z or {text}+02:00")
    return moment


def no_backup(source: BackupSource, wanted: str, measured: str, remedy: str = "") -> StepFailed:
    """Return the error for a source that does not have the ``wanted`` backup. ``remedy``: text instead of the general remedy."""
    return StepFailed(
        f"{source.name} does not have the wanted backup. Wanted: {wanted}; found: {measured}",
        findings=[finding("backup-missing", title=source.name, wanted=wanted, measured=measured, remedy=remedy)],
    )


def need_one(ctx: Context, choices: Iterable[T], check: Callable[[T], object]) -> None:
    """Check that at least one of ``choices`` is usable, such as one of the backups of ``candidates``. One is enough, because
    old backups may need programs that the host does not have. ``check``: function that raises NotReady for an unusable choice.

    The choices are tried in their order, up to the first usable one. When no choice is usable, the first error is raised. If
    a later choice is usable, the check passes, but a check before a drill lists the first error among the things that were
    not verified.
    """
    refusal: NotReady | None = None
    for choice in choices:
        try:
            check(choice)
        except NotReady as error:
            refusal = refusal or error
        else:
            if refusal:
                ctx.unsure(f"the backup that an earlier step of the drill selects: {refusal.message}")
            return
    if refusal:
        raise refusal


def need_programs(ctx: Context, programs: Sequence[str], *, hint: str = "") -> None:
    """Check that the step's host has ``programs``. Raises NotReady with the names of all missing programs."""
    if not programs:
        return
    if missing := ctx.missing(*programs):
        raise NotReady(f"{ctx.host.name} has no {', '.join(missing)}", hint=hint or "install what is missing on that host")
