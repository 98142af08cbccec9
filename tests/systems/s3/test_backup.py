"""Copies of objects inside a store: taken, verified and restored."""

import itertools
import secrets
from datetime import UTC, datetime

import pytest

from drillbook.errors import StepFailed
from drillbook.systems.s3.actions import backup
from tests.systems.postgres.site import BUCKET
from tests.systems.s3.live import act, body, codes, copied, matches


def test_a_copy_is_whole_and_comes_back(place, bucket):
    facts = copied(place, bucket)
    assert facts["objects"] == 5
    prefix = facts["location"].removeprefix(f"s3://{BUCKET}/").partition("#")[0]
    assert len(place.keys(prefix)) == 6
    assert act(place, bucket, "s3.backup_intact", **{"from": facts["location"]})["objects"] == 5
    assert matches(place, bucket, facts)["objects"] == 5
    assert place.run("s3.matches", manifest=facts["manifest"])["objects"] == 5, "the copy itself"
    place.s3().delete_object(Bucket=bucket, Key="a/one")
    place.s3().put_object(Bucket=bucket, Key="a/two", Body=b"other")
    place.s3().put_object(Bucket=bucket, Key="new", Body=b"new")
    with pytest.raises(StepFailed) as failure:
        matches(place, bucket, facts)
    assert codes(failure) == [("object-missing", "a/one"), ("object-content", "a/two"), ("object-unexpected", "new")]
    back = act(place, bucket, "s3.restore", **{"from": facts["location"]})
    assert (back["restored"], back["unchanged"], back["left"]) == (1, 3, 1)
    assert body(place, bucket, "a/two") == b"other", "nothing is written over unless it says so"
    assert act(place, bucket, "s3.restore", replace=True, **{"from": facts["location"]})["restored"] == 1
    assert matches(place, bucket, facts)["unexpected"] == 1
    with pytest.raises(StepFailed):
        matches(place, bucket, facts, unexpected="fail")
    head = place.s3().head_object(Bucket=bucket, Key="a/one")
    assert (head["Metadata"], head["ContentType"]) == ({"own": "kept"}, "text/x-own")


def test_a_copy_never_overwrites_and_of_nothing_is_none(place, plain):
    facts = copied(place, plain, prefix="a/")
    assert facts["objects"] == 3
    with pytest.raises(StepFailed, match="never overwritten"):
        act(place, plain, "s3.copy", to=facts["location"].partition("#")[0])
    with pytest.raises(StepFailed, match="there is no object below"):
        copied(place, plain, prefix="none/")


@pytest.mark.parametrize(
    ("changing", "kept"), [(("b/three",), 4), (("a/one", "a/two", "a/ü +&%?", "b/three", "b/empty"), 0)]
)
def test_what_was_changed_in_each_round_and_then_deleted_is_no_longer_wanted(place, plain, monkeypatch, changing, kept):
    """Before each round of copies the objects change, and before the last one they are deleted."""
    rounds, copy_round = itertools.count(1), backup.Copy._round

    def disturbed(action, *args):
        last = next(rounds) == backup.ROUNDS
        for key in changing:
            place.s3().delete_object(Bucket=plain, Key=key) if last else place.s3().put_object(
                Bucket=plain, Key=key, Body=secrets.token_bytes(9)
            )
        return copy_round(action, *args)

    monkeypatch.setattr(backup.Copy, "_round", disturbed)
    if not kept:
        with pytest.raises(StepFailed, match=r"all objects below s3://.* were deleted during the copy"):
            copied(place, plain)
    else:
        facts = copied(place, plain)
        assert facts["objects"] == kept
        assert matches(place, plain, facts)["objects"] == kept
    assert next(rounds) == backup.ROUNDS + 1


def test_a_prefix_that_selects_nothing_restores_and_proves_nothing(place, versioned):
    facts = copied(place, versioned)
    place.s3().delete_object(Bucket=versioned, Key="a/one")
    said = r"none of the 5 objects of the copy has a key that begins with 'A/'; the first key is 'a/one'"
    with pytest.raises(StepFailed, match=said):
        matches(place, versioned, facts, prefix="A/")
    for name, fields in (
        ("s3.restore", {"from": facts["location"]}),
        ("s3.versions_restore", {"manifest": facts["manifest"]}),
    ):
        with pytest.raises(StepFailed, match=said):
            act(place, versioned, name, prefix="A/", **fields)
    with pytest.raises(StepFailed, match="has never had an object whose key begins with 'A/'"):
        act(place, versioned, "s3.versions_restore", at=datetime.now(UTC).isoformat(timespec="seconds"), prefix="A/")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (
            lambda place, key: place.s3().put_object(Bucket=BUCKET, Key=key, Body=b"A" + b"/one" + b"a/one" * 99),
            "backup-digest",
        ),
        (lambda place, key: place.s3().put_object(Bucket=BUCKET, Key=key, Body=b"short"), "backup-size"),
        (lambda place, key: place.s3().delete_object(Bucket=BUCKET, Key=key), "backup-missing"),
    ],
)
def test_a_damaged_copy_is_noticed_and_never_restored(place, plain, change, code):
    facts = copied(place, plain)
    prefix = facts["location"].removeprefix(f"s3://{BUCKET}/").partition("#")[0]
    change(place, f"{prefix}/objects/a/one")
    place.s3().delete_object(Bucket=plain, Key="a/one")
    for name in ("s3.backup_intact", "s3.restore"):
        with pytest.raises(StepFailed) as failure:
            act(place, plain, name, **{"from": facts["location"]})
        assert codes(failure) == [(code, "a/one")]
    place.s3().put_object(Bucket=BUCKET, Key=f"{prefix}/manifest.json", Body=b"{}")
    with pytest.raises(StepFailed) as failure:
        act(place, plain, "s3.backup_intact", **{"from": facts["location"]})
    assert codes(failure)[0][0] == "backup-manifest"
