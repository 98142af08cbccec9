"""Structure of a database: what a restored one must have, and which differences a restore makes by itself."""

import pytest

from drillbook.systems.postgres.differences import Difference
from drillbook.systems.postgres.structure import EXTENSION, ROWS, code, expected, is_newer_default

INDEXES = {"valid": {"of": "t"}, "broken": {"of": "t", "valid": False}}


def version(before, now, name="hstore"):
    return Difference(EXTENSION, name, "version", before, now)


def test_an_index_that_was_not_valid_need_not_come_back():
    """pg_dump leaves it out. In the place of the backup it is still there, and is compared."""
    recorded = {"relation": {"t": {}}, "index": INDEXES}
    assert expected(recorded, {}, limited=False)["index"] == {"valid": {"of": "t"}}
    assert expected(recorded, {"index": {"broken": {}}}, limited=False)["index"] == INDEXES
    assert expected(recorded, {}, limited=False)["relation"] == {"t": {}}


def test_rows_of_extensions_are_left_out_of_a_limited_comparison():
    recorded = {ROWS: {"public.rates": {"rows": 1}}, "relation": {"t": {}}}
    assert ROWS in expected(recorded, {}, limited=False)
    assert expected(recorded, {}, limited=True) == {"relation": {"t": {}}, "index": {}}


@pytest.mark.parametrize(
    ("before", "now", "default", "normal"),
    [
        ("1.4", "1.8", "1.8", True),
        ("1.9", "1.10", "1.10", True),
        ("1.8", "1.4", "1.4", False),
        ("1.4", "1.7", "1.8", False),
        ("1.8", "1.8", "1.8", False),
    ],
)
def test_only_a_newer_default_version_of_an_extension_is_normal(before, now, default, normal):
    assert is_newer_default(version(before, now), {"hstore": default}) is normal


def test_another_property_of_an_extension_or_another_extension_is_no_newer_default():
    assert not is_newer_default(Difference(EXTENSION, "hstore", "schema", "1.4", "1.8"), {"hstore": "1.8"})
    assert not is_newer_default(Difference("function", "hstore", "version", "1.4", "1.8"), {"hstore": "1.8"})
    assert not is_newer_default(version("1.4", "1.8"), {"pg_trgm": "1.8"})


@pytest.mark.parametrize(
    ("kind", "trait", "found"),
    [
        (ROWS, "digest", "table-content"),
        (ROWS, "rows", "table-content"),
        (ROWS, "extension", "schema-differs"),
        ("relation", "populated", "view-stale"),
        ("relation", "owner", "schema-differs"),
        ("function", "digest", "schema-differs"),
    ],
)
def test_each_difference_has_the_finding_of_its_kind(kind, trait, found):
    assert code(Difference(kind, "x", trait, "a", "b")) == found
