"""Texts of a step in plain words: its undo, and the message of a step that was stopped."""

from __future__ import annotations

import pytest

from drillbook.report import html, markdown, step_texts
from tests.report import samples
from tests.report.test_agreement import plain

SHELL = "db-1: `sh -c exec initdb` was stopped; it was killed"


@pytest.mark.parametrize(
    ("undo", "said"),
    [
        ("postgres.clear_restore {'service': 'database', 'temporary': True}",
         "by the action postgres.clear_restore (service: database, temporary: true)"),
        ("port.open {}", "by the action port.open"),
        ("sh -c true", "sh -c true"),
        ("files.any {'a': ", "files.any {'a': "),
    ],
)  # fmt: skip
def test_an_undo_by_an_action_is_told_without_python(undo, said):
    step = samples.passed().steps[0].model_copy(update={"undo": undo})
    assert step_texts.undo_of(step) == said


def test_the_message_of_a_stopped_step_leaves_its_command_out():
    assert step_texts.message(SHELL, "cancelled") == "its command was stopped"
    assert step_texts.message(SHELL, "failed") == SHELL
    view = samples.recorded("stopped")
    steps = tuple(
        one.model_copy(update={"message": SHELL}) if one.result.status == "cancelled" else one for one in view.steps
    )
    end = view.early_end
    assert end is not None
    inner = tuple(
        one.model_copy(update={"message": SHELL}) if one.result.status == "cancelled" else one for one in end.steps
    )
    view = view.model_copy(update={"steps": steps, "early_end": end.model_copy(update={"steps": inner})})
    page = html.render(view)
    assert "its command was stopped" in page
    assert "exec initdb" not in page + markdown.render(view)
    assert "</span> cancelled</span>" not in page, "a phase and its steps have one word"


def test_both_formats_tell_the_attempts_of_a_step_and_their_outcomes():
    view = samples.repeated()
    step = next(step for step in view.steps if step.every_s is not None and step.attempts > 1)
    tried = step.model_copy(update={"outcomes": (("HTTP 503", 11), ("good", 1))})
    view = view.model_copy(update={"steps": tuple(tried if each is step else each for each in view.steps)})
    for text in (plain(html.render(view)), plain(markdown.render(view))):
        assert step_texts.attempts_of(step) in text
        assert "11 × HTTP 503" in text
        assert "1 × good" in text
    assert step_texts.attempts_of(step.model_copy(update={"attempts": 1})) == ""
