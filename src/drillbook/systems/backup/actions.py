"""Actions `backup.*`: list, check, measure and restore backups, with the same results for every backup tool."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field

from drillbook.errors import Cancelled, CouldNotVerify, HostError, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Read, Undo
from drillbook.sdk.backup_source import (
    AHEAD_S,
    END,
    Backup,
    BackupSource,
    need_programs,
    newest,
    parsed_moment,
    source_of,
    stamp,
)
from drillbook.sdk.identity import Identity
from drillbook.sdk.in_place import InPlace, RestoresSource, VerifiesSource
from drillbook.sdk.programs import Programs
from drillbook.sdk.sandbox import Sandbox, Sandboxed, removal
from drillbook.sdk.service import is_sandbox, kind_of
from drillbook.systems.backup.list_problems import look_for_backups, schedule_problems
from drillbook.systems.backup.separation import separation

MOST_LISTED = 1000
"""Maximum number of backups that the facts list. The fact ``count`` counts all backups."""

HOW_TO_MEASURE = (
    "use `loss.measure` on a restored copy; or set `at` of the backup source to the place of the backup files, because the "
    "times of files show the age of the data"
)

T = TypeVar("T")


def _at(text: str) -> str:
    parsed_moment(text)
    return text


SourceName = Annotated[str, Field(description="Name of the backup source, from `backups` of the inventory.")]
At = Annotated[
    str,
    AfterValidator(_at),
    Field(description="Backup to use: `latest`, its id, or a point in time in ISO 8601 with the offset from UTC."),
]


class _OfSource(Read):
    """Base class of actions that read a backup source."""

    SERVICE = BackupSource
    TIMEOUT = 600.0

    service: SourceName

    def ready(self, ctx: Context) -> None:
        """Check that the host can list the backups."""
        source_of(ctx, self.service).ready_to_list(ctx)


class List(_OfSource):
    """List the backups of a backup source. Findings report gaps in the schedule, and a newest backup that is too old."""

    required: Annotated[bool, Field(description="`false`: problems of age and schedule do not fail the step.")] = True

    def ready(self, ctx: Context) -> None:
        """Check that the host can list the backups, and that their age is known if `max_age` or `every` is set."""
        source_of(ctx, self.service).need_age()
        super().ready(ctx)
        if self.required:
            look_for_backups(ctx, source_of(ctx, self.service), judged=True)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``count``: number of backups; ``newest``: the newest backup; ``age_s``: its age in seconds, null if unknown.

        ``backups``: list of the newest 1000 backups; ``findings``: titles of the findings. Each backup has ``id``,
        ``taken_at`` (its time), ``basis`` (the source of this time), ``error_s`` (its possible error in seconds) and
        ``bytes``.
        """
        source = source_of(ctx, self.service)
        backups = source.backups(ctx)
        best = newest(source, backups)
        facts = _listed(source, backups, best)
        problems = schedule_problems(source, backups)
        if problems and self.required:
            raise StepFailed(f"{source.name}: {problems[0].title}", findings=problems, facts=facts)
        return facts | {"findings": [problem.title for problem in problems]}


class Check(_OfSource, VerifiesSource):
    """Verify a backup from a backup source, by default the newest one, in the place where it is stored.

    The action lets the backup tool verify the backup, and reads every byte. For the newest backup, it also checks age and
    schedule. This does not prove that the backup can be restored. Only `backup.restore` proves it. The facts list the parts
    that were not checked. In the phase `backup`, a check that passes permits a later fault to destroy the data. The drill must
    then restore the data from this source with `backup.restore`.
    """

    TIMEOUT = 3600.0
    PROVES_BACKUP = True
    RESTORES_WITH = ("backup.restore",)

    at: At = "latest"
    apart: Annotated[
        bool,
        Field(
            description="`true`: fail unless the backups are on another host or file system than the data that they save."
        ),
    ] = False

    def ready(self, ctx: Context) -> None:
        """Check that the host has the backup tool and can read the backups. If the source limits the age of the backups, check
        that the age is known.
        """
        source = self._source(ctx)
        source.need_age(reads=True)
        source.ready(ctx)
        look_for_backups(ctx, source, judged=self.if_known("at") == "latest")

    def _source(self, ctx: Context) -> BackupSource:
        return source_of(ctx, self.service).selecting(self.if_known("at"))

    def run(self, ctx: Context) -> Facts:
        """Facts: ``backup``: the verified backup; ``count``: number of all backups.

        ``age_s``: age of the verified backup in seconds, null if unknown; ``covered``: checks that were made; ``not_covered``:
        checks that were not made; ``apart``: yes, no or unknown, with the reason; yes if the backups are on another disk than
        the data. Other facts depend on the backup tool.
        """
        source = self._source(ctx)
        backups = source.backups(ctx)
        backup, _ = source.select(backups)
        checked, place = source.check(ctx, backup), separation(ctx, source)
        facts = {
            "backup": backup.as_facts(),
            "age_s": _age(source, backup),
            "count": len(backups),
            "covered": list(checked.covered),
            "not_covered": list(checked.not_covered),
            "apart": str(place),
            **checked.facts,
        }
        of_kind = source.is_of_kind(ctx, backup) if checked.findings else None
        problems = [
            *source.explained(backup, checked.findings, of_kind=of_kind),
            *(schedule_problems(source, backups, sizes=of_kind is not False) if self.at == "latest" else ()),
        ]
        if self.apart and not place.apart:
            wanted = "backups on another disk than the data"
            problems.append(finding("backup-beside-data", title=source.name, wanted=wanted, measured=place.why))
        if problems:
            raise StepFailed(f"{source.name}: {problems[0].title}", findings=problems, facts=facts)
        if checked.not_verified:
            raise CouldNotVerify(f"{source.name}: {backup.id} was not verified: {checked.not_verified}")
        return facts

    def subject(self, ctx: Context) -> Identity | None:
        """Return None, because this step need not measure an identity: right before the fault, the engine itself compares the
        verified backup with the service.
        """
        return None


