"""Printed audits: a year of quarterly suites on few sheets, with each name of a run on one line."""

import re

from drillbook.audit import briefing, html, summary
from drillbook.audit.summary_layout import LEAST_ALERTS
from tests.audit import stories
from tests.audit.stories import DRILL, LEFT, Book, Run
from tests.audit.test_chain import audited
from tests.audit.test_summary import first_runs
from tests.judge.story import ACKS, SAMPLES
from tests.report.chrome import Chrome
from tests.report.test_browser import chrome

__all__ = ["chrome"]
DRILLS = ("postgres-lost", "cache-lost", "files-lost", "objects-deleted", "table-dropped", "network-cut")
BROKEN = """
[...document.querySelectorAll('.runs .part')].filter(part => part.getClientRects().length !== 1 ||
  part.getBoundingClientRect().height > 1.7 * parseFloat(getComputedStyle(part).fontSize)).map(part => part.textContent)
"""


def test_a_year_of_quarterly_suites_needs_few_sheets_and_breaks_no_name_of_a_run(chrome: Chrome, tmp_path):
    book = Book(tmp_path)
    for month in (1, 4, 7, 10):
        suite = f"2026{month:02}10T085959.000Z-quarterly-00a{month % 9}"
        for minute, name in enumerate(DRILLS):
            text = DRILL.replace("sample", name)
            book.run(f"2026-{month:02}-10T09:{minute:02}:00", drill=name, text=text, suite=suite).good().close()
    page = tmp_path / "audit.html"
    page.write_text(html.render(audited(book)), encoding="utf-8")
    chrome.look(688, "print")
    chrome.open(page)
    assert len(chrome.run("[...document.querySelectorAll('.runs .part')].map(part => part.textContent)")) == 48
    assert chrome.run(BROKEN) == []
    assert chrome.run("document.querySelector('#table-runs').offsetWidth") <= 688, "the room between the margins"
    assert chrome.paper(tmp_path / "page.pdf") <= 8


def mixed(run: Run, kind: int) -> None:
    """End a run in one of seven ways; most do not pass."""
    if kind == 1:
        run.refused("the system is not ready: http.available on app-1 answered 503")
    elif kind == 2:
        run.slow()
    elif kind == 3:
        run.unproven()
    elif kind == 4:
        run.fault().availability(*SAMPLES).recovery(verify="failed").end([LEFT])
    elif kind == 5:
        run.fault().availability(*SAMPLES).canary(ACKS, [[1, 200], [250, 400]]).recovery().end()
    else:
        run.good()
    run.close()


def test_thirty_runs_of_which_most_did_not_pass_need_eleven_sheets_with_all_their_evidence(chrome: Chrome, tmp_path):
    book = Book(tmp_path)
    for number in range(30):
        round_, minute = divmod(number, 6)
        name = DRILLS[minute]
        begun = f"2026-{2 * round_ + 1:02}-10T09:{minute:02}:00"
        mixed(book.run(begun, drill=name, text=DRILL.replace("sample", name)), number % 7)
    audit = audited(book)
    page = tmp_path / "audit.html"
    page.write_text(html.render(audit), encoding="utf-8")
    chrome.look(688, "print")
    chrome.open(page)
    text = chrome.run("document.body.innerText")
    for row in audit.evidence:
        assert row.head in text
        assert row.sha256 in text
    assert chrome.run(BROKEN) == []
    assert chrome.paper(tmp_path / "page.pdf") <= 11


def test_a_full_summary_on_paper_has_the_figures_of_the_screen_and_explains_only_its_own_words(chrome: Chrome, tmp_path):
    audit = first_runs(audited(stories.year(Book(tmp_path))))
    page = tmp_path / "summary.html"
    page.write_text(summary.render(audit), encoding="utf-8")
    assert 'class="stack dense"' in page.read_text(), "the page is full"
    for mode in ("light", "print"):
        chrome.look(1280, mode)
        chrome.open(page)
        text = chrome.run("document.querySelector('#services').parentElement.innerText")
        assert "more with a reservation" in text
        for words in ("restored in ", "would be lost", "Rehearsed\n"):
            assert words in text, mode
        assert text.count("restored in ") == 1, "in the table on a screen, and below it on paper"
    assert chrome.paper(tmp_path / "page.pdf") == 1


def test_the_screen_lists_the_alerts_for_which_paper_has_no_room(chrome: Chrome, tmp_path):
    audit = first_runs(audited(stories.year(Book(tmp_path))))
    page, wanted = tmp_path / "summary.html", len(briefing.of(audit, LEAST_ALERTS))
    page.write_text(summary.render(audit), encoding="utf-8")
    chrome.open(page)
    counts = []
    for mode in ("light", "print"):
        chrome.look(1280, mode)
        text = chrome.run("document.querySelector('#attention').parentElement.innerText")
        counts.append((text.count("When: "), re.findall(r"and (\d+) more, in the audit", text)))
    assert counts[0] == (wanted, [])
    printed, more = counts[1]
    assert more == [str(wanted - printed)]
    assert LEAST_ALERTS <= printed < wanted
