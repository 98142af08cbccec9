"""The view of a run: its head, and what is no journal of a run."""

import pytest

from drillbook.errors import JournalError
from drillbook.judge.result import Verdict
from tests.judge.story import ACKS, DRILL, SAMPLES, Story, started
from tests.plan.test_planner import HOSTS


@pytest.mark.parametrize("kind", ["phase.started", "step.started"])
def test_what_is_no_journal_of_a_run_is_refused(tmp_path, kind):
    story = started(tmp_path)
    story.events[0] = next(event for event in story.events if event.kind == kind)
    with pytest.raises(JournalError, match=f"begins with the event '{kind}'"):
        story.judge()


def test_the_head_of_a_view(tmp_path):
    drill = DRILL.replace("service: api\n", "service: api\nowner: dba\n", 1)
    story = started(tmp_path, drill).recovery().end()
    whole = story.judge()
    result = whole.result
    assert (result.run, result.drill, result.title, result.service, result.environment) == (
        "r1",
        "sample",
        "A sample",
        "api",
        "lab",
    )
    assert (result.operator, result.tool, result.plan_digest) == ("me", "drillbook", story.plan.digest)
    assert (whole.owner, whole.controller, whole.torn) == ("dba", "here", False)
    assert (whole.journal_events, whole.journal_head) == (len(story.events), story.events[-1].hash)
    assert whole.contacts == {"dba": {"role": "DBA", "duty": "", "email": "dba@example.com", "phone": ""}}
    assert whole.plan == story.plan.model_dump(mode="json")
    assert (result.started, result.finished) == ("2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:21.000000Z")
    story.add(30.0, "recovery.started", operator="me", tool="drillbook").add(40.0, "recovery.finished", residue=[])
    story.add(41.0, "note")
    assert story.judge().result.finished == "2026-01-01T00:00:40.000000Z", "the last end counts"
    story.events = story.events[:5]
    assert story.judge().result.finished is None


ALERT = DRILL.replace(
    "restore:\n",
    "detect:\n  - prometheus.alert_fires: {service: metrics, alert: Down, within: 5s}\n"
    "  - prometheus.alert_fires: {service: metrics, alert: Slow, within: 5s}\nrestore:\n",
    1,
)


def watched(tmp_path):
    server = '  metrics: {kind: prometheus, host: db-1, url: "http://127.0.0.1:9090"}\n'
    return (
        Story(tmp_path, ALERT, HOSTS.replace("contacts:", f"{server}contacts:"))
        .fault()
        .availability(*SAMPLES)
        .canary(ACKS, [[1, 400]])
    )


def test_where_an_alert_is_expected_it_is_what_detects(tmp_path):
    story = watched(tmp_path)
    for step, alert, ago in (("detect.1", "Down", 0.5), ("detect.2", "Slow", 0.25)):
        story.add(11.0, "alert.firing", step, "db-1", alert=alert, ago_s=ago, error_s=0.25)
    one = story.recovery().end().judge().result.objectives["detect"]
    assert one.clock == "disruption to the expected alert"
    assert (one.measured_s, one.error_s, one.met) == (0.75, 0.25, True), "the last of them, and just within its second"


def test_an_alert_that_did_not_come_misses_its_objective_without_a_time(tmp_path):
    story = watched(tmp_path)
    story.add(10.9, "alert.absent", "detect.1", "db-1", alert="Down", message="Down did not fire within 5 s")
    result = story.recovery().end().judge().result
    assert (result.objectives["detect"].met, result.objectives["detect"].measured_s) == (False, None)
    (missed,) = [one for one in result.findings if one.code == "objective-missed"]
    assert (missed.title, missed.wanted, missed.measured) == (
        "An objective was missed: DETECT",
        "at most 1 s",
        "Down did not fire within 5 s",
    )
    assert result.verdict is Verdict.FAILED
