"""Instructions to undo a change by hand: for each kind of undo, the host and what to do there."""

from types import SimpleNamespace

import pytest

from drillbook.journal.intents import Intent
from drillbook.journal.manual_undo import by_hand, in_full
from drillbook.sdk.action import Effect
from drillbook.sdk.undo import Undo


def intent(become="", **undo):
    made = Undo.model_validate(undo)
    return Intent(1, SimpleNamespace(id="inject.1"), "db-1", {}, Effect.FAULT, made, settled=False, become=become)


def told(become="", **undo):
    return by_hand(intent(become, **undo))


@pytest.mark.parametrize(("become", "where"), [("", "on db-1, in"), ("app", "on db-1 as app, in")])
def test_commands_are_written_for_a_shell_in_their_order(become, where):
    text = told(become, kind="commands", commands=[["mv", "a b", "c"], ["systemctl", "start", "app"]])
    assert text == f"{where} this order:\nmv 'a b' c\nsystemctl start app"


def test_the_work_of_an_action_is_named_with_its_parameters():
    text = told(kind="action", action="files.put", params={"path": "/é", "mode": 1})
    assert text.startswith('on db-1, do the work of the action files.put with {"mode": 1, "path": "/é"};')
    assert "invoke actions files.put" in text


def test_reports_do_not_offer_the_reference_of_an_action_as_the_undo():
    made = intent(kind="action", action="files.put", params={"path": "{{ x }}"})
    text = in_full(made, None, ())
    assert text.startswith('on db-1, do the work of the action files.put with {"path": "{{ x }}"}: a drill with this')
    assert text.endswith("\nto read how a drill writes this step: `invoke actions files.put`")


def test_a_restore_names_its_backup_and_other_work_the_report():
    assert "restore the service from its newest verified backup" in told(kind="restore", why="the data is gone")
    assert "find out what the step did (the report has its parameters and commands)" in told(kind="nothing", why="odd")
