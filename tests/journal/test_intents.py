"""Intents of a journal: open until their change is undone or settled, with the steps that a recovery added."""

import pytest

from drillbook.journal.intents import added, intents
from drillbook.journal.journal import FILE, Journal, read
from drillbook.plan.planned_step import PlannedStep
from drillbook.redact import Redactor
from drillbook.sdk.action import Effect
from tests.contents import content

UNDO = {"kind": "commands", "commands": [["true"]], "action": "", "params": {}, "why": ""}
STEP = PlannedStep(
    id="inject.1",
    phase="inject",
    group=None,
    action="command.run",
    name="",
    params={"argv": ["{{ said }}"]},
    effect=Effect.FAULT,
    restore_only=False,
    proves_backup=False,
    hosts=("a",),
    save=None,
    when=None,
    expect=(),
    timeout_s=10.0,
    retries=0,
    every_s=None,
    allow_failure=None,
    line="sample.yml:4",
)


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path, Redactor([]), origin=0.0)
    yield journal
    journal.close()


def announce(journal, step="inject.1", host="a", **more):
    data = {"action": "command.run", "params": {"argv": ["true"]}, "effect": "fault", "undo": UNDO, **more}
    return journal.append(content("intent", data), step=step, host=host).seq


def found(journal, *steps):
    return intents(read(journal.path.parent / FILE).events, steps or (STEP,))


def test_an_intent_is_open_until_its_change_is_undone_or_settled(journal):
    first, second, third = announce(journal), announce(journal, host="b"), announce(journal, become="app")
    journal.append(content("undone", {"intent": first}))
    assert [(one.seq, one.host, one.settled) for one in found(journal)] == [
        (first, "a", True),
        (second, "b", False),
        (third, "a", False),
    ]
    journal.append(content("residue.settled", {"intents": [third]}))
    assert [one.settled for one in found(journal)] == [True, False, True]
    assert [one.become for one in found(journal)] == ["", "", "app"]


def test_an_intent_has_the_parameters_that_were_recorded_and_not_those_of_the_plan(journal):
    announce(journal, params={"argv": ["rm", "/x"], "effect": "fault", "undo": ["true"], "proof": ["true"]})
    (one,) = found(journal)
    assert one.action().argv == ("rm", "/x")
    assert (one.step, one.effect) == (STEP, Effect.FAULT)


def test_a_step_that_a_recovery_added_is_known_to_its_intents(journal):
    later = STEP.model_copy(update={"id": "recovery.1", "effect": Effect.WRITE})
    journal.append(content("step.added", {"step": later.model_dump(mode="json")}))
    announce(journal, step="recovery.1", effect="write")
    assert [one.step for one in found(journal)] == [later]
    assert added(read(journal.path.parent / FILE).events) == [later]
