"""Pages for a reader on duty: one click selects a command, columns of the index never wrap, and evidence names its step."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from drillbook.findings import Finding
from drillbook.report import html, index
from drillbook.report.index_entries import IndexEntry
from tests.report import renderings, samples
from tests.report.chrome import Chrome
from tests.report.test_browser import chrome

__all__ = ["chrome"]
CLICKED = """(() => [...document.querySelectorAll('code.command, .box .command')].map((one) => {
  const range = document.createRange(); range.setStart(one.firstChild, 1); range.collapse(true);
  const chosen = getSelection(); chosen.removeAllRanges(); chosen.addRange(range);
  return getComputedStyle(one).userSelect;
}))()"""
LINES = """[...document.querySelectorAll('.wide table span.num, .wide table span.state, .wide table span.short')].filter((one) => {
  const range = document.createRange(); range.selectNodeContents(one);
  return range.getBoundingClientRect().height > 1.8 * parseFloat(getComputedStyle(one).fontSize) * 1.2;
}).map((one) => one.textContent)"""
CLICK = """(() => { const one = document.querySelector('code.command').getBoundingClientRect();
  return [one.left + one.width / 2, one.top + one.height / 2]; })()"""


def opened(chrome: Chrome, folder: Path, text: str, width: int = 1280) -> Chrome:
    page = folder / "page.html"
    page.write_text(text, encoding="utf-8")
    chrome.look(width, "light")
    chrome.open(page)
    return chrome


@pytest.mark.parametrize("name", ["passed.html", "stuck.html", "suite.html"])
def test_one_click_selects_a_whole_command(chrome: Chrome, tmp_path: Path, name: str) -> None:
    page = opened(chrome, tmp_path, renderings.ALL[name]())
    styles = page.run(CLICKED)
    assert len(styles) >= 2
    assert set(styles) == {"all"}
    page.run("document.querySelector('code.command').scrollIntoView({block: 'center'})")
    x, y = page.run(CLICK)
    for kind in ("mousePressed", "mouseReleased"):
        page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    assert page.run("getSelection().toString() === document.querySelector('code.command').textContent")


HEIGHTS = """[...document.querySelectorAll('dl.next code')].map(
  (one) => one.getBoundingClientRect().height / parseFloat(getComputedStyle(one).fontSize))"""


@pytest.mark.parametrize("width", [740, 1280])
def test_a_long_next_step_leaves_room_for_its_command(chrome: Chrome, tmp_path: Path, width: int) -> None:
    text = renderings.ALL["passed.html"]()
    first = text.index("<dt>", text.index('<dl class="pairs next">')) + len("<dt>")
    text = text[:first] + "Copy a drill of another project, without its steps that take a backup. " * 3 + text[first:]
    heights = opened(chrome, tmp_path, text, width).run(HEIGHTS)
    assert len(heights) >= 2
    assert max(heights) < 5, "a command has three lines at most"


def with_notes(entry: IndexEntry) -> IndexEntry:
    """Run with everything that can stand below a verdict in the index."""
    found = Finding(code="backup-same-disk", severity="medium", title="The backups are on the disk of the data")
    return replace(entry, findings=(found,), tolerated="1 allowed failure", exit=5)


@pytest.mark.parametrize("width", [1280, 1440])
def test_no_figure_and_no_verdict_of_the_index_breaks_over_lines(chrome: Chrome, tmp_path: Path, width: int) -> None:
    entries = [with_notes(one) if one.verdict == "passed" else one for one in samples.entries()]
    page = opened(chrome, tmp_path, index.render(entries), width)
    assert page.run("document.querySelectorAll('.wide .runs span.short').length") > 8
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    assert page.run("document.querySelectorAll('.wide table span.num').length") > 8
    assert page.run(LINES) == []


def test_drill_by_drill_shows_the_newest_verdict_and_the_last_pass() -> None:
    found = index.render(samples.entries())
    (row,) = re.findall(
        r'<tr><th scope="row"><a href="[^"]+"><bdi>postgres-lost</bdi></a><span class="under"><bdi>lab.*?</tr>',
        found,
        re.DOTALL,
    )
    assert "passed" in row.split('data-head="Last verdict"')[1].split("</td>")[0]
    worse = [one for one in samples.entries() if "202606" not in one.run or one.name != "postgres-lost"]
    (row,) = re.findall(
        r'<tr><th scope="row"><a href="[^"]+"><bdi>postgres-lost</bdi></a><span class="under"><bdi>lab.*?</tr>',
        index.render(worse),
        re.DOTALL,
    )
    assert "failed" in row.split('data-head="Last verdict"')[1].split("</td>")[0]
    assert "2026-04-02" in row.split('data-head="Last passed"')[1].split("</td>")[0]


def test_evidence_is_linked_in_the_fold_of_its_step() -> None:
    page = html.render(samples.passed())
    steps = re.findall(r'<details[^>]*class="step".*?</details>', page, re.DOTALL)
    held = [step.result.id for step in samples.passed().steps if html.run_record.evidence_of(step)]
    assert held
    assert sum('href="evidence/' in step for step in steps) == len(held)


def test_the_key_of_the_timeline_names_a_stall_of_the_controller() -> None:
    view = samples.passed()
    track = view.timeline.probes[0]
    stalled = track.model_copy(
        update={"stretches": (track.stretches[0].model_copy(update={"label": "unheard"}), *track.stretches[1:])}
    )
    timeline = view.timeline.model_copy(update={"probes": (stalled, *view.timeline.probes[1:])})
    page = html.render(view.model_copy(update={"timeline": timeline}))
    key = page.split('class="key"')[1].split("</ul>")[0]
    assert 'class="unheard"' in key
    assert "the controller itself stalled" in key
    assert "the controller itself stalled" not in html.render(view).split('class="key"')[1].split("</ul>")[0]
