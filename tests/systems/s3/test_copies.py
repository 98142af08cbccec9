"""s3.copy, .backup_intact, .restore, .versions_restore, .matches by a manifest, and the faults, on a real store."""

import itertools
import json
import secrets
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from drillbook.errors import NotReady, StepFailed
from drillbook.sdk.action import find
from drillbook.systems.s3.actions import backup
from tests.sameness import holds
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import BUCKET
from tests.systems.refusals import refused_until
from tests.waiting import until

place = fixtures.place
NUMBERS = itertools.count()


@pytest.fixture(params=["Enabled", ""], ids=["versioned", "plain"])
def bucket(place, request):
    yield from make(place, request.param)


@pytest.fixture
def versioned(place):
    yield from make(place, "Enabled")


@pytest.fixture
def plain(place):
    yield from make(place, "")


def make(place, versioning):
    """Bucket with five objects, the service `live` of the inventory."""
    name = f"live-bucket-{next(NUMBERS)}"
    place.s3().create_bucket(Bucket=name)
    if versioning:
        place.s3().put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for key in ("a/one", "a/two", "a/ü +&%?", "b/three", "b/empty"):
        place.s3().put_object(
            Bucket=name,
            Key=key,
            Body=b"" if key == "b/empty" else key.encode() * 100,
            Metadata={"own": "kept"},
            ContentType="text/x-own",
        )
    yield name


def context(place, bucket):
    ctx = place.context()
    ctx.services["live"] = place.store.model_copy(update={"name": "live", "bucket": bucket})
    return ctx


def copied(place, bucket, **fields):
    to = f"s3://{BUCKET}/copy-{next(NUMBERS)}"
    return place.run("s3.copy", ctx=context(place, bucket), service="live", to=to, **fields)


def matches(place, bucket, facts, **fields):
    return place.run("s3.matches", ctx=context(place, bucket), service="live", manifest=facts["manifest"], **fields)


def act(place, bucket, name, **fields):
    return place.run(name, ctx=context(place, bucket), service="live", **fields)


def codes(failure):
    return [(one.code, one.title.rpartition(": ")[2]) for one in failure.value.findings]


def body(place, bucket, key):
    return place.s3().get_object(Bucket=bucket, Key=key)["Body"].read()


def undo(place, ctx, action):
    put_back = action.undo(ctx)
    find(put_back.action).model_validate(put_back.params).run(ctx)


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


def test_deleted_objects_come_back_by_the_undo_and_only_those(place, versioned):
    place.s3().delete_object(Bucket=versioned, Key="b/three")
    ctx = context(place, versioned)
    action = place.action("s3.delete_objects", service="live", prefix="a/", count=2)
    action.ready(ctx)
    undo(place, ctx, action)
    assert action.active(ctx) is False
    assert action.run(ctx)["deleted"] == 2
    assert action.active(ctx) is True
    again = place.action("s3.delete_objects", service="live", prefix="a/", count=2)
    assert again.active(ctx) is True, "also seen by a recovery, which has only the parameters"
    undo(place, ctx, again)
    undo(place, ctx, again)
    assert action.active(ctx) is False
    history = place.s3().list_object_versions(Bucket=versioned)
    assert [one["Key"] for one in history["DeleteMarkers"]] == ["b/three"], "what somebody else deleted stays deleted"


def test_what_somebody_else_deleted_too_is_left_and_told(place, versioned):
    ctx = context(place, versioned)
    action = place.action("s3.delete_objects", service="live", keys=["a/one", "a/two"])
    put_back = action.undo(ctx)
    action.run(ctx)
    place.s3().delete_object(Bucket=versioned, Key="a/one")
    with pytest.raises(StepFailed, match="such as a/one, were also deleted by another client"):
        find(put_back.action).model_validate(put_back.params).run(ctx)
    assert body(place, versioned, "a/two")
    assert action.active(ctx) is True


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


