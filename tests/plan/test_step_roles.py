"""Roles of steps in the recovery of lost data: what a step restores, verifies and compares, and from where."""

import pytest

from drillbook.plan import step_roles
from tests.plan.test_planner import CLUSTER, made
from tests.plan.test_restorable import RESTORE, SITE, changed, free, own
from tests.plan.test_source_rules import DRILL
from tests.plan.test_source_rules import SITE as SOURCES


@pytest.fixture
def plan(tmp_path):
    return made(tmp_path, CLUSTER, SITE)


def step(plan, name):
    return next(one for one in plan.steps if one.id == name)


def test_a_step_restores_the_service_and_the_backup_that_it_names(plan, tmp_path):
    assert step_roles.source_of(step(plan, "restore.1")) == ("database", "{{ dump.location }}", False)
    command = made(tmp_path, changed(RESTORE, free()), SITE)
    assert step_roles.source_of(step(command, "restore.1")) == ("database", "{{ dump.location }}", True)
    assert [step_roles.source_of(step(plan, name)) for name in ("backup.3", "inject.1")] == [None, None]


def test_two_names_of_one_server_are_one_service(plan):
    assert step_roles.same_service(plan.inventory, "database", "same")
    assert not step_roles.same_service(plan.inventory, "database", "spare")
    assert not step_roles.same_service(plan.inventory, "database", None)


def test_a_backup_is_verified_for_the_fault_of_its_service_and_restored_by_the_action_of_its_kind(plan):
    fault, proof, other = (step(plan, name) for name in ("inject.1", "backup.3", "backup.4"))
    assert [step_roles.proves(plan.inventory, one, fault) for one in (proof, other)] == [True, False]
    assert step_roles.restorers(proof, fault) == ("postgres.restore",)
    assert step_roles.restorers(other, fault) == ()
    spare = proof.model_copy(update={"params": {**proof.params, "service": "spare"}})
    assert not step_roles.proves(plan.inventory, spare, fault)


def test_a_command_loses_the_data_whose_backup_it_names(tmp_path):
    plan = made(tmp_path, own(), SITE)
    fault = step(plan, "inject.1")
    assert step_roles.is_free(fault)
    assert step_roles.lost_service(plan, fault) == "database"
    assert "postgres.restore" in step_roles.restorers(step(plan, "backup.3"), fault)


def test_a_verification_of_a_source_is_about_the_service_of_the_source(tmp_path):
    plan = made(tmp_path, DRILL, SOURCES)
    proof = step(plan, "backup.1")
    assert step_roles.of_source(proof)
    assert (step_roles.verified_service(plan.inventory, proof), step_roles.verified_origin(proof)) == ("site", "nightly")
    assert step_roles.sources_verified(plan.steps) == {"nightly"}
    skipped = proof.model_copy(update={"when": "1 > 2"})
    assert step_roles.sources_verified([skipped, *plan.steps[1:]]) == frozenset()


def test_only_a_comparison_of_all_tables_counts_where_all_are_lost(plan):
    fault, matches = step(plan, "inject.1"), step(plan, "verify.1")
    assert step_roles.compares(plan.inventory, matches, "database", fault)
    part = matches.model_copy(update={"params": {**matches.params, "tables": ["public.chunks"]}})
    assert not step_roles.compares(plan.inventory, part, "database", fault)
    table = fault.model_copy(update={"params": {**fault.params, "table": "chunks"}})
    assert step_roles.compares(plan.inventory, part, "database", table)


def test_parameters_from_the_result_of_another_step_have_its_service(plan):
    assert step_roles.origins(plan.steps, step(plan, "restore.1")) == {"from": "database"}
    assert step_roles.origins(plan.steps, step(plan, "inject.1")) == {}
