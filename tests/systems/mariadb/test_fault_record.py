"""Record of the databases that a fault drops, on a real server."""

from dataclasses import replace

import pytest

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.redact import Redactor
from drillbook.systems.mariadb import fault_record
from drillbook.systems.mariadb.client import connected
from tests.systems.mariadb import site

CANARY = "CREATE TABLE tried.seen (run_id VARCHAR(100), record_number INT, PRIMARY KEY (run_id, record_number));"


@pytest.fixture
def place(server, tmp_path):
    """The server with a database `tried`, which is the service."""
    server.sql(f"CREATE DATABASE tried; CREATE TABLE tried.a(x INT); CREATE TABLE tried.b(x INT); {CANARY}")
    made = site.estate(tmp_path, server, {"kind": "mariadb_dump", "at": str(tmp_path)})
    services = made.inventory.services
    services["database"] = services["database"].model_copy(update={"database": "tried"})
    (tmp_path / "run" / "evidence").mkdir(parents=True)
    yield made
    server.sql("DROP DATABASE IF EXISTS tried")


def asked(place, function):
    with connected(place.ctx(), place.inventory.services["database"]) as client:
        return function(client)


def recorded(place, ctx, tables):
    fault_record.record(ctx, place.inventory.services["database"], ["tried"], tables, [])


def test_the_databases_of_the_service_and_the_others(place):
    assert asked(place, fault_record.databases) == ["tried"]
    assert {"shop", "other"} <= set(asked(place, fault_record.others))
    assert not {"tried", "mysql", "sys"} & set(asked(place, fault_record.others))


def test_the_table_of_a_canary_is_no_data_of_the_service(place):
    assert asked(place, fault_record.must_have_data) == (["tried"], {"tried.a", "tried.b"})


def test_the_table_of_a_canary_is_created_again_by_its_statement(server, place):
    server.sql("INSERT INTO tried.seen VALUES ('r', 1)")
    (statement,) = asked(place, fault_record.canaries)
    server.sql(statement)
    assert server.sql("SELECT record_number FROM tried.seen").strip() == "1", "a table that exists is kept"
    server.sql(f"DROP TABLE tried.seen; {statement}; INSERT INTO tried.seen VALUES ('r', 2)")
    assert asked(place, fault_record.canaries) == [statement]


def test_recorded_tables_are_missing_until_they_are_back(server, place):
    ctx, service = place.ctx("inject.1"), place.inventory.services["database"]
    assert fault_record.missing(ctx, service) == set()
    recorded(place, ctx, {"tried.a", "tried.b"})
    assert fault_record.missing(ctx, service) == set()
    server.sql("DROP TABLE tried.a")
    assert fault_record.missing(ctx, service) == {"tried.a"}
    server.sql("DROP DATABASE tried")
    assert fault_record.missing(ctx, service) == {"tried", "tried.a", "tried.b"}


def test_the_record_of_another_service_is_not_taken_for_it(place):
    ctx, service = place.ctx("inject.1"), place.inventory.services["database"]
    recorded(place, ctx, {"tried.gone"})
    assert fault_record.recorded(ctx, service)["tables"] == ["tried.gone"]
    assert fault_record.recorded(ctx, service.model_copy(update={"name": "another"})) == {}


def test_a_name_that_contains_a_secret_is_not_recorded(place):
    ctx = replace(place.ctx("inject.1"), redactor=Redactor(["hunter2hunter2"]))
    with pytest.raises(StepFailed, match="contain a secret of the inventory; nothing was lost"):
        recorded(place, ctx, {"tried.hunter2hunter2"})
    assert fault_record.recorded(ctx, place.inventory.services["database"]) == {}


def test_a_service_without_tables_has_nothing_to_lose(server, place):
    server.sql("DROP TABLE tried.a, tried.b")
    with pytest.raises(CouldNotVerify, match="database contains no tables") as told:
        asked(place, fault_record.must_have_data)
    assert told.value.hint
