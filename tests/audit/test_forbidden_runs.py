"""A run that the guard refused because of its environment is no failed attempt: nothing must run again there."""

from dataclasses import replace

from drillbook.audit import briefing, markdown, summary
from drillbook.audit.alert import AT_ONCE, Topic
from drillbook.audit.alert_causes import alerts
from drillbook.audit.retired import covering
from drillbook.audit.summary_layout import LEAST_ALERTS
from drillbook.findings import finding
from drillbook.project.retirements import Retirement
from tests.audit.test_chain import audited
from tests.report.test_agreement import plain

REMEDY = "Run it with the inventory of a permitted environment: `drillbook drill sample --inventory staging`."
FORBIDDEN = finding("guard-environment", wanted="staging", measured="lab", remedy=REMEDY)
MISSING = finding("approval-not-verified", wanted="an approval", measured="the tool is missing")


def forbidden(book, why=FORBIDDEN):
    """Audit of a run in the lab of a drill that may run only in staging. Its other findings do not matter there."""
    run = book.run("2026-02-10T09:00:00")
    found = [one.model_dump(mode="json") for one in (MISSING, why)]
    run.add(0.1, "ended.early", why="refused", message="the drill may run only in staging", findings=found).end().close()
    return audited(book)


def test_a_drill_that_does_not_belong_in_an_environment_need_not_run_again_there(book):
    audit = forbidden(book)
    (alert,) = [one for one in alerts(audit) if one.about == "sample in lab"]
    assert (alert.topic, alert.when == AT_ONCE) == (Topic.NOT_RUN, False)
    assert alert.step.startswith("this drill does not belong in lab: retire it there (`")
    assert "schedule.retire sample --environment lab --reason TEXT`), or add lab to its `guard.environments`" in alert.step
    assert "drill sample --inventory staging" in alert.step
    assert "findings" not in alert.text
    assert not [one for one in briefing.of(audit, LEAST_ALERTS) if "must run again" in one.text]
    for page in (plain(summary.render(audit)), markdown.render(audit)):
        assert "at once" not in page


def test_no_other_environment_is_suggested_if_the_guard_permits_none(book):
    audit = forbidden(book, FORBIDDEN.model_copy(update={"wanted": "", "remedy": "Its guard permits no environment."}))
    (alert,) = [one for one in alerts(audit) if one.about == "sample in lab"]
    assert alert.step.endswith("add lab to its `guard.environments`")


def test_the_advice_closes_the_row(book):
    audit = forbidden(book)
    known = (Retirement("2026-02-11T09:00:00Z", "sample", "lab", "ann", "a mistake"),)
    assert covering(known, "sample", "lab")
    assert not [one for one in alerts(replace(audit, retired=known)) if one.about == "sample in lab"]


def test_a_run_in_a_permitted_environment_is_not_suggested_after_one_passed(book):
    audit = forbidden(book)
    (run,) = audit.runs
    passed = replace(run, environment="staging", verdict="passed", run="another")
    (alert,) = [one for one in alerts(replace(audit, runs=(passed, run))) if one.about == "sample in lab"]
    assert alert.step.endswith("`guard.environments`")


def test_a_later_refusal_for_another_reason_must_run_again(book):
    forbidden(book)
    book.run("2026-02-11T09:00:00").refused().close()
    (alert,) = [one for one in alerts(audited(book)) if one.about == "sample in lab"]
    assert (alert.topic, alert.when) == (Topic.RUN_AGAIN, AT_ONCE)


def test_the_service_was_not_run_there_and_did_not_fail(book):
    page = plain(summary.render(forbidden(book)))
    assert "not run here" in page
    assert "did not pass" not in page.casefold()
