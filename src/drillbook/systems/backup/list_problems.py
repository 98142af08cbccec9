"""Finds problems in the list of the backups: a newest backup that is too old or has an unusual size, and gaps in the schedule.
Only the list is read, not the backups themselves. The problems are reported before a drill begins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from drillbook.errors import DrillbookError
from drillbook.findings import Finding
from drillbook.sdk.action import Context
from drillbook.sdk.backup import began_too_long_ago
from drillbook.sdk.backup_history import Moment, judge
from drillbook.sdk.backup_source import Backup, BackupSource, newest

TOO_OLD = "backup-too-old"
"""Code of a finding about the age of the newest backup."""


def look_for_backups(ctx: Context, source: BackupSource, *, judged: bool = False) -> None:
    """Check before a drill that the step will find a backup in ``source``. A missing backup is recorded by
    ``source.candidates``.

    ``judged``: True when the step would fail because of the age or the schedule of the backups. The problems of age and
    schedule are then recorded, too.
    """
    if not ctx.doubt or not source.candidates(ctx):
        return
    if judged and (source.max_age is not None or source.every is not None):
        with suppress(DrillbookError, OSError):  # the list was read just before; the run reports an error
            backups = source.backups(replace(ctx, host=ctx.host_named(source.host)))
            source.foresee(ctx, schedule_problems(source, backups))


def schedule_problems(source: BackupSource, backups: Sequence[Backup], *, sizes: bool = True) -> list[Finding]:
    """Return findings about the age of the newest moment that can be restored, and about schedule and sizes of the backups.

    If a log (WAL or binary log) is archived, all backups can be restored up to the same moment. This moment does not show
    when the backups were taken. Therefore the schedule is judged by the times at which they were taken. If the times are
    unknown, age and schedule are not judged, and ``BackupSource.need_age`` reports this.

    ``sizes``: False if the newest file is no backup, so that its size is not compared with the sizes of backups.
    """
    if not source.tells_age:
        return []
    now, taken = datetime.now(UTC), [Moment(backup.taken_at, backup.bytes if sizes else None) for backup in backups]
    until = [Moment(backup.until) for backup in backups if backup.until]
    if not until:
        listed = judge(taken, now=now, max_age=source.max_age, every=source.every)
        told = any(problem.code == TOO_OLD for problem in listed)
        return listed if told else [*_recorded(source, backups, now), *listed]
    aged = judge(until, now=now, max_age=source.max_age, every=None)
    return [*aged, *judge(taken, now=now, max_age=math.inf, every=source.every)]


def _recorded(source: BackupSource, backups: Sequence[Backup], now: datetime) -> list[Finding]:
    """Return a finding if the newest backup began too long ago according to its own record."""
    best = newest(source, backups)
    if best.began is None:
        return []
    return began_too_long_ago(best, best.began, at=now, max_age=source.max_age, every=source.every)
