"""Backup sources in an inventory: steps refer to them like services, and mistakes are reported with their line."""

import re
from pathlib import Path

import pytest

from drillbook.errors import InventoryError
from drillbook.inventory import inventory
from drillbook.inventory.inventory import Inventory

HEAD = """environment: lab
hosts: {db-1: {address: 127.0.0.1}}
services:
  files: {kind: folder, host: db-1, path: /var/www}
"""


def load(tmp_path, text):
    path = tmp_path / "inventory.yml"
    path.write_text(HEAD + text)
    return inventory.load(path)


def test_a_source_is_named_like_a_service_and_lies_on_the_host_of_its_service(tmp_path):
    made = load(tmp_path, "backups:\n  nightly: {kind: tar, service: files, at: /backup, every: 24h}\n")
    assert made.services["nightly"].host == "db-1"
    again = Inventory.model_validate(made.model_dump(mode="json"))
    assert again.services == made.services, "a plan in a journal keeps the sources"


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        ("backups:\n  files: {kind: tar, host: db-1, at: /b}\n", "is the name of both a service and a backup", 6),
        ("backups:\n  n: {kind: tar, service: fles, host: db-1, at: /b}\n", "saves the service 'fles'", 6),
        (
            "backups:\n  n: {kind: folder, host: db-1, path: /b}\n",
            "backups.n: 'folder' is a kind of service, but here a kind of backup is needed",
            6,
        ),
        ("backups:\n  n: {kind: tar, host: db-9, at: /b}\n", "names the host 'db-9', which is not in `hosts`", 6),
        ("backups:\n  n: {kind: tar, at: /b}\n", "host", 6),
        ("backups:\n  n: {kind: tar, host: db-1, at: /b, evrz: 1h}\n", "evrz", 6),
    ],
)
def test_mistakes(tmp_path, text, said, line):
    with pytest.raises(InventoryError) as failure:
        load(tmp_path, text)
    assert said in str(failure.value)
    assert f":{line}:" in str(failure.value.where or failure.value)


@pytest.mark.parametrize("name", ["lab", "docker"])
def test_the_contacts_of_the_shipped_labs_can_be_read_in_english(name):
    text = (Path(__file__).parents[2] / "inventory" / f"{name}.yml").read_text()
    contacts = re.findall(r"^  \w+: \{role: (.*), duty: (.*), email: ", text, re.MULTILINE)
    assert len(contacts) == 4
    for words in contacts:
        assert all(re.search("[A-Za-z]{3}", one) for one in words), words


@pytest.mark.parametrize("more", ["", "groups: {db: [db-9]}\n"])
def test_a_key_that_occurs_twice_hides_no_other_mistake(tmp_path, more):
    path = tmp_path / "twice.yml"
    path.write_text("environment: own\nhosts:\n  db: {address: 127.0.0.1}\n  db: {address: 127.0.0.2}\n" + more)
    with pytest.raises(InventoryError) as caught:
        inventory.load(path)
    told = [error.message for error in (caught.value, *caught.value.others)]
    assert told[0] == "the key 'db' occurs twice, first in line 3"
    assert "the name 'own' does not show whether drills in this environment need an approval" in told
    assert any("'db-9'" in text for text in told) == bool(more)


@pytest.mark.parametrize(("lab", "asked"), [("", False), ("lab: ''\n", True)])
@pytest.mark.parametrize("wrong", ["", "groups: {db: [db-9]}\n"])
def test_the_lab_of_the_file_that_includes_the_others_decides_if_the_key_is_missing(tmp_path, lab, asked, wrong):
    (tmp_path / "lab.yml").write_text("environment: docker-lab\nlab: docker\n")
    path = tmp_path / "inventory.yml"
    path.write_text(f"include: lab.yml\n{lab}{wrong}")
    if not asked and not wrong:
        assert not inventory.load(path).is_protected
        return
    with pytest.raises(InventoryError) as caught:
        inventory.load(path)
    told = [error.message for error in (caught.value, *caught.value.others)]
    assert any("'docker-lab' does not show whether" in text for text in told) == asked
    assert any("'db-9'" in text for text in told) == bool(wrong)
