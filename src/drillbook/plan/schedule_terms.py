"""Schedules that held for a drill or suite over time, and the spans in which it was overdue by them.

A schedule holds from the moment at which the record first has it until the record has another one. Each run records its
schedule, and so does ``schedule.jsonl`` when a file was changed. At the present moment, the schedule in the file holds.
`drill.due`, the metrics, the alerts and the audit all use this rule.
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
    """One schedule in the record, and the moment from which it holds. ``schedule`` is None if there was none."""

    since: datetime
    schedule: Schedule | None


@dataclass(frozen=True, slots=True)
class Terms:
    """All schedules of one drill or suite in one environment."""

    recorded: tuple[Term, ...] = ()
    """Schedules in the record, oldest first. The oldest one also holds for the time before it."""
    today: Schedule | None = None
    """Schedule in the file, or None if it has none. If nothing is recorded, it holds at all times."""
    now: datetime | None = None
    """Moment at which the file was read. None if only the record counts, as for a past period."""

    @property
    def unrecorded(self) -> bool:
        """True when the file has another schedule than the record, so that nobody knows when the file was changed."""
        return self.now is not None and bool(self.recorded) and self.recorded[-1].schedule != self.today

    def at(self, moment: datetime) -> tuple[Schedule, ...]:
        """Return the schedules that may have held at ``moment``. There is one at most, except for a change that is not recorded:
        from the newest schedule of the record until now, both count.
        """
        if not self.recorded or (self.now is not None and moment >= self.now):
            return (self.today,) if self.today else ()
        number = bisect_right(self.recorded, moment, key=lambda term: term.since)
        held = [self.recorded[max(number - 1, 0)].schedule]
        held += [self.today] if self.unrecorded and number == len(self.recorded) else []
        return tuple(schedule for schedule in held if schedule)

    @property
    def moments(self) -> list[datetime]:
        """Moments at which another schedule may begin to hold."""
        return [*(term.since for term in self.recorded), *([self.now] if self.now else [])]

    @property
    def all(self) -> set[Schedule]:
        """Each schedule that ever held."""
        return {schedule for schedule in (self.today, *(term.schedule for term in self.recorded)) if schedule}


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time. ``until`` is None if it has not ended."""

    since: datetime
    until: datetime | None = None


def spans(points: Iterable[datetime], holds: Callable[[datetime], bool], end: datetime) -> list[Span]:
    """Return the spans in which ``holds`` is true. ``points``: moments at which it may change. ``end``: the last moment of all:
    a span that includes it has not ended.
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
    """Return the spans in which the newest pass was older than the schedule permits. ``passes``: starts of the runs that
    passed, oldest first.
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
    """Return the spans in which a schedule asked for a run, and none had passed yet. ``first``: start of the first run.
    ``passed``: start of the first run that passed.
    """

    def holds(moment: datetime) -> bool:
        return first <= moment and (passed is None or moment < passed) and bool(terms.at(moment))

    return spans([first, *([passed] if passed else []), *terms.moments], holds, end)


@dataclass(frozen=True, slots=True)
class Proof:
    """A run that proved a restore of a service. ``names``: its drill, and the suite to which it belongs, if any."""

    at: datetime
    drill: str
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Subject:
    """A drill or suite of a service in one environment."""

    name: str
    passes: tuple[datetime, ...]
    """Starts of its runs that passed, oldest first."""
    terms: Terms
    drills: frozenset[str] = frozenset()
    """Names of the drills of a suite. Empty for a drill."""
    gone: datetime | None = None
    """Moment at which its file was removed. None if it exists."""

    @property
    def names(self) -> frozenset[str]:
        """Its own name, and the names of the drills of a suite."""
        return self.drills | {self.name}

    def passed(self, moment: datetime) -> datetime | None:
        """Return the start of the newest run that had begun by ``moment`` and passed, or None if there is none."""
        number = bisect_right(self.passes, moment)
        return self.passes[number - 1] if number else None


def asked(proving: frozenset[str], subjects: Sequence[Subject], moment: datetime) -> list[Subject]:
    """Return the drills and suites whose schedules ask for a proof of their service at ``moment``: those that have a
    schedule, have passed, and have proved a restore of the service. If no drill or suite that proved it exists any
    more, these are all that have a schedule and have passed.

    ``proving``: names of the drills and suites whose runs proved a restore of the service.
    """
    there = [subject for subject in subjects if subject.gone is None or moment < subject.gone]
    passed = [subject for subject in there if subject.terms.at(moment) and subject.passed(moment)]
    if proving & frozenset().union(*(subject.names for subject in there)):
        return [subject for subject in passed if proving & subject.names]
    return passed


@dataclass(frozen=True, slots=True)
class Service:
    """Proofs of one service in one environment, oldest first, and its drills and suites."""

    proofs: tuple[Proof, ...]
    subjects: tuple[Subject, ...]
    proving: tuple[frozenset[str], ...]
    """For each proof, the names of the drills and suites that had proved a restore of the service by then. Of each
    drill, only the newest proof counts."""

    @classmethod
    def of(cls, proofs: Sequence[Proof], subjects: Sequence[Subject]) -> Self:
        """Make the service of its proofs, oldest first, and its drills and suites."""
        known: dict[str, frozenset[str]] = {}
        proving = []
        for proof in proofs:
            known[proof.drill] = proof.names
            proving.append(frozenset[str]().union(*known.values()))
        return cls(tuple(proofs), tuple(subjects), tuple(proving))

    def deciding(self, moment: datetime) -> tuple[Proof, Schedule] | None:
        """Return the newest proof at ``moment``, and of the schedules that ask for a new one, the schedule by which
        this proof becomes overdue last.

        Returns None when there is no proof. Also returns None when a drill or suite that must renew the proof has not
        passed since: then this drill or suite is itself reported as overdue.
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
        """Return the spans in which the newest proof was older than all schedules permit, although all drills and suites passed
        since then.

        ``listed``: tells if the service needs a proof at a moment. ``changes``: moments at which this may change.
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
    """Return the moment from which a run is overdue by ``schedule``. ``passed``: start of the last passed run."""
    return schedule.overdue(passed)
