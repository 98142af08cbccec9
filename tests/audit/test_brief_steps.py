"""Next steps in a few words: whole clauses of the alert's own step, or else a phrase for its kind."""

import re

import pytest

from drillbook.audit import brief_steps, briefing, gone_files
from drillbook.audit.alert import UNDO, WHOLE, Alert, Topic
from drillbook.audit.alert_causes import alerts
from drillbook.audit.summary_layout import LEAST_ALERTS
from tests.audit import stories
from tests.audit.stories import Book
from tests.audit.test_chain import audited
from tests.audit.test_summary import first_runs, incomplete, lab, many, quarter, rehearsed

AGAIN = "`drillbook drill api-down`"
RECOVER = "`drillbook drill.recover 20260110T090000.000Z-api-down-0001`"


@pytest.mark.parametrize(
    ("topic", "step", "brief"),
    [
        (Topic.RECORD, WHOLE, "restore the folders that the audit names from a backup"),
        (Topic.LEFT, UNDO, "undo the changes"),
        (Topic.RUN_AGAIN, f"run it again: {AGAIN}", "run it again"),
        (Topic.RUN_AGAIN, f"mend the cause, then {AGAIN}", "mend the cause, then run it again"),
        (
            Topic.RUN_AGAIN,
            f"recover the run with {RECOVER}, then run it again: {AGAIN}",
            "recover the run, then run it again",
        ),
        (Topic.RUN_AGAIN, f"Free the port. After the correction: {AGAIN}", "Free the port, then run it again"),
        (Topic.RUN_AGAIN, f"{'Free ' * 12}it. After the correction: {AGAIN}", f"{'Free ' * 12}it"),
        (Topic.RUN_AGAIN, f"{'Free ' * 20}it. After the correction: {AGAIN}", brief_steps.PHRASES[Topic.RUN_AGAIN]),
        (Topic.RUN_AGAIN, gone_files.step("api-down"), "retire the drill, or put the file back and run it again"),
        (Topic.RUN_AGAIN, briefing.MEND + gone_files.RETIRE_THOSE, brief_steps.OR_RETIRE),
        (Topic.NEVER_RAN, f"run it there: {AGAIN} (needs Docker)", "run it there"),
        (Topic.NEVER_RAN, "run them (`drillbook drill.due --all` lists them)", "run them"),
        (Topic.NEVER_DRILLED, f"run {AGAIN}", f"run {AGAIN}"),
        (Topic.NEVER_DRILLED, f"run {AGAIN}, {AGAIN} and {AGAIN}; write a drill for b", "run, copy or write a drill"),
    ],
)
def test_a_step_in_a_few_words_says_what_to_do(topic, step, brief):
    assert brief_steps.of(Alert("x", step, topic=topic)) == brief


def test_each_alert_has_a_step_in_a_few_words_that_is_no_cut_sentence(tmp_path, tmp_path_factory):
    year = audited(stories.year(Book(tmp_path)))
    audits = [
        year,
        *(change(year) for change in (lab, rehearsed, many, quarter, first_runs)),
        incomplete(tmp_path_factory.mktemp("gone")),
    ]
    for audit in audits:
        for alert in [*alerts(audit), *briefing.of(audit, LEAST_ALERTS)]:
            step = brief_steps.of(alert)
            assert 0 < len(step) <= brief_steps.MOST
            assert re.fullmatch(r"[A-Za-z].*[\w`]", step), step
            assert step.count("`") % 2 == 0
            assert brief_steps.action(alert) == f"Next: {step}. {alert.deadline}"


def test_each_kind_of_alert_has_a_phrase_that_is_short_enough():
    assert set(brief_steps.PHRASES) == set(Topic)
    assert all(len(phrase) <= brief_steps.MOST for phrase in brief_steps.PHRASES.values())
