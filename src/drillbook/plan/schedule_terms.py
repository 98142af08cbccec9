"""Schedules that were in force for a drill or suite at different times, and the spans in which the drill or suite was
overdue.

The journal of each run records the schedule. After a change of the drill's file, ``schedule.jsonl`` records the new
schedule. A recorded schedule is in force from the moment of its first record until another schedule is recorded. At the
present moment, the schedule in the drill's file is in force. `drill.due`, the metrics, the alerts and the audit all use
this rule.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Self

from drillbook.plan.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Term:
    """One recorded schedule, and the moment from which it is in force. ``schedule`` is None if the drill or suite had no
    schedule from that moment on.
    """

    since: datetime
    schedule: Schedule | None


@dataclass(frozen=True, slots=True)
class Terms:
    """All schedules of one drill or suite in one environment."""

    recorded: tuple[Term, ...] = ()
    """Recorded schedules, oldest first. For the time before the first record, the oldest schedule counts, too."""
    today: Schedule | None = None
    """Schedule in the file of the drill or suite. It is None if the file sets no schedule. If no schedule is recorded, the
    schedule in the file counts for the past, too.
    """
    now: datetime | None = None
    """Moment at which the file was read. It is None if the file is ignored and only the recorded schedules count, as in an
    audit of a past period."""

    @property
    def unrecorded(self) -> bool:
        """True when the schedule in the file differs from the newest recorded schedule. The time of this change is then
        unknown.
        """
        return self.now is not None and bool(self.recorded) and self.recorded[-1].schedule != self.today

    def at(self, moment: datetime) -> tuple[Schedule, ...]:
        """Return the schedules that may have been in force at ``moment``.

        Normally this is one schedule, or none. If the file differs from the newest record, the time of the change is unknown.
        For a moment between the newest record and now, the result then contains two schedules: the newest recorded schedule,
        and the schedule in the file.
        """
        if not self.recorded or (self.now is not None and moment >= self.now):
            return (self.today,) if self.today else ()
        number = bisect_right(self.recorded, moment, key=lambda term: term.since)
        held = [self.recorded[max(number - 1, 0)].schedule]
        held += [self.today] if self.unrecorded and number == len(self.recorded) else []
        return tuple(schedule for schedule in held if schedule)

    @property
    def moments(self) -> list[datetime]:
        """Moments at which another schedule may come into force."""
        return [*(term.since for term in self.recorded), *([self.now] if self.now else [])]

    @property
    def all(self) -> set[Schedule]:
        """All schedules that were in force at any time."""
        return {schedule for schedule in (self.today, *(term.schedule for term in self.recorded)) if schedule}


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time. ``until`` is None if it has not ended."""

    since: datetime
    until: datetime | None = None


def spans(points: Iterable[datetime], holds: Callable[[datetime], bool], end: datetime) -> list[Span]:
    """Return the spans of time in which ``holds`` returns True.

    ``points``: moments at which the result of ``holds`` may change. ``end``: the last moment that is examined. If ``holds``
    returns True at ``end``, the last span has no end.
    """
    ended, since = [], None
    for moment in sorted({point for point in points if point < end} | {end}):
        true = holds(moment)
        if true and since is None:
            since = moment
        elif not true and since is not None:
            ended.append(Span(since, moment))
            since = None
    return [*ended, Span(since)] if since is not None else ended


def overdue(passes: Sequence[datetime], terms: Terms, end: datetime) -> list[Span]:
    """Return the spans of time in which a drill or suite was overdue: its newest passed run was older than the schedule in
    force permits. ``passes``: starts of the passed runs, oldest first.
    """

    def holds(moment: datetime) -> bool:
        number = bisect_right(passes, moment)
        return bool(number) and any(moment >= ends(schedule, passes[number - 1]) for schedule in terms.at(moment))

    points = [*passes, *terms.moments]
    for number, passed in enumerate(passes):
        following = passes[number + 1] if number + 1 < len(passes) else end
        known = {*terms.at(passed), *terms.at(min(following, end))}
        known |= {schedule for moment in terms.moments if passed < moment < following for schedule in terms.at(moment)}
        points += [ends(schedule, passed) for schedule in known]
    return spans(points, holds, end)


def never(first: datetime, passed: datetime | None, terms: Terms, end: datetime) -> list[Span]:
    """Return the spans of time in which a schedule was in force, a run had begun, and no run had passed yet. ``first``:
    start of the first run. ``passed``: start of the first run that passed, or None.
    """

    def holds(moment: datetime) -> bool:
        return first <= moment and (passed is None or moment < passed) and bool(terms.at(moment))

    return spans([first, *([passed] if passed else []), *terms.moments], holds, end)


