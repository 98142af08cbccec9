"""Interface of inventory sources: values of inventory files override those of a source."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from drillbook.errors import InventoryError
from drillbook.inventory import inventory, merging
from drillbook.inventory.sources.registry import KEYS, SOURCES
from drillbook.inventory.sources.source import Source, exists, names


@dataclass(frozen=True)
class Table:
    """Source with lines of a name, an address and a group."""

    rows: list[list[str]]

    @property
    def groups(self):
        return {group: tuple(name for name, _, other in self.rows if other == group) for _, _, group in self.rows}

    def hosts(self, written):
        return {name: {"address": address} for name, address, _ in self.rows}


class Tables(Source):
    """Source that does not exist in any version of Drillbook."""

    key = "table"

    def tags(self, around):
        return {"!here": lambda value: str(around.folder / value)}

    def hosts(self, document):
        found = names(document, self.key)
        for path in (Path(document.file).parent / name for name in found):
            if not exists(path):
                raise document.error((self.key,), f"there is no table {path}")
            return Table([line.split() for line in path.read_text().splitlines()])
        return None


@pytest.fixture
def another(monkeypatch):
    monkeypatch.setattr(merging, "SOURCES", (*SOURCES, Tables()))
    monkeypatch.setattr(merging, "KEYS", KEYS | {Tables.key})


def test_another_source_is_one_class_in_the_list(tmp_path, another):
    (tmp_path / "hosts.txt").write_text("db-1 10.0.0.1 db\ndb-2 10.0.0.2 db\nweb 10.0.0.3 front\n")
    (tmp_path / "base.yml").write_text("environment: lab\nhosts: {db-1: {address: 10.9.9.9}}\ntable: hosts.txt\n")
    path = tmp_path / "all.yml"
    path.write_text("include: base.yml\ngroups: {front: [db-2]}\nhosts: {web: {identity: !here key}}\n")
    found = inventory.load(path)
    assert {name: target.address for name, target in found.hosts.items()} == {
        "db-1": "10.9.9.9",
        "db-2": "10.0.0.2",
        "web": "10.0.0.3",
    }
    assert found.groups == {"db": ("db-1", "db-2"), "front": ("db-2",)}
    assert found.hosts["web"].identity == str(tmp_path / "key")


def test_an_error_of_another_source_names_the_place_in_the_file(tmp_path, another):
    path = tmp_path / "all.yml"
    path.write_text("environment: lab\ntable: gone.txt\n")
    with pytest.raises(InventoryError, match="there is no table") as error:
        inventory.load(path)
    assert error.value.where.line == 2
