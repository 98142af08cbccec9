"""Restoring from the proven backup of a run with the system's own restore: its declaration, and its use by a recovery."""

from pathlib import Path

import pytest

from drillbook.engine import backup_restore
from drillbook.engine.backup_gate import Gate
from drillbook.errors import UsageError
from drillbook.hosts.fake import Reply
from drillbook.inventory import inventory
from drillbook.journal.journal import read
from drillbook.journal.run_state import needs_recovery
from drillbook.sdk.action import Effect, Fault, find, known_names
from tests.engine.test_recovery_machine import planned, step
from tests.machine.world import HOSTS, Controller, World

DESTROYING = [name for name in known_names() if issubclass(find(name), Fault) and find(name).RESTORE_ONLY]


@pytest.mark.parametrize("name", DESTROYING)
def test_what_only_a_restore_mends_names_the_restore_for_each_proof(name):
    fault = find(name)
    assert fault.RESTORED_BY
    assert set(fault.RESTORED_BY) <= set(fault.PROVEN_BY)
    for proof, restore in fault.RESTORED_BY.items():
        assert find(proof).PROVES_BACKUP
        assert find(restore).EFFECT is Effect.WRITE
        needed = {info.alias or key for key, info in find(restore).model_fields.items() if info.is_required()}
        given = {info.alias or key for key, info in fault.model_fields.items()} | {"from"}
        assert needed <= given, f"{restore} needs {needed - given}, which {name} does not give"


def test_what_a_restore_takes_from_the_run_are_its_parameters():
    for name in known_names():
        fields = {info.alias or key for key, info in find(name).model_fields.items()}
        for key, (action, _) in find(name).TAKES.items():
            assert key in fields
            assert find(action)


def test_a_restore_that_keeps_clients_out_names_what_lets_them_in():
    for name in known_names():
        closed = "closed" in find(name).model_fields and find(name).EFFECT is Effect.WRITE
        assert closed == bool(find(name).OPENED_BY), name
        assert not closed or find(find(name).OPENED_BY)


BACKUP = f"s3://backups/run#sha256={'0' * 64}"


@pytest.fixture
def lost(tmp_path, pretended):
    """Run on in-memory hosts that lost data for good; its runbook has no effect although it is declared as a restore."""
    path = tmp_path / "lab.yml"
    path.write_text(
        "environment: lab\nhosts: {a: {address: 127.0.0.1}, b: {address: 127.0.0.1}}\n"
        "services: {app: {kind: process, host: a}}\n"
    )
    return lambda proof: Lost(inventory.load(path), tmp_path, proof)


class Lost:
    """The run, its hosts, and a function that recovers it."""

    def __init__(self, hosts, folder: Path, proof: dict[str, str]):
        kinds = [{"action": "lose", "how": "", "hosts": ("a",), "trouble": "", "beside": False}]
        plan = planned(kinds, hosts)
        changed = {"backup.2": step("backup", 2, "prove", HOSTS, **proof), "restore.1": step("restore", 1, "keep", **proof)}
        self.world = World()
        self.controller = Controller(
            plan.model_copy(update={"steps": tuple(changed.get(one.id, one) for one in plan.steps)}), self.world, folder
        )
        self.controller.run()

    def recover(self, *, from_backup: bool):
        return self.controller.recover(from_backup=from_backup)

    @property
    def history(self):
        return read(self.controller.journal)


def test_a_runbook_that_does_nothing_is_replaced_by_the_restore_of_the_proven_backup(lost):
    run = lost({"from": BACKUP})
    assert run.world.things() == {("a", "lost-1")}
    assert [one.step for one in run.recover(from_backup=False)] == ["inject.1"], "the drill's own way does not help"
    assert run.recover(from_backup=True) == []
    assert run.world.things() == set()
    assert not needs_recovery(run.history)
    (intent,) = [event for event in run.history.events if event.kind == "intent" and event.step == "recovery.1"]
    assert (intent.host, intent.data["action"], intent.data["params"]["from"]) == ("a", "pretend.restore", BACKUP)


def test_a_run_that_proved_no_backup_is_told_so_and_nothing_is_touched(lost, monkeypatch):
    """Run of an older version, whose gate did not compare yet."""
    monkeypatch.setattr(Gate, "refusals", lambda gate, steps: [])
    run = lost({})
    before = run.controller.journal.read_bytes()
    with pytest.raises(
        UsageError, match=r"this run did not verify a backup of the data that pretend.lose \(inject.1\) destroyed on a"
    ):
        run.recover(from_backup=True)
    assert run.controller.journal.read_bytes() == before


def test_a_proof_that_did_not_end_well_proves_no_backup(lost):
    run = lost({"from": BACKUP})
    with run.controller.recovery().resumed() as (stage, history):
        assert [one.params["from"] for one in backup_restore.steps(stage, history.events)] == [BACKUP]
        events = [event for event in history.events if (event.kind, event.step) != ("done", "backup.2")]
        with pytest.raises(UsageError, match="did not verify a backup"):
            backup_restore.steps(stage, events)


def test_a_restore_whose_verification_fails_is_no_restore(lost):
    run = lost({"from": BACKUP})
    for host in run.world.hosts.values():
        host.on("whole", Reply(1))
    (left,) = run.recover(from_backup=True)
    assert left.step == "inject.1"
    assert "the verification after the restore failed" in left.why
    assert run.world.things() == set(), "it is there, and not known to be right"
    assert needs_recovery(run.history)


def test_a_recovery_that_dies_before_the_verification_has_restored_nothing(lost):
    run = lost({"from": BACKUP})
    run.recover(from_backup=True)
    kinds = [(event.kind, event.data.get("phase"), event.data.get("status")) for event in run.history.events]
    restored = kinds.index(("phase.ended", "restore", "done"), kinds.index(("step.added", None, None)))
    assert kinds.index(("phase.ended", "verify", "done"), kinds.index(("step.added", None, None))) < restored


def test_without_a_loss_there_is_nothing_to_restore(lost):
    run = lost({"from": BACKUP})
    run.recover(from_backup=True)
    assert run.recover(from_backup=True) == [], "a run that needs no recovery is left alone"
