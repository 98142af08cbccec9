"""Reports on paper: a real run of a small drill within six pages, and what succeeded in one line each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report import renderings
from tests.report.chrome import Chrome
from tests.report.test_browser import chrome

__all__ = ["chrome"]


def pages(chrome: Chrome, folder: Path, name: str) -> int:
    page = folder / name
    page.write_text(renderings.ALL[name](), encoding="utf-8")
    chrome.look(1280, "print")
    chrome.open(page)
    return chrome.paper(folder / "page.pdf")


@pytest.mark.parametrize("name", ["put_back.html", "passed.html", "not_whole.html", "stuck.html"])
def test_a_small_drill_needs_at_most_six_pages(chrome: Chrome, tmp_path: Path, name: str) -> None:
    assert 1 <= pages(chrome, tmp_path, name) <= 6


def test_only_steps_that_did_not_succeed_are_unfolded(chrome: Chrome, tmp_path: Path) -> None:
    pages(chrome, tmp_path, "not_whole.html")
    states = "[...document.querySelectorAll('.step%s > summary .state')].map((one) => one.className)"
    assert chrome.run(states % "[open]") == ["state error"]
    assert set(chrome.run(states % ":not([open])")) == {"state done"}
    assert chrome.run("document.querySelector('.paper').getBoundingClientRect().height") > 0
