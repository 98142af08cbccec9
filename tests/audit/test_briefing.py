"""Entries of the summary that need attention: one for each drill; services that no run drilled are never hidden."""

from __future__ import annotations

from dataclasses import replace

from drillbook.audit import briefing, html, markdown, summary
from drillbook.audit.alert import Alert, Topic
from drillbook.audit.alert_causes import alerts
from drillbook.audit.content import Audit
from drillbook.audit.summary_layout import LEAST_ALERTS
from tests.audit.stories import DOWN, Book
from tests.audit.test_chain import audited
from tests.audit.test_told_of_runs import kept
from tests.report.test_agreement import plain

FAILING = ("api-a", "api-b", "api-c", "api-d", "api-e")


def with_never_drilled(audit: Audit) -> Audit:
    (row,) = [row for row in audit.coverage if row.runs]
    never = replace(row, service="vectors", runs=0, gaps=row.gaps or ("2026-01",))
    return replace(audit, coverage=(row, never))


def failed(tmp_path) -> Audit:
    book = Book(tmp_path)
    for minute, name in enumerate(FAILING):
        book.run(f"2026-02-10T09:{minute:02}:00", drill=name, text=DOWN.replace("api-down", name)).slow().close()
    return with_never_drilled(audited(book))


def test_a_drill_with_a_finding_has_no_second_entry_for_its_reservation(book):
    audit = with_never_drilled(replace(kept(book, "passed"), whole=True))
    found = replace(audit.findings[0], severity="high", title="Acknowledged writes were lost", state="open")
    audit = replace(audit, findings=(replace(found, drill="postgres-lost", environment="lab"),))
    texts = [alert.text for alert in briefing.of(audit, LEAST_ALERTS)]
    (text,) = [text for text in texts if "postgres-lost" in text]
    assert text.endswith("Acknowledged writes were lost; its RPO is met with a reservation")
    assert texts[0].startswith("vectors was never drilled"), "before findings and reservations"
    assert sum("postgres-lost" in alert.text for alert in alerts(audit)) > 1, "the audit names each reservation"


def test_drills_that_failed_share_an_entry_so_that_services_without_a_drill_are_shown(tmp_path):
    audit = failed(tmp_path)
    assert sum(alert.topic is Topic.RUN_AGAIN for alert in alerts(audit)) == len(FAILING)
    again, never, *_ = [alert for alert in briefing.of(audit, LEAST_ALERTS) if alert.topic is not Topic.OTHER]
    assert again.text.startswith("5 drills must run again: api-a in lab ended failed on 2026-02-10; api-b in lab")
    assert again.text.endswith("; and 2 more")
    assert never.text.startswith("vectors was never drilled")
    page = plain(summary.render(audit))
    assert "vectors was never drilled" in page.split("Services")[0]


def test_a_few_failed_drills_keep_their_own_entries(tmp_path):
    book = Book(tmp_path)
    book.run("2026-02-10T09:00:00", drill="api-a", text=DOWN.replace("api-down", "api-a")).slow().close()
    audit = replace(with_never_drilled(audited(book)), whole=True)
    texts = [alert.text for alert in briefing.of(audit, LEAST_ALERTS)]
    assert texts[0].startswith("api-a in lab ended failed on 2026-02-10: ")
    assert any(text.startswith("vectors was never drilled") for text in texts[:2])


def test_services_without_a_drill_come_second_behind_damage_that_cannot_be_joined(tmp_path):
    audit = failed(tmp_path)
    runs = tuple(replace(run, residue=(f"change of {run.drill}",)) for run in audit.runs)
    texts = [alert.text for alert in briefing.of(replace(audit, runs=runs, whole=True), LEAST_ALERTS)]
    (first,) = [text for text in texts if text.startswith("api-a in lab")]
    assert "ended failed on 2026-02-10; left changes that are not undone: change of api-a" in first
    assert any(text.startswith("vectors was never drilled") for text in texts[:LEAST_ALERTS])


def test_a_service_whose_newest_run_was_stopped_has_the_mark_of_an_aborted_run(tmp_path):
    book = Book(tmp_path)
    stopped = book.run("2026-01-10T09:00:00")
    stopped.add(1.0, "ended.early", why="aborted", message="the run was stopped by SIGINT", findings=[]).end().close()
    page = summary.render(audited(book))
    assert 'class="state aborted"' in page
    assert "■ did not pass" in plain(page)
    assert "✗ did not pass" not in plain(page)


def test_an_empty_project_has_a_next_step(book):
    (alert,) = alerts(audited(book))
    assert alert.text == "No run began in this period, so nothing is proven"
    assert "drill.list" in alert.action
    for page in (html.render(audited(book)), markdown.render(audited(book)), summary.render(audited(book))):
        assert "so nothing is proven" in page
        assert "drill.list" in page


def test_only_drills_that_were_stopped_need_no_correction(tmp_path):
    stopped = Alert("a in lab ended aborted", "", topic=Topic.RUN_AGAIN, stopped=True)
    other = Alert("b in lab ended failed", "run it again: as a step may begin", topic=Topic.RUN_AGAIN)
    (joined,) = briefing._with_one_for_all([stopped, replace(stopped)])
    assert joined.step == "run the drills again"
    (joined,) = briefing._with_one_for_all([stopped, other])
    assert joined.step.startswith("mend the causes")
