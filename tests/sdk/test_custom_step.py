"""Declarations of custom steps: the effect, the undo and the proof that a drill must write, and those that contradict."""

import pytest

from drillbook.language.explaining import Misplaced
from drillbook.sdk.action import Effect, find
from drillbook.sdk.custom_step import declared_undo

FAULT = {"effect": "fault", "undo": ["true"], "proof": ["true"]}


@pytest.mark.parametrize(
    "written",
    [
        {"effect": "read"},
        {"effect": "write", "undo": ["true"]},
        {"effect": "write", "restores": {"service": "shop", "from": "{{ backup.location }}"}},
        FAULT,
        {**FAULT, "undo": "restore", "proven_by": "backup"},
    ],
)
def test_a_complete_declaration_is_accepted(written):
    find("command.run").check_written({"argv": ["true"], **written})


@pytest.mark.parametrize(
    ("written", "said", "key"),
    [
        ({}, "does not declare its effect", ()),
        (
            {"effect": "read", "restores": {"service": "shop"}},
            "the only allowed value of `effect` is `write`",
            ("restores",),
        ),
        ({"effect": "write", "undo": "restore"}, "is not a fault", ("undo",)),
        ({"effect": "read", "proven_by": "backup"}, "is not a fault", ("proven_by",)),
        ({**FAULT, "undo": None}, "needs `undo`", ()),
        ({**FAULT, "proof": None}, "needs `proof`", ()),
        ({**FAULT, "undo": "{{ later }}"}, "must be known before the run", ("undo",)),
        ({**FAULT, "undo": "restore"}, "needs `proven_by`", ("undo",)),
        ({**FAULT, "proven_by": "backup"}, "allowed only with `undo: restore`", ("proven_by",)),
    ],
)
def test_a_declaration_that_lacks_or_contradicts_something_is_told_at_its_key(written, said, key):
    with pytest.raises(Misplaced) as told:
        find("command.run").check_written({"argv": ["true"], **written})
    assert said in str(told.value)
    assert told.value.place == key
    assert told.value.hint


def test_a_plan_of_an_older_version_without_an_effect_reads():
    step = find("command.run").model_validate({"argv": ["true"]})
    assert step.effect is Effect.READ


def test_a_step_without_an_undo_says_so():
    assert declared_undo(("rm", "x"), "command").commands == (("rm", "x"),)
    assert declared_undo(None, "command").why == "the drill declares no undo for this command"
