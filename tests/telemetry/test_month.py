"""A month of runs with a clock set by the test, with gaps and changed schedules: `drill.due`, metrics, alerts and audit agree
at each moment about drills, suites and services.
"""

import shutil
import subprocess
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from drillbook.audit import content, records, suites
from drillbook.audit.alert_causes import alerts
from drillbook.audit.missed_drills import NEVER_RAN
from drillbook.audit.period import Period
from drillbook.catalog import shipped_files
from drillbook.cli.scheduled import Tick
from drillbook.journal.run_state import RunState, RunStates
from drillbook.plan.schedule import State
from drillbook.project import (
    due,
    finished_runs,
    needed_inventories,
    newest_runs,
    recorded_schedules,
    schedule_record,
    schedules,
)
from drillbook.project.project import Project
from drillbook.report import publish
from drillbook.report.figures import moment
from drillbook.report.formats import as_json
from drillbook.telemetry import metrics, run_figures
from tests.audit.stories import DOWN, LEFT, REHEARSE, SITE, Book
from tests.judge.story import DRILL, SAMPLES
from tests.needs import need
from tests.plan.test_planner import HOSTS
from tests.report import samples

RULES = Path(__file__).parents[2] / "src" / "drillbook" / "telemetry" / "monitoring" / "drillbook.rules.yml"
BEGIN, END, STEP = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC), timedelta(hours=3)
SECOND = timedelta(seconds=1)
NIGHTLY = DRILL.replace(
    "service: api",
    "service: api\nevery: 2d\ngrace: 6h\nguard: {windows: [{from: '22:00', to: '04:00', zone: Europe/Berlin}]}",
    1,
)
WEEKLY = DOWN.replace("service: api", "service: api\nevery: 7d\ngrace: 1d", 1)
PROVES = REHEARSE.replace("service: site", "service: site\nevery: 7d\ngrace: 1d", 1)
LOOKS = PROVES.split("restore:")[0] + "verify:\n  - backup.measure: {service: nightly}\n"
SHORTER, LONGER = (
    DRILL.replace("drill: sample", f"drill: {name}").replace("service: api", "service: api\nevery: EVERY\ngrace: 1d", 1)
    for name in ("shorter", "longer")
)
SUITE = "suite: both\ntitle: Both\nevery: EVERY\ngrace: 1d\ndrills: [api-down, longer]\n"
TEXTS = {
    "sample": NIGHTLY,
    "api-down": WEEKLY,
    "rehearse": PROVES,
    "shorter": SHORTER.replace("EVERY", "30d"),
    "longer": LONGER.replace("EVERY", "7d"),
    "both": SUITE.replace("EVERY", "10d"),
    "removed": DRILL.replace("drill: sample", "drill: removed").replace(
        "service: api", "service: api\nevery: 5d\ngrace: 0s", 1
    ),
}
EDITS = [  # of files: the moment, the drill or suite, and its new text
    ("2026-03-06T00:30:00", "rehearse", LOOKS),
    ("2026-03-13T13:10:00", "shorter", SHORTER.replace("EVERY", "7d")),  # overdue at once
    ("2026-03-14T15:20:00", "longer", LONGER.replace("EVERY", "30d")),  # no longer overdue
    ("2026-03-18T00:10:00", "rehearse", PROVES),
    ("2026-03-21T00:10:00", "rehearse", LOOKS),
    ("2026-03-22T05:00:00", "shorter", SHORTER.replace("EVERY", "3d")),  # is overdue sooner
    ("2026-03-23T05:00:00", "longer", LONGER.replace("EVERY", "5d")),  # overdue again at once
    ("2026-03-24T05:00:00", "longer", LONGER.replace("EVERY", "4d")),  # still overdue
    ("2026-03-29T05:00:00", "both", SUITE.replace("EVERY", "20d")),
    ("2026-03-15T06:00:00", "removed", ""),
]
RUNS = [
    # of the night: refused at first, a gap, a failure in the gap, the change to summer time, residue, and no end
    ("2026-03-01T22:30:00", "sample", "refused"),
    ("2026-03-02T22:30:00", "sample", "good"),
    ("2026-03-04T23:00:00", "sample", "good"),
    ("2026-03-06T22:00:00", "sample", "good"),
    ("2026-03-10T22:30:00", "sample", "slow"),
    ("2026-03-12T02:30:00", "sample", "good"),
    ("2026-03-14T00:30:00", "sample", "good"),
    ("2026-03-27T22:30:00", "sample", "good"),
    ("2026-03-29T21:00:00", "sample", "left"),
    # of the week: in time, in the grace, too late
    ("2026-03-02T09:00:00", "api-down", "good"),
    ("2026-03-09T08:00:00", "api-down", "good"),
    ("2026-03-17T07:00:00", "api-down", "good"),
    ("2026-03-18T09:00:00", "api-down", "slow"),  # due at once, and no sooner overdue
    ("2026-03-28T09:00:00", "api-down", "good"),
    # of a service: proven, examined too late and in time, proven again, and examined
    ("2026-03-02T09:30:00", "rehearse", "rehearsal"),
    ("2026-03-12T09:30:00", "rehearse", "looked"),
    ("2026-03-16T09:30:00", "rehearse", "looked"),
    ("2026-03-20T09:30:00", "rehearse", "rehearsal"),
    ("2026-03-27T09:30:00", "rehearse", "looked"),
    # with changed schedules
    ("2026-03-02T10:30:00", "shorter", "good"),
    ("2026-03-18T06:30:00", "shorter", "good"),
    ("2026-03-26T06:30:00", "shorter", "good"),
    ("2026-03-02T11:30:00", "longer", "good"),
    ("2026-03-20T11:30:00", "longer", "refused"),  # records its schedule
    ("2026-03-02T12:30:00", "removed", "good"),
]
SUITES = {"2026-03-02T09:00:00": "20260302T090000.000Z-both-00aa", "2026-03-17T07:00:00": "20260317T070000.000Z-both-00bb"}
"""Suites to which runs of `api-down` belong."""
EXPECTED = [  # reckoned by hand
    ("api", "sample", "2026-03-01T22:30:00", "2026-03-02T22:30:00"),
    ("api", "removed", "2026-03-07T12:30:00", "2026-03-15T06:00:00"),
    ("api", "sample", "2026-03-09T03:00:00", "2026-03-12T02:30:00"),
    ("site", "rehearse", "2026-03-10T09:30:00", "2026-03-12T09:30:00"),
    ("api", "longer", "2026-03-10T11:30:00", "2026-03-14T15:20:00"),
    ("site", "", "2026-03-12T09:30:00", "2026-03-20T09:30:00"),
    ("api", "both", "2026-03-13T09:00:00", "2026-03-17T07:00:00"),
    ("api", "shorter", "2026-03-13T13:10:00", "2026-03-18T06:30:00"),
    ("api", "sample", "2026-03-16T03:00:00", "2026-03-27T22:30:00"),
    ("api", "shorter", "2026-03-22T06:30:00", "2026-03-26T06:30:00"),
    ("api", "longer", "2026-03-23T05:00:00", "2026-04-01T00:00:00"),
    ("api", "api-down", "2026-03-25T07:00:00", "2026-03-28T09:00:00"),
    ("api", "both", "2026-03-28T07:00:00", "2026-03-29T05:00:00"),
    ("site", "", "2026-03-28T09:30:00", "2026-04-01T00:00:00"),
    ("api", "sample", "2026-03-30T02:00:00", "2026-04-01T00:00:00"),
    ("api", "shorter", "2026-03-30T06:30:00", "2026-04-01T00:00:00"),
]
SUBJECTS = sorted({(service, drill) for service, drill, _, _ in EXPECTED})
BAD = (State.OVERDUE, State.NEVER)