class Measure(_OfSource):
    """Measure how much data would be lost if the service failed now.

    The measured loss is the time since the newest moment to which the service can be restored.
    """

    def ready(self, ctx: Context) -> None:
        """Check that the host can list the backups, and that their age is known."""
        super().ready(ctx)
        source = source_of(ctx, self.service)
        if not source.tells_age:
            raise NotReady(
                f"{source.name} reads its backup from a command, which does not tell the age of the data",
                hint=HOW_TO_MEASURE,
            )

    def run(self, ctx: Context) -> Facts:
        """Facts: ``loss_s``: seconds from ``newest_moment`` until now, by the controller's clock.

        ``newest_moment``: newest moment that can be restored, by the clock that is given in ``basis``; ``error_s``: number of
        seconds by which this moment may be wrong, so limit ``loss_s + error_s``; ``backup``: ID of the newest backup; ``bytes``: size.
        """
        source = source_of(ctx, self.service)
        backup = newest(source, source.backups(ctx))
        loss = _age(source, backup)
        if loss is None:
            raise CouldNotVerify(f"the age of the data of {backup.id} of {source.name} is unknown", hint=HOW_TO_MEASURE)
        return {
            "backup": backup.id,
            "newest_moment": stamp(backup.newest_moment),
            "loss_s": loss,
            "error_s": backup.error_s,
            "basis": backup.basis,
            "bytes": backup.bytes,
        }


