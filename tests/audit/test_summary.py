"""The summary for management: one page, and nothing in it sounds better than the audit."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from drillbook.audit import summary
from tests.audit import stories
from tests.audit.stories import DOWN, Book
from tests.audit.test_chain import audited
from tests.report.test_agreement import plain
from tests.report.test_browser import chrome
from tests.report.test_html import Page

__all__ = ["chrome"]


def test_a_service_is_good_only_when_the_newest_run_of_every_drill_passed(tmp_path):
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00").good().close()
    (row,) = [row for row in summary.service_rows(audited(book)) if row.service == "api"]
    assert (row.state, row.good, row.proven, row.objectives) == ("passed", True, 3, 3)
    assert row.rto.measured.startswith("2.4")
    book.run("2026-02-10T09:00:00", drill="api-down", text=DOWN).slow().close()
    book.run("2026-03-10T09:00:00").good().close()
    (row,) = [row for row in summary.service_rows(audited(book)) if row.service == "api"]
    assert (row.state, row.good, row.at) == ("failed", False, "2026-02-10")
    page = plain(summary.render(audited(book)))
    assert "api-down in lab ended failed on 2026-02-10" in page
    assert summary.headline(summary.service_rows(audited(book))) in page
    assert summary.headline([row]).startswith("Proven to recover: 0 of 1 service.")


def test_a_service_without_objectives_is_not_proven(tmp_path):
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00").good().close()
    audit = audited(book)
    (row,) = [row for row in summary.service_rows(replace(audit, proven=())) if row.service == "api"]
    assert (row.state, row.objectives, row.good) == ("passed", 0, False)


def test_what_needs_attention_is_told_the_most_urgent_first(tmp_path):
    audit = audited(stories.year(Book(tmp_path)))
    found = list(summary.alerts(audit))
    words = ("left changes that are not undone", "finding, open since", "was not drilled in")
    places = [next(at for at, text in enumerate(found) if word in text) for word in words]
    assert places == sorted(places)
    (left,) = [text for text in found if words[0] in text]
    assert "service.kill on app-1: no answer" in left
    broken = replace(audit, whole=False)
    assert "there may have been more runs" in next(summary.alerts(broken))


def test_a_book_without_runs_proves_nothing(tmp_path):
    page = plain(summary.render(audited(Book(tmp_path))))
    assert "No service is known, so nothing is proven." in page
    assert "Proven to recover" not in page


def test_it_has_no_script_and_hostile_text_stays_text(tmp_path):
    text = summary.render(audited(stories.hostile(Book(tmp_path))))
    page = Page(text)
    assert not page.all("script", "img", "iframe", "form")
    assert "<script>alert(1)</script>" in "".join(page.words)
    assert not set(text) & {"\x1b", "\u202e"}


def many(audit):
    """The audit with so many services and findings that no page holds them all."""
    rows = [replace(audit.coverage[0], service=f"service-{number:02} {'x' * 30}") for number in range(40)]
    findings = [replace(one, severity="high", state="open", detail="y" * 400) for one in audit.findings] * 30
    return replace(audit, coverage=(*audit.coverage, *rows), findings=tuple(findings))


@pytest.mark.parametrize("full", [False, True], ids=["a year", "forty services"])
def test_it_is_printed_on_one_page(chrome, tmp_path, full):
    audit = audited(stories.year(Book(tmp_path)))
    text = summary.render(many(audit) if full else audit)
    if full:
        assert re.search(r"and \d+ more, in the", plain(text))
        assert "more services, in the" in plain(text)
    (tmp_path / "summary.html").write_text(text, encoding="utf-8")
    chrome.look(1280, "print")
    chrome.open(tmp_path / "summary.html")
    assert chrome.paper(tmp_path / "page.pdf") == 1
