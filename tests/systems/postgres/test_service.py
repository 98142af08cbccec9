"""The service kind `postgres`."""

import pytest
from pydantic import ValidationError

from drillbook.systems.postgres.service import Postgres

FIELDS = {
    "name": "it",
    "host": "db-1",
    "database": "shop",
    "user": "app",
    "admin": {"user": "postgres"},
    "data_directory": "/srv/pg/",
}


def made(**more):
    return Postgres.model_validate(FIELDS | more)


def test_a_server_is_reserved_by_its_port_and_listens_at_its_address():
    service = made(address="10.0.0.7", port=5433)
    assert (service.lock_name, service.listens, service.socket) == ("postgres-5433", ("10.0.0.7", 5433), "")
    assert (service.data, service.part) == ("/srv/pg", "shop")


def test_a_server_in_a_folder_is_reached_by_its_socket():
    service = made(address="/run/postgresql", port=5433)
    assert (service.socket, service.listens) == ("/run/postgresql/.s.PGSQL.5433", None)


def test_a_managed_database_has_no_data_directory_on_a_host():
    without = {key: value for key, value in FIELDS.items() if key != "data_directory"}
    managed = Postgres.model_validate(without | {"managed": True})
    assert managed.kept_in == ()
    assert Postgres.model_validate(managed.model_dump()) == managed, "a plan in a journal keeps it"
    for wrong in ({"data_directory": "/srv/pg"}, {"sandbox": {}}, {"admin": {"user": "a", "socket": "/run"}}):
        with pytest.raises(ValidationError):
            Postgres.model_validate(without | {"managed": True} | wrong)
    with pytest.raises(ValidationError):
        Postgres.model_validate(without)


def test_a_superuser_logs_in_by_a_password_or_by_a_socket():
    made(admin={"user": "postgres", "socket": "/run/postgresql"})
    with pytest.raises(ValidationError, match="logs in by peer authentication, so remove its `password`"):
        made(admin={"user": "postgres", "socket": "/run", "password": {"source": "env", "name": "X"}})
    assert "socket" not in made().model_dump()["admin"], "the digest of an older plan stays"
