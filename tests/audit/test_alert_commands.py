"""Commands of the alerts that ask for something at once: the most urgent first, each once, and few of them."""

from __future__ import annotations

from dataclasses import replace

from drillbook.audit import alert_causes
from drillbook.audit.alert import AT_ONCE
from drillbook.audit.alert_commands import commands_at_once
from drillbook.audit.findings import FindingRow
from tests.audit import stories
from tests.audit.test_chain import audited


def test_changes_that_are_left_come_first_with_the_command_that_undoes_them(book):
    audit = audited(stories.year(book))
    known = commands_at_once(audit, 99)
    (left,) = [row for row in audit.runs if row.residue]
    assert known[0] == (f"undo the changes of {left.drill} in lab", f"drillbook drill.recover {left.run}")
    assert len({command for _, command in known}) == len(known)
    assert commands_at_once(audit, 1) == known[:1]
    purposes = [purpose for purpose, _ in known[1:]]
    again = [one for one in alert_causes.listed(audit) if one.when == AT_ONCE and one.step.startswith("run it again")]
    assert [f"run {one.about} again" for one in again] == [text for text in purposes if text.endswith(" again")][
        : len(again)
    ]


def test_a_period_in_which_nothing_is_urgent_has_none(book):
    assert commands_at_once(audited(book), 3) == []


def test_the_command_after_a_correction_is_no_key_of_a_file(book):
    """The next step names a key of the inventory first, and the command runs the drill only after the correction."""
    audit = audited(stories.quiet(book))
    where = {"severity": "critical", "environment": "lab", "state": "open", "in_newest": 1, "own_in_newest": None}
    run = replace(audit.runs[-1], verdict="failed", reason="backup.check failed")
    row = FindingRow(
        "backup-missing", "critical", "No backup", "lab", run.drill, 1, 1, "2026-01-10", "2026-01-10", "open", "none", 1
    )
    remedy = "Correct `backups.dumps.at` (inventory/lab.yml:295), or find out why no backup was stored."
    audit = replace(audit, runs=(run,), findings=(replace(row, remedy=remedy, **where),))
    assert commands_at_once(audit, 9)[0] == (
        f"run {run.drill} in lab again after the correction",
        f"drillbook drill {run.drill}",
    )
