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
    assert row.shown_state == "passed"
    assert replace(row, recovered=0).shown_state == "rehearsed only"
    assert replace(row, recovered=0, state="failed").shown_state == "failed"


def test_services_that_were_never_drilled_share_one_row(tmp_path):
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00").good().close()
    audit = audited(book)
    spare = [row for row in audit.coverage if not row.runs]
    rows = [replace(spare[0], service=f"spare-{number}") for number in range(5)]
    page = summary.render(replace(audit, coverage=(*audit.coverage, *rows)))
    assert page.count("never drilled</span>") == 1
    assert f"{len(spare) + 5} services<span" in page
    assert "spare-0, spare-1, spare-2, spare-3, spare-4" in plain(page)
    assert "more service" not in plain(page).split("Services")[-1]


@pytest.mark.parametrize(("severity", "named"), [("high", True), ("medium", True), ("low", False)])
def test_an_open_finding_of_a_run_that_passed_needs_attention(tmp_path, severity, named):
    audit = audited(stories.year(Book(tmp_path)))
    one = replace(audit.findings[0], severity=severity, state="open", title="Writes were lost", drill="cache-lost")
    found = [text for text in summary.alerts(replace(audit, findings=(one,))) if "Writes were lost (cache-lost)" in text]
    assert len(found) == named


def test_what_needs_attention_is_told_the_most_urgent_first(tmp_path):
    audit = audited(stories.year(Book(tmp_path)))
    found = list(summary.alerts(audit))
    words = ("left changes that are not undone", "finding, open since", "not drilled in")
    places = [next(at for at, text in enumerate(found) if word in text) for word in words]
    assert places == sorted(places)
    (left,) = [text for text in found if words[0] in text]
    assert "service.kill on app-1: no answer" in left
    broken = replace(audit, whole=False)
    assert "There may have been more runs" in next(summary.alerts(broken))


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
    drilled = next(row for row in audit.coverage if row.runs)
    rows = [replace(drilled, service=f"service-{number:02} {'x' * 30}") for number in range(40)]
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
