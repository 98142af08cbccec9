"""Rows of a report say the same in all formats, and never more than the run proved."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from drillbook.judge.result import Objective, Verdict
from drillbook.notify import wording as notification
from drillbook.report import html, index, markdown, rows
from drillbook.report.formats import as_json
from drillbook.report.terminal import summary
from tests.report import renderings, samples
from tests.report.test_agreement import plain

DOUBT = "does not count: the run failed"
MET = {"rto": Objective(target_s=30, measured_s=9.6, error_s=0.2, met=True)}


def test_a_met_objective_of_a_failed_run_does_not_count() -> None:
    (row,) = [row for row in rows.rows_of(samples.failed().result) if row.key == "detect"]
    assert (row.state, row.said) == ("met", DOUBT)
    page = html.render(samples.failed())
    assert '<span class="state met">' not in page
    for text in (page, markdown.render(samples.failed()), renderings.printed(summary.details(samples.failed()), 200)):
        assert DOUBT in plain(text.replace("**", "")), "the words of the index and the audit"
        assert "but does not count" not in plain(text.replace("**", ""))
    suite = samples.suite()
    assert DOUBT in plain(html.render_suite(*suite))
    assert "does not count: the run did not pass" in plain(renderings.printed(summary.suite_summary(*suite), 200))


def test_an_unverified_figure_has_the_same_words_and_the_step_as_the_reason_everywhere() -> None:
    view = samples.failed()
    (step,) = [step.result.id for step in view.steps if step.phase == "verify" and step.result.status == "failed"]
    said = f"does not count: the verification did not pass ({step})"
    (row,) = [row for row in rows.rows_of(view.result) if row.key == "rto"]
    assert (row.state, row.said, row.reason) == ("not verified", said, "")
    told = notification.objective("rto", view.result.objectives["rto"], None, view.result.verdict)
    record = index.entry(json.loads(as_json(view.result)))
    texts = renderings.formats(view) | {
        "screen": renderings.printed(summary.details(view), 250),
        "index": index.render([record]),
        "suite": html.render_suite(*samples.suite()),
        "notification": told,
    }
    for name, text in texts.items():
        words = " ".join(plain(text.replace("**", "")).split())
        assert name == "result.json" or said in words, name
        assert not re.search(r"not verified: the verification|are not verified", words), name


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        (Verdict.INCONCLUSIVE, "does not count: the run was inconclusive"),
        (Verdict.ABORTED, "does not count: the run was aborted"),
        ("odd", "does not count: the run ended odd"),
        (Verdict.PASSED, ""),
    ],
)
def test_it_counts_only_when_the_run_passed(verdict: str, told: str) -> None:
    (row,) = rows.objective_rows(MET, verdict=verdict)
    assert row.uncounted == told
    assert row.met


def test_an_objective_that_was_not_met_needs_no_such_reason() -> None:
    missed = Objective(target_s=30, measured_s=40, error_s=0.2, met=False)
    (row,) = rows.objective_rows({"rto": missed}, verdict=Verdict.FAILED)
    assert (row.uncounted, row.said) == ("", "missed")


def test_the_index_draws_and_says_it() -> None:
    (entry,) = [one for one in samples.entries() if one.verdict == "failed"]
    page = index.render([replace(entry, run=run, objectives=MET) for run in "abc"])
    assert page.count('?</span> does not count:</span> <span class="under">the run failed</span>') >= 2
    assert "met, but does not count" not in page
    assert 'class="dot"' not in page
    assert page.count('<circle class="gap"') == 3


@pytest.mark.parametrize(
    ("lost", "known", "said"),
    [
        (1, 1, "1 of 1 test write of the drill lost"),
        (2, 3, "2 of 3 test writes of the drill lost"),
        (0, 1, "none of the drill's 1 test write acknowledged before the disruption was lost"),
        (0, 2, "none of the drill's 2 test writes acknowledged before the disruption was lost"),
    ],
)
def test_a_number_and_its_noun_agree(lost: int, known: int, said: str) -> None:
    one = Objective(target_s=1.0, measured_s=0.5, error_s=0.1, met=True, lost_writes=lost, acknowledged_writes=known)
    (row,) = rows.objective_rows({"rpo": one})
    assert row.writes == said
