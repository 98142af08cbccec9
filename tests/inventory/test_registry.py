"""Registry of the inventory sources: their keys and tags."""

from drillbook.inventory import merging
from drillbook.inventory.inventory import Inventory
from drillbook.inventory.sources.registry import KEYS, SOURCES

TAGS = {"!env", "!file", "!command", "!lab", "!lab_secret"}


def test_every_key_of_a_source_is_a_key_of_inventories():
    assert {"include", "ansible"} == KEYS
    for key in KEYS:
        assert Inventory.model_fields[key].exclude, f"a plan holds what {key} led to, not the key"


def test_sources_do_not_take_the_tags_of_each_other(tmp_path):
    around = merging.Around(tmp_path, None)
    found = [tag for source in SOURCES for tag in source.tags(around)]
    assert (set(found), len(found)) == (TAGS, len(TAGS))
