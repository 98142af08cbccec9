"""Exempt services in the summary for management: what does not fit is counted."""

from __future__ import annotations

from dataclasses import replace

from drillbook.audit import exempt_list, summary
from tests.audit.stories import HOSTS, Book
from tests.audit.test_chain import audited
from tests.report.test_agreement import plain


def test_exempt_services_are_named_with_the_reason(tmp_path):
    book = Book(tmp_path)
    book.run(
        "2026-01-10T09:00:00", hosts=HOSTS.replace("backups: {", "backups: {not_drilled: kept elsewhere, ")
    ).good().close()
    audit = audited(book)
    page = plain(summary.render(audit))
    assert (
        "Exempt by a statement in the inventory; the audit tells which statements are confirmed by runs: backups (kept elsewhere)."
        in page
    )
    (one,) = [row for row in audit.coverage if row.left_out]
    more = tuple(replace(one, service=f"s{number}", left_out=f"reason {number}") for number in range(6))
    page = plain(summary.render(replace(audit, coverage=(*audit.coverage, *more))))
    assert "reason 2), and 3 more in the audit." in page
    same = tuple(replace(one, service=f"service-{number}", left_out="a copy") for number in range(20))
    page = plain(summary.render(replace(audit, coverage=(*audit.coverage, *same))))
    assert "service-5, service-6 and 13 more (a copy)" in page


def test_exempt_services_behind_a_long_name_are_counted():
    assert exempt_list.texts(["a" * 80, "b", "c"], "copies") == ("a" * 74 + "… and 2 more", "copies")
    assert exempt_list.texts(["a" * 80], "a copy") == ("a" * 74 + "…", "a copy")
