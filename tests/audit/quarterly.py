"""A suite of two drills, and the audit of all its runs."""

from __future__ import annotations

import json

from drillbook.audit import content, records, suites
from drillbook.audit.period import Period
from tests.audit.stories import DOWN

SUITE = "20260210T085959.000Z-quarterly-00aa"


def made(book):
    found, strays = records.find(book.reports)
    known = suites.find(book.reports, found, strays)
    return content.make(found, strays, Period.parse("2026-01-01", "2026-12-31"), suites=known)


def quarterly(book, *, ended=True):
    """A suite of two drills, with a single run before and after it."""
    book.run("2026-01-10T09:00:00").good().close()
    inside = [book.run("2026-02-10T09:00:00", suite=SUITE).good().close()]
    inside.append(book.run("2026-02-10T09:10:00", drill="api-down", text=DOWN, suite=SUITE).good().close())
    runs = [{"run": run.id, "folder": run.id, "verdict": "passed"} for run in inside]
    if ended:
        (book.reports / SUITE / "result.json").write_text(json.dumps({"suite": "quarterly", "runs": runs}))
    return inside
