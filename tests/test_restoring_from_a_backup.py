"""Restoring from the proven backup of a run by the system's own restore: what is declared, and what a recovery makes of it."""

import pytest

from drillbook.action import Effect, Fault, find, known_names

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
