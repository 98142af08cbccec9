"""First event of a run's journal."""

import pytest

from drillbook.errors import JournalError
from drillbook.events.first_event import opening
from drillbook.events.runs import RunStarted
from tests.events.test_event import event


def test_a_journal_of_a_run_begins_with_its_start():
    what = opening([event(0, "run.started", data={"run": "r1"}), event(1, "phase.started")])
    assert isinstance(what, RunStarted)
    assert what.run == "r1"


@pytest.mark.parametrize("kind", ["check.started", "campaign.started", "recovery.started", "moon.rose"])
def test_any_other_journal_is_not_one_of_a_run(kind):
    with pytest.raises(JournalError, match=f"begins with the event '{kind}', not with run.started"):
        opening([event(0, kind)])
