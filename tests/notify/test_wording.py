"""Texts of messages to contacts."""

from drillbook.judge.objectives import CLOCK_OF
from drillbook.judge.result import Objective
from drillbook.notify.wording import LONGEST, MOST, abort, end, objective, residue
from drillbook.plan.plan import Plan
from drillbook.report.remarks import MARK, NO_ALERT, OWN_BACKUP, Remark
from tests.report import samples


def test_objectives_are_told_with_their_errors():
    told = objective("rto", Objective(target_s=10.0, measured_s=7.41, error_s=0.1, met=True, clock=CLOCK_OF["rto"]))
    assert told == "RTO: 7.41 s +0/−0.10 s, objective 10 s: met"
    assert "not measured" in objective(
        "rpo", Objective(target_s=10.0, measured_s=None, error_s=None, met=None, reason="why")
    )


def test_an_rpo_with_a_reservation_is_told_with_the_reason():
    view = samples.passed()
    lines = end(Plan.model_validate(view.plan), view.result, "report.html").text.splitlines()
    (rpo,) = [line for line in lines if line.startswith("RPO: ")]
    assert rpo.endswith(f": met with a reservation. {OWN_BACKUP}")
    (rto,) = [line for line in lines if line.startswith("RTO: ")]
    assert rto.endswith(": met")
    missed = Objective(target_s=1.0, measured_s=7.41, error_s=0.1, met=False)
    assert objective("rpo", missed, Remark(OWN_BACKUP, f" {MARK}")).endswith(f": missed. {OWN_BACKUP}")
    detected = objective("detect", missed, Remark(NO_ALERT, by="probe"))
    assert detected.startswith("Detection by the drill's probe: 7.4 s")
    assert detected.endswith(": missed")


def plan():
    return Plan.model_validate(samples.passed().plan)


def left(count, why="the host is away"):
    return [{"host": f"app-{number}", "what": "a file", "why": why, "by_hand": "rm file"} for number in range(count)]


def test_residue_names_each_change_with_its_command_and_counts_the_rest():
    message = residue(plan(), "r1", left(MOST + 2))
    lines = message.text.splitlines()
    assert message.title.endswith(f"changes that could not be undone: {MOST + 2}")
    assert message.weight == "failure"
    assert lines.count("  by hand: rm file") == MOST
    assert "- app-0: a file: the host is away" in lines
    assert "and 2 more: see the report" in lines
    assert lines[-1].endswith("drill.recover r1")


def test_a_long_message_is_cut_where_services_would_refuse_it():
    text = residue(plan(), "r1", left(MOST, why="x" * LONGEST)).text
    assert text.endswith("\n...")
    assert len(text) == LONGEST + 4


def test_what_a_host_said_is_printed_safely():
    message = abort(plan(), "r1", "stopped by \x1b[2Jsomebody")
    assert "\x1b" not in message.text
    assert "run: r1" in message.text
