"""Messages about runs that did not take place."""

import pytest

from drillbook.notify import alarm
from drillbook.project.schedule_record import NOT_BEGUN, Entry


@pytest.mark.parametrize(
    ("kind", "due", "title", "line"),
    [
        ("missed", "2026-01-01T00:00:00Z", "[lab] drill sample: missed", "due since: 2026-01-01T00:00:00Z"),
        (NOT_BEGUN, "", "[lab] drill sample: scheduled run could not begin", "due: it has never passed"),
    ],
)
def test_a_message_says_what_did_not_run_since_when_and_why(kind, due, title, line):
    message = alarm.message(Entry("2026-01-02T00:00:00Z", kind, "sample", "api", "lab", due, "the host \x1b[31mis away"))
    assert (message.title, message.weight) == (title, "failure")
    lines = message.text.splitlines()
    assert lines[0].startswith("the host ")
    assert "\x1b" not in message.text
    assert lines[1:3] == ["service: api", line]
    assert lines[3].endswith("drill.due")


def test_a_drill_without_a_service_or_environment_is_told_too():
    message = alarm.message(Entry("2026-01-02T00:00:00Z", "missed", "sample", "", "", "", "why"))
    assert message.title == "[any environment] drill sample: missed"
    assert "service: unknown" in message.text
