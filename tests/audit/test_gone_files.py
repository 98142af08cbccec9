"""No alert asks for a run of a drill whose file is gone from ``drills/``: the command would end with "there is no drill"."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drillbook.audit import gone_files, html, markdown, summary
from drillbook.audit.alert_causes import alerts
from drillbook.audit.alert_commands import commands_at_once
from drillbook.project.schedules import Scheduled
from tests.audit.stories import DOWN
from tests.audit.test_chain import audited
from tests.report.test_agreement import plain

RETIRE = "drillbook schedule.retire api-down --reason TEXT"


def failed(book, *names):
    book.run("2026-02-10T09:00:00", drill="api-down", text=DOWN).slow().close()
    return replace(audited(book), drills=tuple(map(Scheduled, names)))


def test_a_failed_drill_without_a_file_is_to_be_retired_and_not_to_run(book):
    audit = failed(book, "other")
    about = [alert for alert in alerts(audit) if alert.about == "api-down in lab"]
    assert about
    for alert in about:
        assert alert.step.endswith(gone_files.step("api-down"))
        assert "drillbook drill api-down" not in alert.action
    assert ("retire api-down in lab, or put its file back", RETIRE) in commands_at_once(audit, 9)
    for page in (html.render(audit), summary.render(audit), markdown.render(audit)):
        told = plain(page).replace("\\", "").replace("`", "")
        assert RETIRE in told
        assert "its file is gone from drills/" in told
        assert "1 drill without a file there (api-down)" in told


@pytest.mark.parametrize("names", [(), ("other", "api-down")])
def test_a_drill_with_a_file_or_in_an_unknown_project_is_to_run_again(book, names):
    assert RETIRE not in "".join(alert.action for alert in alerts(failed(book, *names)))


def test_an_unfinished_run_is_recovered_first(book):
    run = book.run("2026-02-10T09:00:00").fault().close()
    audit = replace(audited(book), drills=(Scheduled("other"),))
    (step,) = [alert.step for alert in alerts(audit) if "was left unfinished" in alert.text]
    assert step == f"recover the run with `drillbook drill.recover {run.id}`; {gone_files.step('sample')}"


def test_drills_that_share_an_entry_say_to_retire_those_without_a_file(book):
    for minute in range(9):
        name = f"api-{minute}"
        text = DOWN.replace("api-down", name)
        book.run(f"2026-02-10T09:0{minute}:00", drill=name, text=text).slow().close()
    audit = replace(audited(book), drills=tuple(Scheduled(f"api-{minute}") for minute in range(8)))
    assert "9 drills must run again (1 without a file in drills/): " in plain(summary.render(audit))
    assert f"run the drills again{gone_files.RETIRE_THOSE}".replace("`", "") in plain(summary.render(audit))


def test_a_passed_drill_with_open_findings_keeps_its_remedy(book):
    book.run("2026-02-10T09:00:00").lossy().close()
    audit = replace(audited(book), drills=(Scheduled("other"),))
    (step,) = [alert.step for alert in alerts(audit) if " finding, open since" in alert.text]
    assert step.endswith(f"; {gone_files.step('sample')}")
    assert not step.startswith("; ")
