"""Findings about a series of backups, computed from the times and the sizes of the backups. All functions are pure.

All backups of a series come from one schedule and have comparable sizes: full backups and increments are not mixed.

| finding | when |
|---|---|
| `backup-too-old` | there is no backup, or the newest is older than ``max_age`` (by default, 1.5 times ``every``) |
| `backup-gap` | two backups are more than 1.5 times ``every`` apart |
| `backup-gap` | the newest is older than 1.5 times ``every``, but not older than ``max_age``, which is set to a longer time |
| `backup-shrunken` | the newest is empty |
| `backup-shrunken` | the newest is smaller than 70 % of the median of earlier sizes, and outside the usual spread |
| `backup-grown` | the newest is larger than twice the median of earlier sizes, and outside the usual spread |
| `backup-ahead` | the time of a backup is more than five minutes in the future; such a backup could hide a missing one |

Retention removes some older backups, which causes gaps. Therefore only the latest gap, and gaps within the last four
intervals, are reported.

The median is computed from the last 14 backups of known size before the newest backup. With fewer than three such backups,
no sizes are compared. The usual spread is three median absolute deviations above and below the median. So a series with
strongly varying sizes gives no finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median

from drillbook.findings import Finding, finding
from drillbook.language.durations import seconds
from drillbook.values import Duration

AHEAD_S = 300.0
"""Tolerated difference between two clocks, in seconds."""
LATE = 1.5
"""Number of schedule intervals. A backup counts as missed when no new backup appears within this number of intervals."""
RECENT = 4
"""Number of schedule intervals before now. Every gap that began in this time is reported."""
LEAST, MOST = 3, 14
"""Smallest and largest number of earlier backups with which the size of the newest backup is compared."""
SHRUNKEN, GROWN = 0.7, 2.0
"""Two ratios of the size of the newest backup to the median size of earlier backups.

Below the first ratio, the backup has shrunk. Above the second ratio, it has grown.
"""
SPREAD = 3.0
"""Number of median absolute deviations within which a size counts as usual."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One backup of a series: the time of its data with a time zone, and its size in bytes if known."""

    taken_at: datetime
    bytes: int | None = None


def judge(moments: Sequence[Moment], *, now: datetime, max_age: float | None, every: float | None) -> list[Finding]:
    """Return the findings about a series of backups. The backups may be in any order.

    ``max_age``: largest permitted age of the newest backup, in seconds. ``every``: interval of the schedule, in seconds.
    Sizes are compared only among backups of known size. When the size of the newest backup is unknown, no sizes are
    compared.
    """
    ordered = sorted(moments, key=lambda moment: moment.taken_at)
    past = [moment for moment in ordered if _age(moment, now) >= -AHEAD_S]
    findings = [_ahead(moment, now) for moment in ordered[len(past) :]]
    if not past:
        wanted = f"at most {Duration(max_age)} old" if max_age is not None else "at least one backup"
        return [
            *findings,
            finding("backup-too-old", title="no backup was found", wanted=wanted, measured="no backup until now"),
        ]
    late = _late(past[-1], now, max_age, every)
    return [*findings, *late, *_gaps(past, now, every), *_size(past)]


def too_old_by_record(
    name: str, data: datetime, told: str, *, at: datetime, max_age: float | None, every: float | None
) -> list[Finding]:
    """Return a finding if the data of one backup is too old according to a record in the backup itself. A copy of an old backup
    may have a new modification time, which then says nothing about the data.

    ``name``: name of the backup; ``data``: time of its data; ``told``: text with this time and the place of the record;
    ``at``: time at which the data must not be older than permitted, such as now or the time of the backup in the list;
    ``max_age``, ``every``: as for ``judge``.
    """
    limit = max_age if max_age is not None else LATE * every if every is not None else None
    if limit is None or (at - data).total_seconds() <= limit:
        return []
    wanted = f"data from {Duration(limit)} before {_named(Moment(at))} or later"
    return [finding("backup-too-old", title=name, wanted=wanted, measured=told)]


def _age(moment: Moment, now: datetime) -> float:
    """Return the age of the backup in seconds at the time ``now``."""
    return (now - moment.taken_at).total_seconds()


def _named(moment: Moment) -> str:
    return moment.taken_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _ahead(moment: Moment, now: datetime) -> Finding:
    return finding(
        "backup-ahead",
        title=_named(moment),
        wanted="a time in the past",
        measured=f"{seconds(-_age(moment, now), 0)} after now",
    )


def _late(newest: Moment, now: datetime, max_age: float | None, every: float | None) -> list[Finding]:
    """Return a finding if the newest backup is older than ``max_age``, or older than the schedule permits."""
    age, title = _age(newest, now), _named(newest)
    if max_age is not None and age > max_age:
        wanted = f"at most {Duration(max_age)} old"
        return [finding("backup-too-old", title=title, wanted=wanted, measured=f"{seconds(age, 0)} old")]
    if every is None or age <= LATE * every:
        return []
    code = "backup-too-old" if max_age is None else "backup-gap"
    wanted = f"a backup every {Duration(every)}, so that the newest is at most {Duration(LATE * every)} old"
    return [finding(code, title=f"none since {title}", wanted=wanted, measured=f"{seconds(age, 0)} old")]


def _gaps(past: Sequence[Moment], now: datetime, every: float | None) -> Iterator[Finding]:
    """Yield a finding for each gap between consecutive backups that is longer than the schedule permits. The gap before the
    newest backup is always reported. Any other gap is reported only if it began at most ``RECENT`` times ``every`` ago.
    """
    if every is None:
        return
    for before, after in pairwise(past):
        gap = (after.taken_at - before.taken_at).total_seconds()
        recent = after is past[-1] or _age(before, now) <= RECENT * every
        if recent and gap > LATE * every:
            wanted = f"a backup every {Duration(every)}, with at most {Duration(LATE * every)} between two backups"
            between = f"{_named(before)} to {_named(after)}"
            yield finding("backup-gap", title=between, wanted=wanted, measured=f"{seconds(gap, 0)} apart")


def _size(past: Sequence[Moment]) -> list[Finding]:
    """Return a finding if the newest backup is empty, or much smaller or larger than earlier backups."""
    newest, title = past[-1].bytes, _named(past[-1])
    if newest is None:
        return []
    if newest == 0:
        return [finding("backup-shrunken", title=title, wanted="a backup with content", measured="0 bytes")]
    known = [moment.bytes for moment in past[:-1] if moment.bytes is not None][-MOST:]
    if len(known) < LEAST:
        return []
    usual = median(known)
    spread = SPREAD * median(abs(size - usual) for size in known)
    measured = f"{newest} bytes; the median size of the {len(known)} backups before it is {usual:.0f} bytes"
    if newest < (limit := min(SHRUNKEN * usual, usual - spread)):
        return [finding("backup-shrunken", title=title, wanted=f"at least {limit:.0f} bytes", measured=measured)]
    if newest > (limit := max(GROWN * usual, usual + spread)):
        return [finding("backup-grown", title=title, wanted=f"at most {limit:.0f} bytes", measured=measured)]
    return []
