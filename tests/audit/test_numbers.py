"""Numbers of drills and runs: the audit, the summary and the index say how many drills the project has."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from drillbook.audit import html, markdown, numbers, summary
from drillbook.cli import audit as desk
from drillbook.project.needed_inventories import Inventories, Listed
from drillbook.project.schedules import Scheduled
from drillbook.values import Duration
from tests.audit.quarterly import made, quarterly
from tests.audit.stories import DOWN
from tests.audit.test_chain import audited
from tests.report.test_agreement import plain

DRILLS = (Scheduled("api-down"), Scheduled("late"), Scheduled("later"), Scheduled("sample"))
SUITES = (Scheduled("night", suite=True, every=Duration.parse("7d")), Scheduled("quarterly", suite=True))


def test_drills_that_ran_are_counted_among_all_drills_of_the_project(book, capsys):
    quarterly(book)
    audit = made(book)
    assert numbers.runs(audit) == "3 runs of 2 drills: 3 passed.", "the files of the project are not known"
    known = replace(audit, drills=(*DRILLS, *SUITES))
    told = (
        "2 of the 4 drills in drills/ ran, in 3 runs: 3 passed. 2 drills and 1 suite never ran (with a schedule: 1 suite)."
    )
    assert numbers.runs(known) == told
    for page in (html.render(known), markdown.render(known), summary.render(known)):
        assert plain(page).replace("\\", "").count(told) == 1
    desk._print(known, book.root)
    assert told in " ".join(capsys.readouterr().out.split())
    assert numbers.runs(replace(audit, drills=SUITES)) == numbers.runs(audit)


def test_a_drill_that_could_only_fail_in_the_lab_has_no_schedule_that_asks_for_it(book):
    quarterly(book)
    drill = Scheduled("routine-database", services=("database",), environments=("lab",), every=Duration.parse("7d"))
    lab = Listed("lab", "lab", True, frozenset(["database"]))
    known = replace(made(book), drills=(*DRILLS, drill), inventories=Inventories("lab", (lab,)))
    assert "3 drills never ran." in numbers.runs(known)
    own = replace(known, inventories=Inventories("lab", (replace(lab, is_lab=False),)))
    assert "3 drills never ran (with a schedule: 1 drill)." in numbers.runs(own)


def test_a_run_before_the_period_is_no_run_in_the_period_but_the_drill_ran(book):
    book.run("2025-12-10T09:00:00").good().close()
    book.run("2026-01-10T09:00:00", drill="api-down", text=DOWN).good().close()
    audit = replace(audited(book), drills=DRILLS[:1] + DRILLS[3:])
    assert numbers.runs(audit) == "1 of the 2 drills in drills/ ran, in 1 run: 1 passed. 1 drill did not run in the period."


def test_a_period_without_runs_counts_no_drills(book):
    audit = replace(audited(book), drills=DRILLS)
    assert numbers.runs(audit) == "No run began in this period."
    assert numbers.sentences(audit) == "No run began in this period, so nothing was proven."


@pytest.mark.parametrize("environments", [1, 2])
def test_several_environments_are_counted(book, environments):
    runs = [book.run("2026-01-10T09:00:00").good().close() for _ in range(environments)]
    audit = audited(book, today=str(date(2026, 12, 31)))
    places = [replace(run, environment=f"lab-{number}") for number, run in enumerate(audit.runs)]
    text = numbers.runs(replace(audit, runs=tuple(places), drills=DRILLS[3:]))
    where = " in 2 environments" if environments > 1 else ""
    assert text.startswith(f"The only drill in drills/ ran, in {len(runs)} run{'s' if environments > 1 else ''}{where}: ")
