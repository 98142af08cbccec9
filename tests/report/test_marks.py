"""Marks, bars and keys: each symbol has one meaning, and symbols without a word are explained."""

from __future__ import annotations

import pytest

from drillbook.findings import Finding, finding
from drillbook.judge.result import Verdict
from drillbook.report import html, index, markdown, pages, suites, wording
from drillbook.report.rows import objective_rows
from drillbook.report.terminal import summary
from tests.report import renderings, samples
from tests.report.test_agreement import plain


def test_every_verdict_has_a_mark_and_a_picture_of_its_own() -> None:
    known = [wording.SHAPES[verdict] for verdict in Verdict]
    assert len(set(known)) == len(known)
    assert "?" not in {wording.SHAPES[verdict] for verdict in Verdict if verdict is not Verdict.INCONCLUSIVE}
    drawn = pages.environment().get_template("parts.html.j2").module
    pictures = [str(drawn.verdict_shape(str(verdict))) for verdict in Verdict]  # type: ignore[attr-defined]
    assert len(set(pictures)) == len(pictures)


def test_the_bar_of_an_upper_bound_is_an_outline_with_a_legend() -> None:
    view = samples.passed()
    rpo = view.result.objectives["rpo"]
    measured = html.render(view)
    bounded = html.render(
        samples.view(
            view.result.model_copy(
                update={"objectives": {"rpo": rpo.model_copy(update={"measured_s": 0.0, "error_s": 0.05, "lost_writes": 0})}}
            )
        )
    )
    assert 'fill="var(--tone)"' in measured
    assert "stroke-dasharray" not in measured.split('id="objectives"')[1].split("</table>")[0]
    table = bounded.split('id="objectives"')[1].split("</table>")[0]
    assert 'fill="var(--tone)"' not in table
    assert 'stroke-dasharray="3 2"' in table
    assert "at most 0.05 s" in plain(table)
    assert "with a dashed outline: the error is as large as the figure" in plain(table)
    assert "dashed outline" not in plain(measured)
    (row,) = objective_rows({"rpo": rpo})
    assert not row.bounded


def test_the_key_of_the_timeline_shows_each_look_once() -> None:
    key = html.render(samples.passed()).split('class="key"')[1].split("</ul>")[0]
    assert key.count('class="good"') == 1
    assert 'class="kept"' not in key
    assert "good, or acknowledged and survived" in plain(key)


def test_a_suite_counts_open_findings_beside_every_drill_whatever_its_verdict() -> None:
    suite, views = samples.suite()
    told = (finding("backup-gap"), finding("step-failed"))
    views = [samples.view(one.result.model_copy(update={"findings": told})) for one in views]
    members = suites.suite_rows(suite, views)
    assert len({row.verdict for row in members if row.view}) > 1
    assert {row.beside for row in members if row.view} == {"1 high and 1 medium findings"}
    text = plain(renderings.printed(summary.suite_ending(suite, views)))
    assert all(f"{row.verdict} !" in text for row in members if row.view)
    assert plain(html.render_suite(suite, views)).count("! 1 high and 1 medium findings") == 2 * len(views)


def test_the_terminal_shows_beside_passed_what_it_hides() -> None:
    suite, views = samples.suite()
    grave = (finding("backup-gap"),)
    views = [samples.view(one.result.model_copy(update={"findings": grave})) for one in views]
    found = suites.suite_rows(suite, views)
    assert any(row.beside for row in found)
    text = plain(renderings.printed(summary.suite_ending(suite, views)))
    named = text.split("Open findings (!): ")[1]
    assert all(row.drill in named for row in found if row.beside)


@pytest.mark.parametrize("verdict", [Verdict.REFUSED, Verdict.NOT_RUN])
def test_a_suite_counts_no_findings_of_a_drill_that_never_began(verdict: Verdict) -> None:
    """They are the reasons why it did not begin. Lists and the index count none of them, too."""
    suite, views = samples.suite()
    reasons = (
        finding("not-ready", measured="the disk is full"),
        finding("alert-missing"),
        Finding(code="x", severity="low", title="X"),
    )
    refused = samples.view(views[0].result.model_copy(update={"verdict": verdict, "findings": reasons, "residue": ()}))
    began = samples.view(views[1].result.model_copy(update={"findings": (finding("backup-gap"),), "residue": ()}))
    drills = suites.suite_rows(suite, [refused, began])
    assert {row.drill: row.beside for row in drills if row.view} == {
        refused.result.drill: "",
        began.result.drill: "1 medium finding",
    }
    assert f"Open findings: 1 medium, in {began.result.drill}." in suites.suite_sentence(drills), "nor those of low severity"
    entries = [index.entry(view.result.model_dump(mode="json", by_alias=True)) for view in (refused, began)]
    assert [entry.beside for entry in entries] == ["", "1 medium finding"]
    texts = html.render_suite(suite, [refused, began]), markdown.render_suite(suite, [refused, began])
    for text in map(plain, texts):
        assert "the disk is full" in text, "the reasons are still there"
        assert "high" in text
        assert "! 1 high" not in text
    text = plain(renderings.printed(summary.suite_ending(suite, [refused, began])))
    assert f"{verdict} !" not in text
    assert "Open findings (!): 1 medium, in" in text
