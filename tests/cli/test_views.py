"""Output of a run or a suite: its parts have even distances."""

from __future__ import annotations

import pytest
from rich.text import Text

from drillbook.cli.views import Manner, Teller


@pytest.mark.parametrize("manner", [Manner.BRIEF, Manner.FULL])
def test_messages_before_a_run_are_set_off_by_an_empty_line(capsys: pytest.CaptureFixture[str], manner: Manner) -> None:
    teller = Teller(manner)
    teller.note("lab: starting")
    teller.note("lab: healthy")
    with teller.watching(suite=True):
        teller.say(Text("a drill"))
    assert capsys.readouterr().out.splitlines() == ["lab: starting", "lab: healthy", "", "a drill"]


def test_a_run_without_messages_before_it_begins_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    teller = Teller(Manner.BRIEF)
    with teller.watching(suite=True):
        teller.say(Text("a drill"))
    assert capsys.readouterr().out.splitlines() == ["a drill"]
