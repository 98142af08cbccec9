"""Tags `!lab` and `!lab_secret`, with a function in place of the lab's names."""

import pytest

from drillbook.errors import InventoryError, LabError
from drillbook.inventory import inventory
from drillbook.values import Secret

HEAD = "environment: lab\nhosts: {db-1: {address: 127.0.0.1, port: !lab ssh.db-1}}\n"
SECRET = "services: {cache: {kind: redis, host: db-1, password: !lab_secret redis}}\n"


def names(name):
    """Look up a name as a running lab does."""
    known = {"ssh.db-1": 2201, "secrets.redis": "/lab/secrets/redis"}
    if name not in known:
        raise LabError(f"the lab has no {name!r}", hint="its names are in lab.json")
    return known[name]


def load(tmp_path, text, lab=names):
    path = tmp_path / "inventory.yml"
    path.write_text(text)
    return inventory.load(path, lab=lab)


def test_a_port_and_a_secret_come_from_the_lab(tmp_path):
    made = load(tmp_path, HEAD + SECRET)
    assert made.hosts["db-1"].port == 2201
    assert made.services["cache"].password == Secret(source="file", name="/lab/secrets/redis")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD.replace("ssh.db-1", "ssh.db-7"), "!lab: the lab has no 'ssh.db-7'; its names are in lab.json"),
        (HEAD.replace("ssh.db-1", "[ssh]"), "!lab: `!lab` can be used only in the inventory of a lab"),
        (HEAD + SECRET.replace("_secret redis", "_secret sql"), "!lab_secret: the lab has no 'secrets.sql'"),
    ],
)
def test_a_name_that_the_lab_does_not_have_is_told_at_its_place(tmp_path, text, message):
    with pytest.raises(InventoryError) as caught:
        load(tmp_path, text)
    assert message in caught.value.message
    assert caught.value.where.line == (3 if "_secret" in text else 2)


def test_the_tags_need_a_lab(tmp_path):
    with pytest.raises(InventoryError, match="`!lab` can be used only in the inventory of a lab"):
        load(tmp_path, HEAD, lab=None)