@dataclass(frozen=True, slots=True)
class Proof:
    """A run that proved a restore of a service. ``names``: name of the drill, and name of the suite if the drill ran in one."""

    at: datetime
    drill: str
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Subject:
    """A drill or suite of a service in one environment."""

    name: str
    passes: tuple[datetime, ...]
    """Starts of the passed runs of this drill or suite, oldest first."""
    terms: Terms
    drills: frozenset[str] = frozenset()
    """Names of the drills of a suite. The value is empty for a drill."""
    gone: datetime | None = None
    """Moment at which the file of the drill or suite was removed. It is None if the file exists."""

    @property
    def names(self) -> frozenset[str]:
        """Name of the drill or suite. For a suite, also the names of its drills."""
        return self.drills | {self.name}

    def passed(self, moment: datetime) -> datetime | None:
        """Return the start of the newest run that began at or before ``moment`` and passed. Returns None if there is no such
        run.
        """
        number = bisect_right(self.passes, moment)
        return self.passes[number - 1] if number else None


def asked(proving: frozenset[str], subjects: Sequence[Subject], moment: datetime) -> list[Subject]:
    """Return the drills and suites that must prove a restore of their service again, by their schedules at ``moment``.

    Such a drill or suite meets four conditions: its file exists; it has a schedule; one of its runs has passed; and one of its
    runs has proved a restore of the service. If no existing drill or suite meets the last condition, the first three are
    enough.

    ``proving``: names of the drills and suites whose runs proved a restore of the service. ``subjects``: all drills and
    suites of the service.
    """
    there = [subject for subject in subjects if subject.gone is None or moment < subject.gone]
    passed = [subject for subject in there if subject.terms.at(moment) and subject.passed(moment)]
    if proving & frozenset().union(*(subject.names for subject in there)):
        return [subject for subject in passed if proving & subject.names]
    return passed


@dataclass(frozen=True, slots=True)
class Service:
    """One service in one environment: the runs that proved a restore of the service, oldest first, and the drills and suites
    of the service.
    """

    proofs: tuple[Proof, ...]
    subjects: tuple[Subject, ...]
    proving: tuple[frozenset[str], ...]
    """For each proof in ``proofs``, the names of the drills and suites that had proven a restore until then. If a drill
    proved restores in several suites, only the suite of the newest of these proofs is named.
    """

    @classmethod
    def of(cls, proofs: Sequence[Proof], subjects: Sequence[Subject]) -> Self:
        """Make the object from the runs that proved a restore of the service (``proofs``, oldest first), and from the drills
        and suites of the service (``subjects``).
        """
        known: dict[str, frozenset[str]] = {}
        proving = []
        for proof in proofs:
            known[proof.drill] = proof.names
            proving.append(frozenset[str]().union(*known.values()))
        return cls(tuple(proofs), tuple(subjects), tuple(proving))

    def deciding(self, moment: datetime) -> tuple[Proof, Schedule] | None:
        """Return the newest proof of a restore at ``moment``, and the schedule that decides when this proof is too old.

        Several schedules may require a new proof. The schedule that permits the greatest age of the proof decides. Returns
        None when there is no proof. Also returns None when a drill or suite that must renew the proof has not passed since
        the proof. In this case, that drill or suite is reported as overdue in place of the proof.
        """
        number = bisect_right(self.proofs, moment, key=lambda proof: proof.at)
        if not number:
            return None
        newest = self.proofs[number - 1]
        mine = asked(self.proving[number - 1], self.subjects, moment)
        if not mine or not all((passed := subject.passed(moment)) and passed > newest.at for subject in mine):
            return None
        terms = [min(subject.terms.at(moment), key=lambda known: ends(known, newest.at)) for subject in mine]
        return newest, max(terms, key=lambda known: ends(known, newest.at))

    def overdue(self, end: datetime, listed: Callable[[datetime], bool], changes: Iterable[datetime] = ()) -> list[Span]:
        """Return the spans of time in which the newest proof of a restore was too old by all schedules. In such a span, each
        drill and suite that must renew the proof has a passed run after the proof, but none of these runs proved a restore.

        ``listed``: function that tells whether the service needs a proof at a given moment. ``changes``: moments at which
        the result of ``listed`` may change.
        """

        def holds(moment: datetime) -> bool:
            decisive = self.deciding(moment) if listed(moment) else None
            return decisive is not None and moment >= ends(decisive[1], decisive[0].at)

        points = [*changes, *(proof.at for proof in self.proofs)]
        for subject in self.subjects:
            points += [*subject.passes, *subject.terms.moments, *([subject.gone] if subject.gone else [])]
            points += [ends(known, proof.at) for known in subject.terms.all for proof in self.proofs]
        return spans(points, holds, end)


@lru_cache(maxsize=4096)
def ends(schedule: Schedule, passed: datetime) -> datetime:
    """Return the moment from which a new run is overdue by ``schedule``. ``passed``: start of the last passed run, or of the
    run with the newest proof of a restore.
    """
    return schedule.overdue(passed)
