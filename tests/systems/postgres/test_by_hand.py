"""Statements of a drill, as a person sends them with psql."""

import shlex

from drillbook.sdk.by_hand import ManualStep, commands
from drillbook.sdk.host import Target
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.units.service import Process

HOSTS = {"db-1": Target(name="db-1", address="10.0.0.7"), "app-1": Target(name="app-1", address="10.0.0.8")}
FIELDS = {"name": "it", "host": "db-1", "port": 5433, "database": "shop", "user": "app", "data_directory": "/srv/pg"}


def words(action, *, target="db-1", admin=None, **params):
    service = Postgres.model_validate(FIELDS | {"admin": admin or {"user": "postgres"}, "run_as": "postgres"})
    (line,) = commands(action, ManualStep(params, service, HOSTS[target], HOSTS))
    return shlex.split(line)


def test_a_statement_is_sent_as_the_application_unless_it_asks_for_the_superuser():
    query = "SELECT 'it''s'"
    sent = words("postgres.sql", query=f"  {query}\n")
    assert sent[0] == "psql"
    assert {"--port=5433", "--username=app", "--dbname=shop", f"--command={query}"} <= set(sent)
    assert "--username=postgres" in words("postgres.sql", query="SELECT 1", **{"as": "admin"})
    assert "--dbname=other" in words("postgres.sql", query="SELECT 1", database="other")


def test_a_superuser_with_a_socket_needs_no_password_and_the_right_account():
    sent = words("postgres.healthy", admin={"user": "postgres", "socket": "/run/postgresql"})
    assert sent[:4] == ["sudo", "-u", "postgres", "psql"]
    assert "--host=/run/postgresql" in sent
    assert "sudo" not in words("postgres.healthy")


def test_another_service_has_no_statement():
    step = ManualStep({"query": "SELECT 1"}, Process(name="it", host="db-1"), HOSTS["db-1"], HOSTS)
    assert commands("postgres.sql", step) == ()
