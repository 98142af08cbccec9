"""Order of what needs attention: services that were never drilled come before reservations, and each cause once."""

from __future__ import annotations

from dataclasses import replace

from drillbook.audit import gaps
from drillbook.audit.alert_causes import alerts
from drillbook.report.remarks import SHORT_MARK
from tests.audit.test_told_of_runs import kept


def test_services_that_were_never_drilled_come_before_reservations(book):
    audit = replace(kept(book, "passed"), whole=True)
    (row,) = [row for row in audit.coverage if row.runs]
    never = replace(row, service="vectors", runs=0, gaps=row.gaps or ("2026-01",))
    texts = [alert.text for alert in alerts(replace(audit, coverage=(row, never)))]
    at = next(number for number, text in enumerate(texts) if text.startswith("The service vectors was never drilled"))
    assert at < next(number for number, text in enumerate(texts) if "with a reservation" in text)
    assert any(key[2] is False for key in gaps.of(replace(audit, coverage=(row, never))))


def test_a_finding_about_missing_data_and_its_reservation_are_one_alert(book):
    audit = kept(book, "passed")
    goals = tuple(replace(goal, mark=f" {SHORT_MARK}") if goal.reserved else goal for goal in audit.proven)
    (goal,) = [goal for goal in goals if goal.reserved]
    audit = replace(audit, proven=goals)
    assert any("less data came back" in alert.text for alert in alerts(audit))
    found = replace(
        audit.findings[0],
        code="removed-data-missing",
        severity="medium",
        state="open",
        drill=goal.drill,
        environment=goal.environment,
    )
    told = [alert.text for alert in alerts(replace(audit, findings=(found,)))]
    assert not any("with a reservation: less data came back" in text for text in told)
