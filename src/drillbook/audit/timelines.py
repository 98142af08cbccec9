"""Runs, passes, proofs and schedules of the drills, suites and services, for the whole time that the record covers. An audit's
period is only a part of this time.

`drill.due` reads the same facts from the newest results. Both use the rule of ``plan.schedule_terms``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from drillbook.audit.records import Record, planned_services
from drillbook.audit.suites import Suite
from drillbook.inventory.protection import DOCKER, DOCKER_LAB, LAB
from drillbook.judge.verdicts import Verdict
from drillbook.plan.schedule import Schedule
from drillbook.plan.schedule_terms import Proof, Service, Subject, Term, Terms
from drillbook.project import estate, recorded_schedules
from drillbook.project.schedule_record import SCHEDULE, Entry
from drillbook.project.schedules import Scheduled
from drillbook.report.figures import moment
from drillbook.report.folders import suite_of
from drillbook.report.proven_restore import Outcome
from drillbook.sdk.run_names import drill_of


@dataclass(frozen=True, slots=True)
class Begun:
    """Start of one run of a drill or suite. ``started`` is this time as text, copied from the record of the run."""

    at: datetime
    started: str
    run: str
    service: str
    passed: bool
    """True when the run passed and undid all its changes."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """All runs of one drill or suite in one environment, oldest first, and its schedules."""

    environment: str
    name: str
    runs: tuple[Begun, ...]
    terms: Terms
    drills: frozenset[str] = frozenset()
    """Names of the drills of a suite. The value is empty for a drill."""
    suite: bool = False
    services: frozenset[str] = frozenset()
    gone: datetime | None = None
    """Moment at which the file of the drill or suite was removed. It is None if the file exists, or if the moment is unknown.
    """

    @property
    def passes(self) -> tuple[Begun, ...]:
        """Runs that passed."""
        return tuple(run for run in self.runs if run.passed)

    @property
    def subject(self) -> Subject:
        """Facts about this drill or suite that decide whether the proof of a service is overdue. They are its name, its passed
        runs, its schedules, the drills of a suite, and the moment at which its file was removed."""
        return Subject(self.name, tuple(pass_.at for pass_ in self.passes), self.terms, self.drills, self.gone)


@dataclass(frozen=True, slots=True)
class Known:
    """Data from which the timelines of drills and suites are made: journals, results of suites, the record of schedules, and
    files of the project.
    """

    records: Sequence[Record]
    entries: Sequence[Entry]
    suites: Sequence[Suite]
    wanted: Mapping[str, Scheduled]
    """Drills and suites in the files of the project, by name. The value is empty when they are unknown."""
    end: datetime
    """Moment at which the schedules are evaluated."""
    present: bool
    """True when ``end`` is the present moment. Then the schedules in the present files are used."""
    services: Mapping[tuple[str, str], bool] | None = None
    """Services that `drill.due` considers, each with True when it is exempt from drills. The value is None when they are
    unknown.
    """
    plans: dict[str, list[tuple[datetime, dict[str, object]]]] = field(default_factory=dict)
    """Services in the plans of runs. They are stored as one list for each environment, under its name.
    Each item of a list has the start of a run and the services of its plan. The oldest run comes first.
    """
    newest: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    """Start and lab of the newest run of each drill and suite. The key is its environment and its name. The value is empty until
    it is needed.
    """

    def timelines(self) -> list[Timeline]:
        """Return the timeline of each drill and suite in each environment."""
        drills: dict[tuple[str, str], list[Record]] = {}
        for record in sorted(self.records, key=lambda record: (record.started or "", record.name)):
            drills.setdefault((record.environment, record.drill), []).append(record)
        suites: dict[tuple[str, str], list[Suite]] = {}
        for suite in sorted(self.suites, key=lambda recorded: recorded.began):
            suites.setdefault((suite.environment, suite.name), []).append(suite)
        of_drills = [self._of_drill(*key, group) for key, group in drills.items()]
        return [*of_drills, *(self._of_suite(*key, group) for key, group in suites.items() if key[0])]

    def _of_drill(self, environment: str, name: str, group: Sequence[Record]) -> Timeline:
        runs = tuple(
            Begun(
                at, record.started or "", record.run, record.service, record.verdict == Verdict.PASSED and not record.residue
            )
            for record in group
            if (at := moment(record.started or ""))
        )
        terms = self._terms(environment, name, [term for record in group if (term := _term(record))])
        services = frozenset({group[-1].service})
        return Timeline(environment, name, runs, terms, services=services, gone=self._gone(environment, name, terms))

    def _of_suite(self, environment: str, name: str, group: Sequence[Suite]) -> Timeline:
        folders = {suite.folder for suite in group}
        inner = [record for record in self.records if suite_of(record.folder) in folders]
        bad = {suite_of(record.folder) for record in inner if record.verdict != Verdict.PASSED or record.residue}
        services = frozenset(record.service for record in inner)
        shown = ", ".join(dict.fromkeys(record.service for record in inner))
        runs = tuple(
            Begun(at, suite.began, suite.run, shown, suite.passed and suite.folder not in bad)
            for suite in group
            if (at := moment(suite.began))
        )
        terms = self._terms(environment, name, [])
        drills = frozenset(record.drill for record in inner)
        return Timeline(environment, name, runs, terms, drills, True, services, self._gone(environment, name, terms))

    def _terms(self, environment: str, name: str, terms: list[Term]) -> Terms:
        """Return the schedules that a drill or suite had over time. ``terms``: schedules in the journals of its runs. The
        schedules in the record of schedules are added, and the present schedule in the file of the drill or suite, if it is
        known.
        """
        terms = [*terms, *recorded_schedules.of_entries(self.entries, name, environment)]
        recorded = tuple(sorted(terms, key=lambda term: term.since))
        schedule = self.wanted.get(name)
        if not self.wanted or (schedule and schedule.broken):
            return Terms(recorded)
        return Terms(recorded, self._today(environment, name), self.end if self.present else None)

    def _today(self, environment: str, name: str) -> Schedule | None:
        return None if self._moved(environment, name) else recorded_schedules.present(self.wanted.get(name), environment)

    def _gone(self, environment: str, name: str, terms: Terms) -> datetime | None:
        schedule = self.wanted.get(name)
        wanted = schedule and recorded_schedules.may_run(schedule, environment) and not self._moved(environment, name)
        if not self.wanted or wanted:
            return None
        noted = [entry for entry in self.entries if entry.kind == SCHEDULE and entry.subject == (name, environment)]
        if noted and noted[-1].schedule is None and terms.recorded[-1].since == moment(noted[-1].at):
            return terms.recorded[-1].since
        return self.end if self.present else None

    def _moved(self, environment: str, name: str) -> bool:
        """Return True when a drill or suite has moved from the environment `lab` to `docker-lab`; see ``newest_runs.moved``."""
        if environment != LAB:
            return False
        newest = self._newest()
        old, new = newest.get((LAB, name)), newest.get((DOCKER_LAB, name))
        return bool(old and new and new[0] > old[0] and old[1] == DOCKER)

    def _newest(self) -> dict[tuple[str, str], tuple[str, str]]:
        if not self.newest:
            labs = {suite_of(record.folder): _lab(record) for record in self.records}
            runs = [(record.environment, record.drill, record.started or "", _lab(record)) for record in self.records]
            runs += [(suite.environment, suite.name, suite.began, labs.get(suite.folder, "")) for suite in self.suites]
            self.newest.update({(place, name): (started, lab) for place, name, started, lab in sorted(runs)})
        return self.newest

    def proofs(self) -> dict[tuple[str, str], list[Record]]:
        """Return the runs that proved a restore, oldest first, by environment and service."""
        proofs_by_service: dict[tuple[str, str], list[Record]] = {}
        for record in sorted(self.records, key=lambda record: (record.started or "", record.name)):
            if (
                record.result
                and not record.residue
                and moment(record.started or "")
                and Outcome.of(record.result, record.verdict).proven
            ):
                proofs_by_service.setdefault((record.environment, record.service), []).append(record)
        return proofs_by_service

    def service(self, timelines: Sequence[Timeline], key: tuple[str, str], proofs: Sequence[Record]) -> Service:
        """Return one service with its proofs, its drills and its suites. ``key``: environment and name of the service."""
        mine = [
            timeline.subject
            for timeline in timelines
            if timeline.environment == key[0] and key[1] in self._services(timeline)
        ]
        return Service.of(list(_proofs(proofs)), mine)

    def _services(self, timeline: Timeline) -> frozenset[str]:
        known = self.wanted.get(timeline.name)
        return frozenset(known.services) if known and known.services else timeline.services

    def listed(self, key: tuple[str, str], at: datetime) -> bool:
        """Return True when a service needs a proof of a restore at the moment ``at``. ``key``: environment and name of the service.

        For a past moment, the plans of runs decide: the newest plan that was made before this moment and that names the service.
        The service needs a proof unless this plan exempts it. A service that no earlier plan names needs a proof.

        For the present moment, ``services`` decides: the service needs a proof if `drill.due` considers it and does not exempt
        it. If ``services`` is None, the plans of runs decide also for the present moment.
        """
        if self.present and at >= self.end and self.services is not None:
            return self.services.get(key) is False
        plans = self._plans(key[0])
        before = plans[: bisect_right(plans, at, key=lambda plan: plan[0])]
        newest = next((services[key[1]] for _, services in reversed(before) if key[1] in services), None)
        return not estate.exempt(newest)

    def changes(self, environment: str) -> list[datetime]:
        """Return the moments at which the result of ``listed`` may change: the starts of the runs in ``environment`` that
        recorded a plan. The result may also change at ``end``, which is not in the list.
        """
        return [at for at, _ in self._plans(environment)]

    def _plans(self, environment: str) -> list[tuple[datetime, dict[str, object]]]:
        if environment not in self.plans:
            mine = [record for record in self.records if record.environment == environment and record.plan]
            dated_plans = [(at, dict(planned_services(record))) for record in mine if (at := moment(record.started or ""))]
            self.plans[environment] = sorted(dated_plans, key=lambda plan: plan[0])
        return self.plans[environment]


def _lab(record: Record) -> str:
    inventory = record.plan.get("inventory")
    return str(inventory.get("lab")) if isinstance(inventory, Mapping) else ""


def _term(record: Record) -> Term | None:
    """Return the schedule that a run recorded. Returns None if an older version wrote the journal and recorded no schedule."""
    if record.opening is None or "schedule" not in record.opening.model_fields_set:
        return None
    return recorded_schedules.of_plan(record.started or "", record.opening.schedule, record.plan)


def _proofs(records: Sequence[Record]) -> Iterator[Proof]:
    for record in records:
        at = moment(record.started or "")
        if at:
            yield Proof(at, record.drill, frozenset({record.drill, drill_of(suite_of(record.folder).rpartition("/")[2])}))
