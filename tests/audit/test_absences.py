"""Runs without a verdict in an audit: missing runs that another record mentions, and suites without a recorded end."""

from __future__ import annotations

import shutil

from drillbook.audit import html
from tests.audit.quarterly import SUITE, made, quarterly
from tests.report.test_agreement import plain


def test_a_missing_run_is_told_with_the_run_that_names_its_hash(book):
    first, _ = quarterly(book)
    later = book.run("2026-03-10T09:00:00").good().close()
    shutil.rmtree(first.folder.parent)
    audit = made(book)
    (row,) = audit.absent
    assert (row.kind, row.run, row.named_by) == ("missing", "", f"the run {later.id}")
    assert f"the run {later.id} names it, but either the folder of this run" in plain(html.render(audit))


def test_a_result_that_is_no_result_of_a_suite_shows_no_end(book):
    quarterly(book)
    for text in ("[1]", "{", '{"suite": 1, "runs": {}}', '{"drill": "x"}'):
        (book.reports / SUITE / "result.json").write_text(text)
        assert [row.kind for row in made(book).absent] == ["no end"] * ('"suite"' not in text)
