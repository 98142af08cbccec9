"""Pages in a real browser, wide and narrow, light, dark and printed: no horizontal scrolling, no console messages,
and no serious violation of accessibility (axe-core).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from tests.needs import need
from tests.report import renderings
from tests.report.chrome import A4_WIDTH, MODES, WIDTHS, Chrome

SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with Chrome(need("chromium"), tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def check(chrome: Chrome, page: Path) -> int:
    """Check ``page`` in all sizes and modes. Return the number of timelines on a narrow screen."""
    chrome.said.clear()
    chrome.look(WIDTHS[0], "light")
    chrome.open(page)
    drawn = set()
    for opened in (False, True):
        if opened:
            chrome.unfold()
        for width, mode in [*product(WIDTHS, MODES if opened else ("light",)), (A4_WIDTH, "print")]:
            chrome.look(width, mode)
            found = chrome.measure()
            where = (page.name, width, mode, opened)
            assert found["room"] == width, where
            assert found["needed"] <= width, (where, found)
            assert found["out"] == [], where
            assert found["covered"] == [], where
            drawn |= {found["drawn"]} if width in WIDTHS else set()
            if opened and width in WIDTHS:
                bad = [one for one in chrome.violations() if one["impact"] in SERIOUS]
                assert bad == [], where
    assert chrome.said == []
    assert len(drawn) == 1
    return drawn.pop()


@pytest.mark.parametrize("name", renderings.PAGES)
def test_good_in_every_way_of_looking(chrome: Chrome, tmp_path: Path, name: str) -> None:
    page = tmp_path / name
    page.write_text(renderings.ALL[name](), encoding="utf-8")
    drawn = check(chrome, page)
    assert drawn == {"passed.html": 1, "long_run.html": 2, "index.html": 0, "suite.html": 0, "refused.html": 0}.get(
        name, drawn
    )


BAD = """<!doctype html><html lang="en"><title>Bad</title><style>p { color: %s; } div { width: %s; }
@media (prefers-color-scheme: dark) { body { background: #000; } p { color: %s; } }</style><body><main><h1>x</h1>
<p>words</p><div>wide</div></main>%s</body></html>"""

COVERED = """<table><tr><th scope="row">a</th><td data-head="A long label">text</td></tr></table><style>
td { position: relative; padding-left: 1em; } td::before { content: attr(data-head); position: absolute; left: 0; }</style>"""


@pytest.mark.parametrize(
    "parts",
    [
        ("#999", "9em", "#fff", ""),
        ("#000", "9em", "#444", ""),
        ("#000", "1500px", "#fff", ""),
        ("#000", "9em", "#fff", "<script>console.warn('a word')</script>"),
        ("#000", "9em", "#fff", '<img src="data:,">'),
        ("#000", "9em", "#fff", COVERED),
        ("#000", "9em", "#fff", "<style>@media print { div { min-width: 700px; } }</style>"),
    ],
    ids=["pale", "dark on dark", "wide", "noisy", "without words", "covered", "wide on paper"],
)
def test_a_bad_page_is_found_out(chrome: Chrome, tmp_path: Path, parts: tuple[str, ...]) -> None:
    page = tmp_path / "page.html"
    page.write_text(BAD % parts, encoding="utf-8")
    with pytest.raises(AssertionError):
        check(chrome, page)


def test_a_good_page_is_none(chrome: Chrome, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(BAD % ("#000", "9em", "#fff", ""), encoding="utf-8")
    assert check(chrome, page) == 0
