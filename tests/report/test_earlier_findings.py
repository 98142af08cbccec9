"""A finding that a report had before the recovery does not disappear without a word."""

from __future__ import annotations

import pytest

from drillbook.findings import finding
from drillbook.report import earlier_findings, html, markdown
from tests.judge.story import Story
from tests.report import samples
from tests.report.test_agreement import plain

CANARY = {"probe": "probe.2", "name": "postgres.canary", "kind": "canary", "every_s": 0.05, "timeout_s": 1.0}


def died(tmp_path):
    """Run whose controller died after its fault, before it read back the writes of its canary."""
    story = Story(tmp_path).fault()
    story.add(0.0, "probe.started", **CANARY)
    writes = [[number, number / 2, number / 2 + 0.01] for number in range(1, 21)]
    return story.add(20.0, "canary.writes", probe="probe.2", acknowledged=writes, in_doubt=[], lost=[])


def recovered(story, *survivors, residue=()):
    number = next(event.seq for event in story.events if event.kind == "intent")
    story.add(0.5, "recovery.started", operator="ops", controller="box")
    if not residue:
        story.add(1.0, "undone", "inject.1", "app-1", intent=number, message="undone")
    for last in survivors:
        story.add(1.5, "canary.survivors", probe="probe.2", ranges=[[1, last]], count=last)
    return story.add(9.0, "recovery.finished", residue=list(residue)).judge()


def codes(view):
    return {one.code for one in view.result.findings}


def test_what_became_of_each_kind_of_finding_is_told_with_the_time(tmp_path):
    before = died(tmp_path).judge()
    after = recovered(died(tmp_path), 4)
    assert codes(before) - codes(after) == {"residue", "probe-failed"}
    assert codes(after) - codes(before) == {"acknowledged-writes-lost"}
    assert [one.code for one in after.own.findings] == [one.code for one in before.result.findings]
    told = earlier_findings.sentence(after)
    assert told == (
        "Before the recovery, this report also had: `residue` (inject.1 on app-1): the recovery recorded an undo of each change, or "
        "why none was needed, by 2026-01-01 00:00:09 UTC; `probe-failed` (probe.2): the recovery read back the writes, by "
        "2026-01-01 00:00:09 UTC. New since then: `acknowledged-writes-lost`."
    )
    for render in (html.render, markdown.render):
        assert told.replace("`", "") in plain(render(after)).replace("`", "")
        assert "Before the recovery, this report" not in render(before)


def test_a_finding_that_the_recovery_left_as_it_was_is_not_told_as_gone(tmp_path):
    left = {"step": "inject.1", "host": "app-1", "what": "service.kill", "why": "x", "by_hand": "y"}
    view = recovered(died(tmp_path), residue=[left])
    assert {"residue", "probe-failed"} <= codes(view)
    assert earlier_findings.sentence(view) == ""
    read = recovered(died(tmp_path), 20, residue=[left])
    assert "`residue`" not in earlier_findings.sentence(read)
    assert "`probe-failed`" in earlier_findings.sentence(read)


@pytest.mark.parametrize("name", samples.RECORDED)
def test_a_run_without_a_recovery_has_no_such_sentence(name):
    view = samples.recorded(name)
    assert bool(view.own.findings) == bool(view.recoveries and view.own.events < view.journal_events)
    if not view.recoveries:
        assert earlier_findings.sentence(view) == ""


def test_of_many_findings_of_a_kind_only_the_first_are_named(tmp_path):
    view = recovered(died(tmp_path), 20)
    many = tuple(finding("residue", title="x", step=f"inject.{number}", host="a") for number in range(1, 9))
    view = view.model_copy(update={"own": view.own.model_copy(update={"findings": many})})
    assert "`residue` (inject.1 on a, inject.2 on a, inject.3 on a and 5 more)" in earlier_findings.sentence(view)


def test_a_lab_that_is_gone_is_the_reason(tmp_path):
    story = died(tmp_path).add(0.5, "recovery.started", operator="ops", controller="box")
    view = story.add(9.0, "recovery.finished", residue=[], gone="the lab of the run is gone").judge()
    assert "`residue` (inject.1 on app-1): nothing is left to undo, because the lab of the run is gone." in (
        earlier_findings.sentence(view)
    )
