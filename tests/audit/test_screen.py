"""Screen of an audit: title first, and one column for the state of every objective."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import date
from pathlib import Path

from rich.console import Console

from drillbook.audit import content, html, markdown, summary, summary_terms
from drillbook.cli import audit as desk
from tests.audit import stories
from tests.audit.test_chain import audited
from tests.audit.test_told_of_runs import kept
from tests.report.test_agreement import plain


def test_the_title_stands_first_and_the_result_last_in_the_colour_of_its_state(book, monkeypatch):
    out = Console(width=80, file=io.StringIO(), force_terminal=True, color_system="standard")
    monkeypatch.setattr(desk, "console", lambda: out)
    desk._print(audited(stories.quiet(book)), Path("out"))
    lines = out.file.getvalue().splitlines()
    assert "Recovery drills from 2026-01-01 to 2026-12-31" in lines[0]
    assert "Fully proven: 1 of 2 services in lab." in lines[-1]
    assert lines[-1].startswith("\x1b[1;33m"), "not green while a service is not proven"
    assert [line for line in lines if "The record is complete" in line and "\x1b[1;" not in line]


def test_the_colour_of_the_result(book):
    audit = audited(stories.quiet(book))
    good, other = sorted(summary.service_rows(audit), key=lambda row: -row.rank)
    assert summary.tone(audit, [good]) == "passed"
    assert summary.tone(audit, [good, other]) == "inconclusive"
    assert summary.tone(audit, [good, replace(good, state="failed")]) == "failed"
    assert summary.tone(audit, [other]) == summary.tone(audit, []) == "failed"
    assert summary.tone(replace(audit, whole=False), [good]) == "failed"


def test_the_page_begins_with_the_result_and_then_tells_the_state_of_the_record(book):
    page = html.render(audited(stories.quiet(book)))
    head = page.split("<header>")[1].split("</header>")[0]
    assert '<p class="verdict inconclusive">' in head
    assert head.index("Fully proven: 1 of 2") < head.index("The record is complete")
    assert "<title>Recovery drills from 2026-01-01 to 2026-12-31: Fully proven: 1 of 2 services in lab.</title>" in page
    text = markdown.render(audited(book))
    assert text.index("**Fully proven: 1 of 2") < text.index("The record is complete")


def test_the_title_of_the_page_fits_in_the_head_of_a_sheet(book):
    """A browser prints it on one line above each sheet, and cuts what does not fit."""
    audit = replace(kept(book, "passed"), so_far=date(2026, 12, 1))
    assert "; 1 recovered with a reservation" in summary.headline(summary.service_rows(audit)), "longer than there is room"
    (title,) = re.findall(r"<title>(.*?)</title>", html.render(audit))
    assert "as of" not in title
    assert len(title) <= 90


def test_a_detection_by_the_drills_probe_is_shown_and_counted_apart(book, capsys):
    """It measures the probe and proves no alerting. The rule is that of the audit, its summary and the report of a suite."""
    audit = audited(stories.quiet(book))
    assert [row.by_probe for row in audit.proven] == [False, False, True]
    assert [row["by_probe"] for row in content.as_data(audit)["proven"]] == [False, False, True]
    said = "2 of 2 objectives proven. Detection by the drill's probe: 1 of 1 met. Such a detection measures the probe "
    desk._print(audit, Path("out"))
    screen = capsys.readouterr().out
    (line,) = [line for line in screen.splitlines() if " by probe " in line]
    assert "\u2264 0.11 s by probe" in line
    for text in (" ".join(screen.split()), plain(html.render(audit)), plain(markdown.render(audit))):
        assert said in text
    (row,) = [row for row in summary.service_rows(audit) if row.service == "api"]
    assert (row.proven, row.objectives, row.probed, row.good) == (2, 2, True, True)
    assert summary_terms.PROBE_NOTE in plain(summary.render(audit))
    alerted = replace(audit, proven=tuple(replace(row, by_probe=False, by="alert ApiDown") for row in audit.proven))
    assert "3 of 3 objectives proven." in plain(html.render(alerted))
    assert summary_terms.PROBE_NOTE not in plain(summary.render(alerted))


def test_a_plan_without_an_alert_tells_the_observer_before_there_is_a_figure(book):
    book.run("2026-01-10T09:00:00").refused().close()
    (row,) = [row for row in audited(book).proven if row.key == "detect"]
    assert (row.by_probe, row.measured_s) == (True, None)
    assert row.named == "Detection by the drill's probe"


def test_the_end_names_the_run_whose_changes_are_left_the_commands_and_the_exit_status(book, capsys):
    """A reader of the terminal alone must not search the page for the run and the command."""
    audit = audited(stories.year(book))
    (left,) = [row.run for row in audit.runs if row.residue]
    desk._print(audit, Path("out"))
    screen = " ".join(capsys.readouterr().out.split())
    assert f"1 run left changes that are not recorded as undone ({left})." in screen
    assert " Exit 3. " in screen
    steps = screen.partition(" Next ")[2]
    assert steps.startswith(f"undo the changes of {next(row for row in audit.runs if row.residue).drill} in lab")
    assert f"drill.recover {left}" in steps


def test_a_period_without_anything_to_do_at_once_has_no_next_steps(book, capsys):
    desk._print(audited(book), Path("out"))
    assert " Next " not in capsys.readouterr().out