def ended(book, begun, drill, how):
    """A run with this end, and its reports."""
    suite = SUITES.get(begun, "") if drill == "api-down" else ""
    hosts = SITE if drill in ("rehearse", "again") else HOSTS
    run = book.run(begun, drill=drill, text=(book.root / "drills" / f"{drill}.yml").read_text(), hosts=hosts, suite=suite)
    if how == "left":
        run.fault().availability(*SAMPLES).recovery(verify="failed").end([LEFT])
    elif how == "looked":
        run.phase(0.5, 1.0, "backup").add(6.0, "phase.started", phase="verify")
        run.step(6.5, 7.0, "verify.1", "spare-1", backup="www", loss_s=1.0, error_s=1.0, basis="x")
        run.add(8.0, "phase.ended", phase="verify", status="done").end()
    else:
        getattr(run, how)()
    run.close()
    publish.write_run(run.folder, finished_runs.judged(RunState(run.folder)))
    if suite:
        told = {"schema": "drillbook/suite/1", "run": suite, "suite": "both", "environment": "lab", "verdict": "passed"}
        told |= {"started": run_began(suite), "exit": 0, "runs": [{"run": run.id, "folder": run.id}]}
        (run.folder.parent / "result.json").write_text(as_json(told))


def run_began(name):
    return datetime.strptime(name[:19], "%Y%m%dT%H%M%S.%f").strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def edited(root, drill, text):
    path = root / "drills" / f"{drill}.yml"
    path.write_text(text) if text else path.unlink()


