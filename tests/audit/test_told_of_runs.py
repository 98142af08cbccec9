"""Remarks on figures in the audit and in the summary for management, from the journals of real runs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from drillbook.audit import content, html, markdown, reservations, summary, summary_terms
from drillbook.audit.alert_causes import alerts
from drillbook.audit.findings import findings
from drillbook.audit.missed_drills import MissedRow
from drillbook.audit.rehearsal_figures import RehearsedRow
from drillbook.audit.service_groups import Group
from drillbook.findings import finding
from drillbook.report.remarks import LEGENDS, MARK, OWN_ROWS_MARK, RECENT_MARK, REMOVED_BY, SHORT_MARK
from tests.audit import stories
from tests.audit.stories import ACKS, DRILL, SAMPLES, Book
from tests.audit.test_chain import audited
from tests.report import samples
from tests.report.test_agreement import plain

ROOT = Path(__file__).parents[2]
OTHERS = "the recovery point is met, but not measured for the restored data"


@pytest.fixture
def recorded(book):
    """Audit of two real runs that restored their own backup: the first passed, the later one failed."""
    return kept(book, "passed", "failed")


@pytest.fixture
def passed(book):
    """Audit of one real, passed run that restored its own backup."""
    return kept(book, "passed")


def kept(book, *names):
    for name in names:
        folder = book.reports / samples.recorded(name).result.run
        folder.mkdir()
        shutil.copy(samples.JOURNALS / f"{name}.jsonl", folder / "journal.jsonl")
    return audited(book, today="2026-12-31")


def told(rows):
    """Explanations of the groups of services in one text."""
    return " ".join(text for _, text in summary_terms.rules(rows))


def test_the_rpo_of_a_drills_own_backup_has_a_mark_and_one_legend(recorded):
    for text in (html.render(recorded), markdown.render(recorded)):
        words = plain(text)
        assert words.count(LEGENDS[MARK]) == 1
        assert f"RPO of postgres-lost in lab {MARK}" in words
        assert f"12.90 s ± 0.11 s {MARK}" in words
    assert [row["rpo"].count(MARK) for row in content.as_data(recorded)["runs"]] == [0, 0]


def test_a_figure_with_a_reservation_says_at_its_place_that_it_is_not_proven_and_why(passed):
    """Nobody has to choose between `passed` and `does not count`: the same words state both, in both tables that show it."""
    for text in (html.render(passed), markdown.render(passed)):
        assert plain(text).replace("*", "").count("met, not proven: the drill itself took the restored backup") == 2
    assert content.as_data(passed)["runs"][0]["rpo"].endswith("met with a reservation"), "the data keeps its words"


def test_the_summary_has_the_mark_and_its_legend_once(passed):
    page = plain(summary.render(passed))
    assert page.count(LEGENDS[MARK]) == 1
    assert f"12.90 s ± 0.11 s {MARK}" in page


def test_an_rpo_with_a_mark_is_met_with_a_reservation_and_not_counted_as_proven(passed):
    (goal,) = [row for row in passed.proven if row.key == "rpo"]
    assert (goal.proven, goal.reserved, goal.met, goal.mark.strip()) == (False, True, True, MARK)
    (told,) = [row for row in content.as_data(passed)["proven"] if row["key"] == "rpo"]
    assert (told["proven"], told["reserved"]) == (False, True)
    (row,) = [row for row in summary.service_rows(passed) if row.objectives]
    assert (row.proven, row.reserved, row.objectives) == (1, 1, 2)
    assert not row.good
    good = replace(row, state="passed")
    assert (good.good, good.rank) == (False, Group.RESERVED)
    assert summary.headline([good]) == "Fully proven: 0 of 1 service in lab; 1 recovered with a reservation."
    assert summary.standing([good]) == f"Services by their newest runs: with a reservation 1 ({good.service})"
    assert replace(good, reserved=0, proven=2).good
    counts = "1 of 2 objectives proven, 1 more met with a reservation. Detection by the drill's probe: 1 of 1 met."
    for text in (html.render(passed), markdown.render(passed)):
        assert counts in plain(text)
        assert "is met with a reservation: it does not count as proven" in plain(text)
    assert [one for one in alerts(passed) if one.text.startswith("The RPO of postgres-lost in lab is met with a")]
    page = plain(summary.render(passed))
    assert "1 of 2" in page
    assert "~ 1 more with a reservation" in page


def test_each_service_with_a_reservation_has_the_drill_that_proves_it_or_that_must_be_written(passed):
    """A drill of the project that restores a routine backup is named; if there is none, one is copied or written."""
    (run,) = passed.runs
    assert (run.kind, run.routine, run.without_routine) == ("postgres", (), True)
    run = replace(run, without_routine=False)
    passed = replace(passed, runs=(run,))
    shows = "It shows how old the backup is; the reservation stays"

    def told(audit):
        (one,) = [one for one in alerts(audit) if "with a reservation: the drill itself" in one.text]
        return one

    one = told(passed)
    copy = "copy and run a drill that restores a routine backup: `drillbook init --with routine-database`"
    stays = f" until a drill restores in place a backup that it did not take itself. {reservations.LEFT}"
    assert (one.step, one.otherwise) == (f"{copy}. {shows}", stays)
    known = replace(passed, runs=(replace(run, routine=("restore-newest", "other"), inventory="staging"),))
    drill = "`drillbook drill restore-newest --inventory"
    assert told(known).step == f"run a drill that restores a routine backup: {drill} staging`. {shows}"
    lab = replace(known, runs=(replace(known.runs[0], without_routine=True),))
    none = f"(the lab keeps none of {run.service})"
    with_own = "run a drill that restores a routine backup with your own inventory"
    assert told(lab).step == f"{with_own}: {drill} NAME` {none}. {shows}"
    bare = replace(passed, runs=(replace(run, without_routine=True),))
    assert told(bare).step == f"{with_own} {none}. {shows}", "a copy could not work in the lab"
    assert f"{shows}{stays}" in plain(markdown.render(lab))
    assert shows in plain(summary.render(lab))
    assert stays not in plain(summary.render(lab)), "the page has no room for it"
    goals = [replace(row, service=f"{row.service}-{number}") for row in passed.proven for number in range(4)]
    assert told(replace(passed, proven=tuple(goals))).step == (
        "run drills that restore a routine backup, and write one for each service that has none. They show how old it is; the reservation stays"
    )


def test_a_routine_drill_that_passed_without_a_routine_backup_says_what_it_showed(passed):
    """Nobody runs the suggested drill twice because the entry is silent about its first run."""
    run = replace(passed.runs[0], without_routine=False, routine=("routine",))
    (goal,) = [row for row in passed.proven if row.reserved]
    row = RehearsedRow(
        goal.environment,
        goal.service,
        "routine",
        "dumps",
        "postgres",
        1,
        1,
        "r",
        "2026-12-01T17:01:40Z",
        4.0,
        None,
        908.0,
        1.0,
        "",
        (),
    )
    taken = replace(row, taken="a backup that was taken while the drill cache-lost ran", during=True)

    def told(*rows):
        known = replace(passed, runs=(run,), rehearsed=rows)
        return [one.step for one in alerts(known) if "with a reservation: the drill itself" in one.text]

    (step,) = told(taken)
    assert step.startswith(
        "run a drill that restores a routine backup: `drillbook drill routine` (its run of 2026-12-01 passed, but restored a backup "
        "that was taken while the drill cache-lost ran, 15 min 8 s ± 1 s old; run it again after the next routine backup). It"
    )
    (step,) = told(replace(row, loss_s=None))
    assert "(its run of 2026-12-01 passed, but did not measure how old the backup is; add a step `backup.measure`)" in step
    assert not told(row), "the age is known, and stands beside the RPO"


def test_no_shipped_drill_removes_the_reservation():
    """The audit says so, and names the page with an example."""
    drills = [yaml.safe_load(path.read_text()) for path in (ROOT / "drills").rglob("*.yml")]
    into = [
        step["backup.restore"]["service"]
        for drill in drills
        for step in drill.get("restore", ())
        if drill.get("inject") and "backup.restore" in step
    ]
    assert into
    assert all(service.endswith("_copy") for service in into), "only into a sandbox"
    page = (ROOT / "docs" / "drills.md").read_text().partition("\n## Restores\n")[2].partition("\n## ")[0]
    assert "reservation" in page
    assert "own-postgres.md#lose-the-data" in page
    for text in (reservations.LEFT, REMOVED_BY):
        assert "'Restores'" in text
        assert "drills.md" in text


def test_one_command_copies_the_drills_of_all_services_with_a_reservation(passed):
    """Drills of the project are run, drills of the catalogue are copied, and others are written."""
    run = replace(passed.runs[0], without_routine=False)
    (goal,) = [row for row in passed.proven if row.key == "rpo"]
    cache = replace(run, run="other", restoring="redis.restore_rdb", routine=())
    goals = (goal, replace(goal, service="cache", drill="cache-lost", run="other"))
    both = replace(passed, runs=(run, cache), proven=goals)

    def told(audit):
        return next(one.step for one in alerts(audit) if "with a reservation: the drill itself" in one.text)

    assert "copy and run drills that restore a routine backup: `drillbook init --with routine-" in told(both)
    assert "routine-database,routine-cache`" in told(both)
    own = replace(both, runs=(replace(run, routine=("nightly",)), cache))
    assert told(own).startswith(
        "run drills that restore a routine backup: `drillbook drill nightly`; "
        "copy and run more: `drillbook init --with routine-cache`. They show"
    )
    some = replace(both, runs=(replace(run, without_routine=True), cache))
    assert told(some).startswith(
        "copy and run a drill that restores a routine backup: `drillbook init --with routine-cache` "
        f"(the lab keeps none of {run.service}). It shows how old the backup is; the reservation stays"
    )
    bare = replace(both, runs=(run, replace(cache, restoring="own.restore")))
    assert told(bare).endswith(
        "; write one for cache (to read how a drill writes this step: `drillbook actions own.restore`). They show how old it is; the reservation stays"
    )


def test_a_trend_counts_the_runs_that_were_met_with_a_reservation_apart(recorded):
    plots = {one.key: one for one in recorded.plots if one.drill == "postgres-lost"}
    assert " met, 1 of them with a reservation, " in plots["rpo"].description
    (point,) = [one for one in plots["rpo"].points if one.kind == "met"]
    assert f"12.90 s ± 0.11 s {MARK}, target at most" in point.title
    assert point.title.endswith(", met with a reservation")
    assert "reservation" not in plots["rto"].description


def test_the_summary_explains_each_mark_that_it_shows_and_no_other(passed):
    (goal,) = [row for row in passed.proven if row.key == "rpo"]
    short = replace(goal, drill="table-dropped", measured_s=1.0, mark=f" {RECENT_MARK}")
    page = plain(summary.render(replace(passed, proven=(*passed.proven, short))))
    assert "~ 2 more with a reservation" in page
    assert f"12.90 s ± 0.11 s {MARK}" in page
    assert LEGENDS[MARK] in page
    assert LEGENDS[RECENT_MARK] not in page, "no cell shows the mark of the other figure"
    (drilled,) = [row for row in passed.coverage if row.runs]
    more = tuple(replace(drilled, service=f"service-{number:02}") for number in range(14))
    hidden = replace(short, service=more[-1].service)
    text = summary.render(replace(passed, coverage=(*passed.coverage, *more), proven=(*passed.proven, hidden)))
    page = plain(text)
    assert '<tr class="not-on-paper">' in text
    assert LEGENDS[RECENT_MARK] in page
    (row,) = [replace(row, state="passed") for row in summary.service_rows(passed) if row.objectives]
    other = replace(row, service="other", marks=RECENT_MARK)
    for rows in ([row], [other], [row, other]):
        assert "with a fresh backup, not with a routine backup." in told(rows)
    lossy = replace(row, service="lossy", marks=SHORT_MARK)
    assert ("With a reservation", f"Less data came back than the fault removed; {OTHERS}.") in summary_terms.rules([lossy])
    assert "fresh backup" not in told([lossy])
    unknown = replace(row, service="unknown", marks=OWN_ROWS_MARK)
    assert ("With a reservation", "The recovery point covers the canary's own rows only.") in summary_terms.rules([unknown])
    both = f"not with a routine backup, or less data came back than the fault removed; {OTHERS}."
    for rows in ([row, lossy], [replace(row, marks=f"{SHORT_MARK}{MARK}")]):
        assert both in told(rows)


def test_rows_that_are_known_to_be_lost_stand_in_the_summary_beside_a_longer_rpo(tmp_path):
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00").good().close()
    run = book.run("2026-01-11T09:00:00", drill="table-dropped", text=DRILL.replace("drill: sample", "drill: table-dropped"))
    run.fault().availability(*SAMPLES).canary(ACKS, [[1, 400]]).add(11.0, "phase.started", phase="restore")
    told = {"replaced_data": {"rows of t in db": 5}, "restored_data": {"rows of t in db": 2}}
    run.step(11.0, 12.0, "restore.1", "app-1", effect="write", **told)
    run.add(12.0, "phase.ended", phase="restore", status="done").add(12.0, "phase.started", phase="verify")
    run.step(12.5, 13.0, "verify.1", "controller").add(14.0, "phase.ended", phase="verify", status="done").end().close()
    audit = audited(book)
    lossy = next(row for row in audit.proven if row.key == "rpo" and row.drill == "table-dropped")
    assert lossy.lost == "3 rows not in the backup"
    (row,) = [row for row in summary.service_rows(audit) if row.service == "api"]
    assert row.rpo.drill == "sample"
    assert row.losses == (
        f"{SHORT_MARK} table-dropped: 3 rows not in the backup, target 1 s met, but not measured for restored tables",
    )
    assert row.losses[0] in row.line
    cell = summary.render(audit).split('<td data-head="RPO">')[1].split("</td>")[0]
    assert row.losses[0] in plain(cell)
    (plot,) = [one for one in audit.plots if (one.drill, one.key) == ("table-dropped", "rpo")]
    assert [point.kind for point in plot.points] == ["none"], "the chart shows no figure that is known to leave out rows"
    assert "no figure for the whole loss: 3 rows not in the backup; by the canary alone " in plot.description
    only = tuple(one for one in audit.proven if one.drill == "table-dropped")
    (alone,) = [row for row in summary.service_rows(replace(audit, proven=only)) if row.service == "api"]
    assert (alone.rpo, alone.losses) == (lossy, ()), "its own figure begins with the rows"


@pytest.mark.parametrize(
    ("mark", "steps"),
    [
        (MARK, ["run a drill that restores"]),
        (SHORT_MARK, ["back up more often"]),
        (f"{SHORT_MARK}{MARK}", ["run a drill that restores", "back up more often"]),
        (OWN_ROWS_MARK, ["compare the content"]),
        (f"{SHORT_MARK}{OWN_ROWS_MARK}", ["back up more often", "compare the content"]),
    ],
)
def test_the_next_step_of_a_reservation_is_that_of_its_mark(passed, mark, steps):
    goals = tuple(replace(row, mark=f" {mark}") if row.reserved else row for row in passed.proven)
    told = [one for one in alerts(replace(passed, proven=goals)) if "met with a reservation" in one.text]
    assert len(told) == len(steps)
    for one, step in zip(told, steps, strict=True):
        assert one.step.startswith(step)
        assert (": less data came back" in one.text) == (step == "back up more often")


def test_a_figure_from_before_the_period_has_its_mark_and_its_observer(passed, book):
    later = audited(book, since="2026-12-01", today="2026-12-31")
    for text in (html.render(later), markdown.render(later)):
        words = plain(text)
        assert f"before the period: 12.90 s ± 0.11 s {MARK} on 2026-11-28" in words
        assert "before the period: 1.81 s +0/−0.21 s (the drill's probe) on 2026-11-28" in words
        assert words.count(LEGENDS[MARK]) == 1


def test_runs_that_restored_no_backup_have_no_mark(book):
    audit = audited(stories.quiet(book))
    for text in (html.render(audit), markdown.render(audit), summary.render(audit)):
        assert MARK not in text


def test_the_proven_detection_names_its_observer_and_lost_writes_their_seconds(recorded):
    for text in (html.render(recorded), markdown.render(recorded)):
        words = plain(text)
        assert "Detection by the drill's probe" in words
        assert "; RPO 10.70 s ± 0.11 s" in words


def test_the_worst_of_the_record_comes_first(book):
    stories.year(book)
    shutil.rmtree(book.runs[7].folder)
    audit = audited(book)
    assert not audit.whole
    for text in (html.render(audit), markdown.render(audit)):
        words = plain(text.split("Completeness of the record")[-1])
        assert 0 <= words.index("Defect of the record") < words.index("Signatures and anchors were not examined.")


def test_a_missed_drill_is_marked_as_such_and_not_as_unknown(book):
    row = MissedRow("overdue", "lab", "api", "x", "", "2026-01-01T00:00:00Z", "", "", "journal")
    audit = replace(audited(stories.quiet(book)), missed=(row,))
    cell = html.render(audit).split('data-head="Kind"')[1].split("</td>")[0]
    assert plain(cell.partition(">")[2]) == "! overdue"
    assert 'class="state missed"' in cell


def test_an_open_finding_is_as_severe_as_in_the_newest_run():
    grades = ("high", "low")
    runs = [
        SimpleNamespace(
            environment="lab",
            service="db",
            drill="lost",
            run=day,
            name=day,
            folder=day,
            started=f"2026-01-0{day}",
            damage="",
            left=False,
            verdict="passed",
            result=samples.result(findings=(finding("probe-failed").model_copy(update={"severity": grade}),)),
        )
        for day, grade in zip("12", grades, strict=True)
    ]
    (row,) = findings(runs)
    assert (row.severity, row.state, row.runs) == ("low", "open", 2)
    gone = SimpleNamespace(
        **{**vars(runs[1]), "result": samples.result(findings=()), "folder": "3", "started": "2026-01-03"}
    )
    (row,) = findings([*runs, gone])
    assert (row.severity, row.state) == ("high", "not seen again")
