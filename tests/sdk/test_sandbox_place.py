"""Folders with data and backups on a host that a sandbox must not use."""

import pytest

from drillbook.inventory.inventory import Inventory
from drillbook.sdk.sandbox_place import of_production

CACHE = {"kind": "redis", "port": 1, "data_directory": "/var/lib/redis"}
HOSTS = {
    "db1.example.com": {},
    "primary": {"address": "DB1.example.com", "port": 22},
    "behind": {"address": "db1.example.com", "gateway": "jump"},
    "other": {"address": "db1.example.com", "port": 2222},
    "jump": {"address": "jump.example.com"},
    "here": {"local": True},
}


def folders(host, seen_from, backups=None):
    made = Inventory.model_validate(
        {
            "environment": "lab",
            "hosts": HOSTS,
            "services": {"cache": {**CACHE, "host": host}},
            "backups": backups or {},
        }
    )
    return of_production(made.services, made.hosts, seen_from)


@pytest.mark.parametrize(
    ("host", "seen_from"),
    [
        ("primary", "primary"),
        ("primary", "db1.example.com"),
        ("db1.example.com", "primary"),
        ("primary", "behind"),
        ("here", "controller"),
        ("controller", "here"),
    ],
)
def test_every_name_of_the_machine_counts(host, seen_from):
    assert folders(host, seen_from) == ("/var/lib/redis",)


@pytest.mark.parametrize("seen_from", ["other", "jump", "here", "controller"])
def test_data_of_another_machine_does_not_count(seen_from):
    assert folders("primary", seen_from) == ()


def test_backups_that_are_read_by_sftp_count_on_the_host_that_has_them():
    backups = {"nightly": {"kind": "tar", "host": "here", "at": "sftp://primary/srv/backups"}}
    assert folders("jump", "db1.example.com", backups) == ("/srv/backups",)
    assert folders("jump", "here", backups) == ()
