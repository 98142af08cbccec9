"""Alerts about everything in an audit that needs attention. Each alert has the next step, the person who should take this step,
and the time by which the step is due.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from drillbook.audit import (
    earlier_rows,
    forbidden_runs,
    gaps,
    gone_files,
    lost_amounts,
    repeat_steps,
    reservations,
    retired,
    services,
    wording,
)
from drillbook.audit.absences import MISSING
from drillbook.audit.alert import (
    AT_ONCE,
    NEXT_RUN,
    NOBODY,
    SIGN_OFF,
    UNDO_WITH,
    WHOLE,
    Alert,
    Topic,
    catalog_command,
    drill_key,
    fault_drills,
    graded,
    is_counted,
    is_known,
    is_open,
    owner_of,
    urgency,
)
from drillbook.audit.content import Audit
from drillbook.audit.findings import FindingRow, each_counted
from drillbook.audit.missed_drills import NEVER, NEVER_RAN, MissedRow
from drillbook.audit.rehearsal_figures import RehearsedRow
from drillbook.audit.run_rows import RunRow, recover
from drillbook.audit.undrilled_services import command
from drillbook.findings import Severity
from drillbook.installation.program_name import NEUTRAL, as_called
from drillbook.judge.verdicts import Verdict
from drillbook.language.lists import leading
from drillbook.project.schedule_record import NOT_BEGUN
from drillbook.report import open_findings
from drillbook.report.figures import kinds_of
from drillbook.report.wording import SHORT, badness
from drillbook.sdk.run_names import short

MOST_TITLES = 2
VERBS = {True: "was missed", False: "could not be verified in the run that failed"}
"""Reasons why an objective is not proven, by ``ProvenRow.missed``: True when the objective was measured and not reached, and
False when the run failed before the objective could be checked."""


def alerts(audit: Audit, told: Collection[str] = ()) -> Iterator[Alert]:
    """Return everything that needs attention, the most urgent first. Commands begin with the program that the user called.

    ``told``: drills whose reservations (doubts about figures within their targets) get no alert, because these drills have
    another alert that tells them. Each drill is named as in ``Alert.about``.
    """
    return (
        replace(alert, text=as_called(alert.text), step=as_called(alert.step), otherwise=as_called(alert.otherwise))
        for alert in _alerts(audit, told)
    )


def listed(audit: Audit) -> list[Alert]:
    """Return the alerts that the audit lists, in the order of the summary. The alert about an incomplete record is left out,
    because the audit begins with this fact."""
    return sorted((alert for alert in alerts(audit) if alert.topic is not Topic.RECORD), key=urgency)


def _alerts(audit: Audit, told: Collection[str]) -> Iterator[Alert]:
    owners = {(run.environment, run.drill): _who(run) for run in audit.runs}
    if not audit.whole:
        text = f"{wording.record_state(audit)}. {wording.MORE_RUNS}"
        yield Alert(text, WHOLE, when=SIGN_OFF, topic=Topic.RECORD)
    yield from _of_runs(audit, owners)
    audit = _without_retired(audit)
    spans = list(gaps.alerts(audit, _coming(audit)))
    yield from _of_overdue(audit, owners)
    yield from _of_objectives(audit, owners)
    yield from (alert for alert in spans if alert.topic is Topic.NEVER_DRILLED)
    yield from _of_never_ran(audit, [missed for missed in audit.missed if missed.kind == NEVER_RAN])
    yield from _of_findings(audit, owners)
    yield from earlier_rows.alerts(audit, owners)
    yield from _not_run(audit, owners)
    yield from reservations.of(audit, owners, told)
    yield from (alert for alert in spans if alert.topic is Topic.GAPS)
    yield from _of_services(audit)
    if not audit.runs and not audit.coverage:
        step = f"run a drill (`{NEUTRAL} drill.list` lists those of the project, and `{catalog_command()}` those to copy)"
        yield Alert("No run began in this period, so nothing is proven", step, when=_coming(audit))


def _without_retired(audit: Audit) -> Audit:
    """Return the audit without the findings, objectives, rehearsals and services of retired drills and environments,
    because nobody can act on them."""
    known = audit.retired
    return replace(
        audit,
        findings=tuple(row for row in audit.findings if not retired.covering(known, row.drill, row.environment)),
        proven=tuple(row for row in audit.proven if not retired.covering(known, row.drill, row.environment)),
        coverage=tuple(row for row in audit.coverage if not retired.covering(known, "", row.environment)),
        rehearsed=tuple(row for row in audit.rehearsed if not retired.covering(known, row.drill, row.environment)),
    )


def _who(run: RunRow) -> str:
    """Return the name of the drill's owner, followed by the owner's email address or phone number."""
    return ", ".join(filter(None, (run.owner, run.owner_address))) if run.owner else NOBODY


def _of_runs(audit: Audit, owners: dict[tuple[str, str], str]) -> Iterator[Alert]:
    """Return alerts about changes that are not undone, drills whose newest run did not pass (the worst verdict first), and
    runs without a verdict.
    """
    for run in audit.runs:
        if run.residue and not run.closed:
            text = f"{run.drill} in {run.environment} left {run.not_undone}"
            yield Alert(
                text,
                f"{UNDO_WITH} {recover(short(run.run))}",
                _who(run),
                AT_ONCE,
                run.run,
                drill_key(run.drill, run.environment),
                Topic.LEFT,
                Severity.CRITICAL,
            )
    for key, run in sorted(audit.failing.items(), key=lambda failing: -badness(failing[1].verdict)):
        if run.verdict != Verdict.NOT_RUN and not forbidden_runs.finding(audit, run):
            yield from _of_failing(audit, key, run, owners, AT_ONCE)
    for row in audit.absent:
        if row.kind == MISSING:
            text = f"{row.run or 'A run'} is missing: {row.why}"
            yield Alert(text, "restore its folder from a backup of `reports/`", when=SIGN_OFF, topic=Topic.MISSING)
        elif not row.repeated:
            text = f"the suite {row.drill} of {row.at[:10]} has no recorded end"
            yield Alert(text, "run the suite again", when=AT_ONCE, topic=Topic.UNFINISHED)


def _not_run(audit: Audit, owners: dict[tuple[str, str], str]) -> Iterator[Alert]:
    """Return alerts about drills whose newest run has the verdict `not run here`, or was refused because of the environment.
    Such a run tried nothing, so these alerts are less urgent than those about drills that failed."""
    for key, run in audit.failing.items():
        if forbidden := forbidden_runs.finding(audit, run):
            yield from _of_forbidden(audit, run, forbidden, owners[key])
        elif run.verdict == Verdict.NOT_RUN:
            yield from _of_failing(audit, key, run, owners, _coming(audit))


def _of_forbidden(audit: Audit, run: RunRow, forbidden: FindingRow, who: str) -> Iterator[Alert]:
    """Yield the alert about a drill that its guard does not permit in the environment. It need not run again there."""
    if not retired.covering(audit.retired, run.drill, run.environment):
        text = f"{run.drill} in {run.environment} was refused by its guard on {run.started[:10]}: {run.reason}"
        step, about = forbidden_runs.step(audit, run, forbidden), drill_key(run.drill, run.environment)
        yield Alert(text, step, who, _coming(audit), run.run, about, Topic.NOT_RUN)


def _of_failing(
    audit: Audit, key: tuple[str, str], run: RunRow, owners: dict[tuple[str, str], str], when: str
) -> Iterator[Alert]:
    """Yield the alert about a drill whose newest run ``run`` did not pass. For a retired drill, yield nothing."""
    if retired.covering(audit.retired, run.drill, run.environment):
        return
    rows = _open(audit, key)
    lost, known = lost_amounts.of(run, rows), "; ".join(_known(audit, key, run))
    text = f"{run.drill} in {run.environment} {run.ended} on {run.started[:10]}{lost_amounts.beside(lost)}: {run.summed_up}"
    text += f" ({known})" if known else ""
    step, otherwise, stopped = repeat_steps.after(audit, key, run)
    about = drill_key(run.drill, run.environment)
    alert = Alert(text, step, owners[key], when, run.run, about, Topic.RUN_AGAIN, stopped=stopped, missed=run.missed)
    yield graded(replace(alert, otherwise=otherwise, rows=lost), rows)


def _known(audit: Audit, key: tuple[str, str], run: RunRow) -> Iterator[str]:
    """Yield more facts about a drill whose newest run did not pass: its findings as lists count them, the day
    since which it is overdue, and the days on which its objectives were last proven. The findings of a run that never began are
    the reasons for this, and are not counted.
    """
    rows = [row for row in _of_drill(audit, key) if is_counted(row)]
    if rows and open_findings.is_listed(run.verdict):
        since = min(row.first_seen for row in rows)[:10]
        lost = "".join(f", {title}" for title in lost_amounts.titles(rows, lost_amounts.of(run, rows)) if title != run.lost)
        yield (
            open_findings.counted(each_counted(rows)) + (f" open since {since}" if since != run.started[:10] else "") + lost
        )
    never = "no run of this drill has passed yet" if run.verdict == Verdict.NOT_RUN else "never passed"
    for row in audit.missed:
        if (row.environment, row.drill) == key and _overdue(row):
            yield never if row.kind == NEVER else f"overdue since {row.since[:10]}"
    if key in audit.never_passed and not any((row.environment, row.drill) == key and _overdue(row) for row in audit.missed):
        yield never
    for goal in audit.proven:
        if (goal.environment, goal.drill) == key and not goal.met and goal.last_proof:
            yield f"{SHORT.get(goal.key, goal.objective)} last proven on {goal.last_proof[:10]}"


def _open(audit: Audit, key: tuple[str, str]) -> list[FindingRow]:
    """Return the findings of one drill in one environment that its newest run still has; see ``is_known``."""
    return [row for row in _of_drill(audit, key) if is_known(row)]


def _of_drill(audit: Audit, key: tuple[str, str]) -> list[FindingRow]:
    return [row for row in audit.findings if (row.environment, row.drill) == key]


def _overdue(row: MissedRow) -> bool:
    return row.kind not in (NOT_BEGUN, NEVER_RAN) and not row.until


def _of_findings(audit: Audit, owners: dict[tuple[str, str], str]) -> Iterator[Alert]:
    """Return one alert for each drill that is not already listed as failed, and has open findings of medium severity or
    higher. The drill with the most severe finding comes first."""
    rows_by_drill: dict[tuple[str, str], list[FindingRow]] = {}
    failing = audit.failing
    for row in audit.findings:
        if is_open(row) and (row.environment, row.drill) not in failing:
            rows_by_drill.setdefault((row.environment, row.drill), []).append(row)
    for (environment, drill), rows in rows_by_drill.items():
        run = next((ran for ran in reversed(audit.runs) if (ran.environment, ran.drill) == (environment, drill)), None)
        lost = lost_amounts.of(run, rows)
        always, every = (
            dict.fromkeys(lost_amounts.title(row, lost) for row in known)
            for known in (open_findings.never_hidden(rows), rows)
        )
        titles, others = leading(list(always | every), max(MOST_TITLES, len(always)))
        more = f"; and {others} more" if others else ""
        since = f"open since {min(row.first_seen for row in rows)[:10]}"
        number = open_findings.counted(each_counted(rows))
        text = f"{drill} in {environment} has {number}, {since}: {'; '.join(titles)}{more}"
        lossy = any(row.code in open_findings.DATA_LOSS for row in rows)
        when = NEXT_RUN if rows[0].severity == "medium" and not lossy else AT_ONCE
        step, otherwise = repeat_steps.closing(rows)
        if gone_files.is_gone(audit, drill):
            first = next(filter(None, (row.instruction for row in rows)), "correct the problem")
            step, otherwise = f"{first}; {gone_files.step(drill)}", ""
        who, about = owner_of(owners, environment, drill), drill_key(drill, environment)
        alert = Alert(text, step, who, when, run.run if run else "", about, Topic.FINDINGS, otherwise=otherwise, rows=lost)
        yield graded(alert, rows)


def _of_overdue(audit: Audit, owners: dict[tuple[str, str], str]) -> Iterator[Alert]:
    """Return alerts about drills and suites that are overdue or have never passed, and about services whose proof is overdue."""
    failing = audit.failing
    for missed in audit.missed:
        if _overdue(missed) and (missed.environment, missed.drill) not in failing:
            since = "never passed" if missed.kind == NEVER else f"been overdue since {missed.since[:10]}"
            text = f"{missed.drill or f'The service {missed.service}'} in {missed.environment} has {since}"
            text += f": {missed.why}" if missed.why and not missed.drill else ""
            step = "run the suite" if missed.suite else "run the drill"
            step = step if missed.drill else "run a drill that restores the service"
            retire = f", or retire the drill if it no longer exists (`{NEUTRAL} schedule.retire`)" if missed.drill else ""
            who = owner_of(owners, missed.environment, missed.drill)
            about = drill_key(missed.drill, missed.environment) if missed.drill else ""
            if missed.drill and gone_files.is_gone(audit, missed.drill):
                step, retire = gone_files.step(missed.drill), ""
            yield Alert(text, step, who, AT_ONCE, about=about, topic=Topic.RUN_AGAIN, otherwise=retire)


def _of_objectives(audit: Audit, owners: dict[tuple[str, str], str]) -> Iterator[Alert]:
    """Yield an alert about each objective that is not proven. Leave out an objective if its state comes from a run that is
    already listed as failed, or if no run measured it and its drill is listed as failed."""
    failing = audit.failing
    for goal in audit.proven:
        run = failing.get((goal.environment, goal.drill))
        if not goal.met and not (run and goal.run in ("", run.run)):
            answer = "was not proven in this period" if not goal.run else f"{VERBS[goal.missed]} on {goal.at[:10]}"
            since = f", and was last proven on {goal.last_proof[:10]}" if goal.last_proof else ""
            text = f"{goal.objective} of {goal.drill} in {goal.environment} {answer}{since}"
            who = owner_of(owners, goal.environment, goal.drill)
            yield Alert(
                text,
                gone_files.step(goal.drill) if gone_files.is_gone(audit, goal.drill) else "run the drill until it passes",
                who,
                AT_ONCE,
                about=drill_key(goal.drill, goal.environment),
                topic=Topic.RUN_AGAIN,
            )


def _of_never_ran(audit: Audit, never: Sequence[MissedRow]) -> Iterator[Alert]:
    """Yield alerts about the drills and suites that did not run where they should have run.

    One alert names those that never ran in any environment. One more alert for each environment names those that ran only
    in other environments.
    """
    for place in sorted({missed.environment if missed.elsewhere else "" for missed in never}):
        group = [missed for missed in never if (missed.environment if missed.elsewhere else "") == place]
        suites = sum(missed.suite for missed in group)
        where = f" in {place}, but ran elsewhere" if place else ""
        names = open_findings.named([missed.drill for missed in group])
        text = f"{kinds_of(len(group) - suites, suites)} never ran{where}, although the schedule asks for it: {names}"
        run = f"run {'it' if len(group) == 1 else 'them'}{' there' if place else ''}"
        if len(group) == 1:
            step = f"{run}: {command(audit, place, group[0].drill)}"
        else:
            apart = sum(bool(missed.needs) for missed in group)
            needs = f"; {apart} of them {'needs' if apart == 1 else 'need'} another inventory" if apart else ""
            step = f"{run} (`{NEUTRAL} drill.due --all` lists them{needs})"
        otherwise = f"; or take {place} out of `guard.environments`" if place else ""
        yield Alert(text, step, when=AT_ONCE, topic=Topic.NEVER_RAN, otherwise=otherwise)


def _of_services(audit: Audit) -> Iterator[Alert]:
    """Return alerts about services without an RPO, and about backups that no run restored."""
    when = _coming(audit)
    yield from _without_rpo(audit, when)
    if doubtful := [row for row in audit.coverage if row.doubtful]:
        what = f"{len(doubtful)} backups" if len(doubtful) > 1 else "a backup"
        names = open_findings.named([row.service for row in doubtful])
        text = f"No run of the period confirms a restore of {what} exempt from drills: {names}"
        yield Alert(text, services.rehearsal(doubtful, catalog_command()), when=when, topic=Topic.EXEMPT)


def _coming(audit: Audit) -> str:
    return f"by {audit.period.until}" if audit.so_far else "in the next period"


def _without_rpo(audit: Audit, when: str) -> Iterator[Alert]:
    """Find services that store data and were drilled, but whose RPO no drill measures. Return one alert per environment."""
    known = {(goal.environment, goal.service) for goal in audit.proven if goal.key == "rpo"}
    only = _rehearsed_only(audit)
    yield from _of_rehearsals([row for rows in only.values() for row in rows], when)
    known |= set(only)
    drilled = [row for row in audit.coverage if row.runs and not row.untried]
    lacking = [row for row in drilled if row.keeps_data and (row.environment, row.service) not in known]
    for environment in sorted({row.environment for row in lacking}):
        names = open_findings.named([row.service for row in lacking if row.environment == environment])
        text = f"No drill of {names} in {environment} measures the recovery point (RPO)"
        step = "set `rpo` in a drill, with a canary for the kind of service, or else with `http.canary` or `command.canary`"
        yield Alert(text, step, when=when, topic=Topic.NO_RPO)


def _rehearsed_only(audit: Audit) -> dict[tuple[str, str], list[RehearsedRow]]:
    """Return the passed rehearsals of each service whose drills are all rehearsals. The key of each entry is the environment
    and the service.
    """
    drills = {(run.environment, run.service, run.drill) for run in audit.runs}
    drills -= {(row.environment, row.service, row.drill) for row in audit.rehearsed}
    others = {(environment, service) for environment, service, _ in drills}
    rows_by_service: dict[tuple[str, str], list[RehearsedRow]] = {}
    for row in audit.rehearsed:
        if row.run and (row.environment, row.service) not in others:
            rows_by_service.setdefault((row.environment, row.service), []).append(row)
    return rows_by_service


def _of_rehearsals(rows: Sequence[RehearsedRow], when: str) -> Iterator[Alert]:
    """Return alerts about services that were only rehearsed. A rehearsal proves no objective.

    Services of the same kind and environment share an alert. Each environment has one more alert if some of its rehearsals
    did not measure how much data would be lost.
    """
    for environment, kind in sorted({(row.environment, row.kind) for row in rows}):
        names = open_findings.named([row.service for row in rows if (row.environment, row.kind) == (environment, kind)])
        text = f"{names} in {environment}: backups were only rehearsed, which proves neither an RTO nor an RPO"
        step = f"run a drill that breaks the service in a test environment and restores its backup ({fault_drills(kind)})"
        yield Alert(text, step, when=when, topic=Topic.REHEARSED)
    for environment in sorted({row.environment for row in rows}):
        if drills := [row.drill for row in rows if row.environment == environment and row.loss_s is None and not row.stored]:
            text = f"{open_findings.named(drills)} in {environment} did not measure how much data would be lost"
            yield Alert(text, "add a step `backup.measure` to the phase `verify`", when=when, topic=Topic.REHEARSED)
