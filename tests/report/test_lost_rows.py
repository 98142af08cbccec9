"""A proven loss of rows is never called met: the objective is met, but not measured for restored tables, and has no bar."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from drillbook.findings import finding
from drillbook.judge.result import RunView, Verdict
from drillbook.notify.wording import objective
from drillbook.report import html, index, junit, markdown, next_steps, remarks, rows, suite_steps, suites, timeline
from drillbook.report.formats import as_json
from drillbook.report.remarks import RESERVED, SHORT_MARK
from drillbook.report.terminal import summary
from drillbook.report.terminal.next_steps import shown_steps
from drillbook.sdk.action import REMOVED, RESTORED
from tests.report import renderings, samples
from tests.report.chrome import Chrome
from tests.report.test_agreement import plain
from tests.report.test_browser import chrome

__all__ = ["chrome"]

OTHERS = "met, but not measured for restored tables"
ROWS = "rows of public.chunks in database"


@pytest.fixture(scope="module")
def lossy() -> RunView:
    """Run that passed, in which 3 of the removed rows did not come back."""
    facts = {"inject.1": {REMOVED: {ROWS: 10}}, "restore.1": {RESTORED: {ROWS: 7}}}
    known = samples.recorded("passed")
    steps = tuple(step.model_copy(update={"facts": {**step.facts, **facts.get(step.id, {})}}) for step in known.result.steps)
    assert {step.id for step in steps} >= set(facts)
    return known.model_copy(update={"result": known.result.model_copy(update={"steps": steps})})


def test_every_format_says_for_which_tables_the_objective_is_met(lossy: RunView) -> None:
    (row,) = [row for row in rows.rows_of(lossy.result) if row.key == "rpo"]
    assert (row.state, row.said, row.lost) == (RESERVED, OTHERS, "at least 3 rows lost")
    for name, text in (renderings.formats(lossy) | {"txt": renderings.printed(summary.summary(lossy), 160)}).items():
        words = " ".join(plain(text).split())
        assert OTHERS in words, name
        assert not re.search(r"RPO\)?[^.;]*met with a reservation", words), name


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_no_word_of_the_state_is_cut_off_on_a_terminal(lossy: RunView, width: int) -> None:
    """Without "not" and "restored" it would say the opposite."""
    table = renderings.printed(summary.summary(lossy), width).split("Objectives")[1].split("\n\n")[0]
    words = re.findall(r"\w+", table)
    assert all(words.count(word) >= OTHERS.split().count(word) for word in ("not", "measured", "restored", "tables")), table


def test_rows_that_nobody_compared_are_the_first_step_of_a_run_that_did_not_pass(lossy: RunView) -> None:
    kept = tuple(step for step in lossy.result.steps if not step.id.startswith("verify."))
    lacking = finding("removed-data-missing", wanted="10", measured="7")
    changed = {"steps": kept, "verdict": Verdict.ABORTED, "findings": (lacking,)}
    view = lossy.model_copy(update={"result": lossy.result.model_copy(update=changed)})
    steps = next_steps.with_remedy(
        view, [("read the report", "drillbook report.open"), ("run the drill again", "drillbook drill x")]
    )
    assert [what.split()[0] for what, _ in steps] == ["compare", "run"]
    assert steps[0][1] == f"{view.program} report.open {view.result.run}"


def test_the_head_names_the_lost_rows_and_calls_no_objective_measured(lossy: RunView) -> None:
    head = plain(html.render(lossy).split("</header>")[0])
    assert f"the RPO was {OTHERS}: at least 3 rows lost, and the drill itself took the restored backup" in head
    assert "Every objective was measured" not in head


def test_a_figure_beside_lost_rows_has_no_bar_and_the_timeline_says_what_it_is(lossy: RunView) -> None:
    bars = {row.key: html.bar(row) for row in rows.rows_of(lossy.result)}
    assert bars["rpo"] is None
    assert bars["rto"] is not None
    (span,) = [span for span in timeline.draw(lossy).dimensions if span.key == "rpo"]
    assert span.label.text.endswith(f", but not measured for restored tables {SHORT_MARK}")


def test_a_suite_names_the_lost_rows_apart_from_the_other_reservations(lossy: RunView) -> None:
    suite, views = samples.suite()
    members = suites.suite_rows(suite, views)
    (goal,) = [row for row in rows.rows_of(lossy.result) if row.key == "rpo"]
    members[0] = replace(members[0], objectives=(goal,))
    told = suites.suite_sentence(members)
    assert f"RPO {OTHERS}: {members[0].drill} (at least 3 rows lost)." in told


def test_the_property_in_junit_xml_says_for_which_tables_the_objective_is_met(lossy: RunView) -> None:
    found = {one.get("name"): one.get("value") for one in ElementTree.fromstring(junit.render(lossy)).iter("property")}
    assert found["objective.rpo"] == OTHERS


def test_the_table_of_a_suite_explains_its_short_word_for_such_an_objective(lossy: RunView) -> None:
    suite, views = samples.suite()
    text = " ".join(renderings.printed(summary.suite_ending(suite, [lossy, *views[1:]]), 200).split())
    assert f"~ in part {SHORT_MARK}" in text
    assert f"{SHORT_MARK} data did not come back: RPO {OTHERS}" in text


def test_the_gate_on_the_page_about_ci_stops_such_a_run_and_lets_another_pass(lossy: RunView, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "ci.md").read_text(encoding="utf-8")
    gate = page.partition("## Ask for more")[2].partition("```sh\n")[2].partition("```")[0]
    (run := tmp_path / "reports" / "suite" / "run").mkdir(parents=True)
    (tmp_path / "reports" / "latest").symlink_to("suite")
    lost = finding("removed-data-missing", wanted="all 10 rows", measured="7 came back", step="restore.1")
    for findings, status in (((), 0), ((lost,), 1)):
        result = lossy.result.model_copy(update={"findings": findings})
        (run / "result.json").write_text(as_json(result), encoding="utf-8")
        done = subprocess.run(["sh", "-ec", gate], cwd=tmp_path, check=False, capture_output=True)
        assert (done.returncode, bool(done.stdout)) == (status, bool(status))
    assert OTHERS in page


def test_notes_and_the_index_use_the_same_words(lossy: RunView) -> None:
    told = remarks.of_run(lossy.result.steps, lossy.result.started, lossy.result.objectives["rpo"])["rpo"]
    assert f": {OTHERS}" in objective("rpo", lossy.result.objectives["rpo"], told)
    page = index.render([index.entry(json.loads(as_json(lossy.result)))])
    assert f"~</span> {OTHERS}" in page


def test_the_figure_with_its_mark_and_its_state_stay_on_a_narrow_screen(
    lossy: RunView, chrome: Chrome, tmp_path: Path
) -> None:
    suite, views = samples.suite()
    record = index.entry(json.loads(as_json(lossy.result)))
    for page in (html.render_suite(suite, [*views, lossy]), index.render([record])):
        assert OTHERS in page
        (tmp_path / "page.html").write_text(page, encoding="utf-8")
        chrome.open(tmp_path / "page.html")
        for width in (400, 360):
            chrome.look(width, "light")
            seen = chrome.measure()
            assert (seen["needed"], seen["out"]) == (width, [])


def test_the_next_step_says_what_closes_the_finding_because_a_repetition_does_not(lossy: RunView) -> None:
    lost = finding("removed-data-missing", wanted="all 10 rows", measured="7 came back", step="restore.1")
    view = lossy.model_copy(update={"result": lossy.result.model_copy(update={"findings": (lost,)})})
    closing = "let the drill also restore the data that is newer than the backup"
    steps = next_steps.in_report(view)
    assert steps[0][0].index("enter the missing data again") < steps[0][0].index(closing)
    assert steps[0][1].endswith(" actions postgres.recover"), "it recovers from an archived log"
    assert steps[0][0].endswith("archived log; to read how a drill writes this step"), "the command itself repairs nothing"
    assert f"; to read how a drill writes this step: `{steps[0][1]}`" in markdown.render(view)
    shown = renderings.printed(shown_steps(steps))
    assert re.search(r"to\s+read\s+how\s+a\s+drill\s+writes\s+this\s+step\s+" + steps[0][1], shown)
    page = html.render(view)
    assert f"To read how a drill writes this step: <code>{steps[0][1]}</code>" in page
    assert f'<code class="command">{steps[0][1]}' not in page, "it does not look like the remedy"
    again = f" drill {view.result.drill}"
    assert [text for text, command in steps if again in command] == ["then repeat the drill"], "beside no remedy"
    suite, _ = samples.suite()
    (told,) = [step for step in suite_steps.after_suite("invoke", suite, [view], "") if "enter the missing data" in step[0]]
    assert told[0].endswith(", and read what closes the finding"), "the screen has no room for more"
    assert told[1] == f"invoke report.open {view.result.run}"
    other = lossy.model_copy(update={"result": lossy.result.model_copy(update={"findings": (finding("step-failed"),)})})
    assert closing not in str(next_steps.in_report(other))
