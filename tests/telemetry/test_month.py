"""A month of runs with a clock set by the test, with gaps: due drills, metrics, alerts and audit agree at each moment."""

import shutil
import subprocess
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import yaml

from drillbook.audit import content, records
from drillbook.audit.period import Period
from drillbook.plan.schedule import State
from drillbook.project import due, finished_runs
from drillbook.project.project import Project
from drillbook.report import publish
from drillbook.report.figures import moment
from drillbook.telemetry import metrics, run_figures
from tests.audit.stories import DOWN, LEFT, Book
from tests.judge.test_judge import DRILL, SAMPLES
from tests.needs import need
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
]
EXPECTED = [  # reckoned by hand
    ("sample", "2026-03-01T22:30:00", "2026-03-02T22:30:00"),
    ("sample", "2026-03-09T03:00:00", "2026-03-12T02:30:00"),
    ("sample", "2026-03-16T03:00:00", "2026-03-27T22:30:00"),
    ("api-down", "2026-03-25T07:00:00", "2026-03-28T09:00:00"),
    ("sample", "2026-03-30T02:00:00", "2026-04-01T00:00:00"),
]
BAD = (State.OVERDUE, State.NEVER)


def ended(book, begun, drill, how):
    """A run with this end, and its reports."""
    run = book.run(begun, drill=drill, text=NIGHTLY if drill == "sample" else WEEKLY)
    if how == "left":
        run.fault().availability(*SAMPLES).recovery(verify="failed").end([LEFT])
    else:
        getattr(run, how)()
    run.close()
    publish.write_run(run.folder, finished_runs.judged(run.folder))


def looked(project, now):
    """Drills that are overdue or never passed at ``now``, and the times in the metrics, by drill."""
    found = due.read(project, now)
    bad = {row.drill for row in found.rows if row.drill and row.environment and row.state in BAD}
    samples = list(metrics.samples(found, run_figures.read(project)))
    moments = {one.labels[1]: one.value for one in samples if one.name == "overdue_timestamp_seconds"}
    seconds = {one.labels[1]: one.value for one in samples if one.name == "overdue_seconds" and one.labels[2]}
    assert bad == {drill for drill, at in moments.items() if now.timestamp() >= at}, now
    assert {drill: max(0.0, now.timestamp() - at) for drill, at in moments.items()} == seconds, now
    return bad, moments


def test_all_agree_on_every_moment(tmp_path):
    book = Book(tmp_path)
    for name, text in (("sample", NIGHTLY), ("api-down", WEEKLY)):
        (tmp_path / "drills" / f"{name}.yml").write_text(text)
    project, runs = Project(tmp_path), sorted(RUNS)
    answers, grid = {}, []
    now = BEGIN
    while now < END:
        turns = [*_turns(answers), *map(_at, runs)]
        moments = sorted({now, *(at + timedelta(seconds=late) for at in turns for late in (-1, 0))})
        for at in [one for one in moments if now <= one < now + STEP]:
            while runs and _at(runs[0]) <= at:
                ended(book, *runs.pop(0))
            answers[at] = looked(project, at)
        grid.append(answers[now])
        now += STEP
    assert not runs
    _audit_agrees(project, {at: bad for at, (bad, _) in answers.items()})
    _alerts_agree(tmp_path, grid, answers)


def test_metrics_and_audit_agree_on_every_objective(tmp_path):
    """Of real runs: one passed and met its RPO by a backup of its own, one failed."""
    book = Book(tmp_path)
    for name in ("passed", "failed"):
        folder = book.reports / samples.recorded(name).result.run
        folder.mkdir()
        shutil.copy(samples.JOURNALS / f"{name}.jsonl", folder / "journal.jsonl")
        publish.write_run(folder, finished_runs.judged(folder))
        project = Project(tmp_path)
        now = datetime(2026, 12, 31, tzinfo=UTC)
        found = metrics.samples(due.read(project, now), run_figures.read(project))
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


def _audit_agrees(project, answers):
    found, strays = records.find(project.reports)
    made = content.make(found, strays, Period(BEGIN.date(), date(2026, 3, 31)), today=END.date())
    told = {
        (one.newest.subject[1], key): one.proven(key)
        for one in run_figures.read(project)
        for key in one.newest.data["objectives"]
    }
    assert told == {(row.drill, row.key): row.proven for row in made.proven}
    assert set(told.values()) == {True, False}
    spans = [(row.drill, moment(row.since), moment(row.until) if row.until else END) for row in made.missed]
    assert spans == [(drill, _at((since,)), _at((until,))) for drill, since, until in EXPECTED]
    for at, bad in answers.items():
        assert bad == {drill for drill, since, until in spans if since <= at < until}, at
    changes = sum(one != other for one, other in zip(list(answers.values()), list(answers.values())[1:], strict=False))
    assert changes >= 2 * len(spans) - 2  # each span has a step at its beginning and at its end


def _alerts_agree(folder, grid, answers):
    """Let promtool evaluate the shipped rule with the metrics at each step, and one second before and at each turn."""
    month = _case("3h", BEGIN, [moments for _, moments in grid], [(f"{n * 3}h", bad) for n, (bad, _) in enumerate(grid)])
    turns = {at: at - SECOND for at in answers if at - SECOND in answers}
    changed = {
        (drill, at)
        for at, before in turns.items()
        for drill in ("sample", "api-down")
        if (drill in answers[at][0]) != (drill in answers[before][0])
    }
    expected = {(drill, _at((at,))) for drill, *span in EXPECTED for at in span}
    assert changed == {(drill, at) for drill, at in expected if at < END}
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
    """Test of promtool whose time begins at 0. ``samples``: times in the metrics by drill, one for each interval.
    ``answers``: drills that are overdue, each with its moment.
    """
    series = []
    for drill in ("sample", "api-down"):
        values = [moments.get(drill) for moments in samples]
        said = " ".join("_" if value is None else f"{value - begin.timestamp():.0f}" for value in values)
        labels = f'service="api", drill="{drill}", environment="lab"'
        series.append({"series": f"drillbook_overdue_timestamp_seconds{{{labels}}}", "values": said})
    expression = 'sum by (drill) (ALERTS{alertname="DrillbookProofTooOld", alertstate="firing"})'
    cases = [
        {
            "expr": expression,
            "eval_time": at,
            "exp_samples": [{"labels": f'{{drill="{drill}"}}', "value": 1} for drill in sorted(bad)],
        }
        for at, bad in answers
    ]
    return {"interval": interval, "input_series": series, "promql_expr_test": cases}
