"""Words beside a command that only prints the documentation of an action."""

from __future__ import annotations

import pytest

from drillbook.report import pages
from drillbook.report.action_references import is_reference, reading, split, words


@pytest.mark.parametrize(
    ("action", "words", "command"),
    [
        ("postgres.recover", "to read how a drill writes this step", "invoke actions postgres.recover"),
        ("", "to read which actions there are", "invoke actions"),
    ],
)
def test_the_words_before_a_reference_say_that_it_is_to_be_read(action: str, words: str, command: str) -> None:
    step = reading("invoke", "restore the data; then the log", action)
    assert step == (f"restore the data; then the log; {words}", command)
    assert split(step[0]) == ("restore the data; then the log", words)


def test_a_command_that_does_what_its_words_say_is_no_reference() -> None:
    assert split("correct the cause; then repeat the drill") == ("correct the cause; then repeat the drill", "")
    assert split("read the report") == ("read the report", "")


def test_a_sentence_has_the_words_and_the_command() -> None:
    assert words("drillbook", "own.restore") == "to read how a drill writes this step: `drillbook actions own.restore`"


def test_pages_do_not_show_a_reference_as_a_command_to_run() -> None:
    assert is_reference("invoke actions")
    assert is_reference("drillbook actions own.restore")
    assert not is_reference("drillbook drill actions")
    text = "repeat it: `drillbook drill x` (`drillbook actions own.restore`)"
    for shown in (pages.commands(text), pages.dated_commands(text)):
        assert '<code class="command">drillbook drill x</code> (<code>drillbook actions own.restore</code>)' in shown