def looked(project, now):
    """Services and drills that are overdue or never passed at ``now``, and the times in the metrics. The program notes changed
    schedules before it looks.
    """
    recorded_schedules.note(project, now)
    found = due.read(project, now)
    bad = {(row.service, row.drill) for row in found.rows if row.overdue_since and row.environment and row.state in BAD}
    samples = list(metrics.samples(found, run_figures.read(project, RunStates())))
    moments = {one.labels[:2]: one.value for one in samples if one.name == "overdue_timestamp_seconds"}
    seconds = {one.labels[:2]: one.value for one in samples if one.name == "overdue_seconds" and one.labels[2]}
    assert bad == {subject for subject, at in moments.items() if now.timestamp() >= at}, now
    assert {subject: max(0.0, now.timestamp() - at) for subject, at in moments.items()} == seconds, now
    return bad, moments


@pytest.mark.long(50)
def test_all_agree_on_every_moment(tmp_path):
    book = Book(tmp_path)
    for name, text in TEXTS.items():
        edited(tmp_path, name, text)
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "site.yml").write_text(SITE)
    project, runs, edits = Project(tmp_path), sorted(RUNS), sorted(EDITS)
    answers, grid = {}, []
    now = BEGIN
    while now < END:
        turns = [*_turns(answers), *map(_at, runs), *map(_at, edits)]
        moments = sorted({now, *(at + timedelta(seconds=late) for at in turns for late in (-1, 0))})
        for at in [one for one in moments if now <= one < now + STEP]:
            while edits and _at(edits[0]) <= at:
                edited(tmp_path, *edits.pop(0)[1:])
            while runs and _at(runs[0]) <= at:
                ended(book, *runs.pop(0))
            answers[at] = looked(project, at)
        grid.append(answers[now])
        now += STEP
        if now.hour == 0:
            _open_rows_agree(project, now - timedelta(microseconds=1))
    assert not runs
    assert not edits
    _audit_agrees(project, {at: bad for at, (bad, _) in answers.items()})
    _alerts_agree(tmp_path, grid, answers)


def test_metrics_and_audit_agree_on_every_objective(tmp_path):
    """Of real runs: one passed and met its RPO by a backup of its own, one failed."""
    book = Book(tmp_path)
    for name in ("passed", "failed"):
        folder = book.reports / samples.recorded(name).result.run
        folder.mkdir()
        shutil.copy(samples.JOURNALS / f"{name}.jsonl", folder / "journal.jsonl")
        publish.write_run(folder, finished_runs.judged(RunState(folder)))
        project = Project(tmp_path)
        now = datetime(2026, 12, 31, tzinfo=UTC)
        found = metrics.samples(due.read(project, now), run_figures.read(project, RunStates()))
        told = {(one.name, *one.labels): one.value for one in found}
        audit = content.make(*records.find(project.reports), Period(date(2026, 1, 1), date(2026, 12, 31)), today=now.date())
        for goal in audit.proven:
            labels = (goal.service, goal.drill, goal.environment, goal.key)
            assert told["recovery_proven", *labels] == goal.proven, goal
            if name == "passed":
                assert (told["recovery_met", *labels], told["recovery_reservation", *labels]) == (1.0, goal.reserved), goal
    assert name == "failed"
    assert {goal.key for goal in audit.proven} == {"rto", "rpo", "detect"}


def _at(run):
    return datetime.fromisoformat(run[0]).replace(tzinfo=UTC)


def _turns(answers):
    """Moments at which a drill became or will become overdue, as known at that time."""
    return {datetime.fromtimestamp(at, UTC) for _, moments in answers.values() for at in moments.values()}


def made(project, until, today):
    found, strays = records.find(project.reports)
    return content.make(
        found,
        strays,
        Period(BEGIN.date(), until),
        today=today,
        scheduled=schedule_record.read(project.reports),
        suites=suites.find(project.reports, found, strays),
        wanted=schedules.read(project),
        services=due.services(project, newest_runs.read(list(project.runs()), project, RunStates())),
    )


def _open_rows_agree(project, now):
    """The audit of a period that has not ended shows as overdue what `drill.due` shows at the same moment."""
    told = {
        (row.service, row.drill, row.since[:19])
        for row in made(project, date(2026, 12, 31), now.date()).missed
        if row.since and not row.until  # not what never ran
    }
    found = [row for row in due.read(project, now).rows if row.overdue_since and row.environment and row.state in BAD]
    assert told == {(row.service, row.drill, row.overdue_since[:19]) for row in found}, now


def spans(audit):
    """Services and drills that the audit lists as overdue, each with the beginning and the end."""
    rows = [row for row in audit.missed if row.since]
    return [(row.service, row.drill, moment(row.since), moment(row.until) if row.until else END) for row in rows]


