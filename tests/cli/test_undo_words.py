"""Effect and undo of an action, as the reference on the terminal tells them."""

import pytest

from drillbook.cli import tables
from drillbook.cli.undo_words import effect_line
from drillbook.sdk.action import Effect, find, known_names


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("http.responds", "Effect: read"),
        ("postgres.lose_data", "Effect: fault; undo: only a restore can recover the data"),
        ("service.kill", "Effect: fault; undo: "),
        ("postgres.restore", "Effect: write; undo: removes an unfinished restore"),
    ],
)
def test_an_action_tells_its_effect_and_undo(name, line, capsys):
    assert effect_line(find(name)).startswith(line)
    tables.actions(name)
    assert line in capsys.readouterr().out


def test_each_action_that_changes_something_tells_its_undo():
    for name in known_names():
        action = find(name)
        assert ("; undo: " in effect_line(action)) == (action.EFFECT is not Effect.READ)
