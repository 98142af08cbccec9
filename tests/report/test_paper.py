"""Printed reports: a real run of a small drill on at most six pages, with one line for each success."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from drillbook.findings import finding
from drillbook.report import html, html_steps, index, remarks
from drillbook.report import pages as pages_of
from tests.report import renderings, samples
from tests.report.chrome import A4_WIDTH, UNFOLD, Chrome
from tests.report.test_browser import chrome

__all__ = ["chrome"]
A4_HEIGHT = 1024
"""Height in pixels between the margins of a printed page."""


def pages(chrome: Chrome, folder: Path, name: str) -> int:
    return print_out(chrome, folder, renderings.ALL[name]())


def print_out(chrome: Chrome, folder: Path, text: str) -> int:
    """Print the page. Return the number of sheets."""
    page = folder / "page.html"
    page.write_text(text, encoding="utf-8")
    chrome.look(1280, "print")
    chrome.open(page)
    return chrome.paper(folder / "page.pdf")


@pytest.mark.parametrize("name", ["put_back.html", "passed.html", "not_whole.html", "stuck.html"])
def test_a_small_drill_needs_at_most_six_pages(chrome: Chrome, tmp_path: Path, name: str) -> None:
    assert 1 <= pages(chrome, tmp_path, name) <= 6


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("cache_lost", 5),  # the first run of its drill: a page is left for what changed since the last one
        ("answer", 6),  # a verification that failed, with an answer of 20 documents
        ("polls", 6),  # a verification that asked again and again until its timeout
    ],
)
def test_real_runs_of_shipped_drills_need_few_pages(chrome: Chrome, tmp_path: Path, name: str, most: int) -> None:
    assert 1 <= print_out(chrome, tmp_path, html.render(samples.recorded(f"printed/{name}"))) <= most


SEEN = "[...document.querySelectorAll(%s)].filter((one) => one.getClientRects().length > 0).length"


def seen(chrome: Chrome, selector: str) -> int:
    """Number of elements that take up room."""
    return chrome.run(SEEN % json.dumps(selector))


def test_a_long_answer_is_folded_on_the_page_and_cut_on_paper_with_a_note(chrome: Chrome, tmp_path: Path) -> None:
    print_out(chrome, tmp_path, html.render(samples.recorded("printed/answer")))
    first, fold = ".step[open] pre.first", ".step[open] details.whole-text"
    heights = "[...document.querySelectorAll(%s)].map((one) => one.getBoundingClientRect().height)"
    (shown,) = chrome.run(heights % json.dumps(first))
    assert shown < 200
    assert seen(chrome, f"{first} + p.cut") == 1
    assert seen(chrome, fold) == 0
    chrome.look(1280, "light")
    assert chrome.run(heights % json.dumps(fold)) < [40]
    assert seen(chrome, ".cut") == 0
    chrome.run(f"document.querySelector({json.dumps(fold)}).open = true")
    assert chrome.run(heights % json.dumps(fold)) > [1000]


def test_paper_has_the_last_of_many_commands_and_a_note_and_the_screen_folds_the_others(
    chrome: Chrome, tmp_path: Path
) -> None:
    view = samples.recorded("printed/polls")
    (polls,) = [len(step.commands) for step in view.steps if step.result.status not in ("done", "skipped")]
    print_out(chrome, tmp_path, html.render(view))
    command = ".step[open] pre.command"
    assert html_steps.LAST_COMMANDS <= seen(chrome, command) <= html_steps.LAST_COMMANDS + html_steps.LAST_FAILURES < polls
    assert seen(chrome, ".step[open] p.cut") == 1
    shown = seen(chrome, command)
    chrome.look(1280, "light")
    visible = f"[...document.querySelectorAll({json.dumps(command)})].filter((one) => one.checkVisibility()).length"
    assert chrome.run(visible) == shown
    chrome.run(UNFOLD.replace('"details"', '".step[open] details"'))
    assert chrome.run(visible) == polls


KEPT = (
    "header *, #findings, #findings ~ *, .findings *, #objectives, #objectives ~ *, #clocks, #clocks ~ *, tbody *, .loud *"
)
"""Parts that paper never leaves out: verdict, findings, objectives, clocks and residue, each with all its parts."""


@pytest.mark.parametrize("name", ["printed/answer", "printed/polls", "stuck", "died"])
def test_paper_hides_no_verdict_finding_objective_clock_or_residue(chrome: Chrome, tmp_path: Path, name: str) -> None:
    print_out(chrome, tmp_path, html.render(samples.recorded(name)))
    kept = ", ".join(f"{one.strip()}:not(nav, nav *, wbr, br, svg, svg *)" for one in KEPT.split(","))
    found = chrome.run(f"[...document.querySelectorAll({json.dumps(kept)})].map((one) => one.outerHTML.slice(0, 90))")
    assert seen(chrome, kept) == len(found) > 50
    cut = "[...document.querySelectorAll(%s)].filter((one) => getComputedStyle(one).overflowY === 'hidden').length"
    assert chrome.run(cut % json.dumps(kept)) == 0


def test_only_steps_that_did_not_succeed_are_unfolded(chrome: Chrome, tmp_path: Path) -> None:
    pages(chrome, tmp_path, "not_whole.html")
    states = "[...document.querySelectorAll('.step%s > summary .state')].map((one) => one.className)"
    assert chrome.run(states % "[open]") == ["state error"]
    assert set(chrome.run(states % ":not([open])")) == {"state done"}
    assert chrome.run("document.querySelector('.paper').getBoundingClientRect().height") > 0


BROKEN_DATES = """(() => {
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), broken = [];
  while (walk.nextNode()) for (const found of walk.currentNode.data.matchAll(/\\d{4}-\\d\\d-\\d\\d|\\d\\d:\\d\\d(:\\d\\d(\\.\\d+)?)?Z?/g)) {
    const range = document.createRange();
    range.setStart(walk.currentNode, found.index); range.setEnd(walk.currentNode, found.index + found[0].length);
    if (new Set([...range.getClientRects()].map((one) => one.top)).size > 1) broken.push(walk.currentNode.data);
  }
  return broken;
})()"""
AUDITS = Path(__file__).parents[1] / "golden" / "audit"


@pytest.mark.parametrize(("width", "mode"), [(400, "light"), (A4_WIDTH, "print")])
@pytest.mark.parametrize("name", ["index.html", "audit.html", "summary.html", "one-day.html"])
def test_no_date_and_no_time_breaks_on_a_phone_or_on_paper(
    chrome: Chrome, tmp_path: Path, name: str, width: int, mode: str
) -> None:
    page = tmp_path / name
    audit = AUDITS / (name if name == "one-day.html" else f"year.{name.removeprefix('audit.')}")
    text = index.render(samples.entries()) if name == "index.html" else audit.read_text()
    page.write_text(text, encoding="utf-8")
    chrome.look(width, mode)
    chrome.open(page)
    assert chrome.run(BROKEN_DATES) == []


@pytest.mark.parametrize("width", [320, 390, 400, 410, 420, 430])
def test_a_time_in_a_field_of_an_audit_breaks_only_behind_its_date(chrome: Chrome, tmp_path: Path, width: int) -> None:
    page, audit = tmp_path / "page.html", (AUDITS / "one-day.html").read_text()
    anchor = "/var/lib/drillbook/anchors/acme-471843c5cf857608.jsonl: 16 runs; the newest is of 2026-12-01T11:11:36Z"
    field = "<dt>Anchors</dt><dd>{}</dd>"
    assert field.format("none") in audit
    page.write_text(audit.replace(field.format("none"), field.format(pages_of.breakable(anchor))), encoding="utf-8")
    chrome.look(width, "light")
    chrome.open(page)
    assert [text for text in chrome.run(BROKEN_DATES) if text in anchor] == []
    assert chrome.measure()["needed"] <= width


def test_paper_has_no_blue_links_and_no_page_with_a_single_row_or_head(chrome: Chrome, tmp_path: Path) -> None:
    pages(chrome, tmp_path, "passed.html")
    colours = "[...document.querySelectorAll('a, details.fold > summary')].map((one) => getComputedStyle(one).color)"
    parents = colours.replace("getComputedStyle(one)", "getComputedStyle(one.parentElement)")
    assert chrome.run(colours) == chrome.run(parents)
    small = "[...document.querySelectorAll('table')].filter((one) => one.tBodies[0].rows.length < 5)"
    assert chrome.run(f"{small}.every((one) => getComputedStyle(one).breakInside === 'avoid')")
    assert chrome.run(f"{small}.length") > 0
    page = tmp_path / "index.html"
    page.write_text(index.render(samples.entries()), encoding="utf-8")
    chrome.open(page)
    rows = "[...document.querySelectorAll('#table-runs tbody tr')].map((one) => getComputedStyle(one).breakBefore)"
    assert chrome.run(rows)[-2:] == ["avoid", "avoid"]
    assert "auto" in chrome.run(rows)


def links_on_first_sheet(chrome: Chrome) -> int:
    told = chrome.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True, pageRanges="1")
    return len(re.findall(rb"/Subtype\s*/Link", base64.b64decode(told["data"])))


def test_the_first_sheet_of_the_index_has_all_drills_that_fit_on_it(chrome: Chrome, tmp_path: Path) -> None:
    """The last rows of the table, which are high, are not kept together."""
    lost = remarks.Remark("Rows did not come back.", "\u00a7\u2020", lost="at least 6 rows lost", excepted="restored tables")
    (met,) = [entry for entry in samples.entries() if entry.objectives and entry.objectives["rpo"].met][:1]
    entries = [
        replace(met, name=f"lost{number}", run=f"{met.run}-{number}", remarks={"rpo": lost} if number > 3 else {})
        for number in range(11)
    ]
    page = tmp_path / "index.html"
    page.write_text(index.render(entries), encoding="utf-8")
    chrome.look(A4_WIDTH, "print")
    chrome.open(page)
    bottoms = chrome.run(
        "[...document.querySelectorAll('.trends tbody tr')].map((one) => one.getBoundingClientRect().bottom)"
    )
    fitting = sum(bottom < A4_HEIGHT for bottom in bottoms)
    assert len(bottoms) - 3 < fitting < len(bottoms)
    assert links_on_first_sheet(chrome) == fitting


def test_no_sign_of_a_folded_step_stands_over_its_name(chrome: Chrome, tmp_path: Path) -> None:
    print_out(chrome, tmp_path, html.render(samples.recorded("died")))
    signs = "[...document.querySelectorAll('.step%s .what')].map((one) => getComputedStyle(one, '::before').content)"
    for steps in ("[open]", ":not([open])"):
        assert set(chrome.run(signs % steps)) == {"none"}
    chrome.look(1280, "light")
    assert set(chrome.run(signs % "[open]")) == {'"\u2212"'}


NARROWEST = (
    "Math.min(...[...document.querySelectorAll('#table-runs tbody th')].map((one) => one.getBoundingClientRect().width))"
)


def test_the_names_of_runs_have_room_on_paper_and_reasons_of_doubt_need_no_scrolling(chrome: Chrome, tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    found = [
        replace(entry, title="The staging database is lost and restored from the nightly dump", verdict=verdict, exit=3)
        for entry in samples.entries()
        for verdict in ("inconclusive", "failed")
        if entry.objectives
    ]
    page.write_text(index.render(found), encoding="utf-8")
    chrome.look(A4_WIDTH, "print")
    chrome.open(page)
    assert chrome.run(NARROWEST) >= 150
    chrome.look(1280, "light")
    chrome.open(page)
    measured = chrome.measure()
    assert measured["needed"] <= measured["room"]


OVER = """
[...document.querySelectorAll('table td, table th')].flatMap((cell) => {
  const room = cell.getBoundingClientRect(), edge = document.documentElement.clientWidth;
  return [...cell.querySelectorAll('*')].filter((part) => {
    const box = part.getBoundingClientRect();
    return box.width && (box.right > room.right + 1 || box.right > edge);
  }).map((part) => part.textContent.slice(0, 60));
})
"""
"""Texts in cells of a table that reach over the next cell or the edge of the page."""


@pytest.mark.parametrize(("width", "medium"), [(1280, "light"), (1440, "light"), (A4_WIDTH, "print")])
def test_losses_and_reservations_in_the_index_stay_in_their_columns(
    chrome: Chrome, tmp_path: Path, width: int, medium: str
) -> None:
    lost = remarks.Remark("Rows did not come back.", "§†", lost="at least 6 rows lost", excepted="restored tables")
    high, medium_ = (
        finding(code, title="x", wanted="y", measured="z") for code in ("objective-missed", "removed-data-missing")
    )
    entries = [
        replace(
            entry,
            title="Drop one table and restore only this table, while clients use the other tables",
            verdict=verdict,
            exit=code,
            remarks={"rpo": lost},
            findings=(high, medium_),
        )
        for entry in samples.entries()
        for verdict, code in (("aborted", 4), ("failed", 1), ("passed", 0))
        if entry.objectives and entry.objectives["rpo"].met
    ]
    page = tmp_path / "index.html"
    page.write_text(index.render(entries), encoding="utf-8")
    chrome.look(width, medium)
    chrome.open(page)
    assert "not measured for restored tables" in page.read_text()
    assert chrome.run(OVER) == []


def test_a_printed_report_numbers_its_pages_and_has_no_line_of_a_folded_plan(chrome: Chrome, tmp_path: Path) -> None:
    assert print_out(chrome, tmp_path, renderings.ALL["passed.html"]()) > 1
    text = html.render(samples.passed())
    assert 'counter(page) " / " counter(pages)' in text
    assert '<details class="fold not-on-paper"><summary>The whole plan' in text


def test_the_number_of_open_findings_stays_on_one_line_in_the_table_of_a_suite(chrome: Chrome, tmp_path: Path) -> None:
    told, views = samples.suite()
    found = [finding("aborted", title="Stopped")]
    views[0] = views[0].model_copy(update={"result": views[0].result.model_copy(update={"findings": found})})
    page = tmp_path / "page.html"
    only = told.model_copy(update={"runs": told.runs[:1]})
    page.write_text(html.render_suite(only, views[:1]), encoding="utf-8")
    chrome.look(730, "light")
    chrome.open(page)
    beside = "[...document.querySelectorAll('td .why.state')].filter((one) => one.textContent === '! 1 medium finding')"
    assert chrome.run(f"{beside}.map((one) => one.getBoundingClientRect().height)")[0] < 30
