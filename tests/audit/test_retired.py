"""Retired drills and environments: listed in the audit, and not reported as missing after their retirement."""

from __future__ import annotations

from drillbook.audit import content, html, markdown, services, summary
from drillbook.audit.alert_causes import alerts
from drillbook.project import schedule_record
from drillbook.project.schedule_record import RETIRED, Entry
from tests.audit.stories import HOSTS, LEFT, SAMPLES
from tests.audit.test_missed_drills import WEEKLY, missed, spans
from tests.report.test_agreement import plain

STAGING = HOSTS.replace("environment: lab", "environment: staging")
AT = "2026-05-01T09:00:00Z"
SAID = "retired on 2026-05-01 by ann: replaced <b>, ticket 4711"


def retire(book, drill="", environment=""):
    schedule_record.append(
        book.reports, Entry(AT, RETIRED, drill, "", environment, "", "replaced <b>, ticket 4711", by="ann")
    )


def told(audit):
    return " ".join(str(one) for one in alerts(audit))


def test_a_drill_is_overdue_until_it_was_retired_and_not_in_a_later_period(book):
    book.run("2026-03-02T09:00:00", text=WEEKLY).good().close()
    assert "sample in lab has been overdue since" in told(missed(book))
    assert "`drillbook schedule.retire`" in told(missed(book))
    retire(book, "sample")
    audit = missed(book)
    assert spans(audit) == [("overdue", "2026-03-09T09:00:00Z", "2026-03-10T09:00:00Z", AT[:19])]
    assert "overdue" not in told(audit)
    assert missed(book, since="2026-06-01", until="2026-12-31").missed == ()
    assert missed(book, since="2026-06-01", until="2026-12-31").proven == ()
    for text in (html.render(audit), markdown.render(audit)):
        shown = plain(text).replace("\\", "")
        assert "retired on 2026-05-01" in shown
        assert SAID in shown
    (row,) = content.as_data(audit)["retired"]
    assert (row["drill"], row["environment"], row["by"], row["at"]) == ("sample", "", "ann", AT)
    assert [row.notes[-1] for row in audit.proven] == [SAID] * 3
    book.run("2026-07-02T09:00:00", text=WEEKLY).good().close()
    again = missed(book)
    assert again.retired == ()
    assert len(again.missed) == 2, "a later run ends the retirement"


def test_a_retirement_after_the_period_changes_nothing_in_it(book):
    book.run("2026-03-02T09:00:00", text=WEEKLY).good().close()
    before = missed(book, until="2026-04-15", today=None)
    retire(book, "sample")
    assert missed(book, until="2026-04-15", today=None) == before


def test_the_services_of_a_retired_environment_have_no_gap_and_nothing_to_do(book):
    book.run("2026-03-02T09:00:00").good().close()
    book.run("2026-03-03T09:00:00", hosts=STAGING).slow().close()
    assert "in staging" in told(missed(book))
    assert "staging" in summary.standing(summary.service_rows(missed(book, since="2026-06-01", until="2026-12-31")))
    retire(book, environment="staging")
    audit = missed(book)
    assert "in staging" not in told(audit)
    assert {row.left_out for row in audit.coverage if row.environment == "staging"} == {SAID}
    assert {row.gaps for row in audit.coverage if row.environment == "staging"} == {()}
    assert any(row.gaps for row in audit.coverage if row.environment == "lab")
    later = missed(book, since="2026-06-01", until="2026-12-31")
    assert "staging" not in summary.standing(summary.service_rows(later))
    assert {row.environment for row in later.proven} == {"lab"}
    assert "exempt from drills by a statement in the inventory or a retirement" in audit.sentence
    assert "exempt from drills by a statement in the inventory or a retirement" in services.total(audit.coverage)


def test_changes_that_are_not_undone_need_attention_although_the_environment_was_retired(book):
    left = book.run("2026-03-03T09:00:00", hosts=STAGING)
    left.fault().availability(*SAMPLES).recovery(verify="failed").end([LEFT]).close()
    retire(book, environment="staging")
    assert "sample in staging left changes that are not undone" in told(missed(book))
    assert "ended failed" not in told(missed(book))
