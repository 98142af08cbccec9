"""Each row of the table of controls counts the runs with evidence, and lists the drills without any."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import pytest

from drillbook.audit import controls, html, markdown, run_evidence
from drillbook.audit.controls import FEW, MOST_DRILLS
from drillbook.audit.records import Record
from drillbook.events.event import Event
from drillbook.judge.result import FaultResult, Objective, StepResult, Verdict
from drillbook.sdk.action import find
from tests.audit import stories
from tests.audit.test_chain import audited
from tests.audit.test_rendering import Text
from tests.report import samples
from tests.report.test_agreement import plain


def control(audit, id_):
    return next(one for one in audit.controls if one.id == id_)


@pytest.fixture
def mixed(book):
    """Real runs: one that restored and compared a backup, one whose comparison failed, and some without a backup."""
    for name in ("passed", "failed"):
        folder = book.reports / samples.recorded(name).result.run
        folder.mkdir()
        shutil.copy(samples.JOURNALS / f"{name}.jsonl", folder / "journal.jsonl")
    stories.year(book)
    return audited(book)


def test_each_control_counts_the_runs_that_have_its_evidence(mixed):
    runs = {row.run: row.verdict for row in mixed.runs}
    for one in mixed.controls:
        assert set(one.runs) | set(one.without) == set(runs)
        assert not set(one.runs) & set(one.without)
        assert one.shows.startswith(f"{len(one.runs)} of {len(runs)} runs ")
        assert bool(one.without) == one.lacks.startswith("Without this evidence: ")
    assert control(mixed, "A1.2").runs == (samples.passed().result.run,)
    assert "restored content: postgres-lost." in control(mixed, "A1.2").shows
    assert {runs[run] for run in control(mixed, "CP-10").runs} == {"passed"}
    assert {runs[run] for run in control(mixed, "CP-4").runs} == {"passed", "failed"}
    assert {runs[run] for run in control(mixed, "CP-4").without} == {"refused", "aborted", "inconclusive"}
    assert samples.failed().result.run in control(mixed, "A1.3").runs
    assert samples.failed().result.run not in control(mixed, "A.8.13").runs


def test_both_formats_show_the_counts_and_what_lacks_the_evidence(mixed):
    page = Text()
    page.feed(html.render(mixed))
    words = plain(markdown.render(mixed))
    for one in mixed.controls:
        for text in (one.shows, one.lacks):
            assert text in page.text
            assert text in words


def test_a_period_without_runs_shows_nothing(book):
    assert all(one.shows.startswith("Nothing: no run of the period ") for one in audited(book).controls)


def test_many_drills_are_counted(book):
    for number in range(MOST_DRILLS + FEW + 1):
        name = f"d{number:02}"
        text = stories.DOWN.replace("drill: api-down", f"drill: {name}")
        book.run(f"2026-01-{number + 1:02}T09:00:00", drill=name, text=text).good().close()
    shows = control(audited(book), "CP-10").shows
    assert shows.endswith("d06, d07 and 4 more drills.")
    few = [SimpleNamespace(drill=f"d{number:02}") for number in range(MOST_DRILLS + FEW)]
    assert controls._drills(few).endswith("d08, d09, d10"), "a few more are named"


def record(*steps, plan=None, **more):
    told = [
        StepResult.model_validate(
            {"id": id_, "action": action, "host": "h", "status": "done", "seconds": 1.0, "facts": facts}
        )
        for id_, action, facts in steps
    ]
    return Record("r", "", 0, first=opening(plan), result=samples.result(steps=tuple(told), **more))


def opening(plan):
    """First event of a real run, with a different plan."""
    told = json.loads((samples.JOURNALS / "passed.jsonl").read_text().partition("\n")[0])
    return Event.model_validate({**told, "data": {**told["data"], "plan": plan}}) if plan else None


RESTORED = ("restore.1", "backup.restore", {"backup": {"id": "dump"}})


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
        ([OWN, OWN_RESTORED], ("rpo", "rto"), True),
        ([RESTORED], ("detect",), False),
    ],
)
def test_an_rpo_that_is_met_with_a_reservation_is_no_evidence(steps, keys, counts):
    assert run_evidence.measured(record(*steps, objectives=dict.fromkeys(keys, WITHIN))) is counts


CHECKED = ("restore.1", "backup.check", {"backup": {"id": "dump"}})


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


def test_runs_are_told_apart_by_their_folder(book, monkeypatch):
    """Comparing every run with every other one would take seconds for a year with many runs."""
    stories.year(book)
    monkeypatch.setattr(Record, "__eq__", lambda *_: pytest.fail("the content of two runs was compared"))
    assert control(audited(book), "CP-4").without


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
