"""Identity of clusters: of which one a backup is, and which one a run restored. The same name does not make it the same."""

import pytest

from drillbook.engine.provenance import Proven, Provenance
from drillbook.errors import StepFailed
from drillbook.sdk.object_reference import Reference
from tests.systems.estate import codes
from tests.systems.postgres import fixtures, one_ledger

place, target, base, primary = fixtures.place, fixtures.target, one_ledger.base, one_ledger.primary


def test_a_proof_is_of_the_cluster_and_not_of_the_name_of_its_service(place, primary, base, target):
    proof = place.action("postgres.base_intact", service="primary", **{"from": base["location"]})
    found = proof.run(place.context())
    assert Provenance().examine(proof, place.context(), found)["of_this_service"] is True
    target.create()
    target.start()
    moved = place.context()
    moved.services["primary"] = target.service.model_copy(update={"name": "primary", "database": "postgres"})
    with pytest.raises(StepFailed, match="is not a backup of primary") as failure:
        Provenance().examine(proof, moved, found)
    assert codes(failure) == ["backup-of-another"]
    assert failure.value.findings[0].wanted != failure.value.findings[0].measured.partition(" (manifest")[0]


def test_a_cluster_that_a_command_of_the_drill_made_is_the_restored_one(place, primary, base, target):
    """As for the built-in restore: the backup is verified once more after it, and no other backup may take its place."""
    proof = place.action("postgres.base_intact", service="primary", **{"from": base["location"]})
    found = proof.run(place.context())
    own = place.action(
        "command.run",
        argv=["true"],
        effect="write",
        restores={"service": "primary", "from": base["location"].partition("#")[0]},
    )
    target.create()
    target.start()
    moved = place.context()
    moved.services["primary"] = target.service.model_copy(update={"name": "primary", "database": "postgres"})
    known = Provenance(proven=[Proven("primary", Reference.parse(base["location"]), "postgres.base_intact", "inject.1")])
    facts = known.examine(own, moved, {"exit": 0})
    known.remember(facts)
    assert known.examine(proof, moved, found)["of_this_service"] is True
    assert (facts["exit"], known.made[0].equals(proof.subject(moved))) == (0, True)
    with pytest.raises(StepFailed, match="is not a backup of primary"):
        Provenance().examine(proof, moved, found)
    assert Provenance().examine(own, moved, {"exit": 0}) == {"exit": 0}, "of a backup that was not proven nothing is known"


def test_a_comparison_is_with_the_cluster_that_the_run_restored(place, primary, base, target):
    """Another cluster in its place is not the restored one, whatever it contains."""
    compared = place.action("postgres.matches", service="primary", manifest=base["location"])
    restored = compared.subject(place.context())
    assert Provenance(made=[restored]).examine(compared, place.context(), {}) == {}
    target.create()
    target.start()
    moved = place.context()
    moved.services["primary"] = primary.service.model_copy(update={"port": target.service.port})
    there = primary.service.port, target.service.port
    made = restored.model_copy(update={"of": {key: value.replace(*map(str, there)) for key, value in restored.of.items()}})
    with pytest.raises(StepFailed, match="the compared data of primary is not the data that this run restored") as failure:
        Provenance(made=[made]).examine(compared, moved, {})
    assert codes(failure) == ["thing-replaced"]
