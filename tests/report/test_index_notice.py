"""Notice in the index about runs in progress, which a run adds when it begins."""

from __future__ import annotations

import os
import time

import pytest

from drillbook.journal.journal import Journal
from drillbook.redact import Redactor
from drillbook.report import index, index_age, index_notice
from tests.contents import content
from tests.report import samples

RUN = "20261201T111040.983Z-table-dropped-96e2"


@pytest.fixture
def running(tmp_path):
    """Folder of reports with a run in progress, and with an index from before its begin."""
    page = tmp_path / index_age.PAGE
    page.write_text(index.render(samples.entries()))
    os.utime(page, (1000, 1000))
    (tmp_path / RUN).mkdir()
    controller = Journal(tmp_path / RUN, Redactor([]), origin=time.monotonic())
    controller.append(content("note", {"message": "begun"}))
    yield tmp_path
    controller.close()


def test_a_run_that_begins_is_named_with_the_command_that_tells_its_state(running):
    page = running / index_age.PAGE
    before = page.read_text()
    index_notice.write(running)
    text = page.read_text()
    assert '<bdi>table-dropped</bdi>, begun <span class="num">2026-12-01 11:10</span>. To see if it still is' in text
    assert " drill.list</code>" in text
    assert text.replace(str(index_notice.notice([RUN])), "") == before, "nothing else is changed"
    assert page.stat().st_mtime == 1000
    assert index_age.outdated(running), "the table of the page lacks the run"
    index_notice.write(running)
    assert page.read_text() == text


def test_the_whole_page_has_the_notice_too_and_none_without_a_run_in_progress():
    assert str(index_notice.notice([RUN])) in index.render(samples.entries(), going=[RUN])
    assert "In progress when" not in index.render(samples.entries())
    told = index_notice.notice(["a%20suite/%3Cb%3E"])
    assert "&lt;b&gt;" in told
    assert "at an unknown time" in told


def test_an_index_that_cannot_be_written_stops_nothing(running):
    page = running / index_age.PAGE
    page.write_bytes(b"\xff")
    index_notice.write(running)
    assert page.read_bytes() == b"\xff"
    page.unlink()
    index_notice.write(running)
    page.mkdir()
    index_notice.write(running)
    index_notice.write(running / "nowhere")
    assert page.is_dir()
