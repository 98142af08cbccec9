"""A database under its provisional name, and one that is kept closed: which run may take or drop it."""

from __future__ import annotations

import pytest

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.systems.postgres.access import provisional_name
from tests.systems.postgres import fixtures

place, primary, backup, restored = fixtures.place, fixtures.primary, fixtures.backup, fixtures.restored


def databases(cluster):
    return {name for (name,) in cluster.sql("SELECT datname FROM pg_database WHERE NOT datistemplate", database="postgres")}


def test_another_run_does_not_take_an_open_database_for_its_own(place, backup, restored):
    with pytest.raises(StepFailed, match="exists already"):
        place.run("postgres.restore", ctx=place.context(step="restore.1"), service="spare", **{"from": backup["location"]})


def test_what_another_run_restored_and_keeps_closed_is_not_dropped(place, backup, restored):
    fields = {"service": "spare", "from": backup["location"], "closed": True}
    restored.sql("DROP DATABASE IF EXISTS shop WITH (FORCE)", database="postgres")
    first = place.context(step="restore.1")
    place.run("postgres.restore", ctx=first, **fields)
    number = "SELECT oid FROM pg_database WHERE datname = 'shop'"
    before = restored.sql(number)
    with pytest.raises(StepFailed, match=f"drill.recover {first.run_id}"):
        place.run("postgres.restore", ctx=place.context(step="restore.1"), **fields)
    assert restored.sql(number) == before
    place.run("postgres.restore", ctx=first, **fields)
    assert restored.sql(number) == before, "it is whole: the same step has nothing more to do"
    assert place.run("postgres.clear_restore", ctx=first, service="spare") == {"discarded": [], "opened": True}


def test_half_a_database_that_the_server_refuses_to_drop_is_told_as_it_is(place, restored):
    ctx = place.context(step="restore.1")
    half = provisional_name("shop", ctx.run_id)
    restored.sql(f'CREATE DATABASE "{half}" IS_TEMPLATE true', database="postgres")
    try:
        with pytest.raises(CouldNotVerify) as failure:
            place.run("postgres.clear_restore", ctx=ctx, service="spare")
    finally:
        restored.sql(f'ALTER DATABASE "{half}" IS_TEMPLATE false', database="postgres")
        restored.sql(f'DROP DATABASE "{half}"', database="postgres")
    assert failure.value.message.startswith("spare: an unfinished restore could not be found or cleared: ")
    assert "template" in failure.value.message
    assert failure.value.hint.startswith("if its server is down, start it; then recover the run: ")


@pytest.mark.parametrize("name", ["dpa", "x" * 63, "数据库" * 7, 'we"ird'])
def test_a_provisional_name_fits(primary, name):
    found = provisional_name(name, "20261127-101010-postgres-lost-ab12")
    primary.sql('CREATE DATABASE "{}"'.format(found.replace('"', '""')))
    try:
        assert found in databases(primary), "the server cut nothing off"
    finally:
        primary.sql('DROP DATABASE "{}"'.format(found.replace('"', '""')))
