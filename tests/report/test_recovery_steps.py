"""The index reads the steps of recoveries as the judge does, without the models of events."""

from __future__ import annotations

import json
from pathlib import Path

from drillbook.events.steps import Done, Failed, StepStarted
from drillbook.report import index, recovery_steps
from drillbook.report.recovery_steps import Recovered, of_lines
from tests.judge.story import Story
from tests.judge.test_later_steps import died, recovered
from tests.report.test_agreement import plain


def lines(story: Story) -> list[bytes]:
    return [event.model_dump_json().encode() for event in story.events]


def test_the_steps_are_those_of_the_judge(tmp_path: Path) -> None:
    once = recovered(died(tmp_path), 119122)
    for story in (once, recovered(once, 3, "failed", verify="error")):
        known = story.judge().result.later_steps
        assert len(known) == 2
        assert [(it.id, it.action, it.status, it.facts) for it in of_lines(lines(story))] == [
            (it.id, it.action, it.status, it.facts) for it in known
        ]


def test_a_run_without_a_recovery_has_none(tmp_path: Path) -> None:
    assert of_lines(lines(died(tmp_path))) == []
    assert (
        of_lines([b"", b'{"kind": "contact.told", "data": {"message": "\\"recovery.started\\""}}', b'"recovery.started"'])
        == []
    )


def test_the_index_names_the_rows_that_a_recovery_did_not_bring_back(tmp_path: Path) -> None:
    story = recovered(died(tmp_path), 119122)
    result = json.loads(story.judge().result.model_dump_json(by_alias=True))
    entry = index.entry(result, (), {result["run"]: Recovered("2026-01-01T00:00:11Z", of_lines(lines(story)))})
    page = plain(index.render([entry]).replace(";<br>", "; "))
    assert page.count("(at least 9 rows lost; by the canary alone at most 0.05 s §)") == 2, (
        "by drill, and in the list of runs"
    )
    assert "§ Less data came back than the fault removed" in page
    assert "by the canary alone" not in plain(index.render([index.entry(result)])), "without the lines of the journal"


def test_the_names_of_events_are_those_of_their_models() -> None:
    names = [recovery_steps.BEGUN, recovery_steps.DONE, recovery_steps.FAILED]
    assert names == [model.KIND for model in (StepStarted, Done, Failed)]
