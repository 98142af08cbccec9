"""The gate on in-memory hosts: nothing is destroyed unless a backup of exactly this thing was proven."""

from __future__ import annotations

import pytest

from drillbook.engine.provenance import Provenance
from drillbook.events.steps import BackupProven
from drillbook.inventory import inventory
from drillbook.journal.journal import read
from tests.engine.test_recovery_machine import planned, step
from tests.machine.world import HOSTS, Controller, World

LOSE = [{"action": "lose", "how": "commands", "hosts": HOSTS, "trouble": "", "beside": False}]
OTHER = {"from": f"s3://backups/other#sha256={'1' * 64}"}
ORIGIN = {"from": f"s3://backups/run#sha256={'0' * 64}"}


@pytest.fixture
def run(pretended, tmp_path):
    path = tmp_path / "lab.yml"
    path.write_text(
        "environment: lab\nhosts: {a: {address: 10.0.0.1}, b: {address: 10.0.0.2}}\n"
        "services: {app: {kind: process, host: a}}\n"
    )

    def run_(*changed, gone=()):
        plan = planned(LOSE, inventory.load(path))
        by_id = {one.id: one for one in changed}
        plan = plan.model_copy(update={"steps": tuple(by_id.get(one.id, one) for one in plan.steps if one.id not in gone)})
        folder = tmp_path / "run"
        folder.mkdir()
        controller = Controller(plan, World(), folder)
        controller.run()
        return controller

    return run_


def events(controller, kind):
    return [event for event in read(controller.journal).events if event.kind == kind]


def refused(controller, wanted, measured):
    (early,) = events(controller, "ended.early")
    assert early.data["why"] == "inconclusive"
    told = early.data["findings"][0]
    assert told["code"] == "backup-unproven"
    assert wanted in told["wanted"]
    assert measured in told["measured"]
    assert not [event for event in events(controller, "intent") if event.step == "inject.1"], "nothing was broken"
    assert controller.world.things() == set()


def test_what_is_proven_is_destroyed_and_restored_from_just_that(run):
    made = run()
    assert events(made, "ended.early") == []
    assert [
        (one.step, one.host, one.data["location"], one.data["identity"]["of"]) for one in events(made, BackupProven.KIND)
    ] == [("inject.1", host, ORIGIN["from"], {"at": host}) for host in HOSTS]
    assert sorted(
        event.data["facts"]["made"]["of"]["at"] for event in events(made, "done") if event.step == "restore.1"
    ) == [*HOSTS]
    known = Provenance.of(read(made.journal).events)
    assert {one.location.sha256 for one in known.proven} == {"0" * 64}
    assert len(known.made) == len(HOSTS)


def test_a_proof_of_another_thing(run):
    """The backup is of one host, but the fault destroys data on two."""
    refused(run(step("backup", 2, "prove", hosts=("a",), **ORIGIN)), "a verified backup of pretend at b", "pretend at a")


def test_a_proof_that_was_allowed_to_fail_and_did(run):
    failing = step("backup", 2, "prove", of="nothing", **ORIGIN).model_copy(update={"allow_failure": "we tried"})
    refused(run(failing), "a backup that was verified in this run", "none")


def test_a_proof_that_does_not_say_what_it_is_of(run):
    refused(run(step("backup", 2, "prove", of="unknown", **ORIGIN)), "a verified backup of pretend at a", "not identified")


def test_a_restore_from_a_folder_that_nobody_proved(run):
    refused(run(step("restore", 1, "restore", **OTHER)), "manifest 000000000000", "restores from s3://backups/other")


def test_no_restore_of_what_is_destroyed(run):
    refused(run(gone=("restore.1",)), "a restore from", "no step of `restore` uses this backup")


def test_a_backup_of_another_thing_is_whole_and_still_no_proof(run):
    made = run(step("backup", 2, "prove", of="elsewhere", **ORIGIN))
    failed = [event for event in events(made, "failed") if event.step == "backup.2"]
    assert {event.data["findings"][0]["code"] for event in failed} == {"backup-of-another"}
    assert {(event.data["findings"][0]["wanted"], event.data["findings"][0]["measured"]) for event in failed} == {
        (f"pretend at {host}", "pretend at elsewhere (manifest 000000000000)") for host in HOSTS
    }
    assert made.world.things() == set()
