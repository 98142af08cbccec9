"""Rehearsals that passed without a comparison of the content say so, and name the action to add."""

import pytest

from drillbook.judge.verdicts import Verdict
from drillbook.report import compared_content, headlines
from drillbook.report.terminal import summary
from tests.report import rehearsed, renderings, samples
from tests.report.test_agreement import plain

SENTENCE = (
    "The restored content was not compared with anything: add a step such as postgres.compare to the phase verify (see the page "
    "Rehearse the backups that you have)."
)
RESTORE = {"id": "restore.1", "action": "backup.restore", "params": {"service": "copy", "from": "nightly"}}


def told(*more, plan=None, kind="postgres", verdict=Verdict.PASSED, view=None):
    """View of a rehearsal with further steps: pairs of the result of a step and its part of the plan."""
    view = view or rehearsed.view()
    steps = tuple(step for step, _ in more)
    result = view.result.model_copy(update={"steps": (*view.result.steps, *steps), "verdict": verdict})
    planned = [RESTORE, *(part for _, part in more)]
    made = {"steps": planned, "inventory": {"services": {"copy": {"kind": kind}}}}
    return view.model_copy(update={"result": result, "plan": made if plan is None else plan})


def step(action, *, expect=(), status="done", phase="verify", **facts):
    """Result of a further step, and its part of the plan."""
    name = f"{phase}.9"
    return samples.step(name, action, status=status, facts=facts).result, {"id": name, "action": action, "expect": expect}


def test_every_report_of_a_rehearsal_that_compared_nothing_says_so():
    view = told(step("postgres.healthy", expect=("result.ok",)))
    assert headlines.sentence(view).endswith(f"of data would be lost. {SENTENCE}")
    for text in (renderings.printed(summary.ending(view)), *renderings.formats(view).values()):
        assert SENTENCE in plain(text)


@pytest.mark.parametrize(
    "more",
    [
        step("postgres.compare", tables=2),
        step("files.matches"),
        step("content.matches"),
        step("postgres.sql", expect=("result.value > 1000",)),
        step("command.run"),
    ],
)
def test_a_rehearsal_that_asked_for_its_content_does_not_say_so(more):
    assert compared_content.not_compared(told(more)) == ""


@pytest.mark.parametrize(
    "more",
    [
        step("postgres.compare", tables=0),
        step("postgres.compare", tables=2, status="failed"),
        step("postgres.compare", tables=2, phase="backup"),
        step("postgres.sql"),
        step("backup.measure", expect=("result.loss_s < 93600",)),
        step("loss.measure", expect=("result.loss_s < 93600",)),
        step("unknown.action"),
    ],
)
def test_a_step_that_compares_nothing_is_no_comparison(more):
    assert compared_content.not_compared(told(more)) == SENTENCE
    assert compared_content.proofs([more[0]]) == []


def test_only_a_rehearsal_that_passed_says_so():
    assert compared_content.not_compared(told(verdict=Verdict.FAILED)) == ""
    assert compared_content.not_compared(told(view=rehearsed.view(status="failed"))) == ""
    assert compared_content.not_compared(samples.passed()) == ""


@pytest.mark.parametrize(
    ("kind", "action"), [("mariadb", "mariadb.compare"), ("folder", "files.compare"), ("redis", ""), ("unknown", "")]
)
def test_the_action_is_one_for_the_kind_of_the_copy(kind, action):
    said = compared_content.not_compared(told(kind=kind))
    wanted = f"such as {action} " if action else "that asks the copy for data that you know "
    assert f"add a step {wanted}to the phase verify" in said


@pytest.mark.parametrize(
    "plan", [{}, {"steps": "x"}, {"steps": ["x", RESTORE]}, {"steps": [RESTORE], "inventory": {"services": {"copy": 1}}}]
)
def test_a_malformed_plan_names_no_action(plan):
    assert "data that you know" in compared_content.not_compared(told(plan=plan))
