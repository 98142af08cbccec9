"""The program's name in the commands that messages suggest."""

import sys

import pytest

from drillbook.cli import developer_tasks
from drillbook.cli.tasks import namespace
from drillbook.installation.program_name import TASKS, as_called, program


@pytest.mark.parametrize(
    ("called", "name"),
    [("/x/bin/invoke", "invoke"), ("inv", "invoke"), ("/x/drillbook", "drillbook"), ("-c", "drillbook")],
)
def test_the_name_is_the_one_that_was_typed(monkeypatch, called, name):
    monkeypatch.setattr(sys, "argv", [called])
    assert program() == name
    assert as_called("see `invoke drill.list`") == f"see `{name} drill.list`"


def test_only_commands_are_renamed():
    text = "invoke the handler; invoke drilling; reinvoke drill; invoke docs"
    assert as_called(text, "drillbook") == text
    assert as_called("Recover it: invoke drill.recover R, invoke lab.up", "drillbook") == (
        "Recover it: drillbook drill.recover R, drillbook lab.up"
    )


def test_every_task_is_known():
    groups = {name.partition(".")[0] for name in namespace().task_names}
    assert groups - {task.name for task in developer_tasks.TASKS} == set(TASKS)
