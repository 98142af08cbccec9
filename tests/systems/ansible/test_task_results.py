"""Results of a playbook's tasks from the report of Ansible's callback."""

import pytest

from drillbook.errors import CouldNotVerify
from drillbook.systems.ansible import task_results
from drillbook.systems.ansible.task_results import TaskResult

REPORT = b"""<?xml version="1.0" ?>
<testsuites><testsuite name="play">
<testcase classname="play.yml:5" name="[db-1] Restore: Fetch \x27a\x27" time="0.5"><system-out>{}</system-out></testcase>
<testcase classname="play.yml:7" name="[db-1] Restore: Later" time="0"><skipped>no</skipped></testcase>
<testcase classname="play.yml:9" name="[db-2] Restore: Load" time="2.25"><failure message="m"/></testcase>
<testcase classname="play.yml:9" name="odd"><error message="m"/></testcase>
</testsuite></testsuites>"""


def test_outcomes_and_times():
    found = task_results.parse(REPORT)
    assert found == [
        TaskResult("db-1", "Restore: Fetch 'a'", "ok", 0.5),
        TaskResult("db-1", "Restore: Later", "skipped", 0.0),
        TaskResult("db-2", "Restore: Load", "failed", 2.25),
        TaskResult("", "odd", "failed", 0.0),
    ]
    facts = task_results.facts(found)
    assert facts["slowest"][0] == {"task": "Restore: Load", "host": "db-2", "seconds": 2.25}
    assert facts["hosts"]["db-1"] == {"ok": 1, "skipped": 1, "failed": 0}
    assert [one["task"] for one in facts["failed"]] == ["Restore: Load", "odd"]


@pytest.mark.parametrize("report", [b"", b"cat: no such file", REPORT[:200]])
def test_an_incomplete_report_is_not_read_as_one(report):
    with pytest.raises(CouldNotVerify):
        task_results.parse(report)
