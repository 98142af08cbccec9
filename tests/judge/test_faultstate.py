"""State of a fault: derived from hand-written journals, and used by all figures and sentences."""

from drillbook.journal.intents import GONE
from drillbook.judge.faultstate import begun, ending
from drillbook.judge.result import FaultResult, Injection
from drillbook.report import headlines, markdown, rows
from tests.judge.story import ACKS, SAMPLES, Story, grid

COMMANDS = {"kind": "commands", "commands": [["start"]], "action": "", "params": {}, "why": ""}
RESTORE = {"kind": "restore", "commands": [], "action": "", "params": {}, "why": "it is gone"}


def broken_off(story, outcome="cancelled", undo=None):
    """The injection was announced and failed; no check tells if the fault is active."""
    story.add(9.9, "phase.started", phase="inject")
    story.step(10.0, 10.2, "inject.1", "app-1", outcome, effect="fault", undo=undo or COMMANDS)
    story.add(10.2, "phase.ended", phase="inject", status="failed")
    return story.add(10.3, "ended.early", why="aborted", message="the run was stopped by SIGINT", findings=[])


def undone(story, message="undone"):
    seq = next(event.seq for event in story.events if event.kind == "intent")
    return story.add(11.0, "undone", "inject.1", "app-1", intent=seq, message=message)


def measured(story, survivors=((1, 400),)):
    return story.availability(*SAMPLES).canary(ACKS, [list(one) for one in survivors])


def state(view):
    (one,) = view.result.faults
    return one.injection, one.ended


def without_figures(view):
    clocks = view.result.clocks
    assert all(clocks[name] is None for name in ("disruption_s", "detection_s", "outage_s", "rto_s", "verified_s", "rpo_s"))
    for objective in view.result.objectives.values():
        assert (objective.measured_s, objective.met, objective.lost_writes) == (None, None, None)
    assert not set(view.timeline.marks) & {"disruption", "first_bad", "recovered", "verified", "recovery_point"}
    text = markdown.render(view)
    assert "was disrupted" not in text
    assert "served again" not in text
    return text


def test_a_stopped_injection_has_no_figure_of_a_disruption(tmp_path):
    view = undone(measured(broken_off(Story(tmp_path)))).end().judge()
    assert state(view) == (Injection.UNKNOWN, "put back: undone")
    text = without_figures(view)
    (one,) = [found for found in view.result.findings if found.code == "fault-unproven"]
    assert one.measured == "it is unknown if the fault was injected: the injection was stopped"
    told = (
        "no check of the injection is recorded, so it is unknown if the fault was injected: the injection was stopped; "
        "it was undone in case it was"
    )
    assert f"{told} injected." in headlines.sentence(view)
    assert "the fault was not injected" not in text
    assert rows.nothing_measured(view) == "", "what the probes saw of it is shown"


def test_writes_that_a_stopped_injection_lost_are_told_and_are_no_recovery_point(tmp_path):
    view = undone(measured(broken_off(Story(tmp_path)), [(1, 150)])).end().judge()
    without_figures(view)
    assert "acknowledged-writes-lost" in {one.code for one in view.result.findings}


def test_a_service_that_a_stopped_injection_left_bad_is_told(tmp_path):
    story = broken_off(Story(tmp_path)).availability(*grid(5.0, 10.1, True), *grid(10.1, 20.9, False))
    view = story.canary(ACKS, [[1, 400]]).end().judge()
    without_figures(view)
    assert "not-recovered" in {one.code for one in view.result.findings}
    assert state(view) == (Injection.UNKNOWN, "open")


def test_what_never_happened_was_not_injected(tmp_path):
    view = undone(measured(broken_off(Story(tmp_path), undo=RESTORE)), "it never happened").end().judge()
    assert state(view) == (Injection.NEVER, "it never happened")
    text = without_figures(view)
    assert "it never happened: the check of the fault proves that it changed nothing" in text
    assert "no fault was injected" in rows.nothing_measured(view)
    assert "put back" not in next(step.undone for step in view.steps if step.result.id == "inject.1")


def test_an_injection_that_was_never_announced(tmp_path):
    story = measured(Story(tmp_path)).add(9.9, "phase.started", phase="inject")
    story.add(9.9, "ended.early", why="aborted", message="the run was stopped by SIGINT", findings=[])
    view = story.end().judge()
    assert state(view) == (Injection.NOT, "")
    without_figures(view)
    assert "the fault was not injected" in {one.measured for one in view.result.findings}


def test_a_controller_that_died_in_the_injection(tmp_path):
    story = Story(tmp_path).add(9.9, "phase.started", phase="inject")
    story.step(10.0, 10.0, "inject.1", "app-1", effect="fault", undo=COMMANDS)
    story.events.pop()
    view = measured(story).judge()
    assert state(view) == (Injection.UNKNOWN, "residue")
    text = without_figures(view)
    assert "the controller died during the injection; no undo of the change was recorded" in text


def test_a_fault_whose_proof_came_before_the_stop_was_injected(tmp_path):
    story = broken_off(Story(tmp_path)).add(10.2, "fault.active", "inject.1", "app-1", active=True, detail="")
    view = undone(measured(story)).end().judge()
    assert state(view) == (Injection.INJECTED, "put back: undone")
    assert view.result.clocks["disruption_s"] == 10.0
    assert "was disrupted" in headlines.sentence(view)


def test_no_outage_was_seen_of_a_fault_that_is_not_proven(tmp_path):
    story = Story(tmp_path).fault(active=False).availability(*grid(5.0, 16.0, True)).canary(ACKS, [[1, 400]])
    view = story.recovery().end().judge()
    assert state(view)[0] is Injection.UNPROVEN
    assert "although the fault was active" not in markdown.render(view)


def test_the_end_of_a_change_says_what_became_of_it(tmp_path):
    kept = {"kind": "nothing", "commands": [], "action": "", "params": {}, "why": "a backup is kept"}
    story = Story(tmp_path).good()
    story.events.pop()
    seq = len(story.events)
    story.step(11.0, 12.0, "restore.1", "app-1", effect="write", undo=kept)
    story.add(20.0, "undone", "restore.1", "app-1", intent=seq + 1, message="a backup is kept")
    view = undone(story).end().judge()
    assert next(step.undone for step in view.steps if step.result.id == "restore.1") == "kept as it is: a backup is kept"
    assert next(step.undone for step in view.steps if step.result.id == "inject.1") == "put back: undone"
    text = markdown.render(view)
    assert "put back: a backup" not in text


def test_the_disruption_begins_with_the_first_fault_that_may_have_happened():
    def one(injection, since):
        return FaultResult(step="inject.1", host="app-1", injection=injection, since_s=since)

    never, missing = one(Injection.NEVER, 5.0), one(Injection.NOT, None)
    assert begun([never, one(Injection.INJECTED, 9.0), one(Injection.UNKNOWN, 8.0), missing]) == 8.0
    assert begun([never, missing]) is None


def test_only_what_a_restore_brings_back_is_told_as_restored(tmp_path):
    story = broken_off(Story(tmp_path))
    intent = next(event for event in story.events if event.kind == "intent")
    last = story.add(11.0, "undone", "inject.1", "app-1", intent=intent.seq, message=GONE).events[-1]
    assert ending(intent.what, last.what) == f"put back: {GONE}"
    assert ending(intent.what.model_copy(update={"undo": RESTORE}), last.what) == "put back: restored"
