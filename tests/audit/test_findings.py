"""Findings in an audit: the next step is the first instruction of the remedy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drillbook.audit.alerts import alerts
from drillbook.audit.findings import FindingRow
from drillbook.findings import CATALOGUE
from tests.audit import stories
from tests.audit.test_chain import audited

ROW = FindingRow("backup-shrunken", "high", "A title", "lab", "sample", 1, 1, "2026-03-10", "2026-03-10", "open", "", 1)


@pytest.mark.parametrize(
    ("code", "remedy", "step"),
    [
        ("backup-gap", "Find out why. Then repeat it.", "Find out why"),
        (
            "backup-gap",
            "The store damages data. Scrub the store. Take a new backup.",
            "The store damages data. Scrub the store",
        ),
        ("backup-gap", "It was so. If it is so, it stays. Restore the file.", "Restore the file"),
        ("backup-gap", "If a client changed it, refuse clients.", "If a client changed it, refuse clients"),
        ("backup-gap", "A program may have written it.", ""),
        ("backup-gap", "", ""),
        ("objective-not-verified", "Correct the problem that is named above.", ""),
    ],
)
def test_the_first_instruction_of_a_remedy_is_the_next_step(code, remedy, step):
    assert replace(ROW, code=code, remedy=remedy).first_step == step


def test_most_remedies_of_the_catalogue_have_a_first_step():
    known = {code: one for code, one in CATALOGUE.items() if one.severity in ("critical", "high", "medium")}
    without = [code for code, one in known.items() if not replace(ROW, code=code, remedy=one.remedy).first_step]
    assert sorted(without) == ["aborted", "backup-unproven", "file-unexpected", "not-ready", "objective-not-verified"]


@pytest.mark.parametrize(
    ("remedy", "said"), [("Take a new backup. Then wait.", "Take a new backup"), ("", "correct the problem")]
)
def test_what_to_do_about_a_finding_of_a_passed_run_is_its_remedy(book, remedy, said):
    audit = replace(audited(stories.quiet(book)), findings=(replace(ROW, remedy=remedy),))
    (one,) = [one for one in alerts(audit) if "sample in lab has" in one.text]
    assert one.step == f"{said}, then run the drill again"
