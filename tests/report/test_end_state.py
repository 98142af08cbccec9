"""A report of a run that did not pass says in which state it left the service, and links the failed step."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from drillbook.engine import lab_gone
from drillbook.events.content import Content
from drillbook.events.holds import LeaseLapsed, LockLost, LockReleased, LockTaken, OnHost
from drillbook.events.runs import RecoveryFinished, RecoveryStarted, ResidueSettled, RunEndedEarly, RunFinished
from drillbook.events.steps import OnStep, UndoFailed, Undone
from drillbook.findings import finding
from drillbook.journal.intents import GONE, NEVER_HAPPENED, UNDONE
from drillbook.journal.journal import FILE, Journal, read
from drillbook.judge.judge import judge
from drillbook.judge.result import RunView
from drillbook.redact import Redactor
from drillbook.report import end_state, headlines, html, markdown
from tests.report import renderings, samples
from tests.report.test_agreement import plain

END, DIED = "State at the end of the run: ", "State when the controller died, as far as the journal tells: "
UNRECORDED = f"{DIED}inject.1 on a was still to be undone"
STUCK = f"{END}inject.1 on a could not be undone; the last sample of http.available was bad."
BACK = "Recovered at 2026-11-28 05:19:44 UTC: nothing is left to undo; it was not verified that the service works. "
RECOVERY = RecoveryStarted(tool="test", operator="nobody", controller="here")
TAKEN, RELEASED = LockTaken(name="x", token=1, services=("database",)), LockReleased(name="x", token=1)
OTHER = LockTaken(name="y", token=1, services=("cache", "queue"))
INTENT = 9
"""Number of the event that announced the fault, in the journals of these tests."""


def copied(name: str, folder: Path) -> Path:
    shutil.copy(samples.JOURNALS / f"{name}.jsonl", folder / FILE)
    return folder


def continued(name: str, folder: Path, *events: Content) -> RunView:
    """Judge a recorded run whose journal goes on with ``events``."""
    journal = Journal.resume(copied(name, folder), Redactor([]), origin=time.monotonic())
    for what in events:
        undo = isinstance(what, OnStep)
        journal.append(what, step="inject.1" if undo else None, host="a" if undo or isinstance(what, OnHost) else None)
    journal.close()
    return judge(read(folder / FILE))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "failed",
            f"{END}1 fault was put back by a restore that ran to its end; the recovery is not verified; the last sample of http.available was good; the run's lock on database on db-1 was released.",
        ),
        ("stuck", STUCK),
        ("killed", f"{UNRECORDED}."),
        ("died", f"{UNRECORDED}."),
        ("still_broken", f"{UNRECORDED}; the last recorded sample of http.available was bad."),
        ("closed", f"{UNRECORDED}. Later, a person closed 2 changes."),
        ("recovered", f"{BACK}{UNRECORDED}. Later, drill.recover recorded: 1 fault was undone."),
        ("inconclusive", f"{END}1 fault was undone."),
    ],
)
def test_the_state_in_which_a_run_that_did_not_pass_left_its_faults(name: str, said: str) -> None:
    view = samples.recorded(name)
    assert end_state.sentence(view) == said
    for text in (html.render(view), markdown.render(view), renderings.formats(view)["txt"]):
        assert said.split(": ")[0] + ": " in plain(text)


STOPPED = RunEndedEarly(why="aborted", message="the run was stopped by SIGINT", findings=())


def early(tmp_path: Path, upto: int, *more: Content) -> RunView:
    """Recorded run that is stopped after ``upto`` events."""
    lines = (samples.JOURNALS / "stopped.jsonl").read_bytes().splitlines(keepends=True)[:upto]
    (tmp_path / FILE).write_bytes(b"".join(lines))
    journal = Journal.resume(tmp_path, Redactor([]), origin=time.monotonic())
    for what in (STOPPED, *more, RunFinished(residue=())):
        journal.append(what, host="db-1" if isinstance(what, OnHost) else None)
    journal.close()
    return judge(read(tmp_path / FILE))


def before(name: str, kind: str) -> int:
    """Number of events of a recorded run before the first of a kind."""
    return next(n for n, event in enumerate(read(samples.JOURNALS / f"{name}.jsonl").events) if event.kind == kind)


def test_a_run_that_was_stopped_before_any_change_says_so_once(tmp_path: Path) -> None:
    view = early(tmp_path, before("stopped", "intent"), LockReleased(name="x", token=1))
    said = end_state.sentence(view)
    assert said.startswith(f"{END}nothing was changed; ")
    page, terminal = plain(html.render(view)), plain(renderings.formats(view)["txt"])
    for text in (page, plain(markdown.render(view)), terminal):
        assert "nothing was changed" in text
        assert text.count("The run was stopped by a person (Ctrl-C).") == 1
    assert headlines.sentence(view) == "The run was stopped by a person (Ctrl-C)."
    assert page.index("nothing was changed") < page.index("The run was stopped by a person (Ctrl-C).")


def test_a_run_that_was_stopped_after_its_backup_says_that_no_fault_was_injected(tmp_path: Path) -> None:
    view = early(tmp_path, before("stopped", "backup.proven"))
    assert end_state.sentence(view).startswith(f"{END}no fault was injected; 1 change was undone, or kept as planned; ")


@pytest.mark.parametrize("name", ["passed", "put_back", "not_ready"])
def test_a_run_that_passed_or_touched_nothing_says_nothing(name: str) -> None:
    assert end_state.sentence(samples.recorded(name)) == ""
    assert "State at the end" not in html.render(samples.recorded(name))


def test_a_recovery_does_not_change_the_state_at_the_end_of_a_finished_run(tmp_path: Path) -> None:
    view = continued("stuck", tmp_path, RECOVERY, Undone(intent=INTENT, message=UNDONE), RecoveryFinished(residue=()))
    assert end_state.sentence(view).endswith(f" {STUCK} Later, drill.recover recorded: 1 fault was undone.")


def test_an_undo_does_not_claim_a_fault_of_which_it_is_unknown_if_it_was_injected(tmp_path: Path) -> None:
    intent = next(event.seq for event in read(samples.JOURNALS / "died.jsonl").events if event.kind == "intent")
    view = continued("died", tmp_path, RECOVERY, Undone(intent=intent, message=UNDONE), RecoveryFinished(residue=()))
    assert end_state.sentence(view).endswith("drill.recover recorded: the undo of 1 fault was carried out.")
    assert (
        "it is unknown if the fault was injected: the controller died during the injection; drill.recover carried out"
        in (headlines.sentence(view))
    )


def test_a_recovery_that_failed_adds_nothing(tmp_path: Path) -> None:
    view = continued("killed", tmp_path, RECOVERY, UndoFailed(intent=INTENT, message="no route to host"))
    assert end_state.sentence(view) == f"{UNRECORDED}."


def test_a_controller_that_died_after_its_undo(tmp_path: Path) -> None:
    view = continued("killed", tmp_path, Undone(intent=INTENT, message=UNDONE))
    assert end_state.sentence(view) == f"{DIED}1 fault was undone."


def test_an_aborted_run_that_undid_its_fault(tmp_path: Path) -> None:
    early = RunEndedEarly(why="aborted", message="the run was stopped by SIGINT", findings=())
    view = continued("killed", tmp_path, early, Undone(intent=INTENT, message=UNDONE), RunFinished(residue=()))
    assert view.result.verdict == "aborted"
    assert end_state.sentence(view) == f"{END}1 fault was undone."


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ((TAKEN, RELEASED), "the run's lock on database on a was released."),
        (
            (TAKEN, OTHER, RELEASED, LockReleased(name="y", token=1)),
            "the run's 2 locks (database on a and cache, queue on a) were released.",
        ),
        ((TAKEN,), "the run's lock on database on a was still taken, and expires unless it is renewed."),
        (
            (TAKEN, RELEASED, TAKEN),
            "the run's lock on database on a was still taken, and expires unless it is renewed.",
        ),
        (
            (TAKEN, OTHER, LockLost(message="lost", names=("x",)), RELEASED),
            (
                "another run took over the run's lock on database on a; the run's lock on cache, queue on a was still taken, "
                "and expires unless it is renewed."
            ),
        ),
        ((TAKEN, LockLost(message="lost")), "another run took over the run's lock on database on a."),
        (
            (TAKEN, RECOVERY, LockTaken(name="x", token=2, services=("database",)), LockReleased(name="x", token=2)),
            (
                "the run's lock on database on a was still taken, and expires unless it is renewed. Later, the run's lock "
                "on database on a was released."
            ),
        ),
        (
            (TAKEN, RECOVERY, RELEASED, Undone(intent=INTENT, message=UNDONE)),
            "Later, drill.recover recorded: 1 fault was undone, and the run's lock on database on a was released.",
        ),
    ],
)
def test_the_locks_of_the_run(tmp_path: Path, events: tuple[Content, ...], said: str) -> None:
    assert end_state.sentence(continued("killed", tmp_path, *events)).endswith(said)


@pytest.mark.parametrize("ending", [(), (RECOVERY, Undone(intent=INTENT, message=GONE))])
def test_an_undo_by_the_lease_is_not_said_to_have_failed(tmp_path: Path, ending: tuple[Content, ...]) -> None:
    view = continued("killed", tmp_path, LeaseLapsed(message="reverted"), *ending)
    later = " Later, drill.recover recorded: 1 fault was gone before an undo began." if ending else ""
    assert end_state.sentence(view) == f"{UNRECORDED}.{later}"


def test_a_run_that_found_the_fault_gone_was_not_its_undo(tmp_path: Path) -> None:
    events = (LeaseLapsed(message="reverted"), Undone(intent=INTENT, message=GONE), RunFinished(residue=()))
    view = continued("killed", tmp_path, *events)
    assert end_state.sentence(view).startswith(f"{END}1 fault was gone before an undo began")


def test_a_lab_that_is_gone_undid_nothing(tmp_path: Path) -> None:
    why = "the lab of the run in /gone no longer exists"
    header = {"tool": "test", "operator": "nobody", "controller": "here"}
    lab_gone.settle(copied("killed", tmp_path), why, header, lambda _: None, lambda _: None)
    said = end_state.sentence(judge(read(tmp_path / FILE)))
    assert said == f"{UNRECORDED}. Later, drill.recover recorded: 1 fault: {why}: nothing is left to undo."


@pytest.mark.parametrize("before", [(), (RECOVERY,)])
def test_a_fault_that_never_happened_was_not_undone(tmp_path: Path, before: tuple[Content, ...]) -> None:
    view = continued("died", tmp_path, *before, Undone(intent=INTENT, message=NEVER_HAPPENED))
    assert end_state.sentence(view) == ""
    assert "it never happened" in headlines.sentence(view)


def test_the_headline_claims_no_failed_undo_of_a_controller_that_died() -> None:
    text = headlines.sentence(samples.recorded("died"))
    assert "could not be undone" not in text
    assert text.endswith("the controller died during the injection; no undo of the change was recorded.")


def test_the_head_of_the_page_links_the_failed_step() -> None:
    page = html.render(samples.failed())
    head = page.split("</header>")[0]
    assert "<code>verify.1</code></a>." in head
    anchor = head.split('Failed step: <a href="#')[1].split('"')[0]
    assert f'id="{anchor}"' in page
    assert "Failed step" not in html.render(samples.passed())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("killed", "Step inject.1: unknown: the step began, but its outcome was not recorded."),
        ("hostile", "Step verify.1: error: the step itself failed."),
    ],
)
def test_a_step_that_found_no_problem_is_not_called_failed(name: str, said: str) -> None:
    head = plain(html.render(samples.recorded(name)).split("</header>")[0])
    assert "Failed step" not in head
    assert said in head


@pytest.mark.parametrize(
    ("status", "left", "told"),
    [
        ("done", 0, "nothing is left to undo; the restore steps and the verification steps of the recovery succeeded."),
        (
            "failed",
            0,
            "nothing is left to undo; the restore steps of the recovery succeeded; the verification of the recovery did not succeed.",
        ),
        ("done", 1, ""),
    ],
)
def test_a_recovered_run_begins_with_what_is_known_good(status: str, left: int, told: str) -> None:
    view = samples.recorded("recovered")
    act = view.recoveries[0].acts[0]
    steps = [
        act.model_copy(update={"sort": "step", "step": step, "phase": phase, "status": how})
        for step, phase, how in (("recovery.1", "restore", "done"), ("verify.1", "verify", status))
    ]
    recovery = view.recoveries[0].model_copy(update={"acts": tuple(steps), "left": left})
    said = end_state.sentence(view.model_copy(update={"recoveries": (recovery,)}))
    assert said.startswith(f"Recovered at 2026-11-28 05:19:44 UTC: {told}" if told else UNRECORDED)


@pytest.mark.parametrize(
    ("verified", "told"),
    [
        ([], "1 fault was undone by a restore."),
        (["done"], "1 fault was undone by a restore."),
        (["failed"], "1 fault was put back by a restore that ran to its end; the recovery is not verified."),
        (["failed", "done"], "1 fault was undone by a restore."),
    ],
)
def test_a_restore_of_a_recovery_that_was_not_verified_undid_no_fault(
    tmp_path: Path, verified: list[str], told: str
) -> None:
    view = continued("killed", tmp_path, RECOVERY, Undone(intent=INTENT, message=GONE), RecoveryFinished(residue=()))
    faults = tuple(fault.model_copy(update={"ended": end_state.RESTORED}) for fault in view.result.faults)
    result = view.result.model_copy(update={"faults": faults})
    act = view.recoveries[0].acts[0]
    steps = [
        act.model_copy(update={"sort": "step", "step": "verify.1", "phase": "verify", "status": how}) for how in verified
    ]
    recoveries = (view.recoveries[0].model_copy(update={"acts": (act, *steps)}),)
    said = end_state.sentence(view.model_copy(update={"result": result, "recoveries": recoveries}))
    assert said.endswith(f"Later, drill.recover recorded: {told}")


def test_a_recovery_that_ended_a_closing_left_changes_without_an_undo(tmp_path: Path) -> None:
    settled = ResidueSettled(by="li", reason="x", changes=(), approval=None, residue=(), intents=(INTENT,))
    view = continued("killed", tmp_path, RECOVERY, settled, RECOVERY, RecoveryFinished(residue=(), kept=()))
    assert end_state.sentence(view).startswith(UNRECORDED)


def test_a_recovered_run_tells_at_once_what_was_lost() -> None:
    view = samples.recorded("recovered")
    lost = finding("acknowledged-writes-lost", wanted="none", measured="2 of 4 acknowledged writes: numbers 3 to 4")
    result = view.result.model_copy(update={"findings": (*view.result.findings, lost)})
    known = "Data lost: 2 of 4 acknowledged test writes of the drill (numbers 3 to 4). "
    lossy = view.model_copy(update={"result": result})
    assert end_state.sentence(lossy).startswith(f"{BACK}{known}{DIED}")
    for page in (html.render(lossy), markdown.render(lossy)):
        told = plain(page)
        assert told.index(known.strip()) < told.index("An aborted run is not a pass"), "in the first paragraph"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "killed",
            "The controller of the run died during the phase inject. No undo of 1 change is recorded, so the system may still be changed.",
        ),
        (
            "closed",
            "The controller of the run died during the phase inject. A person later closed the changes that had no recorded undo.",
        ),
        ("recovered", f"The controller of the run died during the phase inject. {BACK.strip()}"),
    ],
)
def test_the_head_of_a_run_whose_controller_died_says_what_happened_and_what_is_the_state_now(name: str, said: str) -> None:
    view = samples.recorded(name)
    assert end_state.lead(view) == said
    page = html.render(view)
    head, _, rest = page.partition("</header>")
    assert plain(head.partition('<p class="ending">')[2].partition("</p>")[0]) == said
    assert (DIED in head) is not bool(view.recoveries)
    assert DIED in page
    assert markdown.render(view).index("The controller of the run died during") < markdown.render(view).index(DIED)
    assert bool(view.recoveries) == (DIED in rest.partition('id="recovery"')[2])
