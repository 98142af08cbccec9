"""A month without a run is a gap only if the schedule of a drill asks for a run in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from drillbook.audit import content, gaps, html, kept_schedules, markdown, records
from drillbook.audit.alert import Topic
from drillbook.audit.alert_causes import alerts
from drillbook.audit.period import Period
from drillbook.project.needed_inventories import Inventories, Listed
from drillbook.project.schedules import Scheduled
from drillbook.values import Duration
from tests.audit.quarterly import quarterly
from tests.judge.story import DRILL
from tests.report.test_agreement import plain

EVERY = {"every": Duration.parse("90d"), "grace": Duration.parse("9d")}
SAMPLE = Scheduled("sample", services=("api",), environments=("lab",), **EVERY)


SCHEDULED = DRILL.replace("service: api\n", "service: api\nevery: 90d\ngrace: 9d\n", 1)


def audited(book, *wanted, today=date(2026, 3, 1), text=SCHEDULED):
    """One run on the tenth of February, and the audit of the months around it."""
    book.run("2026-02-10T09:00:00", text=text).good().close()
    found, strays = records.find(book.reports)
    return content.make(found, strays, Period.parse("2026-01-01", "2026-06-30"), today=today, wanted=wanted)


def gap(audit):
    return [alert for alert in alerts(audit) if alert.topic is Topic.GAPS]


def sample(audit):
    """The audit with the schedule of the drill in its file. The service is that of its run."""
    (row,) = [row for row in audit.coverage if row.runs]
    return replace(SAMPLE, services=(row.service,))


def test_a_month_without_a_run_is_no_gap_while_the_schedule_is_kept(book):
    bare = audited(book)
    (alert,) = gap(bare)
    assert alert.step == "schedule a drill, so that the coming months are covered", "no schedule is known"
    audit = replace(bare, drills=(sample(bare),))
    assert not audit.missed
    assert gap(audit) == []
    (row,) = [row for row in audit.coverage if row.runs]
    assert row.gaps, "the months without a run are still counted"
    said = f"{row.service} in lab: sample (every 90 d, first run on 2026-02-10) was not overdue since its first run."
    assert list(kept_schedules.sentences(audit)) == [said]
    for page in (html.render(audit), markdown.render(audit)):
        assert said in plain(page).replace("\\", "")
        assert "schedule a drill" not in page


def test_a_missed_run_is_a_gap_and_asks_for_the_scheduled_drills(book):
    bare = audited(book, today=date(2026, 6, 20))
    assert [row.kind for row in bare.missed] == ["overdue"], "the run recorded the schedule, and the next one is overdue"
    audit = replace(bare, drills=(sample(bare),))
    (alert,) = gap(audit)
    assert alert.step == "run the scheduled drills when they are due (`drillbook drill.due --all` lists them)"
    assert list(kept_schedules.sentences(audit)) == []


def test_the_schedule_of_a_drill_that_could_only_fail_in_the_lab_covers_no_month(book):
    bare = audited(book, today=date(2026, 6, 20))
    (row,) = [row for row in bare.coverage if row.runs]
    routine = replace(sample(bare), name="routine-database")
    lab = Listed("lab", "lab", True, frozenset([row.service]))
    audit = replace(bare, drills=(routine,), inventories=Inventories("lab", (lab,)))
    assert kept_schedules.scheduled(audit, row) == []
    own = replace(audit, inventories=Inventories("lab", (replace(lab, is_lab=False),)))
    assert kept_schedules.scheduled(own, row) == [routine]


def test_a_kept_schedule_says_nothing_about_the_drills_that_never_ran(book):
    """The words "none was missed" would be read as a statement about every schedule of the service."""
    other = replace(SAMPLE, name="other", every=Duration.parse("7d"))
    bare = audited(book, other)
    (said,) = kept_schedules.sentences(replace(bare, drills=(sample(bare), other)))
    assert "Scheduled for this service, but never ran: other." in said
    assert "every 7 d" not in said


def test_a_first_run_before_the_period_shows_the_schedule_for_all_of_it(book):
    bare = audited(book)
    found, strays = records.find(book.reports)
    later = content.make(found, strays, Period.parse("2026-02-10", "2026-06-30"), today=date(2026, 3, 1))
    assert bare.first_runs == later.first_runs == {("lab", "sample"): found[0].started}
    (said,) = kept_schedules.sentences(replace(later, drills=(sample(bare),)))
    assert said.endswith("sample (every 90 d) was not overdue in the period.")


@pytest.mark.parametrize(
    "change",
    [{"environments": ("staging",)}, {"services": ("other",)}, {"every": None}],
)
def test_the_schedule_of_another_service_or_environment_covers_no_month(book, change):
    bare = audited(book)
    (alert,) = gap(replace(bare, drills=(replace(sample(bare), **change),)))
    assert alert.step.startswith("schedule a drill")


def test_a_scheduled_drill_that_never_ran_covers_no_month(book):
    bare = audited(book)
    (alert,) = gap(replace(bare, drills=(replace(sample(bare), name="other"),)))
    assert alert.step.startswith("run the scheduled drills")


def test_the_schedule_of_a_suite_covers_the_services_of_its_drills(book):
    quarterly(book)
    found, strays = records.find(book.reports)
    audit = content.make(found, strays, Period.parse("2026-01-01", "2026-03-31"), today=date(2026, 3, 1))
    names = tuple(row.service for row in audit.coverage if row.runs)
    suite = Scheduled("quarterly", suite=True, services=names, environments=("lab",), **EVERY)
    assert gap(audit)
    assert gap(replace(audit, drills=(suite,))) == []
    assert not any(drilled for _, _, drilled, _ in gaps.of(replace(audit, drills=(suite,))))