class Restore(RestoresSource):
    """Restore a backup from a backup source into a sandbox, or into the service itself after a fault destroyed its data.

    A sandbox is an empty, disposable folder without a route to production. It is removed at the end of the run. If the
    controller dies, the host of the sandbox removes it. The step never overwrites data. Therefore it restores a service
    only after the service has lost its data.
    """

    SERVICE = Sandboxed
    TIMEOUT = 3600.0
    LEASED = True
    UNDO = ("commands",)

    service: Annotated[
        str,
        Field(
            description="Target of the restore: a service with a field `sandbox`, or in the phase `restore` the original service."
        ),
    ]
    from_: Annotated[str, Field(alias="from", description="Name of the backup source, from `backups` of the inventory.")]
    at: At = "latest"
    backup: Annotated[
        str,
        Field(
            description=(
                "Id of the backup to restore. Default: the backup that this run verified, or else the newest backup "
                "that `at` permits."
            )
        ),
    ] = ""

    def run(self, ctx: Context) -> Facts:
        """Facts: ``backup``: the restored backup; ``age_s``: its age in seconds, null if unknown; ``bytes``: restored bytes.

        ``seconds``: duration of each stage, and the total duration, by the controller's monotonic clock. In the stage
        ``sandbox``, the sandbox is made and its isolation is proven. ``in_place``: true when the service itself was restored.
        ``recovered_to``: target of a point-in-time recovery. Only for a sandbox: ``folder``, ``isolation``, ``budget`` (limits
        of memory and disk, with the mechanisms that enforce them), ``used_bytes`` (size of the folder), and ``unreachable``
        (addresses of production that the sandbox could not reach). Other facts depend on the backup tool.
        """
        source, box = self._source(ctx), None if self._in_place(ctx) else self._box(ctx)
        if box:
            _fits(source, box.service)
        backup, moment = source.select(source.backups(_on(ctx, source)))
        begun = ctx.deadline.remaining()
        with source.explaining(ctx, backup):
            restored = _into(box, source, backup, moment) if box else self._place(ctx).restore(backup, moment)
        seconds = {**restored.pop("seconds", {}), "total": round(begun - ctx.deadline.remaining(), 3)}
        return {
            "backup": self.facts_of(ctx, backup),
            "age_s": _age(source, backup),
            "in_place": box is None,
            **({"recovered_to": stamp(moment)} if moment and moment != END else {}),
            **restored,
            "seconds": seconds,
        }

    def _in_place(self, ctx: Context) -> bool:
        return not is_sandbox(ctx.service(self.service, Sandboxed))

    def _place(self, ctx: Context) -> InPlace:
        return self._source(ctx).in_place(ctx, ctx.service(self.service, Sandboxed))

    def _source(self, ctx: Context) -> BackupSource:
        return source_of(ctx, self.from_).selecting(self.if_known("at"), self.if_known("backup"))

    def _box(self, ctx: Context) -> Sandbox:
        return Sandbox.of(ctx, ctx.service(self.service, Sandboxed))

    def ready(self, ctx: Context) -> None:
        """Check that the host can run a sandbox or restore the service, has the tools, and can read the backups."""
        service = ctx.service(self.service, Sandboxed)
        if ctx.host.name != service.host:
            raise NotReady(
                f"{'the sandbox' if service.sandbox else 'the service'} {self.service} is on {service.host}, but the step "
                f"runs on {ctx.host.name}",
                hint="remove `hosts` from the step: a restore runs on the host of its "
                f"{'sandbox' if service.sandbox else 'service'}",
            )
        if not self._in_place(ctx):
            self._box(ctx).ready()
        if self.known("from_"):
            source = self._source(ctx)
            source.ready_to_list(_on(ctx, source))
            need_programs(self._inside(ctx), source.RESTORE_PROGRAMS)
            look_for_backups(ctx, source)
            if self._in_place(ctx):
                self._place(ctx).ready()
                return
            _fits(source, service)
            source.ready_sandbox(ctx, service)

    def _inside(self, ctx: Context) -> Context:
        """Return the context in which the programs of the restore run: in the sandbox's container, or on the host."""
        service = ctx.service(self.service, Sandboxed)
        if service.sandbox is None or service.sandbox.isolation != "container":
            return ctx
        return replace(ctx, host=self._box(ctx).trial, programs=Programs())

    def subject(self, ctx: Context) -> Identity | None:
        """Return the identity of the restored service's data, or None for a restore into a sandbox."""
        return self._place(ctx).identity() if self._in_place(ctx) else None

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that terminates the processes of the sandbox and removes its folder, or removes the unfinished
        restore of a service."""
        if self._in_place(ctx):
            return self._place(ctx).undo()
        return Undo.by_commands(removal(self._box(ctx).service, ctx.run_id))

    def active(self, ctx: Context) -> bool | None:
        """Return True while the sandbox of this run or the unfinished restore of a service exists."""
        return self._place(ctx).active() if self._in_place(ctx) else self._box(ctx).exists()


def _into(box: Sandbox, source: BackupSource, backup: Backup, moment: datetime | None) -> Facts:
    """Restore a backup into a new sandbox that cannot reach production."""
    begun = time.monotonic()
    box.make()
    tried = _within_budget(box, box.prove_isolated)
    isolated = round(time.monotonic() - begun, 3)
    if backup.bytes is not None:
        box.need_space(backup.bytes)
    restored = _within_budget(box, lambda: source.restore(box.ctx, backup, box, moment))
    used = box.must_be_within_budget()
    told = {"folder": box.folder, "isolation": box.config.isolation, "budget": box.budget}
    restored["seconds"] = {"sandbox": isolated, **restored.get("seconds", {})}
    return told | {"unreachable": tried, "used_bytes": used} | restored


def _within_budget(box: Sandbox, work: Callable[[], T]) -> T:
    """Carry out ``work`` in the sandbox, and return its result.

    When the work fails because the sandbox has exceeded a limit, StepFailed is raised. Other errors of the work are raised
    as they are.
    """
    try:
        return work()
    except Cancelled:
        raise
    except Exception as error:
        with suppress(HostError):
            try:
                box.must_be_within_budget(error)
            except StepFailed as exceeded:
                raise exceeded from error
        raise


def _on(ctx: Context, source: BackupSource) -> Context:
    """Return a copy of the step's context ``ctx`` whose host is the host of ``source``."""
    return replace(ctx, host=ctx.host_named(source.host))


def _fits(source: BackupSource, service: Sandboxed) -> None:
    if kind_of(service) not in source.RESTORES_TO:
        raise NotReady(
            f"backups of kind {kind_of(source)} cannot be restored into a sandbox of kind {kind_of(service)}",
            hint=f"use a sandbox of kind {' or '.join(source.RESTORES_TO)}",
        )


def _age(source: BackupSource, backup: Backup) -> float | None:
    """Return the age of the data in the backup in seconds, or None if it is unknown. The age is counted from the newest
    moment to which the backup can be restored.

    Raises CouldNotVerify when the backup is dated in the future.
    """
    if not source.tells_age:
        return None
    age = (datetime.now(UTC) - backup.newest_moment).total_seconds()
    if age < -AHEAD_S:
        raise CouldNotVerify(
            f"the backup {backup.id} of {source.name} is dated {stamp(backup.taken_at)}, {-age:.0f} s in the future",
            hint="compare the clocks of the machine that takes the backups and of this machine",
        )
    return round(max(0.0, age), 3)


def _listed(source: BackupSource, backups: list[Backup], best: Backup) -> Facts:
    return {
        "count": len(backups),
        "newest": best.as_facts(),
        "age_s": round((datetime.now(UTC) - best.newest_moment).total_seconds(), 3) if source.tells_age else None,
        "backups": [
            backup.as_facts() for backup in sorted(backups, key=lambda backup: backup.taken_at, reverse=True)[:MOST_LISTED]
        ],
    }
