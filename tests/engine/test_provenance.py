"""Provenance: a restore uses the backup that this run verified, and identities tell whether data is the same."""

import pytest

from drillbook.engine.provenance import Proven, Provenance, points_to
from drillbook.engine.steps import build
from drillbook.errors import StepFailed
from drillbook.journal.journal import read
from drillbook.sdk.action import Context
from drillbook.sdk.host import Deadline
from drillbook.sdk.identity import Identity
from drillbook.sdk.object_reference import Reference
from tests.engine.test_backup_gate import ORIGIN, OTHER
from tests.engine.test_backup_gate import run as run
from tests.engine.test_recovery_machine import step

ONE, TWO = "1" * 64, "2" * 64


def test_a_restore_from_another_backup_writes_nothing_once_the_right_one_is_known(run, tmp_path):
    """An expression of the restore may have another value after the injection than before."""
    made = run()
    known = Provenance.of(read(made.journal).events)
    host = made.world.hosts["a"]
    context = Context(
        run_id="run",
        step="restore.1",
        host=host,
        services={},
        host_named=lambda name: host,
        deadline=Deadline.after(10),
        folder=tmp_path,
    )
    with pytest.raises(StepFailed, match="did not verify; nothing was written") as error:
        known.pinned(build(step("restore", 1, "restore", **OTHER), {}), context)
    assert error.value.findings[0].code == "backup-unproven"
    right = build(step("restore", 1, "restore", **{"from": "s3://backups/run"}), {})
    assert known.pinned(right, context).from_ == ORIGIN["from"], "the digest that was proven is pinned"


@pytest.mark.parametrize(
    ("said", "points"),
    [
        ("s3://backups/run", True),
        ("s3://backups/other", False),
        ("s3://elsewhere/run", False),
        (f"s3://backups/moved#sha256={ONE}", True),
        (f"s3://backups/run#sha256={TWO}", False),
    ],
)
def test_a_digest_says_which_backup_is_meant_and_otherwise_the_location(said, points):
    assert points_to(Reference.parse(said), Reference.parse(f"s3://backups/run#sha256={ONE}")) is points


def test_a_backup_is_of_equal_data_or_of_data_that_was_restored_from_it():
    original = Identity(kind="database", of={"at": "a", "oid": "7"})
    copy, unknown = Identity(kind="database", of={"at": "a", "oid": "8"}), Identity(kind="database", of={"at": "a"})
    backup, provenance = original.saved(ONE), Provenance()
    assert [provenance.holds(backup, data) for data in (original, copy, unknown)] == [True, False, None]
    provenance.remember({"made": copy.saved(ONE).model_dump()})
    assert [provenance.holds(backup, data) for data in (original, copy)] == [True, True]
    assert provenance.holds(original.saved(TWO), copy) is False, "another backup"


def test_only_proofs_for_the_same_fault_count():
    where = Reference.parse(f"s3://backups/run#sha256={ONE}")
    known = Provenance([Proven("db", where, "one.proof", "inject.1"), Proven("db", where, "two.proof", "inject.2")])
    assert (known.proofs("inject.2"), known.proofs("inject.3")) == ({"two.proof"}, frozenset())
