"""Files of an audit: identical bytes each time, hostile text escaped, readable in a browser.

``DRILLBOOK_UPDATE_GOLDEN=1 pytest tests/audit`` rewrites the golden files; review the difference before you commit
it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import replace
from datetime import date
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from drillbook.audit import html, markdown
from drillbook.audit.chain import Problem
from drillbook.cli import audit as desk
from drillbook.errors import UsageError
from drillbook.project.project import Project
from tests.audit import stories
from tests.audit.stories import Book
from tests.audit.test_chain import audited
from tests.report.test_browser import check, chrome

GOLDEN = Path(__file__).parents[1] / "golden" / "audit"
FILES = ("audit.html", "audit.md", "audit.json", "summary.html")
SCRIPT = re.compile(r"<script>.*?</script>", re.DOTALL)
__all__ = ["chrome"]


def broken(book):
    """A year in which a run was removed and a line was changed."""
    stories.year(book)
    shutil.rmtree(book.runs[7].folder)
    path = book.runs[1].path
    path.write_bytes(path.read_bytes().replace(b"T09:00:12", b"T09:00:11", 1))
    return book


def nothing(book):
    return book


BOOKS = {"year": stories.year, "one-day": stories.one_day, "broken": broken, "hostile": stories.hostile, "nothing": nothing}


def golden(name, file):
    """Golden file for one file of the audit ``name``."""
    return GOLDEN / f"{name}.{file.removeprefix('audit.')}"


def run(root, name):
    book = BOOKS[name](Book(root))
    status = desk.audit(Project(root), "2026-01-01", "2026-12-31", today=date(2026, 11, 27))
    return status, book.reports / "audit-2026-01-01-2026-12-31"


@pytest.mark.parametrize(("name", "status"), [("year", 3), ("one-day", 3), ("broken", 3), ("hostile", 3), ("nothing", 3)])
def test_as_before(tmp_path, name, status):
    """These runs have no signatures or anchors, so that they are never reported as assured, intact or not."""
    found, folder = run(tmp_path, name)
    assert found == status
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    for file in FILES:
        path = golden(name, file)
        if os.environ.get("DRILLBOOK_UPDATE_GOLDEN") == "1":
            shutil.copyfile(folder / file, path)
        assert (folder / file).read_text() == path.read_text(), path.name


def test_no_golden_file_is_left_over():
    assert sorted(path.name for path in GOLDEN.iterdir()) == sorted(
        golden(name, file).name for name in BOOKS for file in FILES
    )


def test_twice_gives_the_same_bytes_and_an_audit_is_no_run(tmp_path):
    _, folder = run(tmp_path, "year")
    before = {file: (folder / file).read_bytes() for file in FILES}
    stories.render_all(Book(tmp_path))
    again = str(tmp_path / "elsewhere" / "deep")
    assert desk.audit(Project(tmp_path), "2026-01-01", "2026-12-31", again, today=date(2026, 11, 27)) == 3
    after = {file: (tmp_path / "elsewhere" / "deep" / file).read_bytes() for file in FILES}
    assert b'href="../../reports/' in after["audit.html"]
    for file in ("audit.html", "summary.html"):
        after[file] = after[file].replace(b'href="../../reports/', b'href="../')
    assert after == before


def test_every_run_that_ended_is_linked_to_its_report(tmp_path):
    _, folder = run(tmp_path, "year")
    page = (folder / "audit.html").read_text()
    links = set(re.findall(r'href="(\.\./[^"]+report\.html)"', page))
    ended = [row for row in json.loads((folder / "audit.json").read_text())["runs"] if row["finished"]]
    assert links == {f"../{row['folder']}/report.html" for row in ended}
    assert len(links) > 5
    rows = page.split('id="proven"')[1].split("</section>")[0]
    assert rows.count("/report.html") == rows.count("mono long")


PASSED = "Every run of the period passed and undid all its changes."


@pytest.mark.parametrize("render", [html.render, markdown.render])
def test_a_record_with_missing_runs_never_says_that_every_run_passed(tmp_path, render):
    audit = audited(stories.quiet(Book(tmp_path)))
    assert PASSED in render(audit)
    assert "verdicts are unknown" not in render(audit)
    gone = Problem("anchor-missing", "20260401T090000.000Z-sample-00aa", "gone", True, None, None, "an anchor", lost=True)
    other = replace(gone, run="20260402T090000.000Z-sample-00aa")
    suite = replace(gone, run="20260403T090000.000Z-all-00aa", lost=False)
    for problems, told in (
        ((suite,), "Runs may be missing, and their verdicts are unknown."),
        ((gone, suite), "At least 1 run is missing from the record, and its verdict is unknown."),
        ((gone, other), "At least 2 runs are missing from the record, and their verdicts are unknown."),
    ):
        page = render(replace(audit, whole=False, problems=problems))
        assert PASSED not in page
        assert f"Every run of the period that is in the record passed and undid all its changes. {told}" in page
        assert page.count(told) == 2, "beside the coverage, too"


@pytest.mark.parametrize("render", [html.render, markdown.render])
def test_passed_stands_nowhere_without_its_findings_and_its_rehearsals(tmp_path, render):
    audit = audited(stories.quiet(Book(tmp_path)))
    assert "1 medium finding" not in render(audit)
    assert "rehearsed only, 1 run" not in render(audit)
    found = tuple(replace(row, beside="1 medium finding") for row in audit.runs[:1]) + audit.runs[1:]
    assert render(replace(audit, runs=found)).count("1 medium finding") == 1
    row = next(row for row in audit.coverage if row.runs)
    cells = tuple(replace(cell, recovered=0) for cell in row.cells)
    page = render(replace(audit, coverage=(replace(row, cells=cells),)))
    assert page.count("rehearsed only, 1 run") == 3
    assert "passed, 1 run" not in page


def test_runs_of_suites_are_told_beside_the_runs_of_drills(tmp_path):
    audit = audited(stories.year(Book(tmp_path)))
    assert len(audit.suites) == 1
    for page in (html.render(audit), markdown.render(audit)):
        assert f"{len(audit.runs)} runs of drills and 1 run of a suite" in page


def test_every_part_of_the_page_is_in_its_navigation(tmp_path):
    page = html.render(audited(stories.year(Book(tmp_path))))
    assert re.findall(r'<li><a href="#([a-z-]+)">', page) == re.findall(r'<h2 id="([a-z-]+)"', page)


class Text(HTMLParser):
    """Text and tags of a page."""

    def __init__(self):
        super().__init__()
        self.text, self.tags = "", set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data):
        self.text += f" {data}"


@pytest.mark.parametrize("name", BOOKS)
def test_html_and_markdown_say_the_same(tmp_path, name):
    audit = audited(BOOKS[name](Book(tmp_path)))
    page, text = Text(), markdown.render(audit)
    page.feed(re.sub(r'<wbr>|<span class="date">([^<]*)</span>', r"\1", html.render(audit)))
    plain = unescape(re.sub(r"\\([\\`*_{}\[\]()#+~|!$])", r"\1", text))
    for row in audit.runs:
        for word in (row.folder, row.verdict):
            assert word in page.text
            assert word in plain
    for row in audit.evidence:
        for word in (row.head, row.sha256, row.before, row.anchor):
            assert word in page.text
            assert word in plain
    for row in audit.proven:
        assert row.measured in page.text.replace("\u00a0", " ") or not row.proven
        assert row.measured in plain or not row.proven
        for note in row.notes:
            assert note in page.text
            assert note in plain
    for one in audit.problems:
        assert one.text in page.text
        assert one.text in plain
    for row in audit.shown_findings:
        for word in (f"{row.times} time", row.title):
            assert word in page.text
            assert word in plain
    for one in audit.controls:
        assert one.title in page.text
        assert one.not_shown in page.text


def test_hostile_text_is_only_text(tmp_path):
    _, folder = run(tmp_path, "hostile")
    page, source = Text(), SCRIPT.sub("", (folder / "audit.html").read_text(), count=1)
    page.feed(source)
    assert not page.tags & {"script", "b1", "img", "iframe"}
    assert "<script" not in source
    assert "<script>alert(1)</script>" in page.text
    for file in ("audit.html", "audit.md", "summary.html"):
        text = (folder / file).read_text()
        assert not set(text) & {"\x1b", "\u202e", "\x00"}
    text = (folder / "audit.md").read_text()
    assert "<script>" not in text
    assert "](javascript" not in text
    assert "{{ 7*7 }}" in page.text
    assert " 49 " not in page.text
    json.loads((folder / "audit.json").read_text())


def test_nothing_passes_in_a_broken_record_that_did_not(tmp_path):
    data = json.loads((run(tmp_path, "broken")[1] / "audit.json").read_text())
    assert data["whole"] is False
    damaged = next(one["run"] for one in data["problems"] if one["code"] == "damaged")
    assert next(row for row in data["runs"] if row["run"] == damaged)["verdict"] == "not verified"
    assert not any(row["run"] == damaged for row in data["proven"])
    january = next(row for row in data["coverage"] if row["service"] == "api")["cells"][0]
    assert (january["passed"], january["last"]) == (0, "not verified")
    assert "there may have been more runs" in data["sentence"]


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    Book(tmp_path)
    with pytest.raises(UsageError, match="cannot be written"):
        desk.audit(Project(tmp_path), "2026-01-01", "2026-12-31", str(tmp_path / "file" / "x"))


def test_the_summary_fits_and_names_what_is_wrong(tmp_path, capsys):
    run(tmp_path, "broken")
    out = capsys.readouterr().out
    assert out.splitlines()[-1].startswith("Fully proven: 0 of 2 services")
    assert "  The record is not complete: 2 problems. Exit 3.\n" in out
    assert out.splitlines()[0] == "Recovery drills from 2026-01-01 to 2026-12-31 (as of 2026-11-27)"
    assert "missing-run" in out
    assert "damaged" in out
    assert "audit.html" in out
    assert all(len(line) <= 100 for line in out.splitlines() if ".html" not in line)


def test_the_summary_of_hostile_runs_is_harmless(tmp_path, capsys):
    run(tmp_path, "hostile")
    assert not set(capsys.readouterr().out) & {"\x1b", "\u202e"}


@pytest.mark.parametrize("name", BOOKS)
def test_good_in_every_way_of_looking(chrome, tmp_path, name):
    for file in ("audit.html", "summary.html"):
        check(chrome, shutil.copyfile(golden(name, file), tmp_path / file))


def test_the_time_of_a_run_that_did_not_pass_stays_on_one_line(tmp_path):
    audit = audited(stories.year(Book(tmp_path)))
    rows = html.render(audit).split('id="not-passed"')[1].split("</section>")[0]
    assert rows.count('</bdi>, <span class="date">2026-') == len(audit.not_passed)
