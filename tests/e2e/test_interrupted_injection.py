"""Ctrl-C during the injection: all sentences and figures of the reports follow from one state of the fault."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from drillbook.engine.stop_requests import Stop
from drillbook.judge.result import Injection, Verdict
from drillbook.report.terminal import summary
from tests.report import renderings
from tests.report.test_agreement import plain
from tests.waiting import PATIENCE_S

FIGURES = ("disruption_s", "detection_s", "outage_s", "rto_s", "verified_s", "rpo_s")


@pytest.fixture
def asked(monkeypatch):
    """Event that is set as soon as the run was asked to stop."""
    heard, ask = threading.Event(), Stop.ask

    def asking(self, *words, **named):
        first = ask(self, *words, **named)
        heard.set()
        return first

    monkeypatch.setattr(Stop, "ask", asking)
    return heard


def interrupt(kind, asked):
    """Observer that sends a real SIGINT to this process at the first event of ``kind`` since the injection was
    announced.
    """
    seen = []

    def observe(event):
        if event.step == "inject.1" and (seen or event.kind == "intent"):
            seen.append(event.kind)
            if event.kind == kind and seen.count(kind) == 1:
                os.kill(os.getpid(), signal.SIGINT)
                assert asked.wait(PATIENCE_S)

    return observe


@pytest.mark.parametrize("moment", ["intent", "command"])
@pytest.mark.parametrize("drill", ["postgres-lost", "api-down"])
def test_ctrl_c_in_the_injection(bench, asked, drill, moment):
    bench.spoiled = drill == "postgres-lost"
    _, view = bench.run(bench.plan(drill), interrupt(moment, asked))
    result, (fault,) = view.result, view.result.faults
    assert (result.verdict, result.residue) == (Verdict.ABORTED, ()), result.reason
    assert fault.injection in (Injection.UNKNOWN, Injection.NEVER), fault
    assert fault.ended.startswith("it never happened" if fault.injection is Injection.NEVER else "put back: "), fault
    assert not [name for name in FIGURES if result.clocks[name] is not None]
    assert {one.lost_writes for one in result.objectives.values()} == {None}
    formats = {**renderings.formats(view), "txt": renderings.printed(summary.summary(view), 300)}
    for ending, text in formats.items():
        words = plain(text)
        assert fault.why in words, ending
        for wrong in ("the fault was not injected", "was disrupted", "served again", "although the fault was active"):
            assert wrong not in words, (ending, wrong)
        assert "put back: a backup is kept" not in words, ending


def test_ctrl_c_while_it_is_asked_whether_the_system_is_ready(bench, asked):
    """A check interrupted by the stop has no answer: the run is stopped, not refused."""
    sent = []

    def observe(event):
        if event.step == "inject.1" and event.kind == "command" and not sent:
            sent.append(event)
            os.kill(os.getpid(), signal.SIGINT)
            assert asked.wait(PATIENCE_S)

    _, view = bench.run(bench.plan("api-down"), observe)
    assert sent
    assert view.result.verdict is Verdict.ABORTED, view.result.reason
    assert "not-ready" not in {one.code for one in view.result.findings}
