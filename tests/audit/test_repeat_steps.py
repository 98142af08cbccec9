"""A drill whose newest run lost data of its service: its entry tells how much, and says first to enter this data again."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from drillbook.audit import brief_steps, briefing, html, markdown, summary
from drillbook.audit.alert import AT_ONCE, Alert, Topic, urgency
from drillbook.audit.alert_causes import listed
from drillbook.audit.alert_commands import commands_at_once
from drillbook.audit.summary_layout import LEAST_ALERTS, MOST_ALERTS
from tests.audit.stories import ACKS, DOWN, DRILL, SAMPLES
from tests.audit.test_chain import audited
from tests.audit.test_earlier_rows import died_with_loss
from tests.report.test_agreement import plain

ROWS = "rows of t in db"
ENTER = "enter the missing data again"
MISSED = tuple(f"api-{letter}" for letter in "abcdefg")


def lossy(book, begun, drill="sample", restored=2):
    """A run that did not bring back all rows, up to its end."""
    run = book.run(begun, drill=drill, text=DRILL.replace("drill: sample", f"drill: {drill}"))
    run.availability(*SAMPLES).canary(ACKS, [[1, 400]]).add(9.9, "phase.started", phase="inject")
    undo = {"kind": "restore", "commands": [], "action": "", "params": {}, "why": "only a restore brings it back"}
    run.step(10.0, 10.2, "inject.1", "app-1", effect="fault", undo=undo, removed_data={ROWS: 20})
    run.add(10.2, "phase.ended", phase="inject", status="done").add(11.0, "phase.started", phase="restore")
    run.step(11.0, 12.0, "restore.1", "app-1", effect="write", restored_data={ROWS: restored})
    return run.add(12.0, "phase.ended", phase="restore", status="done")


def stopped(book, begun="2026-02-10T09:00:00", drill="sample", restored=2):
    """A run with lost rows that a person stopped."""
    run = lossy(book, begun, drill, restored)
    return run.add(13.0, "ended.early", why="aborted", message="the run was stopped by SIGINT", findings=[]).end().close()


def crowded(book, *drills):
    """An audit of seven drills that missed an objective, and of ``drills``, which lost rows and were stopped."""
    for number, drill in enumerate(drills):
        stopped(book, f"2026-02-09T09:{number:02}:00", drill)
    for number, drill in enumerate(MISSED):
        text = DOWN.replace("drill: api-down", f"drill: {drill}")
        book.run(f"2026-02-10T09:{number:02}:00", drill=drill, text=text).slow().close()
    return replace(audited(book), whole=True)


def test_a_stopped_run_that_lost_rows_has_the_first_entry_beside_seven_missed_objectives(book):
    audit = crowded(book, "sample")
    lost, again, *_ = briefing.of(audit, LEAST_ALERTS)
    lead = "sample in lab ended aborted on 2026-02-09 with at least 18 rows lost: the run was stopped by a person (Ctrl-C)"
    for alert in (lost, listed(audit)[0]):
        assert alert.text.startswith(lead)
        assert ENTER in alert.step.casefold()
        assert alert.step.endswith(": `drillbook drill sample`")
        assert alert.when == AT_ONCE
        assert brief_steps.of(alert) == "enter the missing data again, then run the drill again"
    assert again.text.startswith("7 drills must run again: api-a in lab")
    ranks = [urgency(alert) for alert in listed(audit)]
    assert ranks == sorted(ranks)
    for page in (summary.render(audit), html.render(audit), markdown.render(audit).replace("\\", "")):
        told = plain(page).partition("Needs attention")[2]
        assert told.index(lead) < told.index("api-a in lab")


def test_lost_rows_come_before_a_missed_objective_although_their_finding_is_medium():
    high = Alert("a", "", when=AT_ONCE, severity="high", topic=Topic.RUN_AGAIN)
    rows = replace(high, severity="medium", lost=("18 rows lost",), rows="18 rows lost")
    critical = replace(high, severity="critical")
    assert sorted([high, rows, critical], key=urgency) == [critical, rows, high]


@pytest.mark.parametrize(("many", "own"), [(2, True), (9, False)])
def test_drills_that_lost_rows_share_an_entry_only_if_they_are_many_and_keep_their_amounts(book, many, own):
    shown = briefing.of(crowded(book, *(f"lossy-{number}" for number in range(many))), LEAST_ALERTS)
    assert briefing.needed(shown) <= MOST_ALERTS
    if own:
        assert all("with at least 18 rows lost" in alert.text and alert.about for alert in shown[:many])
    else:
        assert shown[0].text.startswith(
            f"{many} drills lost data: lossy-0 in lab (at least 18 rows lost); lossy-1 in lab (at"
        )
        assert shown[0].step == "enter the missing data again, then run the drills again"


def test_the_end_of_the_audit_on_a_terminal_says_to_enter_the_data_again(book):
    (purpose, command), *_ = commands_at_once(crowded(book, "sample"), 3)
    assert purpose == "enter the missing data of sample in lab again, then run the drill again"
    assert command == "drillbook drill sample"


def test_a_passed_run_that_lost_rows_tells_their_number_and_its_report_has_the_step(book):
    run = book.run("2026-02-10T10:00:00", drill="sample", text=DRILL).lossy().close()
    audit = audited(book)
    (alert,) = [alert for alert in listed(audit) if alert.rows]
    assert alert.text == "sample in lab has 1 medium finding, open since 2026-02-10: 15 rows not in the backup"
    assert alert.step.endswith(". Enter the missing data again, then run the drill again"), "a comparison comes first"
    assert commands_at_once(audit, 1) == [
        ("enter the missing data of sample in lab again, as its report says", f"drillbook report {run.id}")
    ]


def test_a_failed_run_that_lost_rows_has_this_step_before_the_one_for_the_missed_objective(book):
    run = lossy(book, "2026-02-10T09:00:00").add(12.0, "phase.started", phase="verify")
    run.step(12.5, 13.0, "verify.1", "controller", "failed").add(14.0, "phase.ended", phase="verify", status="failed")
    run.end().close()
    (alert,) = [alert for alert in listed(audited(book)) if alert.rows]
    assert alert.text.startswith("sample in lab ended failed on 2026-02-10 with at least 18 rows lost: ")
    assert ENTER in alert.step.casefold()
    assert alert.step.endswith(". After the correction: `drillbook drill sample`")


def test_a_killed_run_is_recovered_before_lost_rows_are_entered_again(book):
    run = lossy(book, "2026-02-10T09:00:00").close()
    (alert,) = [alert for alert in listed(audited(book)) if alert.rows]
    assert alert.step == (
        f"recover the run with `drillbook drill.recover {run.id}`, then enter the missing data again if it is still missing, "
        "then run the drill again: `drillbook drill sample`"
    )
    undo = "undo the changes of sample in lab", f"drillbook drill.recover {run.id}"
    assert commands_at_once(audited(book), 1) == [undo]


@pytest.mark.parametrize("program", ["invoke", "drillbook"])
def test_the_command_that_recovers_a_run_is_named_once(book, monkeypatch, program):
    """Two alerts ask for it: the changes that are left, and the run that did not pass."""
    run = lossy(book, "2026-02-10T09:00:00").close()
    monkeypatch.setattr(sys, "argv", [f"/x/bin/{program}"])
    undo = "undo the changes of sample in lab", f"{program} drill.recover {run.id}"
    assert [step for step in commands_at_once(audited(book), 9) if run.id in step[1]] == [undo]


def test_the_loss_of_a_recovered_run_is_told_once_in_its_entry(book):
    died_with_loss(book, 1)
    (alert,) = [alert for alert in listed(audited(book)) if alert.rows]
    assert alert.text.startswith("sample in lab ended aborted on 2026-02-10 with at least 18 rows lost: the controller of")
    assert alert.text.count("18 rows") == 1


def test_the_reason_of_a_verdict_is_not_the_lost_data(book):
    """The newest run is told in a few words beside the losses of earlier runs, and these words keep its loss."""
    stopped(book, "2026-02-10T08:00:00", restored=9)
    stopped(book, "2026-02-10T09:00:00")
    texts = [alert.text for alert in briefing.of(audited(book), LEAST_ALERTS) if alert.rows]
    told = (
        "sample in lab ended aborted on 2026-02-10, stopped by a person, with at least 18 rows lost; lost data in 1 earlier"
    )
    assert texts[0].startswith(told), texts


def test_each_run_that_did_not_pass_tells_its_lost_rows(book):
    stopped(book)
    book.run("2026-02-11T09:00:00", text=DRILL).slow().close()
    died_with_loss(book, 30, restored=4)
    audit = audited(book)
    title = "Runs that did not pass or have no end"
    for page in (
        html.render(audit).split(f">{title}</h2>")[1].split("<h2")[0],
        markdown.render(audit).replace("\\", "").split(f"## {title}\n")[1].split("\n## ")[0],
    ):
        told = plain(page)
        assert "stopped by a person (Ctrl-C)" in told
        assert told.count("at least 18 rows lost") == 1
        assert told.count("at least 16 rows lost") == 1, "the text about the recovery tells it"
