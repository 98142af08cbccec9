"""Statements of the actions `mariadb.*`, as a person sends them with the client."""

import pytest

from drillbook.sdk.by_hand import ManualStep
from drillbook.systems.mariadb.by_hand import BY_HAND
from drillbook.systems.mariadb.service import Mariadb
from tests.systems.postgres.site import secret


def asked(fields, name="mariadb.sql", **params):
    params = {"query": " SELECT 1 ", **params}
    service = fields and Mariadb.model_validate({"name": "shop", "host": "db-1", **fields})
    return BY_HAND[name](ManualStep(params, service, None, {}))


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({}, "mariadb --host=127.0.0.1 --port=3306 --database= '--execute=SELECT 1'"),
        (
            {"address": "/run/db.sock", "user": "a clerk", "database": "shop"},
            "mariadb --socket=/run/db.sock '--user=a clerk' --database=shop '--execute=SELECT 1'",
        ),
        (
            {"run_as": "mysql"},
            "sudo -u mysql mariadb --host=127.0.0.1 --port=3306 --database= '--execute=SELECT 1'",
        ),
        (
            {"database": "shop", "sandbox": {"data_may_leave": True}},
            "mariadb '--socket=<folder of the restored copy>/server.sock' --user=root --database=shop '--execute=SELECT 1'",
        ),
    ],
    ids=["port", "socket", "user", "copy"],
)
def test_a_statement_names_the_server_and_the_database(fields, line):
    assert asked({"port": 3306, **fields}) == (line,)


def test_the_database_of_the_step_precedes_that_of_the_service():
    assert "--database=other" in asked({"database": "shop"}, database="other")[0]


def test_a_password_is_asked_for_and_never_in_the_command():
    word = secret("hidden-word", "TEST_BY_HAND")
    (line,) = asked({"user": "clerk", "password": word}, "mariadb.healthy")
    assert line.startswith("mariadb --host=127.0.0.1 --port=3306 --user=clerk --password --database=")
    assert "hidden-word" not in line


def test_a_step_without_a_mariadb_service_has_no_command():
    assert asked(None) == ()
