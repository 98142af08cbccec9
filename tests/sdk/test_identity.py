"""Identity of services and backups: names in an inventory are only labels."""

import pytest

from drillbook.inventory.inventory import Inventory

POSTGRES = {
    "kind": "postgres",
    "host": "db-1",
    "port": 5432,
    "database": "dpa",
    "user": "dpa",
    "admin": {"user": "postgres"},
    "data_directory": "/var/lib/pg",
}
KEYS = {"access_key": {"source": "env", "name": "A"}, "secret_key": {"source": "env", "name": "B"}}
S3 = {"kind": "s3", "host": "db-1", "endpoint": "http://127.0.0.1:8333", "bucket": "dr", **KEYS}
API = {"kind": "http", "host": "db-1", "url": "http://db1:8000", "unit": "dpa-api"}
HOSTS = {
    "db-1": {"address": "db1.example.com"},
    "primary": {"address": "DB1.example.com", "port": 22},
    "db-2": {"address": "db2.example.com"},
}


def inventory(a, b):
    return Inventory.model_validate({"environment": "lab", "hosts": HOSTS, "services": {"a": a, "b": b}})


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (POSTGRES, POSTGRES),
        (POSTGRES, {**POSTGRES, "host": "primary", "data_directory": "/var/lib/pg/", "reach": "ssh", "user": "reporting"}),
        (S3, {**S3, "endpoint": "http://localhost:8333/", "region": "eu-west-1"}),
        (API, {**API, "kind": "process", "url": None}),
        (API, {**API, "url": "http://lb.example.com"}),
    ],
)
def test_two_names_of_one_thing(a, b):
    assert inventory(a, {key: value for key, value in b.items() if value is not None}).same_thing("a", "b")


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (POSTGRES, {**POSTGRES, "port": 5433}),
        (POSTGRES, {**POSTGRES, "host": "db-2"}),
        (POSTGRES, {**POSTGRES, "database": "other"}),
        (POSTGRES, {**POSTGRES, "data_directory": "/var/lib/pg2"}),
        (S3, {**S3, "bucket": "dr-2"}),
        (S3, {**S3, "endpoint": "https://127.0.0.1:8333/x", "host": "db-2"}),
        (API, {**API, "unit": "other"}),
    ],
)
def test_two_things(a, b):
    made = inventory(a, b)
    assert not made.same_thing("a", "b")
    assert made.same_thing("a", "a")


def test_a_name_that_is_not_there_means_nothing():
    made = inventory(POSTGRES, POSTGRES)
    assert not made.same_thing("a", "c")
    assert not made.same_thing("c", "c")


def test_one_address_behind_two_gateways_is_two_hosts():
    hosts = {**HOSTS, "east": {"address": "10.0.0.5", "gateway": "db-1"}, "west": {"address": "10.0.0.5", "gateway": "db-2"}}
    made = Inventory.model_validate(
        {
            "environment": "lab",
            "hosts": hosts,
            "services": {"a": {**POSTGRES, "host": "east"}, "b": {**POSTGRES, "host": "west"}},
        }
    )
    assert not made.same_thing("a", "b")
