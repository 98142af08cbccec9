"""Metrics of a project for Prometheus. They are written as a file for the textfile collector of node_exporter, or in
the format of OpenMetrics.

Times are exported as timestamps. An alert rule compares the timestamps with the present. Therefore the rule works even
when the file is no longer written. Sources: https://prometheus.io/docs/practices/naming/,
https://github.com/prometheus/node_exporter#textfile-collector.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from drillbook.atomic_file import replace_file
from drillbook.errors import UsageError
from drillbook.installation import extras
from drillbook.judge.verdicts import Verdict
from drillbook.plan.schedule import State
from drillbook.project import settings
from drillbook.project.due import Due
from drillbook.report.figures import moment
from drillbook.report.remarks import RESERVED
from drillbook.report.wording import MET_OF
from drillbook.telemetry.run_figures import OBJECTIVES, DrillFigures

PREFIX = "drillbook_"
SUBJECT = ("service", "drill", "environment")
FAMILIES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "metrics_written_timestamp_seconds": ("Time at which these metrics were written.", ()),
    "last_run_timestamp_seconds": ("Start of the newest run that has ended.", SUBJECT),
    "last_pass_timestamp_seconds": ("Start of the newest passed run, whether or not this run restored anything.", SUBJECT),
    "last_proof_timestamp_seconds": (
        "Start of the newest passed run that proved a restore: it recovered the service from a fault, or restored a backup.",
        SUBJECT,
    ),
    "due_timestamp_seconds": (
        "Time at which a new run became or becomes due, by the schedule or because a run failed.",
        SUBJECT,
    ),
    "overdue_timestamp_seconds": (
        (
            "Time from which the drill, or the newest proven restore of a service, is overdue. If no run has passed, it is the "
            "start of the drill's first run."
        ),
        SUBJECT,
    ),
    "overdue_seconds": (
        (
            "Duration for which the drill had been overdue when these metrics were written. It is 0 when the "
            "drill was not overdue."
        ),
        SUBJECT,
    ),
    "never_passed": (
        (
            "1 when a drill that `drill.due` lists has never passed. With an empty label `drill`: 1 when no run has proven a "
            "restore of the service. Otherwise 0."
        ),
        SUBJECT,
    ),
    "schedule_unknown": ("1 when the file of the drill or suite cannot be read.", SUBJECT),
    "inventories_unread": (
        "Number of inventories that cannot be read. Their services are unknown, so metrics about them may be absent.",
        (),
    ),
    "schedule_record_damaged": (
        (
            "1 when `reports/schedule.jsonl` is damaged or cannot be read, so that earlier schedules and retired drills may be "
            "unknown. Otherwise 0."
        ),
        (),
    ),
    "verdict": (
        (
            "1 for the verdict of the newest run, and 0 for all other verdicts. A refused run is not the newest one after a run that "
            "began and did not pass."
        ),
        (*SUBJECT, "verdict"),
    ),
    "recovery_measured_seconds": (
        "RTO, RPO or detection time in the newest run in which it was measured.",
        (*SUBJECT, "objective"),
    ),
    "recovery_error_seconds": (
        "Measurement error of `recovery_measured_seconds`. The true value differs by no more; that of an RTO is never larger.",
        (*SUBJECT, "objective"),
    ),
    "recovery_objective_seconds": ("Largest value that the objective allows.", (*SUBJECT, "objective")),
    "recovery_met": (
        (
            "1 when the newest run met the objective, with or without a reservation, and 0 when it missed the "
            "objective. The metric is absent when this is unknown."
        ),
        (*SUBJECT, "objective"),
    ),
    "recovery_reservation": (
        (
            "1 when the newest run passed and met the objective with a reservation, so that it does not prove the objective. "
            "Reasons for a reservation: the run measured the RPO with a backup that was taken during the run, less data came "
            "back than the fault removed, or the team's commands may have removed data that the canary does not count. "
            "Otherwise 0. The metric is absent when `recovery_met` is absent."
        ),
        (*SUBJECT, "objective"),
    ),
    "recovery_proven": (
        (
            "1 while the objective is proven: a run passed and met it without a reservation, no later run missed it, and its "
            "measurement is within the present target. Otherwise 0. The audit uses the same rule."
        ),
        (*SUBJECT, "objective"),
    ),
    "objective_misses": (
        "Number of runs in a row that missed the objective, counted back from the newest run.",
        (*SUBJECT, "objective"),
    ),
    "recovery_trend_seconds_per_day": (
        "Growth per day of the RTO, RPO or detection time over the passed runs.",
        (*SUBJECT, "objective"),
    ),
    "recovery_trend_error_seconds_per_day": (
        "Error of `recovery_trend_seconds_per_day`: half the width of its 95 % interval.",
        (*SUBJECT, "objective"),
    ),
    "residue_changes": (
        "Number of changes, over all runs, that were neither undone nor closed with `drill.recover --settled`.",
        SUBJECT,
    ),
    "unfinished_runs": (
        "Number of runs whose controller died, and which still need `drill.recover`. They may have left changes.",
        SUBJECT,
    ),
    "backup_age_seconds": (
        "Largest possible age of the backup, in the newest run that measured a restore or the age of a backup.",
        SUBJECT,
    ),
    "restore_size_bytes": (
        "Size of the restore, in the newest run that measured a restore or the age of a backup.",
        SUBJECT,
    ),
    "restore_duration_seconds": (
        "Duration of the restore, in the newest run that measured a restore or the age of a backup.",
        SUBJECT,
    ),
    "restore_rate_bytes_per_second": (
        "Speed of the restore (its size divided by its duration), in the newest run that measured a restore or the age of a backup.",
        SUBJECT,
    ),
}
"""For each metric: its name without the prefix, its help text, and the names of its labels. All metrics are gauges."""
MODE = 0o644
"""Permissions of the file. The collector runs as another user and must be able to read it. The file contains names of
services and drills, but no secrets.
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a metric, with the values of its labels. The label values are in the order of the metric's label names."""

    name: str
    labels: tuple[str, ...]
    value: float


