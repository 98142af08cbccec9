"""An objective beside a known loss of rows is met, but not measured for restored tables, in every sum, cell and alert of the audit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drillbook.audit import html, markdown, summary, wording
from drillbook.audit.alert_causes import alerts
from drillbook.audit.content import Audit
from drillbook.report.remarks import MARK, SHORT_MARK
from tests.audit.test_told_of_runs import kept
from tests.report.test_agreement import plain

OTHERS = "met, but not measured for restored tables"


@pytest.fixture
def lossy(book) -> Audit:
    """Audit in which one drill met its RPO with a reservation, and another drill lost rows."""
    audit = kept(book, "passed")
    (goal,) = [goal for goal in audit.proven if goal.reserved]
    lost = replace(
        goal,
        drill="table-dropped",
        measured="at least 3 rows lost; by the canary alone at most 0.05 s",
        measured_s=0.05,
        mark=f" {SHORT_MARK}{MARK}",
        within=OTHERS,
        lost="at least 3 rows lost",
        target="1 s",
    )
    return replace(audit, proven=(*audit.proven, lost))


def test_sums_count_it_apart_from_the_other_reservations(lossy):
    counts = f"1 more met with a reservation, 1 more {OTHERS}"
    assert counts in wording.proven_counts(lossy.proven)
    assert counts in plain(html.render(lossy))
    assert counts in plain(markdown.render(lossy))
    page = plain(summary.render(lossy))
    assert "~ 1 more with a reservation" in page
    assert "~ 1 more met, but not measured for restored tables" in page


def test_the_cell_of_the_summary_says_for_what_the_target_is_met(lossy):
    told = f"table-dropped: at least 3 rows lost, target 1 s {OTHERS}"
    assert told in plain(summary.render(lossy))
    only = tuple(goal for goal in lossy.proven if not (goal.reserved and not goal.lost))
    (row,) = [row for row in summary.service_rows(replace(lossy, proven=only)) if row.objectives]
    assert f"(target 1 s {OTHERS}, table-dropped)" in row.line
    assert f"target 1 s {OTHERS}, table-dropped" in plain(summary.render(replace(lossy, proven=only)))


def test_alerts_name_its_state_and_not_only_a_reservation(lossy):
    told = [alert.text for alert in alerts(lossy)]
    fresh = (
        "The RPO of postgres-lost and table-dropped in lab is not fully proven: the drill itself took the restored backup"
    )
    assert fresh in told
    assert any(text.startswith(f"The RPO of table-dropped in lab is {OTHERS}: less data came back") for text in told)
