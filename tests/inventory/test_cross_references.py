"""Names by which parts of an inventory refer to each other."""

import pytest

from drillbook.inventory.cross_references import wrong

WELL = {
    "hosts": {"bastion": {}, "app": {"gateway": "bastion"}, "db": None},
    "groups": {"web": ["app", "here"]},
    "services": {"api": {"host": "app", "needs": ["database", "nightly"]}, "database": {"host": "db"}},
    "backups": {"nightly": {"host": "db", "service": "database"}},
}


def told(**changed):
    return [(str(error), error.place) for error in wrong({**WELL, **changed}, "here")]


def test_right_names_are_no_mistake():
    assert told() == []
    assert told(hosts="no mapping", services={"api": {"host": "nowhere"}}) == [], "validation refuses this"


@pytest.mark.parametrize(
    ("changed", "said", "place"),
    [
        ({"groups": {"web": ["app", "ap"]}}, "group 'web' names the host 'ap'", ("groups", "web", 1)),
        ({"groups": {"db": []}}, "'db' is the name of both a host and a group", ("hosts", "db")),
        (
            {"services": {"database": {"host": "db2"}}},
            "service 'database' names the host 'db2'",
            ("services", "database", "host"),
        ),
        (
            {"services": {"database": {"needs": ["database"]}}},
            "service 'database' needs itself",
            ("services", "database", "needs", 0),
        ),
        (
            {"services": {"database": {"needs": ["cache"]}}},
            "service 'database' needs 'cache'",
            ("services", "database", "needs", 0),
        ),
        (
            {"backups": {"nightly": {"service": "dtabase"}}},
            "backup 'nightly' saves the service 'dtabase'",
            ("backups", "nightly", "service"),
        ),
        ({"backups": {"nightly": {"host": "db9"}}}, "backup 'nightly' names the host 'db9'", ("backups", "nightly", "host")),
    ],
)
def test_a_wrong_name_is_told_at_its_place(changed, said, place):
    ((message, at),) = told(**changed)
    assert said in message
    assert at == place


def test_a_gateway_exists_and_leads_to_no_cycle():
    hosts = {"a": {"gateway": "b"}, "b": {"gateway": "c"}, "c": {"gateway": "b"}, "d": {"gateway": "e"}}
    messages = [message for message, _ in told(hosts=hosts, services={}, backups={}, groups={})]
    assert messages == ["the gateways form a cycle: a > b > c > b", "host 'd' has the gateway 'e', which is not in `hosts`"]
