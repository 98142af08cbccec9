"""Short result of a recovery: one screen of 80x24, with one line for each host, and what is left."""

from __future__ import annotations

import pytest

from drillbook.findings import finding
from drillbook.judge.faultstate import KEPT, PUT_BACK_GONE
from drillbook.judge.recovery_record import FaultCheck
from drillbook.report import end_state, recovery_rows
from drillbook.report.terminal import recovery_summary
from tests.report import renderings, samples


def printed(view):
    """Lines of the result, and the same as one text."""
    lines = renderings.printed(recovery_summary.recovery_summary(view, "reports/x/report.html")).splitlines()
    lines += renderings.printed(recovery_summary.state_of_run(view)).splitlines()
    return lines, " ".join(" ".join(lines).split())


def recovered(*acts):
    """View of a run whose recovery did these acts: changes of the one undo that a real recovery did."""
    view = samples.recorded("recovered")
    known = view.recoveries[0]
    undo = known.acts[2]
    made = known.model_copy(update={"acts": tuple(undo.model_copy(update=act) for act in acts)})
    return view.model_copy(update={"recoveries": (made,)})


def test_a_recovered_run_has_a_line_for_its_host_and_its_state():
    lines, said = printed(samples.recorded("recovered"))
    assert lines[0] == "  \u2713 a  1 change undone: inject.1 pretend.break"
    assert (
        "Recovered at 2026-11-28 05:19:44 UTC: nothing is left to undo; it was not verified that the service works." in said
    )
    assert "The verdict of the run stays aborted (exit 4): " in said
    assert "findings of the run: 1 high, 1 medium: A probe was never good before the disruption" in said
    assert "report reports/x/report.html" in said
    assert len(lines) <= 12
    for long in ("Clocks", "Phases", "remedy", "Objectives", "{"):
        assert long not in said


def test_a_change_that_was_made_from_the_controller_is_told_of_the_host_of_the_data():
    view = recovered({"host": "controller"}).model_copy(update={"places": {"inject.1": "db-1"}})
    lines, said = printed(view)
    assert lines[0] == "  \u2713 db-1  1 change undone: inject.1 pretend.break"
    assert "controller 1 change" not in said
    (table,) = recovery_rows.tables(view)
    assert [row.host for row in table.rows] == ["db-1 (from the controller)"]
    known = [fault.model_copy(update={"host": "controller", "ended": "open"}) for fault in view.faults_at_end]
    assert "inject.1 on db-1 was still to be undone" in end_state.details(view.model_copy(update={"faults_at_end": known}))


def test_changes_of_a_host_share_a_line_and_hosts_are_aligned():
    acts = [{"step": f"inject.{number}", "host": host} for host in ("db-1", "app-11") for number in range(1, 8)]
    lines, _ = printed(recovered(*acts))
    assert lines[0] == "  \u2713 db-1    7 changes undone: inject.1 pretend.break, inject.2 pretend.break,"
    assert lines[2].startswith("  \u2713 app-11  7 changes undone: ")
    assert "and 3 more" in f"{lines[1]}"


def test_changes_that_needed_no_undo_have_no_line_but_those_that_the_host_undid_have():
    gone = {"message": PUT_BACK_GONE, "start": None}
    lines, _ = printed(recovered(gone, gone | {"host": "b", "by_target": True}, {"message": f"{KEPT}a backup"}))
    assert lines[0] == "  \u2713 b  1 change undone by the host itself: inject.1 pretend.break"
    assert lines[1] == ""


def test_a_change_that_was_not_undone_makes_the_line_of_its_host_red_and_says_which():
    lines, _ = printed(recovered({}, {"step": "inject.2", "status": "failed", "message": "no answer {'a': 1}"}))
    assert lines[0].startswith("  \u2717 a  1 change undone: inject.1 pretend.break; 1 change not undone: inject.2")
    assert "{" not in "".join(lines), "the reason is told once, with the change that is left"


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (
            {"check": FaultCheck(at=2.5, active=None, detail="{}")},
            "undone, not verified: the check could not tell if the fault is gone",
        ),
        ({"check": None}, "undone, not verified: no check is recorded"),
        ({"check": None, "by_target": True}, "undone by the host itself, not verified: no check is recorded"),
    ],
)
def test_an_undo_that_no_check_proved_is_no_success(act, told):
    """The report marks the same undo in the same way."""
    lines, said = printed(recovered(act, act | {"step": "inject.2"}))
    assert lines[0].startswith("  ? a  2 changes undone")
    assert f"? a 2 changes {told}: inject.1 pretend.break, inject.2 pretend.break" in said
    assert "\u2713" not in said


def test_changes_that_are_no_faults_have_no_check_and_need_none():
    lines, _ = printed(recovered({"fault": False, "check": None}))
    assert lines[0] == "  \u2713 a  1 change undone: inject.1 pretend.break"


@pytest.mark.parametrize("name", ["stuck", "closed"])
def test_what_is_left_is_told_with_the_way_to_undo_it_by_hand(name):
    _, said = printed(samples.recorded(name))
    assert ("only if it fails again, by hand: on a, in this order: mend door" in said) == (name == "stuck")
    assert ("residue, closed" if name == "closed" else "residue, NOT UNDONE: pretend.break (inject) on a") in said
    if name == "closed":
        assert "\u2717 a Lock on host, Lock on http-localhost-37249, Lease: failed: a: cannot connect" in said


def test_the_last_line_names_the_data_that_was_lost():
    view = samples.recorded("recovered")
    lost = finding("acknowledged-writes-lost", wanted="none", measured="72 of 114 acknowledged writes: numbers 43 to 114")
    lines, _ = printed(view.model_copy(update={"result": view.result.model_copy(update={"findings": (lost,)})}))
    assert "  ! Data lost: 72 of 114 acknowledged test writes of the drill (numbers 43 to" in lines
    assert lines[-1].strip() == "114)."
    assert not any("Data lost" in line for line in printed(view)[0])
