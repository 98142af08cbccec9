"""Objects restored from older versions in the same bucket."""

import time
from datetime import UTC, datetime

import pytest

from drillbook.errors import StepFailed
from tests.systems.s3.live import act, body, codes, copied, matches
from tests.waiting import until


def next_second():
    """Wait for the next second: the store tells times of versions to the second."""
    now = int(time.time())
    until(lambda: int(time.time()) > now)


def test_versions_come_back_by_manifest_and_by_time(place, versioned):
    facts = copied(place, versioned)
    next_second()
    at = datetime.now(UTC).isoformat(timespec="seconds")
    next_second()
    for _ in range(2):
        place.s3().put_object(Bucket=versioned, Key="a/one", Body=b"bad" * 10)
    place.s3().delete_object(Bucket=versioned, Key="a/two")
    place.s3().put_object(Bucket=versioned, Key="later", Body=b"later")
    assert act(place, versioned, "s3.versions_restore", manifest=facts["manifest"])["restored"] == 2
    assert matches(place, versioned, facts, versions=True)["unexpected"] == 1
    assert act(place, versioned, "s3.versions_restore", manifest=facts["manifest"])["restored"] == 0
    place.s3().put_object(Bucket=versioned, Key="a/one", Body=b"bad again")
    assert act(place, versioned, "s3.versions_restore", at=at, prefix="a/")["keys"] == ["a/one", "a/two"]
    assert matches(place, versioned, facts)["objects"] == 5


def test_without_a_good_version_it_fails_and_brings_back_the_others(place, versioned):
    facts = copied(place, versioned)
    place.s3().put_object(Bucket=versioned, Key="a/one", Body=b"bad")
    place.s3().put_object(Bucket=versioned, Key="a/two", Body=b"bad")
    old = place.s3().list_object_versions(Bucket=versioned, Prefix="a/one")["Versions"][-1]["VersionId"]
    place.s3().delete_object(Bucket=versioned, Key="a/one", VersionId=old)
    with pytest.raises(StepFailed) as failure:
        act(place, versioned, "s3.versions_restore", manifest=facts["manifest"])
    assert codes(failure) == [("object-no-version", "a/one")]
    assert body(place, versioned, "a/two") == b"a/two" * 100
    with pytest.raises(StepFailed) as failure:
        matches(place, versioned, facts, versions=True)
    assert ("object-no-version", "a/one") in codes(failure)


@pytest.mark.parametrize(
    "fields",
    [{}, {"at": "2026-01-01T00:00:00"}, {"at": "soon"}, {"at": "2026-01-01T00:00:00Z", "manifest": "s3://bucket/x"}],
)
def test_a_restore_of_versions_needs_one_aim(place, fields):
    with pytest.raises(ValueError):
        place.action("s3.versions_restore", service="live", **fields)