def samples(
    due: Due, drills: Iterable[DrillFigures], unfinished: Mapping[tuple[str, str, str], int] = MappingProxyType({})
) -> Iterator[Sample]:
    """Yield the samples of all metrics. They are made from the state of the schedules and the figures of runs. ``unfinished``:
    number of the unfinished runs by service, drill and environment. Other drills have none."""
    yield Sample("metrics_written_timestamp_seconds", (), due.now.timestamp())
    yield Sample("inventories_unread", (), float(sum(not text.startswith(settings.FILE) for text in due.unread)))
    yield Sample("schedule_record_damaged", (), float(bool(due.record)))
    for row in [row for row in due.rows if row.state is not State.NOT_HERE]:
        subject = (row.service, row.drill, row.environment)
        yield Sample("never_passed", subject, float(row.state is State.NEVER))
        yield Sample("schedule_unknown", subject, float(row.state is State.UNKNOWN))
        if (row.drill and row.state is not State.UNKNOWN) or row.overdue_since:
            yield Sample("overdue_seconds", subject, row.overdue_s)
        moments = {"due": row.due, "overdue": row.overdue_since}
        if row.suite:  # of a drill, the figures below name it
            moments |= {"last_run": row.last_started, "last_pass": row.passed}
        for name, at in moments.items():
            yield from _moment(f"{name}_timestamp_seconds", subject, at)
    numbers = dict(unfinished)
    for drill in drills:
        yield from _of_drill(drill)
        numbers.setdefault(drill.newest.subject, 0)
    for subject, number in numbers.items():
        yield Sample("unfinished_runs", subject, float(number))


def _of_drill(figures: DrillFigures) -> Iterator[Sample]:
    subject, newest = figures.newest.subject, figures.newest
    yield Sample("last_run_timestamp_seconds", subject, newest.started_s)
    for name, run in (("last_pass", figures.last_pass), ("last_proof", figures.last_proof)):
        if run:
            yield Sample(f"{name}_timestamp_seconds", subject, run.started_s)
    for verdict in Verdict:
        yield Sample("verdict", (*subject, str(verdict)), float(figures.shown.verdict == verdict))
    for key in OBJECTIVES:
        yield from _objective(figures, key)
    yield Sample("residue_changes", subject, float(figures.residue))
    restore = figures.last_restore()
    if "backup_age_s" in restore:
        yield Sample("backup_age_seconds", subject, restore["backup_age_s"])
    if "bytes" in restore:
        yield Sample("restore_size_bytes", subject, restore["bytes"])
        yield Sample("restore_duration_seconds", subject, restore["seconds"])
        yield Sample("restore_rate_bytes_per_second", subject, restore["bytes"] / restore["seconds"])


def _objective(figures: DrillFigures, key: str) -> Iterator[Sample]:
    labels, measured = (*figures.newest.subject, key), figures.last_measured(key)
    if not measured:
        return
    values = {
        "recovery_objective_seconds": measured.get("target_s"),
        "recovery_measured_seconds": measured.get("measured_s"),
        "recovery_error_seconds": measured.get("error_s"),
        "recovery_met": MET_OF.get(state := figures.newest.state(key)),
        "recovery_proven": float(figures.proven(key)),
        "recovery_reservation": None if state not in MET_OF else state == RESERVED and figures.newest.passed,
        "objective_misses": figures.misses(key),
    }
    if trend := figures.trend(key):
        values["recovery_trend_seconds_per_day"], values["recovery_trend_error_seconds_per_day"] = trend
    yield from (Sample(name, labels, float(value)) for name, value in values.items() if value is not None)


def _moment(name: str, labels: tuple[str, ...], at: str) -> Iterator[Sample]:
    instant: datetime | None = moment(at) if at else None
    if instant:
        yield Sample(name, labels, instant.timestamp())


def exposition(all_samples: Iterable[Sample], *, openmetrics: bool = False) -> bytes:
    """Format the samples in the text format of Prometheus, or as OpenMetrics. Raises MissingExtra when the package
    prometheus_client is not installed.
    """
    try:
        from prometheus_client import CollectorRegistry, Gauge, generate_latest  # noqa: PLC0415  an extra
        from prometheus_client.openmetrics import exposition as open_exposition  # noqa: PLC0415  an extra
    except ImportError:
        raise extras.missing("metrics", "prometheus_client", "the file of metrics") from None
    registry = CollectorRegistry()
    gauges = {name: Gauge(PREFIX + name, text, labels, registry=registry) for name, (text, labels) in FAMILIES.items()}
    for sample in all_samples:
        gauge = gauges[sample.name]
        (gauge.labels(*sample.labels) if sample.labels else gauge).set(sample.value)
    return open_exposition.generate_latest(registry) if openmetrics else generate_latest(registry)  # type: ignore[no-untyped-call]


def write(path: Path, content: bytes) -> None:
    """Write the file of metrics atomically, with permissions that allow the textfile collector to read it. Raises UsageError
    when the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content, mode=MODE)
    except OSError as error:
        raise UsageError(f"the metrics cannot be written to {path}: {error.strerror}", hint="name another file") from None
