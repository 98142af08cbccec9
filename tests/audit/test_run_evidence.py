"""Evidence in the steps of one run: restored backups, compared content, and recovery."""

from __future__ import annotations

import json

import pytest

from drillbook.audit import run_evidence
from drillbook.judge.result import FaultResult, Objective, Verdict
from drillbook.sdk.action import find
from tests.audit.made_records import CHECKED, RESTORED, record
from tests.report import samples


@pytest.mark.parametrize(
    ("action", "facts", "proves"),
    [
        ("postgres.matches", {}, True),
        ("content.matches", {}, True),
        ("files.compare", {}, True),
        ("files.recorded", {}, True),
        ("mariadb.matches", {}, True),
        ("postgres.compare", {"tables": 2}, True),
        ("mariadb.compare", {"tables": 1}, True),
        ("postgres.compare", {"tables": 0}, False),
        ("mariadb.compare", {"tables": 0}, False),
        ("env.matches", {}, False),
        ("postgres.intact", {}, False),
        ("http.responds", {}, False),
        ("gone.matches", {}, False),
    ],
)
def test_the_action_declares_that_it_compares_content_and_not_its_name(action, facts, proves):
    assert run_evidence.compared(record(RESTORED, ("verify.1", action, facts))) is proves
    if not action.startswith("gone"):
        assert find(action).proves_content(facts) is proves


def test_a_comparison_without_a_restored_backup_is_no_evidence():
    compared = ("verify.1", "postgres.matches", {})
    assert not run_evidence.compared(record(("restore.1", "service.start", {}), compared))
    assert not run_evidence.compared(record(("restore.1", "x.y", {"made": {"unknown": "no answer"}}), compared))
    assert run_evidence.compared(record(("restore.1", "x.y", {"made": {"kind": "redis"}}), compared))


OWN = ("backup.1", "postgres.dump", {"identity": {"manifest": "aa"}, "location": "/backups/own"})


OWN_RESTORED = ("restore.1", "backup.restore", {"backup": {"id": "own"}, "made": {"manifest": "aa"}})


WITHIN = Objective(target_s=900.0, measured_s=4.0, error_s=0.1, met=True, clock="x")


@pytest.mark.parametrize(
    ("steps", "keys", "counts"),
    [
        ([RESTORED], ("rpo",), True),
        ([OWN, OWN_RESTORED], ("rpo",), False),
        ([OWN, OWN_RESTORED], ("rpo", "rto"), False),
        ([OWN, OWN_RESTORED], ("rto",), True),
        ([RESTORED], ("detect",), False),
    ],
)
def test_an_rpo_that_is_met_with_a_reservation_is_no_evidence(steps, keys, counts):
    known = record(*steps, objectives=dict.fromkeys(keys, WITHIN))
    assert run_evidence.measured(known) is counts
    assert run_evidence.with_reservation(known) is (not counts and "rpo" in keys)


def test_a_verified_backup_is_not_a_restored_backup():
    compared = ("verify.1", "postgres.matches", {})
    assert not run_evidence.restored(record(CHECKED, compared))
    assert not run_evidence.compared(record(CHECKED, compared))
    assert run_evidence.restored(record(RESTORED, compared))


FAULT = FaultResult(step="inject.1", host="h", injection="injected")


@pytest.mark.parametrize(
    ("steps", "faults", "verdict", "tested"),
    [
        ((("backup.1", "backup.list", {}), ("backup.2", "backup.measure", {})), (), "passed", False),
        ((("backup.1", "backup.list", {}),), (FAULT.model_copy(update={"injection": "not injected"}),), "failed", False),
        ((("backup.1", "backup.list", {}),), (FAULT.model_copy(update={"injection": "unknown"}),), "failed", False),
        ((CHECKED,), (), "passed", False),
        ((RESTORED,), (), "passed", True),
        ((RESTORED,), (), "failed", True),
        ((RESTORED,), (), "inconclusive", False),
        ((), (FAULT,), "failed", True),
        ((), (FAULT,), "aborted", False),
    ],
)
def test_a_run_without_a_fault_and_without_a_restore_tested_no_recovery(steps, faults, verdict, tested):
    assert run_evidence.tested(record(*steps, faults=faults, verdict=Verdict(verdict))) is tested


@pytest.mark.parametrize(
    ("action", "tables", "proves"),
    [("postgres.matches", 0, False), ("mariadb.matches", 0, False), ("postgres.matches", 3, True)],
)
def test_a_comparison_that_left_out_all_tables_proves_nothing(action, tables, proves):
    assert run_evidence.compared(record(RESTORED, ("verify.1", action, {"tables": tables}))) is proves


REAL = json.loads((samples.JOURNALS / "passed.jsonl").read_text().partition("\n")[0])["data"]["plan"]["inventory"]


SERVICES = REAL["services"]


INVENTORY = {**REAL, "services": {**SERVICES, "alias": {**SERVICES["database"], "name": "alias"}}}


@pytest.mark.parametrize(
    ("restored", "compared", "inventory", "counts"),
    [
        ({"service": "database"}, {"service": "database"}, INVENTORY, True),
        ({"service": "database"}, {"service": "alias"}, INVENTORY, True),
        ({"service": "database"}, {"service": "cache"}, INVENTORY, False),
        ({"service": "database"}, {"service": "cache"}, {}, False),
        ({"restores": {"service": "database"}}, {"service": "cache"}, INVENTORY, False),
        ({"service": "database"}, {}, INVENTORY, True),
        ({}, {"service": "cache"}, INVENTORY, True),
        ({"service": "database"}, {"service": "{{ found.name }}"}, INVENTORY, True),
    ],
)
def test_the_comparison_must_be_of_the_restored_service(restored, compared, inventory, counts):
    plan = {
        "inventory": inventory,
        "steps": [{"id": "restore.1", "params": restored}, {"id": "verify.1", "params": compared}],
    }
    assert run_evidence.compared(record(RESTORED, ("verify.1", "postgres.matches", {}), plan=plan)) is counts


@pytest.mark.parametrize(
    ("action", "effect", "counts"),
    [
        ("backup.check", "read", False),
        ("command.run", "read", False),
        ("command.run", "write", True),
        ("service.start", "write", True),
    ],
)
def test_a_restore_phase_that_only_reads_carries_out_no_recovery(action, effect, counts):
    plan = {"steps": [{"id": "restore.1", "action": action, "effect": effect}]}
    assert run_evidence.carried_out(record(("restore.1", action, {"backup": {}}), plan=plan)) is counts
