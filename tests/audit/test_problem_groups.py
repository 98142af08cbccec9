"""Problems of the record that are told together."""

from __future__ import annotations

from dataclasses import replace

from drillbook.attestation.anchor_lines import Anchor, Known
from drillbook.audit import absences, assurance, chain, html, markdown, problem_groups, records
from drillbook.audit.period import Period
from drillbook.journal.run_state import RunStates
from drillbook.project.project import Project
from drillbook.report import figures
from tests.audit import stories
from tests.audit.test_assurance import EMPTY


def test_anchors_and_missing_anchors_of_suites_are_counted_apart(book):
    stories.quiet(book)
    suite = Anchor("20260110T090000.000Z-all-00aa", "20260110T090000.000Z-all-00aa", 0, "", "2026-01-10", "the anchor")
    run = replace(suite, run="20260111T090000.000Z-sample-00aa", events=3)
    known = Known({one.run: one for one in (suite, run)}, {"the anchor": (8, 1, "2026-01-10")})
    read, _ = records.find(book.reports)
    found = assurance.assure(read, Period.parse("2026-01-01", "2026-12-31"), Project(book.root), known, RunStates())
    assert found.compared == (
        "the anchor: 8 runs of drills and 1 run of a suite; the newest is of 2026-01-10 by the controller's clock",
    )
    assert [(one.text[:9], one.lost) for one in found.problems] == [("the suite", False), ("the run 2", True)]
    missing, absent = absences.absences(found.problems, (), Period.parse("2026-01-01", "2026-12-31"))
    assert (missing.run, missing.drill, absent.run) == (suite.run, "all", run.run)
    assert missing.why == f"{missing.named_by} names it, but the folder of this suite is missing"
    assert absent.why == f"{absent.named_by} names it, but the folder of this run is missing"
    (group,) = problem_groups.grouped(found.problems)
    assert group.text == "1 run of a drill and 1 run of a suite are missing, but are named by the anchor in the anchor"
    assert figures.runs_of(0, 2) == "2 runs of suites"


def test_what_is_wrong_with_each_run_is_told_in_its_group():
    problems = [
        chain.Problem("anchor-differs", run, f"{run}: {why}", True, None, None, "s3://anchors")
        for run, why in (("first", "the end was cut off"), ("second", "the journal was rewritten"))
    ]
    (group,) = problem_groups.grouped(problems)
    assert (group.runs, group.reasons) == (("first", "second"), ("the end was cut off", "the journal was rewritten"))
    audit = replace(EMPTY, problems=tuple(problems))
    for text in (html.render(audit), markdown.render(audit)):
        assert "the end was cut off" in text
        assert "the journal was rewritten" in text
    assert '</bdi> <span class="next-step">' in html.render(audit), "on paper, both stand on one line"
