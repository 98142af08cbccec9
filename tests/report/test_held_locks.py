"""A refusal by the lock of another run leads to that run."""

from __future__ import annotations

from drillbook.findings import Finding, finding
from drillbook.judge.result import RunView, Verdict
from drillbook.report import held_locks, markdown, next_steps, suite_steps
from tests.report import samples

HOLDER = "20261130T215035.927Z-api-down-530d"


def locked(remedy: str = f"wait until that run has ended, or stop it with `invoke drill.stop {HOLDER}`") -> Finding:
    return finding("locked", title="api", measured="a: api is locked by the run", remedy=remedy)


def refused(*findings: Finding) -> RunView:
    more = {"drill": "cache-lost", "verdict": Verdict.REFUSED, "exit": 4, "findings": findings}
    return samples.view(samples.result(**more), program="drillbook", inventory="lab")


def test_the_next_step_is_to_wait_for_the_holder_or_to_stop_it() -> None:
    view = refused(locked())
    steps = next_steps.in_report(view)
    assert steps[:2] == [
        (held_locks.WAIT, f"drillbook drill.stop {HOLDER}"),
        ("then run the drill", "drillbook drill cache-lost"),
    ]
    assert f"{held_locks.WAIT}: `drillbook drill.stop {HOLDER}`" in markdown.render(view)
    assert not [text for text, _ in steps if "precondition" in text]


def test_a_suite_names_the_holder_once() -> None:
    suite = samples.suite()[0].model_copy(update={"verdict": Verdict.REFUSED})
    steps = suite_steps.after_suite("drillbook", suite, [refused(locked()), refused(locked())], "lab")
    assert [command for text, command in steps if text == held_locks.WAIT] == [f"drillbook drill.stop {HOLDER}"]


def test_without_the_name_of_the_holder_there_is_no_command() -> None:
    assert held_locks.to_wait("drillbook", [refused(locked("wait")).result]) == []
    assert held_locks.to_wait("drillbook", [samples.passed().result]) == []


def test_only_a_refusal_leads_to_the_holder() -> None:
    result = refused(locked()).result.model_copy(update={"verdict": Verdict.ABORTED})
    assert held_locks.to_wait("drillbook", [result]) == []