def aged(place, bucket):
    """Copy of a bucket that contains an old version and a delete marker."""
    client = place.s3()
    client.put_object(Bucket=bucket, Key="a/one", Body=b"newer than a/one")
    client.put_object(Bucket=bucket, Key="gone", Body=b"deleted on purpose")
    client.delete_object(Bucket=bucket, Key="gone")
    facts = copied(place, bucket)
    assert (facts["objects"], facts["versions"]) == (5, 8)
    return facts


def ids(place, bucket, key, kind="Versions"):
    listed = place.s3().list_object_versions(Bucket=bucket, Prefix=key)
    return [one["VersionId"] for one in listed.get(kind, [])]


def without_the_old_version(place, bucket):
    place.s3().delete_object(Bucket=bucket, Key="a/one", VersionId=ids(place, bucket, "a/one")[-1])


def without_what_was_deleted(place, bucket):
    place.s3().delete_object(Bucket=bucket, Key="gone", VersionId=ids(place, bucket, "gone")[0])


def without_the_marker(place, bucket):
    place.s3().delete_object(Bucket=bucket, Key="gone", VersionId=ids(place, bucket, "gone", "DeleteMarkers")[0])


def without_versioning(place, bucket):
    place.s3().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (without_the_old_version, [("object-no-version", "a/one")]),
        (without_what_was_deleted, [("object-no-version", "gone")]),
        (without_the_marker, [("object-undeleted", "gone"), ("object-unexpected", "gone")]),
        (without_versioning, [("versioning-off", "live-bucket")]),
    ],
)
def test_versions_and_delete_markers_are_compared(place, versioned, change, expected):
    """The current objects are the same in each case."""
    facts = aged(place, versioned)
    assert matches(place, versioned, facts)["objects"] == 5
    change(place, versioned)
    with pytest.raises(StepFailed) as failure:
        matches(place, versioned, facts)
    assert [
        (code, title.rpartition("-")[0] if code == "versioning-off" else title) for code, title in codes(failure)
    ] == expected
    assert matches(place, versioned, facts, versions=False)["objects"] == 5


def test_newer_versions_and_markers_are_no_difference(place, versioned):
    facts = aged(place, versioned)
    place.s3().put_object(Bucket=versioned, Key="b/empty", Body=b"x")
    place.s3().delete_object(Bucket=versioned, Key="b/three")
    assert act(place, versioned, "s3.versions_restore", manifest=facts["manifest"])["restored"] == 2
    assert matches(place, versioned, facts)["objects"] == 5
    assert matches(place, versioned, facts, prefix="b/")["objects"] == 2


def test_a_manifest_of_an_older_version_lists_no_versions(place, versioned):
    facts = aged(place, versioned)
    key = facts["manifest"].removeprefix(f"s3://{BUCKET}/").partition("#")[0]
    body = json.loads(place.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read())
    del body["history"]
    place.s3().put_object(Bucket=BUCKET, Key=key, Body=json.dumps(body).encode())
    without_the_old_version(place, versioned)
    older = {"manifest": facts["manifest"].partition("#")[0]}
    assert matches(place, versioned, older)["objects"] == 5
    assert matches(place, versioned, older, versions=True)["objects"] == 5


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


def test_a_corrupted_object_is_put_back_and_what_others_wrote_stays(place, versioned):
    ctx = context(place, versioned)
    action = place.action("s3.corrupt_object", service="live", key="b/three")
    undo(place, ctx, action)
    action.run(ctx)
    assert action.run(ctx)["changed"] == 0, "twice does no more"
    assert action.active(ctx) is True
    damaged = body(place, versioned, "b/three")
    assert len(damaged) == len(b"b/three" * 100)
    assert damaged != b"b/three" * 100
    undo(place, ctx, action)
    undo(place, ctx, action)
    assert (action.active(ctx), body(place, versioned, "b/three")) == (False, b"b/three" * 100)
    assert len(place.s3().list_object_versions(Bucket=versioned, Prefix="b/three")["Versions"]) == 1
    action.run(ctx)
    place.s3().put_object(Bucket=versioned, Key="b/three", Body=b"a client's")
    assert action.active(ctx) is False
    undo(place, ctx, action)
    assert body(place, versioned, "b/three") == b"a client's"


