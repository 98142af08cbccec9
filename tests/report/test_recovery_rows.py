"""The section about the recovery of a run: what it did, where, when, with what result, and what was verified afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from drillbook.events.runs import RecoveryFinished, ResidueSettled, SettlementRefused
from drillbook.events.steps import Done, FaultGone, StepStarted, UndoFailed, Undone, UndoStarted
from drillbook.journal.intents import UNDONE
from drillbook.judge.faultstate import KEPT, PUT_BACK, PUT_BACK_GONE, PUT_BACK_RESTORED
from drillbook.judge.recovery_record import Act, FaultCheck
from drillbook.judge.result import RunView
from drillbook.report import end_state, html, markdown, recovery_rows
from tests.report import samples
from tests.report.test_agreement import plain
from tests.report.test_end_state import INTENT, RECOVERY, continued

STARTED = UndoStarted(intent=INTENT, kind="commands", commands=(("mend", "door"),))
END = RecoveryFinished(residue=())
LEFT = {"step": "inject.1", "host": "a", "what": "pretend.break", "why": "x", "by_hand": "mend door"}


def settled(*proofs: str) -> ResidueSettled:
    """Closing of one change for each of ``proofs``, the states that a check found."""
    changes = tuple(
        {"step": "inject.1", "host": "a", "what": "pretend.break", "proof": proof, "detail": ""} for proof in proofs
    )
    return ResidueSettled(by="li.wei", reason="x", changes=changes, approval=None, residue=(LEFT,), intents=(INTENT,))


def table(view: RunView) -> recovery_rows.RecoveryTable:
    (only,) = recovery_rows.tables(view)
    return only


def row(**fields: object) -> recovery_rows.RecoveryRow:
    """Row of an act of a recovery, with some values replaced."""
    act = {"sort": "undo", "step": "inject.1", "host": "a", "what": "x", "how": "mend", "fault": True, "start": 1.0}
    act |= {"end": 2.0, "status": "done", "message": PUT_BACK, "events": (5, 9), **fields}
    recovery = samples.recorded("recovered").recoveries[0].model_copy(update={"acts": (Act.model_validate(act),)})
    return table(samples.recorded("recovered").model_copy(update={"recoveries": (recovery,)})).rows[0]


def test_each_act_has_its_place_time_result_verification_and_evidence() -> None:
    view = samples.recorded("recovered")
    told = table(view)
    assert [one.what for one in told.rows] == ["Lock on host", "Lock on app", "Undo of inject.1", "Lease"]
    undo = told.rows[2]
    assert (undo.host, undo.begun, undo.time, undo.took) == ("a", "0.02 s", "05:19:44 UTC", "0.31 s")
    assert (undo.detail, undo.status, undo.result) == ("pretend.break, by: mend door", "done", "undone")
    assert (undo.verified, undo.loud, undo.evidence) == (
        "the check at 0.33 s showed the fault gone",
        False,
        "events 16 to 20",
    )
    assert told.rows[3].files == ("evidence/lease.a.log",)
    assert (told.rows[1].result, told.rows[1].told) == ("done", "taken, and released at the end")
    page, text = html.render(view), plain(markdown.render(view))
    assert page.index('id="findings"') < page.index('id="recovery"') < page.index('id="objectives"')
    for one in told.rows:
        for words in (one.what, one.result, one.told, one.verified, one.evidence):
            assert words in plain(page)
            assert words in text
    assert told.lead in plain(page)
    assert told.lead in text


def test_a_run_without_a_recovery_has_no_such_section() -> None:
    for name in ("passed", "killed", "stuck"):
        view = samples.recorded(name)
        assert recovery_rows.tables(view) == []
        assert "Recovery</h2>" not in html.render(view)
        assert "## Recovery" not in markdown.render(view)


def test_the_sentences_say_when_it_came_what_it_left_and_what_is_not_verified() -> None:
    lead = table(samples.recorded("recovered")).lead
    assert lead.startswith(
        "nobody started drill.recover at 2026-11-28 05:19:44 UTC, 1.81 s after the last event of the run."
    )
    assert "It ended after 0.35 s, at 2026-11-28 05:19:44 UTC. Every change was undone, or needed no undo; " in lead
    assert "No verification step ran in it, so it is not verified that the service works. A recovery runs no probe" in lead


def test_a_closing_is_no_success() -> None:
    told = table(samples.recorded("closed"))
    assert "A person closed the remaining changes; nothing proves that they are undone." in told.lead
    assert (told.rows[-1].what, told.rows[-1].status, told.rows[-1].result) == ("Closing", "skipped", "closed")
    assert told.rows[0].status == "failed"


@pytest.mark.parametrize(
    ("proofs", "told"),
    [
        (["gone", "gone"], "A person closed the remaining changes; a check showed each of them gone."),
        (
            ["gone", "unknown", "gone"],
            "A person closed the remaining changes; nothing proves that 1 of them is undone.",
        ),
        (
            ["unknown", "unknown", "gone"],
            "A person closed the remaining changes; nothing proves that 2 of them are undone.",
        ),
        (["unknown"], "A person closed the remaining changes; nothing proves that they are undone."),
        ([], "A person closed the run; no change was left."),
    ],
)
def test_a_closing_says_how_many_changes_no_check_proved(tmp_path: Path, proofs: list[str], told: str) -> None:
    acts = [RECOVERY, settled(*proofs), RecoveryFinished(residue=(), kept=())]
    assert told in table(continued("stuck", tmp_path, *acts)).lead


def test_a_refused_closing_closes_nothing(tmp_path: Path) -> None:
    refused = SettlementRefused(by="li.wei", reason="x", changes=(), findings=())
    view = continued("stuck", tmp_path, RECOVERY, RecoveryFinished(residue=(LEFT,)), RECOVERY, refused)
    first, second = recovery_rows.tables(view)
    assert (first.title, second.title) == ("Recovery 1", "Refused closing 2")
    assert second.lead.endswith("The closing of the remaining changes was refused.")
    assert [(one.what, one.status) for one in second.rows] == [("Closing", "failed")]


def test_a_recovery_that_ended_a_closing_is_called_a_closing(tmp_path: Path) -> None:
    acts = [RECOVERY, settled("unknown"), RECOVERY, RecoveryFinished(residue=(), kept=())]
    first, second = recovery_rows.tables(continued("stuck", tmp_path, *acts))
    assert (first.title, second.title) == ("Closing 1", "Closing 2")
    assert second.lead.endswith("A person had closed the remaining changes before; this recovery completed the closing.")


def test_verification_steps_of_the_recovery_are_named(tmp_path: Path) -> None:
    steps = [
        StepStarted(action="http.responds", phase="verify", effect="read", params={}),
        Done(facts={"status": 200}, seconds=0.1, attempts=1),
    ]
    journal = continued("killed", tmp_path, RECOVERY, *steps, END).recoveries[0]
    view = samples.recorded("recovered")
    act = journal.acts[0].model_copy(update={"step": "verify.1", "phase": "verify"})
    for status, words in (
        ("done", "The verification steps of the recovery succeeded, as the table shows; they prove no objective of the run"),
        ("failed", "did not succeed: verify.1 on a"),
    ):
        made = journal.model_copy(update={"acts": (act.model_copy(update={"status": status}),)})
        told = table(view.model_copy(update={"recoveries": (made,)}))
        assert words in told.lead
        assert told.rows[0].what == "verify.1 http.responds"
    assert (told.rows[0].result, told.rows[0].told) == ("failed", "status 200")


@pytest.mark.parametrize(
    ("fields", "result", "verified", "loud"),
    [
        ({"check": None}, "undone", "not verified: no check is recorded", True),
        (
            {"check": FaultCheck(at=2, active=None, detail="no answer")},
            "undone",
            "the check at 2.00 s could not tell if the fault is gone: no answer",
            True,
        ),
        (
            {"check": FaultCheck(at=2, active=None), "fault": False},
            "undone",
            "the check at 2.00 s could not tell if the change is gone",
            True,
        ),
        (
            {"status": "failed", "message": "x", "check": FaultCheck(at=2, active=True)},
            "not undone: x",
            "still active",
            True,
        ),
        ({"status": "failed", "message": "x"}, "not undone: x", "not verified", True),
        (
            {"status": "unknown", "message": "", "end": None},
            "unknown: begun; the recovery ended before",
            "not verified",
            True,
        ),
        ({"fault": False}, "undone", "not verified: the undo itself succeeded; only faults have a check", False),
        (
            {"message": PUT_BACK_GONE, "start": None, "check": FaultCheck(at=2, active=False)},
            "no undo was needed",
            "fault gone",
            False,
        ),
        ({"message": PUT_BACK_RESTORED, "start": None, "check": None}, "undone by a restore", "no check is recorded", True),
        ({"message": "it never happened", "start": None}, "it never happened", "it had changed nothing", False),
        ({"message": f"{KEPT}a backup", "fault": False, "start": None}, "no undo: a backup", "", False),
    ],
)
def test_what_no_check_proved_is_not_called_verified(
    fields: dict[str, object], result: str, verified: str, *, loud: bool
) -> None:
    told = row(**fields)
    assert result in f"{told.result}: {told.told}"
    assert verified in told.verified
    assert told.loud is loud
    assert not told.verified.endswith(":")
    assert not told.verified.endswith(": ")
    assert told.took == ("1.00 s" if fields.get("start", 1.0) and fields.get("end", 2.0) else "")


def test_a_recovery_that_failed_and_the_next_one_have_tables_of_their_own(tmp_path: Path) -> None:
    first = [
        RECOVERY,
        STARTED,
        FaultGone(active=True),
        UndoFailed(intent=INTENT, message="no"),
        RecoveryFinished(residue=({},)),
    ]
    second = [RECOVERY, STARTED, FaultGone(active=False), Undone(intent=INTENT, message=UNDONE), END]
    view = continued("killed", tmp_path, *first, *second)
    told = recovery_rows.tables(view)
    assert [one.title for one in told] == ["Recovery 1", "Recovery 2"]
    assert "It could not undo 1 change." in told[0].lead
    assert "after the end of the recovery before it" in told[1].lead
    assert "### Recovery 2" in markdown.render(view)
    assert ">Recovery 2</h3>" in html.render(view)


@pytest.mark.parametrize("step", ["restore.1", "recovery.1"])
def test_a_restore_that_left_nothing_to_undo_does_not_read_as_if_its_data_were_gone(step: str) -> None:
    check = FaultCheck(at=1.5, active=False)
    told = row(step=step, fault=False, start=None, message=PUT_BACK_GONE, check=check)
    assert (told.result, told.told) == ("no undo was needed", "the step left nothing unfinished")
    assert (told.verified, told.loud) == ("the check at 1.50 s found nothing unfinished", False)
    fault = row(step=step, start=None, message=PUT_BACK_GONE, check=check)
    assert (fault.told, fault.verified) == ("it was gone already", "the check at 1.50 s showed the fault gone")
    active = row(step=step, fault=False, check=FaultCheck(at=1.5, active=True))
    assert active.verified == "the check at 1.50 s showed the change still active"
    made = samples.recorded("recovered").steps[0]
    step_view = made.model_copy(
        update={"result": made.result.model_copy(update={"id": step}), "effect": "write", "undone": PUT_BACK_GONE}
    )
    said = end_state.of_step(step_view.model_copy(update={"undone_later": True}))
    assert said == "no undo was needed: the step left nothing unfinished, recorded by drill.recover"
    assert end_state.of_step(step_view.model_copy(update={"effect": "fault"})) == "gone before an undo began"


def test_a_recovery_whose_controller_died_too_has_no_end(tmp_path: Path) -> None:
    told = table(continued("killed", tmp_path, RECOVERY, STARTED))
    assert "The journal has no end of it: its controller died, too, or it is still in progress." in told.lead
    assert told.rows[0].took == ""


@pytest.mark.parametrize(
    ("later", "said", "loud"),
    [
        ([], "not verified: no verification step ran", True),
        (["done", "done"], "the verification steps after it succeeded", False),
        (["done", "failed"], "not verified: verify.2 on a did not succeed", True),
    ],
)
def test_a_restore_is_verified_by_the_steps_after_it(later: list[str], said: str, *, loud: bool) -> None:
    base = samples.recorded("recovered").recoveries[0]
    step = base.acts[2].model_copy(update={"sort": "step", "what": "x", "facts": {"bytes": 20000, "body": "b" * 99}})
    names = [("recovery.1", "restore", "done"), *((f"verify.{n}", "verify", status) for n, status in enumerate(later, 1))]
    acts = tuple(
        step.model_copy(update={"step": name, "phase": phase, "status": status, "message": ""})
        for name, phase, status in names
    )
    view = samples.recorded("recovered").model_copy(update={"recoveries": (base.model_copy(update={"acts": acts}),)})
    told = table(view).rows[0]
    assert (told.verified, told.loud) == (said, loud)
    assert (told.result, told.told) == ("done", "bytes 20000 (19.5 KiB)")


def test_an_act_without_a_recorded_start_has_the_time_of_its_outcome() -> None:
    told = row(start=None)
    assert (told.what, told.begun, told.took) == ("Change by inject.1", "recorded at 2.00 s", "")
    assert told.time.endswith(" UTC")


def test_it_is_said_once_that_a_duration_was_not_measured() -> None:
    """An empty field in the column of durations, and one sentence below the table that explains it."""
    view = samples.recorded("recovered")
    page, text = html.render(view), markdown.render(view)
    assert recovery_rows.UNTIMED in plain(page)
    assert recovery_rows.UNTIMED in plain(text)
    section = text[text.index("## Recovery") : text.index("## Objectives")]
    assert "not measured |" not in section
    assert section.count("Took |") == 1
    assert page.count('data-head="Took"') == 3, "the fourth act has no duration"


def test_no_column_of_durations_is_shown_without_a_duration() -> None:
    view = samples.recorded("closed")
    page, text = html.render(view), markdown.render(view)
    assert "Took" not in text[text.index("## Recovery") : text.index("## Objectives")]
    assert 'data-head="Took"' not in page[page.index('id="recovery"') : page.index('id="objectives"')]
    for told in (plain(page), plain(text)):
        assert recovery_rows.NOT_TIMED in told
        assert recovery_rows.UNTIMED not in told


def test_undos_of_a_step_that_ran_twice_are_told_apart() -> None:
    view = samples.recorded("recovered")
    acts = [
        Act.model_validate(
            {"sort": "undo", "step": "restore.1", "host": "a", "what": "x", "start": None, "end": 1.0, "status": "done"}
            | {"intent": intent, "events": (40, 40)}
        )
        for intent in (12, 44)
    ]
    made = view.recoveries[0].model_copy(update={"acts": tuple(acts)})
    told = [one.detail for one in table(view.model_copy(update={"recoveries": (made,)})).rows]
    assert told == ["x, begun by the run (event 12)", "x, begun by the recovery (event 44)"]
