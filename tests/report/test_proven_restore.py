"""Rules of a proven restore: the same for the audit, which has a result, and for others, which have `result.json`."""

import json

import pytest

from drillbook.report import formats
from drillbook.report.proven_restore import Outcome, only_of_drills, proves
from tests.report import samples

GOOD = {"verdict": "passed", "clocks": {"disruption_s": 1.0}, "phases": [{"phase": "restore", "status": "done"}]}
REHEARSED = {"id": "restore.1", "action": "backup.restore", "status": "done", "facts": {"backup": {"id": "today"}}}
MADE = {"id": "restore.1", "action": "x.y", "status": "done", "facts": {"made": {"manifest": "aa"}}}
CHECKED = {"id": "backup.1", "action": "backup.check", "status": "done", "facts": {"backup": {"id": "today"}}}


@pytest.mark.parametrize(
    ("data", "proven"),
    [
        (GOOD, True),
        ({**GOOD, "verdict": "failed"}, False),
        ({**GOOD, "clocks": {"disruption_s": None}}, False),
        ({**GOOD, "phases": [{"phase": "restore", "status": "failed"}]}, False),
        ({**GOOD, "phases": [{"phase": "verify", "status": "done"}]}, False),
        ({**GOOD, "findings": [{"code": "fault-unproven"}]}, False),
        ({"verdict": "passed", "steps": [REHEARSED]}, True),
        ({"verdict": "passed", "steps": [MADE]}, True),
        ({"verdict": "passed", "steps": [{**REHEARSED, "status": "failed"}]}, False),
        ({"verdict": "failed", "steps": [REHEARSED]}, False),
        ({"verdict": "passed", "steps": [CHECKED, {**CHECKED, "id": "verify.1"}]}, False),
        ({"verdict": "passed", "steps": [{"id": "verify.1", "action": "command.run", "status": "done"}]}, False),
        ({}, False),
    ],
)
def test_a_restore_is_proven_by_a_recovery_or_a_restored_backup(data, proven):
    assert Outcome.of_data(data).proven is proven


@pytest.mark.parametrize("key", ["findings", "steps", "phases"])
@pytest.mark.parametrize("value", [["x"], [None], 1])
def test_a_malformed_result_proves_nothing(key, value):
    assert not proves({**GOOD, key: value})
    assert not proves({**GOOD, "findings": [{"code": []}]})
    assert not proves({"verdict": "passed", "steps": [{**MADE, "facts": "x"}]})


def test_a_whole_result_proves_what_its_outcome_tells():
    assert proves(GOOD)
    assert not proves({})
    assert not proves([])


@pytest.mark.parametrize("name", ["passed", "failed"])
def test_a_result_and_its_file_tell_the_same(name):
    result = samples.recorded(name).result
    data = json.loads(formats.as_json(result.model_dump(mode="json")))
    assert Outcome.of(result).proven is Outcome.of_data(data).proven is (name == "passed")


OWN = {**CHECKED, "action": "x.dump", "facts": {"identity": {"manifest": "aa"}, "location": "store/aa"}}
DURING = {**REHEARSED, "id": "restore.2", "facts": {"backup": {"id": "today", "taken_during": "cache-lost"}}}


@pytest.mark.parametrize(
    ("steps", "only"),
    [
        ([OWN, MADE], True),
        ([DURING], True),
        ([OWN, MADE, DURING], True),
        ([MADE], False),
        ([REHEARSED], False),
        ([OWN, MADE, REHEARSED], False),
        ([OWN], False),
        (3, False),
    ],
)
def test_a_run_with_only_backups_of_drills_is_told_from_one_with_a_routine_backup(steps, only):
    assert only_of_drills({"verdict": "passed", "started": "2026-01-02T10:00:00Z", "steps": steps}) is only
