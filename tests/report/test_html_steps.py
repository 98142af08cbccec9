"""All texts of a step are data: they are escaped, and their invisible characters are shown."""

import pytest

from drillbook.findings import finding
from drillbook.judge.result import CommandView, StepResult, StepView
from drillbook.report import html_steps
from drillbook.report.rows import PhaseRow

MARK = "<b onclick='x'>&amp;\u202e"
SAFE = "&lt;b onclick=&#39;x&#39;&gt;&amp;amp;\\u202e"


def command(text, **more):
    plain = {"argv": (text, "two words"), "exit": 1, "signal": None, "seconds": 0.25, "stdout": text, "stderr": text}
    return CommandView(**{**plain, "stdout_bytes": 10**9, "stderr_bytes": len(text.encode()), **more})


def step(text, **more):
    result = StepResult(
        id=text,
        action=text,
        host=text,
        status="failed",
        seconds=1.5,
        facts={text: text, "log": {"file": text, "sha256": text}},
    )
    texts = dict.fromkeys(("name", "phase", "effect", "undo", "undone", "message", "allowed"), text)
    commands = (command(text), command(text, signal=text), command(text, error=text))
    return StepView(
        **{"result": result, "start": 3.0, "params": {text: [text]}, "commands": commands, "attempts": 3, **texts, **more}
    )


def section(one):
    where = (one.result.id, one.result.host)
    told = [finding("step-failed", title=one.message, step=where[0], host=where[1])]
    phase = PhaseRow(one.phase, "failed", 2.0, (one,))
    return html_steps.section("2026-01-02T10:00:00Z", [phase], {where: "step-1"}, {where: told})


@pytest.mark.parametrize("times", [1, html_steps.LONGEST])
def test_every_text_of_a_step_is_escaped(times):
    page = section(step(MARK * times))
    assert "<b " not in page
    assert "\u202e" not in page
    assert page.count(SAFE) >= 25 * times


def test_what_a_step_does_not_have_is_left_out():
    bare = step("x", name="", undo="", undone="", message="", allowed="", params={}, commands=(), attempts=1, start=None)
    page = section(bare)
    for name in ("Undo", "In the end", "Message", "Allowed, because", "Parameters", "Command", "attempts", "begun at"):
        assert f">{name}" not in page
    assert "never begun" in page
