"""Runs that may have met their RPO with a reservation, found out without the module that makes the remarks."""

import json

import pytest

from drillbook.judge.result import Objective
from drillbook.report import backup_origin, possible_reservations, remarks
from drillbook.report.formats import as_json
from drillbook.sdk.action import find, known_names
from tests.report import samples

STARTED = "2026-05-02T10:00:00Z"
BEFORE, DURING = "2026-05-02T01:00:00Z", "2026-05-02T10:05:00Z"


def step(id_, action, **facts):
    return {"id": id_, "action": action, "status": "done", "facts": facts}


def restored(at, **more):
    return step("restore.1", "backup.restore", backup={"id": "dump", "taken_at": at} | more)


def both(*steps, lost=4):
    """Answer of the module for a run of these steps, and the true answer."""
    rpo = Objective(target_s=60, measured_s=3.0, error_s=0.1, met=True, clock="acknowledged writes", lost_writes=lost)
    told = remarks.of_run(remarks.steps_of(steps), STARTED, rpo)
    return possible_reservations.may_exist({"started": STARTED, "steps": steps}, rpo), "rpo" in told


RESERVED = {
    "the drill's own backup": (
        step("backup.1", "postgres.dump", location="s3://b/1", identity={"manifest": "m"}),
        step("restore.1", "postgres.restore", made={"manifest": "m"}, snapshot_at=BEFORE),
    ),
    "a backup taken during the run": (restored(DURING),),
    "a backup begun during the run": (restored(BEFORE, started_at=DURING, error_s=1e6),),
    "a clock with an error": (restored("2026-05-02T09:59:00Z", error_s=90.0),),
    "a point in time": (restored("2026-05-02T09:59:59.5Z", error_s=5, until="2026-05-02T09:59:59.5Z"),),
    "missing rows": (
        step("inject.1", "postgres.remove_rows", removed_data={"rows of orders": 9}),
        step("restore.1", "postgres.restore_table", restored_data={"rows of orders": 3}),
    ),
}


@pytest.mark.parametrize("steps", RESERVED.values(), ids=RESERVED)
def test_no_reservation_is_overlooked(steps):
    assert both(*steps) == (True, True)


@pytest.mark.parametrize("effect", [{}, {"effect": "fault"}])
@pytest.mark.parametrize("action", sorted(possible_reservations.COMMANDS - {"postgres.sql"}))
def test_no_command_of_the_team_is_overlooked(action, effect):
    assert both(step("inject.1", action, **effect), lost=0) == (True, True)


@pytest.mark.parametrize(
    "steps",
    [
        (step("inject.1", "process.kill"), restored(BEFORE)),
        (step("inject.1", "command.run", effect="read"),),
        (step("verify.1", "command.run", effect="write"),),
        (),
    ],
)
def test_an_old_backup_and_a_fault_of_drillbook_cause_no_reservation(steps):
    assert both(*steps, lost=0) == (False, False)


def test_all_built_in_commands_of_the_team_are_named():
    assert {name for name in known_names() if find(name).ANY_DATA} == possible_reservations.COMMANDS


@pytest.mark.parametrize("path", sorted(samples.JOURNALS.glob("*.jsonl")), ids=lambda path: path.stem)
def test_recorded_runs_with_a_reservation_are_found(path):
    result = samples.recorded(path.stem).result
    rpo = result.objectives.get("rpo")
    if rpo is not None and "rpo" in remarks.of_run(result.steps, result.started, rpo):
        assert possible_reservations.may_exist(json.loads(as_json(result)), rpo)


RUN = "20260501T010000.000Z-nightly-3f2a"
ADDRESS = f"s3://backups/{RUN}/dump"


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ((restored(BEFORE),), False),
        ((restored(BEFORE, taken_during="cache-lost"),), True),
        ((restored(BEFORE, id=ADDRESS),), True),
        ((step("restore.1", "postgres.restore", made={"manifest": "x"}, manifest=f"{ADDRESS}/manifest.json"),), True),
        ((step("backup.1", "backup.restore", backup={"id": ADDRESS}), restored(BEFORE)), False),
        ((), False),
    ],
)
def test_only_a_backup_of_the_time_of_a_drill_needs_a_closer_look(steps, told):
    assert bool(backup_origin.not_routine(remarks.steps_of(steps))) == told
    assert possible_reservations.may_be_of_drill({"steps": steps}) == told
