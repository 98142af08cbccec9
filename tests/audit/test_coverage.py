"""Coverage over the borders of the spans."""

from __future__ import annotations

from drillbook.audit import html, markdown
from tests.audit.stories import DOWN, Book
from tests.audit.test_chain import audited
from tests.report.test_agreement import plain


def cells(audit):
    (row,) = [row for row in audit.coverage if row.service == "api"]
    return {cell.span: (cell.last, cell.count) for cell in row.cells}


def test_a_drill_that_failed_stays_failed_in_later_months_until_a_run_passes(tmp_path):
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00").slow().close()
    book.run("2026-02-10T09:00:00", drill="api-down", text=DOWN).good().close()
    book.run("2026-03-10T09:00:00").refused().close()
    book.run("2026-04-10T09:00:00").good().close()
    book.run("2026-05-10T09:00:00", drill="api-down", text=DOWN).good().close()
    found = cells(audited(book))
    assert found["2026-01"][0] == found["2026-02"][0] == found["2026-03"][0] == "failed"
    assert found["2026-02"][1] == "1 run, sample failed before"
    assert (found["2026-04"], found["2026-05"]) == (("passed", "1 run"), ("passed", "1 run"))
    for page in (plain(html.render(audited(book))), markdown.render(audited(book))):
        assert "failed, 1 run, sample failed before" in page