def test_objects_are_lost_for_good_only_as_the_copy_holds_them(place, plain):
    facts = copied(place, plain)
    place.s3().put_object(Bucket=plain, Key="a/two", Body=b"since the copy")
    ctx = context(place, plain)
    action = place.action("s3.lose_objects", service="live", prefix="a/", **{"from": facts["location"]})
    action.ready(ctx)
    assert action.undo(ctx).kind == "restore"
    assert action.active(ctx) is False
    assert action.untouched(ctx) is True
    proof = act(place, plain, "s3.backup_intact", **{"from": facts["location"]})
    assert holds(proof, action, ctx) is True
    elsewhere = ctx.services["live"].model_copy(update={"endpoint": "http://127.0.0.1:1"})
    assert holds(proof, action, replace(ctx, services=ctx.services | {"live": elsewhere})) is False
    assert action.run(ctx)["skipped"] == 1
    assert action.active(ctx) is True
    assert action.untouched(ctx) is False
    assert body(place, plain, "a/two") == b"since the copy"
    assert act(place, plain, "s3.restore", **{"from": facts["location"]})["restored"] == 2
    assert action.active(ctx) is False


def test_the_wrong_kind_of_bucket_is_not_ready(place, plain, versioned):
    for name, fields in (
        ("s3.delete_objects", {}),
        ("s3.corrupt_object", {"key": "a/one"}),
        ("s3.versions_restore", {"at": "2026-01-01T00:00:00Z"}),
    ):
        action, places = place.action(name, service="live", **fields), [plain, versioned]
        refused_until(
            lambda: action.ready(context(place, places[0])),  # noqa: B023  runs at once
            f"the bucket {plain} keeps no versions",
            lambda: places.pop(0),  # noqa: B023
        )
    action, places = place.action("s3.lose_objects", service="live", **{"from": f"s3://{BUCKET}/x"}), [versioned, plain]
    said = "keeps versions; a copy contains only the current versions"
    refused_until(lambda: action.ready(context(place, places[0])), said, lambda: places.pop(0))


@pytest.mark.parametrize(
    ("name", "fields"),
    [("s3.lose_objects", {"from": f"s3://{BUCKET}/x"}), ("s3.delete_objects", {})],
    ids=["lose", "delete"],
)
def test_a_bucket_that_does_not_exist_is_told_before(place, plain, versioned, name, fields):
    ctx = context(place, versioned if name == "s3.delete_objects" else plain)
    live, action = ctx.services["live"], place.action(name, service="live", **fields)
    ctx.services["live"] = live.model_copy(update={"bucket": "no-such-bucket"})
    said = "refused to show the versioning of no-such-bucket: NoSuchBucket"
    refused_until(lambda: action.ready(ctx), said, lambda: ctx.services.update(live=live))


def test_two_stores_are_refused(place, plain):
    ctx = context(place, plain)
    live = ctx.services["live"]
    ctx.services["live"] = live.model_copy(update={"endpoint": live.endpoint.replace("127.0.0.1", "localhost")})
    action = place.action("s3.copy", service="live", to=f"s3://{BUCKET}/elsewhere")
    said = "live and store are in different stores .*, but objects can be copied only inside one store"
    with pytest.raises(NotReady, match="live and store are in different stores"):
        action.run(ctx)
    refused_until(lambda: action.ready(ctx), said, lambda: ctx.services.update(live=live))


def test_an_object_that_does_not_exist_is_not_damaged(place, versioned):
    ctx, action = context(place, versioned), place.action("s3.corrupt_object", service="live", key="b/four")
    refused_until(
        lambda: action.ready(ctx),
        f"the object b/four does not exist in {versioned}",
        lambda: place.s3().put_object(Bucket=versioned, Key="b/four", Body=b"four"),
    )


@pytest.mark.parametrize(
    "fields",
    [{}, {"at": "2026-01-01T00:00:00"}, {"at": "soon"}, {"at": "2026-01-01T00:00:00Z", "manifest": "s3://bucket/x"}],
)
def test_a_restore_of_versions_needs_one_aim(place, fields):
    with pytest.raises(ValueError):
        place.action("s3.versions_restore", service="live", **fields)
