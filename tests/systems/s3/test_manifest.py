"""Manifest of a copy of objects; `tests/sdk/test_stored_backup.py` reads the recorded ones."""

import pytest

from drillbook.errors import StepFailed
from drillbook.systems.s3.manifest import Entry, Manifest, below, is_copy


def manifest(*keys):
    return Manifest(
        run="r1",
        service="live",
        bucket="live-bucket",
        prefix="",
        taken_at="2026-11-30T12:00:00.000Z",
        versioned=False,
        objects={key: Entry(size=len(key), sha256="a" * 64, etag="e", version="") for key in keys},
    )


def test_each_copy_is_stored_under_the_key_of_its_object():
    assert manifest("a/one", "b").stored() == {"objects/a/one": 5, "objects/b": 1}
    assert manifest("a/one", "b").bytes == 6


def test_a_prefix_selects_objects_in_the_order_of_their_keys():
    whole = manifest("b", "a/two", "a/one")
    assert list(below(whole, "a/")) == ["a/one", "a/two"]
    assert list(below(whole, "")) == ["a/one", "a/two", "b"]


@pytest.mark.parametrize(("keys", "first"), [(("a/two", "a/one"), "'a/one'"), ((), "'nothing'")])
def test_a_prefix_that_selects_nothing_is_refused(keys, first):
    with pytest.raises(StepFailed, match=f"none of the {len(keys)} objects .* begins with 'A/'; the first key is {first}"):
        below(manifest(*keys), "A/")


@pytest.mark.parametrize(
    ("data", "copy"),
    [
        (manifest("a").encoded(), True),
        (b'{"format": "drillbook/objects-backup/2"}', False),
        (b'{"format": "drillbook/postgres-backup/1"}', False),
        (b"[]", False),
        (b"no JSON", False),
        (b"\xff", False),
    ],
)
def test_the_manifest_of_a_copy_is_told_from_other_manifests(data, copy):
    assert is_copy(data) is copy
