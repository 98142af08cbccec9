"""Finds the moment since which a drill, a suite or the proof of a service is overdue, by the rule of
``plan.schedule_terms``.

The present schedule in a drill's file decides whether the drill is overdue now. If the file was changed after the drill
became overdue, an older schedule decides since when the drill is overdue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from drillbook.journal.run_state import RunStates
from drillbook.judge.verdicts import Verdict
from drillbook.plan import schedule_terms
from drillbook.plan.schedule_terms import Proof, Service, Span, Subject, Terms
from drillbook.project import newest_runs, recorded_schedules
from drillbook.project.recorded_schedules import present
from drillbook.project.schedule_record import Entry
from drillbook.project.schedules import Scheduled
from drillbook.report import folders
from drillbook.report.figures import moment
from drillbook.sdk.run_names import drill_of


@dataclass(frozen=True, slots=True)
class Past:
    """The record of a project: its runs, the states of these runs, and the entries of ``schedule.jsonl``."""

    runs: Sequence[Path]
    states: RunStates
    entries: Sequence[Entry]
    now: datetime

    def since_pass(self, scheduled: Scheduled, environment: str, passed: str) -> datetime | None:
        """Return the moment at which a drill or suite became overdue, counted from its newest passed run. Return None if it
        is not overdue. ``passed``: start of this run.
        """
        at = moment(passed)
        return _open(schedule_terms.overdue([at], self._terms(scheduled, environment, passed), self.now)) if at else None

    def since_first(self, scheduled: Scheduled, environment: str, first: str) -> datetime | None:
        """Return the moment at which a drill that has never passed became overdue. This is the start of the drill's first run,
        ``first``, or the moment at which the drill got a schedule, if that was later. Return None if the drill has no schedule
        now.
        """
        at = moment(first)
        return _open(schedule_terms.never(at, None, self._terms(scheduled, environment, first), self.now)) if at else None

    def since_proof(self, asked: Sequence[Scheduled], proof: newest_runs.Ended, proving: frozenset[str]) -> datetime | None:
        """Return the moment at which a new proof of a restore of a service became overdue. Returns None if no new proof is
        overdue. ``asked``: drills and suites that must renew the proof. All of them have passed after ``proof``, but in none
        of these runs was a restore proved. ``proof``: run that is the newest proof. ``proving``: names of drills and suites
        whose runs proved a restore of the service.
        """
        if proof.at is None:
            return None
        subjects = [self._subject(scheduled, proof) for scheduled in asked]
        service = Service.of([Proof(proof.at, proof.name, proving)], subjects)
        return _open(service.overdue(self.now, lambda _: True))

    def _subject(self, scheduled: Scheduled, proof: newest_runs.Ended) -> Subject:
        place = proof.environment
        passed = self._first_pass(scheduled, place, proof.started)
        terms = self._terms(scheduled, place, proof.started)
        return Subject(scheduled.name, (passed,) if passed else (), terms, frozenset(scheduled.drills))

    def _first_pass(self, scheduled: Scheduled, environment: str, after: str) -> datetime | None:
        """Return the start of the first run of ``scheduled`` that began after the time ``after`` and passed. Return None if
        there is none."""
        mine = {folder.parent if scheduled.suite else folder for folder in self.runs}
        for folder in sorted(mine, key=lambda folder: folder.name):
            if drill_of(folder.name) != scheduled.name or folders.begun(folder.name) < after[:19]:
                continue
            state = self.states.of(folder)
            verdict, place = newest_runs.head(state)
            if verdict not in ("", Verdict.PASSED) or place not in ("", environment):
                continue
            ended = newest_runs.result(state, self.states)
            if ended and ended.passed and ended.environment == environment and ended.started > after:
                return ended.at
        return None

    def _terms(self, scheduled: Scheduled, environment: str, since: str) -> Terms:
        runs = () if scheduled.suite else self.runs
        terms = recorded_schedules.of_runs(runs, self.states, scheduled.name, environment, since)
        # the later one of two at the same time
        terms += recorded_schedules.of_entries(self.entries, scheduled.name, environment)
        recorded = tuple(sorted(terms, key=lambda term: term.since))
        return Terms(recorded, present(scheduled, environment), self.now)


def _open(spans: Sequence[Span]) -> datetime | None:
    return spans[-1].since if spans and spans[-1].until is None else None