def _audit_agrees(project, answers):
    audit = made(project, date(2026, 3, 31), END.date())
    told = {
        (one.newest.subject[1], key): one.proven(key)
        for one in run_figures.read(project, RunStates())
        for key in one.newest.data.get("objectives") or ()
    }
    assert told == {(row.drill, row.key): row.proven for row in audit.proven}
    assert set(told.values()) == {True, False}
    found = spans(audit)
    assert found == [(*subject, _at((since,)), _at((until,))) for *subject, since, until in EXPECTED]
    for at, bad in answers.items():
        assert bad == {(service, drill) for service, drill, since, until in found if since <= at < until}, at
    changes = sum(one != other for one, other in zip(list(answers.values()), list(answers.values())[1:], strict=False))
    assert (
        changes >= len({at for *_, since, until in found for at in (since, until)}) - 2
    )  # a step at each beginning and end


def _alerts_agree(folder, grid, answers):
    """Let promtool evaluate the shipped rule with the metrics at each step, and one second before and at each turn."""
    month = _case("3h", BEGIN, [moments for _, moments in grid], [(f"{n * 3}h", bad) for n, (bad, _) in enumerate(grid)])
    turns = {at: at - SECOND for at in answers if at - SECOND in answers}
    changed = {
        (*subject, at)
        for at, before in turns.items()
        for subject in SUBJECTS
        if (subject in answers[at][0]) != (subject in answers[before][0])
    }
    expected = {(service, drill, _at((at,))) for service, drill, *span in EXPECTED for at in span}
    assert changed == {(*subject, at) for *subject, at in expected if at < END}
    seconds = []
    for at, before in turns.items():
        (were, known), (are, now) = answers[before], answers[at]
        seconds.append(_case("1s", before - SECOND, [known, known, now], [("1s", were), ("2s", are)]))
    path = folder / "month.test.yml"
    for interval, tests in (("3h", [month]), ("1s", seconds)):
        made = {"rule_files": [str(RULES)], "evaluation_interval": interval, "tests": tests}
        path.write_text(yaml.safe_dump(made))
        done = subprocess.run([need("promtool"), "test", "rules", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr)[:3000]


def _case(interval, begin, samples, answers):
    """Test of promtool whose time begins at 0. ``samples``: times in the metrics by service and drill, one for each interval.
    ``answers``: services and drills that are overdue, each with its moment.
    """
    series = []
    for service, drill in SUBJECTS:
        values = [moments.get((service, drill)) for moments in samples]
        said = " ".join("stale" if value is None else f"{value - begin.timestamp():.0f}" for value in values)
        labels = f'service="{service}", drill="{drill}", environment="lab"'
        series.append({"series": f"drillbook_overdue_timestamp_seconds{{{labels}}}", "values": said})
    expression = 'sum by (service, drill) (ALERTS{alertname="DrillbookProofTooOld", alertstate="firing"})'
    cases = [
        {
            "expr": expression,
            "eval_time": at,
            "exp_samples": [
                {"labels": f'{{service="{service}", drill="{drill}"}}' if drill else f'{{service="{service}"}}', "value": 1}
                for service, drill in sorted(bad)
            ],
        }
        for at, bad in answers
    ]
    return {"interval": interval, "input_series": series, "promql_expr_test": cases}


def test_all_leave_out_a_drill_that_could_only_fail_in_the_lab(tmp_path):
    """The catalogue's drill of routine dumps in a project with a lab alone. With an inventory of the team, all ask for it."""
    book = Book(tmp_path)
    edited(tmp_path, "sample", NIGHTLY)
    edited(tmp_path, "routine-database", shipped_files.text("drills/routine-database.yml"))
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "lab.yml").write_text("environment: lab\nlab: embedded\n")
    ended(book, "2026-03-02T22:30:00", "sample", "good")
    project, now = Project(tmp_path), datetime(2026, 3, 3, tzinfo=UTC)

    def asked():
        found = due.read(project, now)
        never = {row.labels[1] for row in metrics.samples(found, []) if row.name == "never_passed" and row.value} - {""}
        figures = {row.labels[1] for row in metrics.samples(found, []) if len(row.labels) > 1}
        pending = {row.drill for row in Tick(project, "lab", now, dry=True).pending()}
        runs, strays = records.find(project.reports)
        audit = content.make(
            runs,
            strays,
            Period(BEGIN.date(), date(2026, 3, 31)),
            today=now.date(),
            wanted=schedules.read(project),
            inventories=needed_inventories.read(project),
        )
        ran = {row.drill for row in audit.missed if row.kind == NEVER_RAN}
        assert any("never ran" in alert.text for alert in alerts(audit)) == bool(ran)
        return (
            {row.drill for row in found.rows if row.drill and row.is_due},
            never,
            "routine-database" in figures,
            pending,
            ran,
        )

    assert asked() == (set(), set(), False, set(), set())
    (tmp_path / "inventory" / "staging.yml").write_text(
        "environment: staging\nservices: {database: {kind: postgres, host: a, not_drilled: x}}\n"
    )
    wanted = {"routine-database"}
    assert asked() == (wanted, wanted, True, set(), wanted), (
        "the timer of the lab starts no run that is for another inventory"
    )
