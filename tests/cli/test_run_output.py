"""Output of a run or a suite: its parts have even distances."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from drillbook.cli.run_output import Manner, Teller
from tests.report import samples
from tests.waiting import until


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


def test_the_live_view_is_removed_before_the_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of the view that are removed later would stay empty below the verdict, and push as many lines off the screen."""
    monkeypatch.setenv("TERM", "xterm")
    text = io.StringIO()
    teller = Teller(Manner.BRIEF)
    teller.console = Console(file=text, force_terminal=True, width=80, height=24)
    suite, views = samples.suite()
    with teller.watching(suite=True):
        until(text.getvalue, "the live view")
        teller.end_suite(suite, list(views), "reports/x/report.html")
        printed = text.getvalue()
        assert suite.suite in printed.splitlines()[-1]
    assert text.getvalue() == printed, "nothing is drawn or removed after the summary"
