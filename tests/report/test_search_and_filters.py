"""Search and filters of the index and of an audit in a real browser, and the content security policy that allows this one
script.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drillbook.audit import html as audit_html
from drillbook.report import index
from tests.audit import stories
from tests.audit.stories import Book
from tests.audit.test_chain import audited
from tests.report import samples
from tests.report.chrome import Chrome
from tests.report.test_browser import chrome

__all__ = ["chrome"]
SHOWN = "[...document.querySelectorAll('#table-runs > tbody > tr')].filter((row) => row.getBoundingClientRect().height > 0)"


def shown(chrome: Chrome) -> list[str]:
    """Names of the runs with a visible row."""
    return chrome.run(f"{SHOWN}.map((row) => row.querySelector('bdi').textContent)")


def enter(chrome: Chrome, field: str, value: str) -> None:
    chrome.run(
        f"(() => {{ const field = document.querySelector('.filter [name={field}]'); field.value = {json.dumps(value)};"
        "field.dispatchEvent(new Event(field.localName === 'input' ? 'input' : 'change')); })()"
    )


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "index.html"
    path.write_text(index.render(samples.entries()), encoding="utf-8")
    return path


@pytest.fixture
def opened(chrome: Chrome, page: Path) -> Chrome:
    chrome.said.clear()
    chrome.look(1280, "light")
    chrome.open(page)
    return chrome


def test_words_and_fields_select_rows(opened: Chrome) -> None:
    assert len(shown(opened)) == 10
    enter(opened, "words", "POSTGRES 2026-05")
    assert shown(opened) == ["postgres-lost"]
    assert opened.run("document.querySelector('.filter output').value") == "1 of 8 shown"
    enter(opened, "words", "")
    enter(opened, "verdict", "failed")
    assert shown(opened) == ["postgres-lost"]
    enter(opened, "verdict", "")
    enter(opened, "environment", "staging")
    assert shown(opened) == ["quarterly", "redis-lost", "postgres-lost"]
    assert opened.said == []


def test_a_drill_of_a_suite_is_shown_below_its_suite(opened: Chrome) -> None:
    enter(opened, "drill", "redis-lost")
    assert shown(opened) == ["quarterly", "redis-lost"]
    enter(opened, "drill", "")
    enter(opened, "words", "quarterly")
    assert shown(opened) == ["quarterly", "redis-lost", "postgres-lost"]
    enter(opened, "words", "no such words")
    assert shown(opened) == []


def test_the_page_without_its_script_shows_everything_and_no_controls(chrome: Chrome, page: Path) -> None:
    page.write_text(page.read_text().replace('"use strict";', '"use strict"; '), encoding="utf-8")
    chrome.look(1280, "light")
    chrome.open(page)
    assert len(shown(chrome)) == 10
    assert chrome.run("document.querySelector('.filter').getBoundingClientRect().height") == 0


INJECTED = "<script>document.documentElement.dataset.injected = 'yes'</script>"


@pytest.mark.parametrize("how", ["in the page", "by an attribute", "later"])
def test_an_injected_script_does_not_run(chrome: Chrome, page: Path, how: str) -> None:
    evil = {
        "in the page": INJECTED,
        "by an attribute": "<svg onload=\"document.documentElement.dataset.injected = 'yes'\"></svg>",
        "later": "",
    }[how]
    page.write_text(page.read_text().replace("</main>", f"{evil}</main>"), encoding="utf-8")
    chrome.said.clear()
    chrome.look(1280, "light")
    chrome.open(page)
    if how == "later":
        chrome.run(
            "(() => { const one = document.createElement('script');"
            "one.textContent = \"document.documentElement.dataset.injected = 'yes'\"; document.body.append(one); })()"
        )
    enter(chrome, "verdict", "failed")
    assert shown(chrome) == ["postgres-lost"], "the page's own script runs"
    assert chrome.run("document.documentElement.dataset.injected || 'no'") == "no"
    assert any("Content Security Policy" in text for text in chrome.said)
    chrome.said.clear()


@pytest.fixture
def audit(chrome: Chrome, tmp_path: Path) -> Chrome:
    path = tmp_path / "audit.html"
    path.write_text(audit_html.render(audited(stories.year(Book(tmp_path)))), encoding="utf-8")
    chrome.said.clear()
    chrome.look(1280, "light")
    chrome.open(path)
    return chrome


def rows_of(chrome: Chrome, table: str, kind: str = ":not(.id)") -> list[dict[str, str]]:
    """Filtered fields of the visible rows of a table, without the lines with the names of runs."""
    return chrome.run(
        f"[...document.querySelectorAll('#{table} > tbody > tr{kind}')]"
        ".filter((row) => row.getBoundingClientRect().height > 0).map((row) => ({...row.dataset}))"
    )


def choose(chrome: Chrome, table: str, field: str, value: str) -> None:
    chrome.run(
        f"(() => {{ const field = document.querySelector('.filter[data-table={table}] [name={field}]');"
        f"field.value = {json.dumps(value)};"
        "field.dispatchEvent(new Event(field.localName === 'input' ? 'input' : 'change')); })()"
    )


def test_an_audit_filters_its_runs_and_its_findings_apart(audit: Chrome) -> None:
    runs, findings = rows_of(audit, "table-runs"), rows_of(audit, "table-findings")
    passed = [row for row in runs if row["verdict"] == "passed"]
    assert 0 < len(passed) < len(runs)
    choose(audit, "table-runs", "verdict", "passed")
    assert rows_of(audit, "table-runs") == passed
    assert rows_of(audit, "table-runs", ".id") == passed, "the name of each run is shown with it"
    assert rows_of(audit, "table-findings") == findings, "the other table is left as it is"
    seen = audit.run("document.querySelector('.filter[data-table=table-runs] output').value")
    assert seen == f"{len(passed)} of {len(runs)} shown"
    choose(audit, "table-runs", "operator", "ci")
    assert rows_of(audit, "table-runs") == [row for row in passed if row["operator"] == "ci"]
    choose(audit, "table-findings", "words", "no such words")
    assert rows_of(audit, "table-findings") == []
    choose(audit, "table-findings", "words", "")
    assert rows_of(audit, "table-findings") == findings
    assert audit.said == []


def test_an_audit_without_its_script_shows_everything_and_no_controls(chrome: Chrome, tmp_path: Path) -> None:
    path = tmp_path / "audit.html"
    whole = audited(stories.year(Book(tmp_path)))
    path.write_text(audit_html.render(whole).replace('"use strict";', '"use strict"; '), encoding="utf-8")
    chrome.look(1280, "light")
    chrome.open(path)
    assert len(rows_of(chrome, "table-runs")) == len(whole.runs)
    assert len(rows_of(chrome, "table-findings")) == len(whole.shown_findings)
    heights = "[...document.querySelectorAll('.filter')].map((bar) => bar.getBoundingClientRect().height)"
    assert set(chrome.run(heights)) == {0}
