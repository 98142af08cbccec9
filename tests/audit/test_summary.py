"""Summary for management: one page, and never more positive than the audit."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

import pytest

from drillbook.audit import (
    briefing,
    html,
    markdown,
    printed_summary,
    summary,
    summary_layout,
    summary_terms,
    unproven_reasons,
)
from drillbook.audit.absences import MISSING, AbsentRow
from drillbook.audit.alert_causes import alerts
from drillbook.audit.chain import Problem
from drillbook.audit.findings import FindingRow
from drillbook.audit.missed_drills import MissedRow
from drillbook.audit.objective_states import UncountedFigure
from drillbook.audit.rehearsal_figures import RehearsedRow
from drillbook.audit.service_groups import TITLES
from drillbook.cli import audit as desk
from drillbook.project.schedules import Scheduled
from drillbook.report import remarks
from drillbook.report.wording import CLOCKS
from tests.audit import stories
from tests.audit.stories import ACKS, DOWN, HOSTS, SAMPLES, Book
from tests.audit.test_chain import audited
from tests.report.test_agreement import plain
from tests.report.test_browser import chrome
from tests.report.test_html import Page

__all__ = ["chrome"]


def texts(audit):
    return [one.text for one in alerts(audit)]


def test_a_service_is_good_only_when_the_newest_run_of_every_drill_passed(tmp_path):
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00").good().close()
    (row,) = [row for row in summary.service_rows(audited(book)) if row.service == "api"]
    assert (row.state, row.good, row.proven, row.objectives) == ("passed", True, 2, 2)
    assert row.rto.measured.startswith("2.4")
    book.run("2026-02-10T09:00:00", drill="api-down", text=DOWN).slow().close()
    book.run("2026-03-10T09:00:00").good().close()
    (row,) = [row for row in summary.service_rows(audited(book)) if row.service == "api"]
    assert (row.state, row.good, row.at) == ("failed", False, "2026-02-10")
    page = plain(summary.render(audited(book)))
    assert "api-down in lab ended failed on 2026-02-10" in page
    assert summary.headline(summary.service_rows(audited(book))) in page
    assert summary.headline([row]).startswith("Fully proven: 0 of 1 service in lab.")
    assert summary.headline([row, replace(row, environment="prod")]).startswith("Fully proven: 0 of 2 services.")
    rehearsed = replace(row, state="passed", recovered=0)
    assert summary.headline([rehearsed]) == "Fully proven: 0 of 1 service in lab; 1 rehearsed only."


def test_a_drill_that_was_not_run_here_is_less_urgent_than_one_with_a_finding(tmp_path):
    """A run that tried nothing failed nothing: it is not the first entry, and nobody has to act at once."""
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00", text=DOWN.replace("api-down", "sample")).not_run().close()
    book.run("2026-01-11T09:00:00", drill="api-down", text=DOWN).slow().close()
    told = list(alerts(audited(book)))
    assert told[0].text.startswith("api-down in lab ended failed")
    (at,) = [number for number, one in enumerate(told) if "was not run here" in one.text]
    lead = next(number for number, one in enumerate(told) if "never drilled" in one.text)
    assert (at > lead, told[at].when) == (True, "in the next period")


def test_a_drill_that_was_not_run_here_did_not_fail(tmp_path, capsys):
    """A service whose only run tried nothing was neither drilled nor failed, in all formats of the audit."""
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00", text=f"{DOWN}every: 7d\n".replace("api-down", "sample")).not_run().close()
    audit = audited(book)
    assert "Not run here, and never passed: sample. See" in plain(html.render(audit))
    assert "Never passed: sample" not in plain(html.render(audit))
    (row,) = [row for row in summary.service_rows(audit) if row.service == "api"]
    assert "not run here 1 (api)" in summary.standing([row])
    (covered,) = [row for row in audit.coverage if row.service == "api"]
    assert (covered.runs, covered.not_run, covered.untried) == (1, 1, True)
    for text in (plain(summary.render(audit)), plain(html.render(audit)), plain(markdown.render(audit))):
        assert "not run here 1 (api)" in text
        assert "did not pass 1" not in text
        assert "sample in lab was not run here on 2026-01-10" in text
        assert "run the drill where these services are installed: " in text
        assert "sample --inventory docker" in text
        assert "mend the cause" not in text
    assert audit.sentence == "1 run of 1 drill: 1 not run here."
    assert not [text for text in texts(audit) if text.startswith("No drill of")]
    desk._print(audit, tmp_path)
    assert ["api", "(lab)", "1", "not", "run", "here", "11", "of", "12", "months"] in [
        line.split() for line in capsys.readouterr().out.splitlines()
    ]
    book.run("2026-02-10T09:00:00").refused().close()
    audit = audited(book)
    (row,) = [row for row in summary.service_rows(audit) if row.service == "api"]
    assert "did not pass 1 (api)" in summary.standing([row])


def test_a_drill_that_failed_comes_before_one_that_was_stopped(tmp_path):
    book = Book(tmp_path)
    stopped = book.run("2026-01-10T09:00:00")
    stopped.add(1.0, "ended.early", why="aborted", message="the run was stopped by SIGINT", findings=[]).end().close()
    book.run("2026-01-11T09:00:00", drill="api-down", text=DOWN).slow().close()
    found = [text for text in texts(audited(book)) if " ended " in text]
    assert [text.split()[0] for text in found] == ["api-down", "sample"]


def test_the_longest_proven_figure_is_shown_and_not_the_closest_to_its_target(tmp_path):
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00").good().close()
    audit = audited(book)
    (rto,) = [row for row in audit.proven if row.key == "rto"]
    close = replace(rto, drill="table-dropped", measured="1.77 s", measured_s=1.77, target="2 s", target_s=2.0)
    longest = replace(rto, drill="postgres-lost", measured="5.105 s", measured_s=5.105, target="1 h", target_s=3600.0)
    unproven = replace(longest, drill="never", measured_s=9.0, proven=False)
    (row,) = [
        row for row in summary.service_rows(replace(audit, proven=(close, longest, unproven))) if row.service == rto.service
    ]
    assert (row.rto, row.rpo) == (longest, None)
    page = plain(summary.render(replace(audit, proven=(close, longest))))
    assert "RTO and RPO: the longest met in a deciding run" in page
    assert "target 1 h, postgres-lost" in page


def test_the_legend_explains_a_mark_only_if_a_cell_shows_it(tmp_path):
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00").good().close()
    audit = audited(book)
    goal = replace(next(row for row in audit.proven if row.key == "rto"), key="rpo")
    fresh = replace(goal, drill="fresh", proven=False, reserved=True, mark=" †", measured_s=1.0)
    longer = replace(goal, drill="nightly", proven=True, reserved=False, mark="", measured_s=2.0)
    for goals, shown in (((fresh, longer), False), ((fresh,), True)):
        page = plain(summary.render(replace(audit, proven=goals)))
        assert (remarks.LEGENDS[remarks.MARK] in page) is shown
        assert ("†" in page) is shown


def test_open_findings_stand_beside_a_service_that_passed(tmp_path):
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00").good().close()
    audit = audited(book)
    one = FindingRow(
        "lost", "medium", "Writes were lost", "lab", "sample", 1, 1, "2026-01-10", "2026-01-10", "open", "7 of 9", 1
    )
    for found, beside in (
        (one, "1 medium finding"),
        (replace(one, state="not seen again"), ""),
        (replace(one, severity="low"), ""),
        (replace(one, drill="another"), ""),
        (replace(one, in_newest=2), "2 medium findings"),
    ):
        page = replace(audit, findings=(found,))
        (row,) = [row for row in summary.service_rows(page) if row.service == "api"]
        assert row.beside == beside
        assert ("! 1 medium finding" in plain(summary.render(page))) == (beside == "1 medium finding")
        assert any(f"sample in lab has {beside}, open since" in text for text in texts(page)) == bool(beside)


def test_months_that_have_not_begun_are_no_gaps(tmp_path):
    book = Book(tmp_path)
    book.run("2025-12-10T09:00:00").good().close()
    book.run("2026-03-10T09:00:00").good().close()
    audit = audited(book, today="2026-11-29")
    told = texts(audit)
    never = {row.service for row in audit.coverage if not row.runs}
    assert never
    assert any(text.endswith("never drilled from 2026-01-01 to 2026-11-29 in lab") for text in told)
    lacking = "The service api was not drilled in 10 of 11 months (2026-11 only to 2026-11-29) in lab"
    assert lacking in told
    steps = {one.text: one.step for one in alerts(audit)}
    assert steps[lacking] == "schedule a drill, so that the coming months are covered"
    assert steps[next(text for text in steps if "never drilled" in text)].startswith(
        "copy a drill for the service backups: `drillbook init --with "
    )
    assert not [text for text in told if "of 12" in text]
    page = plain(summary.render(audit))
    assert "(as of 2026-11-29)" in page
    assert "From 2026-01-01 to 2026-12-31, both days included. It has not ended: this page shows" in page
    ended = audited(book)
    assert any(text.endswith("never drilled from 2026-01-01 to 2026-12-31 in lab") for text in texts(ended))
    assert "as of" not in plain(summary.render(ended))
    assert "so far" not in plain(summary.render(ended))


def test_a_period_in_the_future_has_not_begun(tmp_path):
    audit = audited(Book(tmp_path), today="2025-12-31")
    assert "It has not begun: this page shows the state of 2025-12-31." in plain(summary.render(audit))


def test_a_missed_objective_is_told_with_its_figure_and_its_target(tmp_path):
    book = Book(tmp_path)
    book.run("2026-02-10T09:00:00", drill="api-down", text=DOWN).slow().close()
    (goal,) = [goal for goal in audited(book).proven if goal.missed]
    assert unproven_reasons.line([goal]) == f"api-down: RTO {goal.measured}{goal.mark}, target {goal.target}: missed"


def test_code_between_backticks_is_printed_as_code(tmp_path):
    book = Book(tmp_path)
    book.run("2026-02-10T09:00:00").not_run("the drill needs `metrics` here").close()
    audit = audited(book)
    for page in (html.render(audit), summary.render(audit)):
        assert "<code>metrics</code>" in page
        assert "`" not in plain(page.partition("<body")[2].partition("<script")[0])


def test_a_record_that_is_not_whole_says_that_verdicts_are_unknown(tmp_path):
    audit = audited(stories.quiet(Book(tmp_path)))
    broken = replace(audit, whole=False)
    assert "Runs may be missing, and their verdicts are unknown" in plain(summary.render(broken))
    assert "verdicts are unknown" not in plain(summary.render(audit))


def test_a_service_without_objectives_is_not_proven(tmp_path):
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00").good().close()
    audit = audited(book)
    (row,) = [row for row in summary.service_rows(replace(audit, proven=())) if row.service == "api"]
    assert (row.state, row.objectives, row.good) == ("passed", 0, False)
    assert row.state_name == "not every objective"
    assert replace(row, recovered=0).state_name == "rehearsed only"
    assert replace(row, recovered=0, state="failed").state_name == "did not pass"


def test_services_that_were_never_drilled_share_one_row(tmp_path):
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00").good().close()
    audit = audited(book)
    spare = [row for row in audit.coverage if not row.runs]
    rows = [replace(spare[0], service=f"spare-{number}") for number in range(5)]
    page = summary.render(replace(audit, coverage=(*audit.coverage, *rows)))
    assert page.count("never drilled</span>") == 1
    assert f"{len(spare) + 5} services</th>" in page
    assert "spare-0, spare-1, spare-2, spare-3, spare-4" in plain(page)
    assert "more service" not in plain(page).split("Services")[-1]


@pytest.mark.parametrize(("severity", "named"), [("high", True), ("medium", True), ("low", False)])
def test_an_open_finding_of_a_run_that_passed_needs_attention(tmp_path, severity, named):
    audit = audited(stories.year(Book(tmp_path)))
    one = replace(audit.findings[0], severity=severity, state="open", title="Writes were lost", drill="cache-lost")
    found = [
        text
        for text in texts(replace(audit, findings=(one,)))
        if "cache-lost in lab has 1" in text and "Writes were lost" in text
    ]
    assert len(found) == named


def test_an_open_finding_links_the_newest_report_of_its_drill(tmp_path):
    audit = audited(stories.year(Book(tmp_path)))
    newest = next(run for run in reversed(audit.runs) if (run.environment, run.drill) not in audit.failing)
    one = replace(audit.findings[0], severity="high", state="open", drill=newest.drill, environment=newest.environment)
    found = [alert.run for alert in alerts(replace(audit, findings=(one,))) if "has 1 high finding" in alert.text]
    assert found == [newest.run]


def test_what_needs_attention_is_told_the_most_urgent_first(tmp_path):
    audit = audited(stories.year(Book(tmp_path)))
    found = texts(audit)
    words = ("left changes that are not undone", "ended failed on", "not drilled in")
    places = [next(at for at, text in enumerate(found) if word in text) for word in words]
    assert places == sorted(places)
    (left,) = [text for text in found if words[0] in text]
    assert "service.kill on app-1: no answer" in left
    broken = replace(audit, whole=False)
    assert "There may have been more runs" in texts(broken)[0]


def test_a_book_without_runs_proves_nothing(tmp_path):
    page = plain(summary.render(audited(Book(tmp_path))))
    assert "No service is known, so nothing is proven." in page
    assert "Fully proven" not in page


def test_it_has_no_script_and_hostile_text_stays_text(tmp_path):
    text = summary.render(audited(stories.hostile(Book(tmp_path))))
    page = Page(text)
    assert not page.all("script", "img", "iframe", "form")
    assert "<script>alert(1)</script>" in "".join(page.words)
    assert not set(text) & {"\x1b", "\u202e"}


def many(audit):
    """Audit with more services and findings than fit on one page."""
    drilled = next(row for row in audit.coverage if row.runs)
    rows = [replace(drilled, service=f"service-{number:02} {'x' * 30}") for number in range(40)]
    left = replace(drilled, runs=0, passed=0, recovered=0)
    rows += [
        replace(left, service=f"copy-{number:02} {'y' * 30}", left_out=f"reason {number % 6} {'z' * 200}")
        for number in range(30)
    ]
    findings = [
        replace(one, severity="high", state="open", detail="y" * 400, drill=f"{one.drill}-{number}")
        for one in audit.findings
        for number in range(30)
    ]
    goal = next(row for row in audit.proven if row.key == "rpo")
    goals = [
        replace(goal, service=row.service, drill="a-drill-with-a-long-name", mark=" †‡", proven=False, reserved=True)
        for row in rows
        if row.runs
    ]
    return replace(
        audit, coverage=(*audit.coverage, *rows), findings=tuple(findings), proven=(*audit.proven, *goals, *goals)
    )


def lab(audit):
    """Audit with a few services, of which one has objectives without a proof, many exempt services and long alerts."""
    drilled = next(row for row in audit.coverage if row.runs)
    rows = [replace(drilled, service=name) for name in ("originals", "cache", "database")]
    rows += [replace(drilled, service=f"never-{number}", runs=0, passed=0, recovered=0, gaps=()) for number in range(6)]
    left = replace(drilled, runs=0, passed=0, recovered=0, gaps=())
    rows += [
        replace(left, service=f"database_copy_{number}", left_out=f"a backup; it is rehearsed with its service {number % 7}")
        for number in range(26)
    ]
    goals = [
        replace(goal, drill=f"{goal.drill}-{number}", proven=False, missed=not number, mark=" †", run="x")
        for goal in audit.proven
        for number in range(4)
    ]
    met = [
        replace(goal, service=row.service, proven=goal.key != "rpo", reserved=goal.key == "rpo", missed=False, mark=" †")
        for row in rows[:3]
        for goal in audit.proven
    ]
    alike = [
        replace(one, severity="high", state="open", drill=f"a-drill-with-a-quite-long-name-that-fills-lines-{n}")
        for n, one in zip(range(9), audit.findings * 9, strict=False)
    ]
    return replace(
        audit,
        coverage=(*audit.coverage, *rows),
        findings=tuple(alike),
        proven=(*audit.proven, *goals, *met),
        so_far=date(2026, 11, 29),
    )


def rehearsed(audit):
    """Audit of a lab whose services were rehearsed, too."""
    audit = lab(audit)
    rows = [
        RehearsedRow(
            row.environment,
            row.service,
            "rehearse",
            "nightly",
            "folder",
            9,
            8,
            "x",
            "2026-11-01",
            7265.2,
            9,
            86399.0,
            99.0,
            "",
            (),
        )
        for row in audit.coverage
        if row.runs
    ]
    return replace(audit, rehearsed=tuple(rows))


def quarter(audit):
    """Audit with ten services in all states, failures, rehearsals of fresh backups, and a long list of exempt services."""
    drilled = next(row for row in audit.coverage if row.runs)
    names = ("api", "cache", "database", "files", "mail", "originals", "queue", "search", "shop", "vectors")
    rows = [replace(drilled, service=name, recovered=number % 3) for number, name in enumerate(names)]
    left = replace(drilled, runs=0, passed=0, recovered=0, gaps=())
    rows += [
        replace(
            left, service=f"{name}_{kind}", left_out=f"{kind} of {name}: it is restored by the rehearsals of the service"
        )
        for name in names
        for kind in ("dumps", "sandbox", "copy")
    ]
    marks = (" \u2020", " \u00a7\u2020", " \u2021", " \u00b6", "")
    goals = [
        replace(
            goal,
            service=name,
            drill=f"{name}-lost-with-a-fault",
            proven=goal.key != "rpo" or not marks[number % 5],
            reserved=goal.key == "rpo" and bool(marks[number % 5]),
            missed=False,
            mark=marks[number % 5] if goal.key == "rpo" else "",
        )
        for number, name in enumerate(names)
        for goal in audit.proven
    ]
    goals += [
        replace(goal, drill=f"{goal.service}-too-slow", proven=False, reserved=False, missed=True) for goal in goals[:6]
    ]
    base = rehearsed(audit).rehearsed[0]
    own = [replace(base, service=name, drill=f"rehearse-{name}", taken="a backup taken during this run") for name in names]
    runs = [replace(audit.runs[0], service=name, drill=f"{name}-slow", verdict="failed", reason="z" * 300) for name in names]
    return replace(
        audit,
        coverage=(*audit.coverage, *rows),
        proven=(*audit.proven, *goals),
        rehearsed=tuple(own),
        runs=(*audit.runs, *runs),
        so_far=date(2026, 11, 29),
    )


def first_runs(audit):
    """Audit of a lab in its first quarter: four services were drilled, one failed, and six were never drilled."""
    audit = quarter(audit)
    names = ("api", "cache", "database", "originals")
    rows = [row for row in audit.coverage if row.left_out or row.service in names]
    drilled = next(row for row in rows if row.runs)
    rows += [replace(drilled, service=f"never_{number}", runs=0, passed=0, recovered=0, gaps=()) for number in range(6)]
    goals = [
        replace(goal, drill=f"{goal.service}-lost")
        for goal in audit.proven
        if goal.met and goal.service in names and not (goal.service == "originals" and goal.key == "rpo")
    ]
    goals += [replace(goal, drill="api-wrong", proven=False) for goal in goals if goal.service == "api" and goal.proven]
    runs = [run for run in audit.runs if run.service not in names[1:] or len(run.reason) < 300]
    return replace(
        audit,
        coverage=tuple(rows),
        proven=tuple(goals),
        runs=tuple(runs),
        rehearsed=tuple(row for row in audit.rehearsed if row.service == "database"),
        assurance=replace(audit.assurance, unsigned=(), weak=(), unread=(), checked=True, own_only=True, compared=()),
    )


@pytest.mark.parametrize(
    "full",
    [None, lab, rehearsed, many, quarter, first_runs],
    ids=["a year", "a lab", "rehearsed", "forty services", "ten services", "first runs"],
)
def test_it_is_printed_on_one_page(chrome, tmp_path, full):
    audit = audited(stories.year(Book(tmp_path)))
    text = summary.render(full(audit) if full else audit)
    if full is many:
        assert re.search(r"and \d+ more, in the", plain(text))
        for number in range(40):
            assert f"service-{number:02}" in plain(text), "no service is left out"
    (tmp_path / "summary.html").write_text(text, encoding="utf-8")
    chrome.look(1280, "print")
    chrome.open(tmp_path / "summary.html")
    assert chrome.paper(tmp_path / "page.pdf") == 1


def test_it_stays_on_one_page_with_any_number_of_services_and_failures(chrome, tmp_path):
    audit = quarter(audited(stories.year(Book(tmp_path))))
    names = sorted({row.service for row in audit.coverage if row.runs})
    chrome.look(1280, "print")
    for drilled in (4, 5, 6, 8, 10):
        for failing in (0, 2, 9):
            rows = [row for row in audit.coverage if not row.runs or row.service in names[:drilled]]
            runs = [run for run in audit.runs if run.service not in names[failing:] or len(run.reason) < 300]
            goals = [goal for goal in audit.proven if goal.met or goal.service in names[: failing // 3]]
            shown = replace(audit, coverage=tuple(rows), runs=tuple(runs), proven=tuple(goals))
            (tmp_path / "summary.html").write_text(summary.render(shown), encoding="utf-8")
            chrome.open(tmp_path / "summary.html")
            assert chrome.paper(tmp_path / "page.pdf") == 1, (drilled, failing)


@pytest.mark.parametrize("drilled", [4, 7, 8, 10, 20])
@pytest.mark.parametrize("marked", [True, False], ids=["reservations", "no reservations"])
def test_each_alert_on_paper_has_its_next_step_and_figures_fit_beside_it(chrome, tmp_path, drilled, marked):
    """Rows with all lines that they may have: reservations, days of failed runs, findings."""
    known = quarter(audited(stories.year(Book(tmp_path))))
    one = next(row for row in known.coverage if row.runs)
    names = [*(run.service for run in known.runs if run.drill.endswith("-slow")), *(f"service-{n}" for n in range(10))][
        :drilled
    ]
    goals = [
        replace(
            goal, service=name, drill=f"{name}-lost", proven=not marked or goal.key != "rpo", reserved=marked, mark=" \u2020"
        )
        for name in names
        for goal in known.proven
        if goal.met and goal.drill == "sample"
    ]
    audit = replace(
        known,
        coverage=tuple(replace(one, service=name) for name in names),
        proven=tuple(goals),
        rehearsed=tuple(row for row in known.rehearsed if marked and row.service in names),
        runs=tuple(run for run in known.runs if run.service in names or not run.drill.endswith("-slow")),
    )
    page = tmp_path / "summary.html"
    page.write_text(summary.render(audit), encoding="utf-8")
    chrome.look(688, "print")
    chrome.open(page)
    text = chrome.run("document.querySelector('#attention').parentElement.innerText")
    assert summary_layout.LEAST_ALERTS <= text.count("When: ") == text.count("Next: ")
    assert "\u2026. Who" not in text, "no step is cut"
    figures = chrome.run("document.querySelector('#services').parentElement.innerText").replace("\N{NO-BREAK SPACE}", " ")
    for row in summary.service_rows(audit):
        assert f"{row.rto.aim}, {row.rto.drill}" in figures
    assert chrome.paper(tmp_path / "page.pdf") == 1


def test_each_of_twelve_services_has_a_row_with_its_figures_on_the_page_and_on_paper(chrome, tmp_path):
    known = first_runs(audited(stories.year(Book(tmp_path))))
    drilled = next(row for row in known.coverage if row.runs)
    goals = [goal for goal in known.proven if goal.service == "cache"]
    names = [f"service_{number}" for number in range(12)]
    audit = replace(
        known,
        coverage=tuple(replace(drilled, service=name) for name in names),
        proven=tuple(replace(goal, service=name) for goal in goals for name in names),
    )
    page = tmp_path / "summary.html"
    page.write_text(summary.render(audit), encoding="utf-8")
    count = "[...document.querySelectorAll('tbody tr')].filter((one) => one.getBoundingClientRect().height > 0).length"
    for mode in ("light", "print"):
        chrome.look(1280, mode)
        chrome.open(page)
        assert chrome.run(count) == 12
    assert chrome.paper(tmp_path / "page.pdf") == 1
    (rto,) = {(row.rto.measured, row.rto.target, row.rto.drill) for row in summary.service_rows(audit)}
    assert plain(page.read_text()).count(f"{rto[0]}target {rto[1]}, {rto[2]}") == 12


def crowded(audit, missed=2):
    """Audit of four services that did not pass, each with objectives that were missed, and of six that were never drilled."""
    known = quarter(audit)
    audit = first_runs(audit)
    names = {row.service for row in audit.coverage if row.runs}
    goals = [goal for goal in audit.proven if goal.service in names and goal.met]
    goals += [
        replace(goal, drill=f"{goal.service}-too-slow-{number}", proven=False, reserved=False, missed=True)
        for goal in goals
        if goal.key == "rto"
        for number in range(missed)
    ]
    rows = [row if row.runs else replace(row, cells=()) for row in audit.coverage]
    return replace(audit, coverage=tuple(rows), proven=tuple(goals), runs=known.runs)


def test_services_that_did_not_pass_lose_their_rows_last():
    known = list(summary_layout.layouts(3, 1, 5, 2))
    rows = [layout.rows for layout in known]
    assert rows == sorted(rows, reverse=True)
    assert all(layout.never for layout in known[:3])
    assert not any(layout.never for layout in known if layout.rows < 5)
    assert [layout.bare for layout in known if layout.rows > 2] == [False] * rows.index(2)
    assert {layout.bare for layout in known if layout.rows == 1} == {True}
    assert rows.index(2) < next(number for number, layout in enumerate(known) if layout.bare)


@pytest.mark.parametrize("missed", [1, 2, 3])
def test_services_that_did_not_pass_keep_their_rows_on_a_crowded_page(chrome, tmp_path, missed):
    audit = crowded(audited(stories.year(Book(tmp_path))), missed)
    rows = [row for row in summary.service_rows(audit) if row.state != summary.NEVER]
    assert len(rows) > 3
    assert {row.state_name for row in rows} == {"did not pass"}
    page = tmp_path / "summary.html"
    page.write_text(summary.render(audit), encoding="utf-8")
    chrome.look(688, "print")
    chrome.open(page)
    shown = "[...document.querySelectorAll('tbody tr')].filter((one) => one.getBoundingClientRect().height > 0)"
    names = chrome.run(f"{shown}.map((one) => one.querySelector('th').innerText).join()")
    assert all(row.service in names for row in rows), names
    text = chrome.run("document.querySelector('#services').parentElement.innerText")
    told = all(goal.drill in text for row in rows for goal in row.unmet)
    assert told is (missed < 2)
    beside = len([row for row in rows if row.rto])
    assert text.count("✗ missed by ") == beside, "beside the figure of the drill that met the objective"
    assert text.count(f"✗ missed by {missed} drills") == (beside if missed > 1 else 0)
    assert ("Of the services above: RTO missed by " in text) is not told
    assert "Never drilled (6 services)" in text or "6 services" in names
    assert chrome.paper(tmp_path / "page.pdf") == 1


def test_a_long_text_about_lost_data_does_not_squeeze_the_other_columns(chrome, tmp_path):
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00").good().close()
    audit = audited(book)
    goal = next(row for row in audit.proven if row.key == "rpo")
    text = "\u00a7\u2020 at least 9 rows lost; by the canary alone 0.3 s"
    lossy = replace(goal, drill="table-dropped", proven=False, reserved=True, measured=text, lost="9 rows", measured_s=-1.0)
    page = tmp_path / "summary.html"
    page.write_text(summary.render(replace(audit, proven=(*audit.proven, lossy))), encoding="utf-8")
    assert 'class="th-more loss"' in page.read_text()
    for width, mode in ((1280, "light"), (688, "print")):
        chrome.look(width, mode)
        chrome.open(page)
        part = "document.querySelector('thead th:last-child').offsetWidth / document.querySelector('table').offsetWidth"
        assert chrome.run(part) < 0.25


def test_services_without_a_row_on_paper_have_a_line_with_their_figures(tmp_path):
    audit = quarter(audited(stories.year(Book(tmp_path))))
    goals = [goal for goal in audit.proven if goal.drill != "api-too-slow"]
    cache, more = next(row for row in audit.coverage if row.service == "cache"), [f"cache-{number}" for number in range(7)]
    goals += [replace(goal, service=name) for name in more for goal in goals if goal.service == "cache"]
    rows = [*audit.coverage, *(replace(cache, service=name) for name in more)]
    audit = replace(audit, coverage=tuple(rows), proven=tuple(goals))
    page = summary.render(audit)
    texts = [plain(one) for one in re.findall(r'<p class="others paper">(.*?)</p>', page)]
    lines = [text for text in texts if "; RPO " in text]  # without what stands below the rows that are on paper
    assert "<dt class=not-on-paper>Rehearsed</dt>" in page, "paper has no room for its figures"
    rows = [row for row in summary.service_rows(audit) if row.state != summary.NEVER]
    assert 0 < len(lines) == page.count('<tr class="not-on-paper"><th scope="row"><bdi>')
    for row, line in zip(rows[-len(lines) :], lines, strict=True):
        told = f"RTO {row.rto.measured}{row.rto.mark} (target {row.rto.target}, {row.rto.drill})"
        assert f"{row.service}: {row.state_name}; {told}; RPO " in line


def test_the_state_of_a_service_is_its_group_in_the_headline(tmp_path):
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00").good().close()
    audit = audited(book)
    reserved = tuple(
        replace(row, proven=False, reserved=True, mark=" \u2020") if row.key == "rpo" else row for row in audit.proven
    )
    timed = tuple(row for row in audit.proven if row.key != "rpo")
    for goals, sign, name in ((audit.proven, "✓", "fully proven"), (reserved, "~", "with a reservation")):
        page = plain(summary.render(replace(audit, proven=goals)))
        assert f"{sign} {name}2026-01-10" in page
        assert "✓ passed" not in page
    stored = tuple(replace(row, keeps_data=True) for row in audit.coverage)
    assert "? only the RTO proven2026" in plain(summary.render(replace(audit, proven=timed, coverage=stored)))
    book.run("2026-02-10T09:00:00").slow().close()
    assert "✗ did not passfailed on 2026-02-10" in plain(summary.render(audited(book)))


def test_terms_are_a_list_at_the_foot_of_both_pages(tmp_path):
    audit = audited(stories.quiet(Book(tmp_path)))
    for page in (summary.render(audit), html.render(audit)):
        terms = page.index('<dl class="pairs terms">')
        assert page.index('<section aria-labelledby="services">' if "Runs passed: " in page else 'id="controls"') < terms
        assert "<dt>Fully proven</dt><dd>The newest run of each drill" in page[terms:]
        assert "The newest run of each drill" not in page[:terms]


def test_what_does_not_fit_is_linked_to_its_part_of_the_audit(tmp_path):
    audit = many(audited(stories.year(Book(tmp_path))))
    short, full, text = summary.render(audit), html.render(audit), markdown.render(audit)
    for anchor in ("attention", "exempt"):
        assert f'href="audit.html#{anchor}"' in short
        assert f'id="{anchor}"' in full
    found = list(alerts(audit))
    assert len(found) > summary_layout.MOST_ALERTS
    shown = plain(full)
    for one in found:
        assert " ".join(one.text.split()) in shown
    assert text.split("## Needs attention")[1].split("\n## ")[0].count("\n- ") == len(found)


def test_the_lab_is_explained_once_and_columns_name_their_runs(tmp_path):
    audit = audited(stories.quiet(Book(tmp_path)))
    page = plain(summary.render(audit))
    assert page.count("The lab is a test environment, not production.") == 1
    assert "Runs passed: of all runs of the period that were not refused." in page
    assert "lab (a test environment, not production)" in plain(html.render(audit))


@pytest.mark.parametrize("changed", ["protected: yes", "lab: embedded, protected: yes"])
def test_a_protected_environment_is_not_called_a_test_because_of_its_name(tmp_path, changed):
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00").good().close()
    keys = "\n".join(("environment: lab", *changed.split(", ")))
    book.run("2026-02-10T09:00:00", hosts=HOSTS.replace("environment: lab", keys)).good().close()
    audit = audited(book)
    for text in (summary.render(audit), html.render(audit), markdown.render(audit)):
        assert ("a test environment, not production" in plain(text)) == ("embedded" in changed)


def test_the_page_and_the_reports_define_rto_and_rpo_with_the_same_words_below_the_table(tmp_path):
    page = plain(summary.render(audited(stories.quiet(Book(tmp_path)))))
    spans = {clock.key: clock.span for clock in CLOCKS}
    for key in ("rto", "rpo"):
        assert page.index("Runs passed") < page.index(f"{key.upper()}{spans[key][:1].upper()}{spans[key][1:]}.")
    assert "whose data was lost" not in page


def test_the_digest_of_the_evidence_has_one_name(tmp_path):
    audit = audited(stories.quiet(Book(tmp_path)))
    for text, times in ((html.render(audit), 3), (markdown.render(audit), 3), (summary.render(audit), 1)):
        page = plain(text).replace("`", "")
        assert page.count(audit.evidence_digest) == times
        assert len(re.findall(rf"Digest of the evidence\W*\s*{audit.evidence_digest}", page)) == times


SCHEDULED = DOWN.replace("drill: api-down", "drill: api-down\nevery: 90d")


def test_a_drill_that_failed_needs_attention_once_with_the_command_the_address_and_the_report(tmp_path):
    book = Book(tmp_path)
    text = SCHEDULED.replace("drill: api-down", "drill: api-down\nowner: dba")
    run = book.run("2026-11-10T09:00:00", drill="api-down", text=text).slow().close()
    audit = audited(book)
    assert {row.kind for row in audit.missed} == {"never passed"}
    (one,) = [one for one in alerts(audit) if "api-down" in one.text]
    assert one.text.startswith("api-down in lab ended failed on 2026-11-10: ")
    assert one.text.endswith(" (1 high finding; never passed)"), "a text that is too long loses its end, not the reason"
    assert one.action == (
        "Next: The slowest phase was restore, 5.00 s of 6.41 s. Shorten this phase, or agree on an objective that can be met. After the "
        "correction: `drillbook drill api-down`. Who: dba, dba@example.com. When: at once"
    )
    assert f'<a href="../{run.id}/report.html">Report</a>' in summary.render(audit)
    for page in (html.render(audit), markdown.render(audit)):
        assert "Never passed: api-down. See" in plain(page)
        assert "no other drill and no proof of a service was overdue" in plain(page)
    book.run("2026-11-12T09:00:00", drill="api-down", text=SCHEDULED).good().close()
    passed = audited(book)
    assert passed.missed_beside_failures == passed.missed != ()
    assert "Never passed: " not in plain(html.render(passed))


def ranked(row, keys, **how):
    return replace(row, keys=frozenset(keys), objectives=len(keys), keeps_data=True, **how)


def test_a_service_that_measures_less_never_stands_better(tmp_path):
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00").good().close()
    (row,) = [row for row in summary.service_rows(audited(book)) if row.service == "api"]
    whole = ranked(row, ("rto", "rpo"), proven=2)
    reserved = ranked(row, ("rto", "rpo"), proven=1, reserved=1, marks="†", service="fresh")
    in_time = ranked(row, ("rto",), proven=1, service="timed")
    lossy = ranked(row, ("rpo",), proven=1, service="untimed")
    assert [one.good for one in (whole, reserved, in_time, lossy)] == [True, False, False, False]
    assert sorted((whole, reserved, in_time, lossy), key=lambda one: one.rank) == [lossy, in_time, reserved, whole]
    told = summary.headline([whole, reserved, in_time, lossy])
    assert told == "Fully proven: 1 of 4 services in lab; 2 more recovered with a reservation or without an RPO."
    assert summary.standing([in_time, lossy, reserved, whole]) == (
        "Services by their newest runs: fully proven 1 (api) · with a reservation 1 (fresh) · only the RTO proven 1 (timed) · not every objective 1 (untimed)"
    )
    reason = "The recovery point was measured with a fresh backup, not with a routine backup."
    assert ("With a reservation", reason) in summary_terms.rules([reserved])
    assert [name for name, _ in summary_terms.rules([whole])] == ["Fully proven"]


def test_a_recovery_point_that_no_drill_measures_is_told_in_the_row_of_a_service_that_keeps_data(tmp_path):
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00", drill="api-down", text=DOWN).good().close()
    known = audited(book)
    audit = replace(known, coverage=tuple(replace(row, keeps_data=True) for row in known.coverage))
    page = plain(summary.render(audit))
    assert page.count("? not measured") == page.count("no drill has an RPO") == 1
    told = "Services by their newest runs: only the RTO proven 1 (api) · never drilled 1 (backups)"
    for text in (page, plain(html.render(audit)), plain(markdown.render(audit)).replace("\\", "")):
        assert "Fully proven: 0 of 2 services in lab; 1 recovered without an RPO." in text
        assert told in text
    (told,) = [one for one in alerts(audit) if "recovery point" in one.text]
    assert told.text == "No drill of api in lab measures the recovery point (RPO)"
    assert (
        told.step
        == "set `rpo` in a drill, with a canary for the kind of service, or else with `http.canary` or `command.canary`"
    )


def test_a_service_that_keeps_no_data_needs_no_recovery_point(tmp_path):
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00", drill="api-down", text=DOWN).good().close()
    audit = audited(book)
    assert {row.service: row.keeps_data for row in audit.coverage} == {"api": False, "backups": True}
    assert not [one for one in texts(audit) if "recovery point" in one]
    page = plain(summary.render(audit))
    assert "Fully proven: 1 of 2 services in lab." in page
    assert page.count("keeps no data") == 1
    assert "? not measured" not in page


def test_each_alert_tells_the_next_step_the_owner_and_the_time(tmp_path):
    audit = audited(stories.year(Book(tmp_path)))
    for one in alerts(audit):
        assert one.step
        assert one.when
    page = plain(summary.render(audit))
    assert page.count("Next: ") == min(summary.MOST_ON_SCREEN, len(briefing.of(audit, summary_layout.LEAST_ALERTS)))
    owned = replace(audit, runs=tuple(replace(run, owner="dba") for run in audit.runs))
    assert {one.who for one in alerts(owned)} == {"dba", ""}
    assert "Who: dba. When: at once" in plain(summary.render(owned))
    assert "no owner named" in page


def test_a_long_address_never_hides_the_reason(tmp_path):
    book = Book(tmp_path)
    book.run("2026-11-10T09:00:00", drill="api-down", text=DOWN).slow().close()
    audit = audited(book)
    url = f"http://127.0.0.1:8000/{'api/' * 30}documents"
    why = f"verify.3 http.responds failed: {url} answered 200, expected 201"
    page = plain(summary.render(replace(audit, runs=tuple(replace(run, reason=why) for run in audit.runs))))
    assert "failed: \u2026/documents answered 200, expected 201" in page


def test_a_finding_tells_the_wanted_value_beside_the_measured_one(tmp_path):
    book = Book(tmp_path)
    book.run("2026-02-10T09:00:00").slow().close()
    audit = audited(book)
    missed = next(row for row in audit.findings if row.code == "objective-missed")
    assert missed.told == f"RTO: wanted {missed.wanted}, measured {missed.detail}"
    assert missed.wanted.startswith("at most ")
    for page in (html.render(audit), markdown.render(audit)):
        assert missed.told in plain(page).replace("\\", "")
    many = replace(missed, texts=("a", "b", "c", "d", "e"))
    assert (many.told, replace(missed, texts=()).told) == ("a; b; c; and 2 more", missed.detail)


def test_objectives_that_share_a_code_are_told_each(tmp_path):
    book = Book(tmp_path)
    run = book.run("2026-02-10T09:00:00")
    run.fault().availability(*SAMPLES).canary(ACKS, [[1, 400]]).recovery(verify="failed").end().close()
    row = next(row for row in audited(book).findings if row.code == "objective-not-verified")
    assert row.in_newest == len(row.texts) == 2
    assert {text.partition(":")[0] for text in row.texts} == {"RTO", "RPO"}
    assert all(": wanted at most " in text for text in row.texts)


def test_a_schedule_of_a_service_that_no_drill_has_met_names_the_service(tmp_path):
    audit = audited(stories.quiet(Book(tmp_path)))
    row = MissedRow("never passed", "lab", "nightly", "", "", "2026-02-01T09:00:00Z", "", "", "schedule.jsonl")
    found = replace(audit, missed=(row,))
    steps = {one.text: one.step for one in alerts(found)}
    assert steps["The service nightly in lab has never passed"] == "run a drill that restores the service"
    for page in (html.render(found), markdown.render(found)):
        assert "the service nightly" in plain(page)


def test_the_name_of_a_run_is_on_one_line_on_paper(chrome, tmp_path):
    page = tmp_path / "audit.html"
    page.write_text(html.render(audited(stories.year(Book(tmp_path)))), encoding="utf-8")
    chrome.look(688, "print")
    chrome.open(page)
    lines = "(one) => Math.round(one.getBoundingClientRect().height / parseFloat(getComputedStyle(one).lineHeight))"
    names = "[...document.querySelectorAll('#table-runs .id .part')].filter((one) => !one.textContent.includes('/'))"
    assert chrome.run(f"{names}.map({lines}).join()") == ",".join(["1"] * 10)
    assert chrome.run("document.querySelector('#table-runs').offsetWidth") <= 688


def test_a_measured_miss_has_its_figure_and_its_target_and_a_drill_that_never_passed_says_so(tmp_path):
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00").slow().close()
    audit = audited(book)
    (missed,) = [row for row in audit.proven if row.missed]
    assert missed.lacking == f"missed: sample {missed.measured}, target {missed.target}"
    assert missed.measured[:1].isdigit()
    figure = UncountedFigure(
        "at least 9 rows lost; by the canary alone 0.3 s \u00a7\u2020", "", "", "the run was aborted", "met"
    )
    unproven = replace(missed, missed=False, uncounted=figure)
    assert unproven.lacking == (
        "does not count: sample (at least 9 rows lost; by the canary alone 0.3 s), the run was aborted"
    ), "without the marks, which nothing on the page would explain"
    assert missed.lacking in plain(summary.render(audit)).replace("\N{NO-BREAK SPACE}", " ")
    (text,) = [text for text in texts(audit) if text.startswith("sample in lab ended failed")]
    assert "never passed" in text
    book.run("2025-12-10T09:00:00").good().close()
    (text,) = [text for text in texts(audited(book)) if text.startswith("sample in lab ended failed")]
    assert "never passed" not in text


def test_the_headline_counts_services_that_recovered_but_are_not_fully_proven(tmp_path):
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00").good().close()
    (row,) = [row for row in summary.service_rows(audited(book)) if row.service == "api"]
    reserved, without = (
        replace(row, proven=1, reserved=1),
        replace(row, keys=frozenset({"rto"}), objectives=1, proven=1, keeps_data=True),
    )
    assert summary.headline([row, reserved, without]) == (
        "Fully proven: 1 of 3 services in lab; 2 more recovered with a reservation or without an RPO."
    )
    assert summary.headline([row, without]) == "Fully proven: 1 of 2 services in lab; 1 more recovered without an RPO."


@pytest.mark.parametrize("services", [1, 12])
def test_each_objective_that_is_not_proven_has_its_reason_on_paper(chrome, tmp_path, services):
    """A dense table, too, and objectives without a figure, and those without a column of their own."""
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00").good().close()
    book.run("2026-01-11T09:00:00", drill="api-down", text=stories.DOWN).fault().recovery(verify="failed").end().close()
    book.run("2026-01-12T09:00:00", drill="late", text=stories.DRILL.replace("drill: sample", "drill: late")).close()
    audit = audited(book)
    drilled = next(row for row in audit.coverage if row.runs)
    more = [replace(drilled, service=f"service_{number}") for number in range(services)]
    goals = [replace(goal, service=row.service, drill="fine") for row in more for goal in audit.proven if goal.proven]
    page = tmp_path / "summary.html"
    full = replace(audit, coverage=(drilled, *more), proven=(*audit.proven, *goals))
    page.write_text(summary.render(full), encoding="utf-8")
    chrome.look(1280, "print")
    chrome.open(page)
    text = " ".join(chrome.run("document.querySelector('#services').parentElement.innerText").split())
    text = text.replace("\N{NO-BREAK SPACE}", " ")
    if services == 1:
        assert text.count("not proven: api-down, the run failed before it was measured") == 1
        assert text.count("not proven: late, the run did not end") == 2, "of RTO and RPO"
    else:
        below = "api-down: RTO not proven, the run failed before it was measured; late: RTO and RPO not proven, the run did not end"
        assert text.count(f"api: {below}") == 1
    assert "Detection not proven" not in text, "a detection by the drill's own probe is not counted"
    assert ('class="stack dense"' in page.read_text()) is (services > 1)
    assert chrome.paper(tmp_path / "page.pdf") == 1


def test_the_row_names_the_drills_on_which_the_recovery_point_does_not_rest(tmp_path):
    """A service may be fully proven by the RPO of one drill: its row says which other drills set none."""
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00").good().close()
    assert "sets no RPO" not in plain(summary.render(audited(book)))
    book.run("2026-01-11T09:00:00", drill="api-down", text=DOWN).good().close()
    audit = audited(book)
    (row,) = [row for row in summary.service_rows(audit) if row.service == "api"]
    assert (row.good, row.without_rpo, row.set_by) == (
        True,
        ("api-down",),
        "measured by writes to other services, as this one keeps no data; api-down sets no RPO",
    )
    assert replace(row, without_rpo=("a", "b"), keeps_data=True).set_by == "a and b set no RPO"
    page = plain(summary.render(audit))
    assert (
        f"target {row.rpo.target}, samplemeasured by writes to other services, as this one keeps no data; api-down sets no RPO"
        in page
    )
    stored = replace(audit, coverage=tuple(replace(row, keeps_data=True) for row in audit.coverage))
    assert "this one keeps no data" not in plain(summary.render(stored))
    timed = replace(audit, proven=tuple(goal for goal in audit.proven if goal.key != "rpo"))
    assert {row.set_by for row in summary.service_rows(timed)} == {""}, "the row says that no drill has an RPO"


def test_the_column_of_objectives_says_that_it_counts_those_that_the_drills_set(tmp_path):
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00", drill="api-down", text=DOWN).good().close()
    audit = audited(book)
    stored = replace(audit, coverage=tuple(replace(row, keeps_data=True) for row in audit.coverage))
    page = plain(summary.render(stored))
    assert "Objectives setThose that its drills set." in page
    assert "1 of 1 proven1 RTO" in page, "the kinds of the objectives that are counted stand below their number"
    assert "A detection by a drill's own probe proves no alerting and is not counted." in page


def test_each_next_step_has_at_most_two_lines_and_the_audit_has_the_other_choices(chrome, tmp_path):
    text = DOWN.replace("drill: api-down", "drill: api-down\nowner: dba")
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00", drill="api-down", text=text).good().close()
    audit = audited(book, today="2026-03-10")
    row = FindingRow(
        *("removed-data-missing", "medium", "Less data came back", "lab", "api-down"),
        *(1, 1, "2026-01-10", "2026-01-10", "open", "2 of 9", 1),
    )
    remedy = "Enter the missing data again, and look for records that refer to it."
    audit = replace(audit, findings=(replace(row, remedy=remedy),))
    page = tmp_path / "summary.html"
    page.write_text(summary.render(audit), encoding="utf-8")
    chrome.look(1280, "light")
    chrome.open(page)
    lines = "(one) => Math.round(one.getBoundingClientRect().height / parseFloat(getComputedStyle(one).lineHeight))"
    found = chrome.run(f"[...document.querySelectorAll('.next-step')].map({lines}).join()")
    assert max(map(int, found.split(","))) <= 2
    for choice in ("let the drill also restore the data", "exempt a service in the inventory"):
        assert choice not in plain(page.read_text())
        assert choice in plain(html.render(audit))
        assert choice in plain(markdown.render(audit))


def incomplete(tmp_path):
    """Audit with eleven missing runs, a drill whose controller died, and many alerts with long next steps."""
    audit = first_runs(audited(stories.year(Book(tmp_path))))
    gone = [f"2026120{number}T070312.617Z-a-drill-with-a-long-name-{number:04}" for number in range(1, 10)]
    problems = [
        Problem("anchor-missing", run, "gone", True, None, None, "/var/lib/anchors.jsonl", True, "the anchor")
        for run in gone
    ]
    problems.append(replace(problems[0], run="20261201T070311.000Z-quarterly-00aa", lost=False))
    rows = [AbsentRow(MISSING, problem.run, "x", "2026-12-01", "the anchor", "the anchor names it") for problem in problems]
    drills = [Scheduled(f"rehearse-a-service-with-a-name-{number}", services=(f"never_{number}",)) for number in range(6)]
    return replace(
        audit,
        whole=False,
        problems=tuple(problems),
        absent=tuple(sorted(rows, key=lambda row: row.run)),
        coverage=tuple(row for row in audit.coverage if row.service.startswith("never") or row.runs or row.left_out),
        drills=tuple(drills),
    )


def test_alerts_are_shorter_on_paper_before_a_service_loses_its_figures(chrome, tmp_path):
    audit = incomplete(tmp_path)
    page = tmp_path / "summary.html"
    page.write_text(summary.render(audit), encoding="utf-8")
    rows = [row for row in summary.service_rows(audit) if row.state != summary.NEVER and row.rto]
    assert len(rows) > 3
    told = {}
    for mode in ("light", "print"):
        chrome.look(1280, mode)
        chrome.open(page)
        text = " ".join(chrome.run("document.body.innerText").split()).replace("\N{NO-BREAK SPACE}", " ")
        told[mode] = text
        services = text.split("Services by their newest runs")[1]
        for row in rows:
            assert f"{row.rto.measured}{row.rto.mark}" in services.split(f" {row.service}", 1)[1], (mode, row.service)
    assert chrome.paper(tmp_path / "page.pdf") == 1
    for text in told.values():
        assert text.count("Next: ") == text.count("When: "), "each alert has its next step"
    assert "Next: undo the changes. Who: no owner named. When: " in told["print"]
    assert "Next: undo the changes with drillbook drill.recover api-down-0009. Who: no owner named. When: " in told["light"]
    assert "in the audit, with steps and dates: " in told["print"]
    assert "with steps and dates" not in told["light"]


@pytest.mark.parametrize(("rows", "figures"), [(2, 2), (0, 2), (0, 0)])
def test_paper_explains_only_terms_and_signs_of_what_it_shows(tmp_path, rows, figures):
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00").good().close()
    (row,) = [row for row in summary.service_rows(audited(book)) if row.service == "api"]
    marked = replace(row, rpo=replace(row.rpo, mark=" \u2020", reserved=True), reserved=1, proven=1, marks="\u2020")
    page = printed_summary.Page(3, 3, summary_layout.Layout(0, rows, figures, dense=True), "", [row, marked])
    explained = [term for term, _ in summary_terms.of([row, marked]) if page.explains(term)]
    groups = ["Fully proven", "With a reservation"]
    assert explained == groups + ["State", "RTO", "RPO", "Figures"] * bool(figures) + ["Objectives set"] * bool(rows)
    assert ("\u2020" in page.legend) == bool(figures)
    names = [title for title, _ in page.names]
    assert names == ([] if figures else [f"{TITLES[one.rank]} (1 service)" for one in (row, marked)])


def test_paper_without_rows_has_no_empty_table(tmp_path):
    page = summary.render(many(audited(stories.year(Book(tmp_path)))))
    assert 'class="stack dense not-on-paper"' in page
    assert '<p class="others paper"><b>Never drilled (' in page


def test_missing_runs_share_the_alert_about_the_record(tmp_path):
    audit = incomplete(tmp_path)
    page = plain(summary.render(audit))
    assert page.count("restore the folders that the audit names from a backup of reports/, and repeat the audit") == 1
    assert " is missing: " not in page
    first, second = sorted(row.run for row in audit.absent)[:2]
    told = f"At least 9 runs of drills and 1 run of a suite are missing, and their verdicts are unknown: {first}, {second} and 8 more, which the audit lists."
    assert told in page
    assert "Runs that did not pass" not in page, "no section of another page is named"
    assert f"{first} is missing: " in plain(html.render(audit))


def test_the_row_of_a_service_that_did_not_pass_has_its_findings(tmp_path):
    book = Book(tmp_path)
    book.run("2026-02-10T09:00:00").slow().close()
    audit = audited(book)
    (row,) = [row for row in summary.service_rows(audit) if row.service == "api"]
    assert (row.state, row.beside) == ("failed", "1 high finding")
    assert "failed on 2026-02-10! 1 high finding" in plain(summary.render(audit))


def test_an_aborted_run_is_explained(tmp_path):
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00").good().close()
    terms = dict(summary_terms.of(summary.service_rows(audited(book))))
    assert "Aborted" not in terms
    book.run("2026-02-10T09:00:00").fault().resumed("2026-02-11T09:00:00").close()
    page = plain(summary.render(audited(book)))
    assert "aborted on 2026-02-10" in page
    assert (
        "its controller (the program that runs the drill) died. So the run does not show whether the service recovers."
        in page
    )


def test_the_headline_has_no_more_without_a_number_before_it(tmp_path):
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00").good().close()
    (row,) = [row for row in summary.service_rows(audited(book)) if row.service == "api"]
    reserved = replace(row, proven=1, reserved=1)
    assert summary.headline([reserved]) == "Fully proven: 0 of 1 service in lab; 1 recovered with a reservation."
    assert "; 1 more recovered" in summary.headline([row, reserved])


def test_a_rehearsal_that_passed_is_no_failure(tmp_path):
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00").good().close()
    audit = audited(book)
    (row,) = [row for row in summary.service_rows(audit) if row.service == "api"]
    rehearsed_only = replace(row, recovered=0, proven=0, objectives=0, keys=frozenset())
    never = replace(row, state=summary.NEVER)
    assert summary.tone(audit, [rehearsed_only]) == "inconclusive"
    assert summary.tone(audit, [rehearsed_only, never]) == "inconclusive"
    assert summary.tone(audit, [row]) == "passed"
    for rows in ([], [never], [rehearsed_only, replace(row, state="failed")], [replace(row, state="not run here")]):
        assert summary.tone(audit, rows) == "failed"
    assert summary.tone(replace(audit, whole=False), [row]) == "failed"
