"""Objects, versions and delete markers, compared with the manifest of a copy."""

import hashlib
import json
import os
from datetime import UTC, datetime

import pytest

from drillbook.errors import StepFailed
from drillbook.sdk import host_programs
from drillbook.sdk.store import Store, Version
from drillbook.systems.s3 import copies
from drillbook.systems.s3.copies import Content, Wanted
from drillbook.systems.s3.manifest import Entry, Manifest
from tests.systems.postgres.site import BUCKET
from tests.systems.s3.live import act, codes, context, copied, matches


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


@pytest.mark.parametrize("python", [True, False], ids=["on the host", "on the controller"])
def test_objects_are_read_where_there_is_a_python(place, plain, tmp_path, monkeypatch, python):
    """The host reads them by itself, unless its Python is too old."""
    if not python:
        (tmp_path / "python3").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "python3").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    ctx, store = context(place, plain), Store(place.store.model_copy(update={"bucket": plain}))
    etag = store.live("")["b/three"].etag
    wanted = [Wanted("a/one"), Wanted("none"), Wanted("b/three", etag=etag), Wanted("b/three", etag="0" * 32)]
    data = b"b/three" * 100
    assert copies.contents(ctx, store, wanted)[1:] == [None, Content(700, hashlib.sha256(data).hexdigest()), None]
    assert host_programs.has_python(ctx) is python
    assert copies.contents(ctx, store, []) == []


def entry(size=10, sha256="a" * 64, etag="e1", version="v1"):
    return Entry(size=size, sha256=sha256, etag=etag, version=version)


def test_the_version_of_the_manifest_is_tried_first_and_one_of_another_size_never():
    def version(name, **changes):
        values = {
            "key": "k",
            "id": name,
            "etag": name,
            "size": 10,
            "latest": False,
            "marker": False,
            "at": datetime.now(UTC),
        }
        return Version(**(values | changes))

    versions = [
        version("new"),
        version("same", etag="e1"),
        version("v1"),
        version("large", size=11),
        version("gone", marker=True),
    ]
    assert [chosen.id for chosen in copies.good_version(versions, entry())] == ["v1", "same", "new"]


def test_each_damage_of_a_copy_has_a_finding_of_its_own():
    keys = ("digest", "gone", "missing", "right", "size", "unread")
    manifest = Manifest(
        run="r1",
        service="live",
        bucket="b",
        prefix="",
        taken_at="2026-11-30T12:00:00.000Z",
        versioned=False,
        objects={key: entry() for key in keys},
    )
    sizes = {"digest": 10, "gone": 10, "right": 10, "size": 9, "unread": 10}
    read = {"digest": Content(10, "b" * 64), "gone": None, "right": Content(10, "a" * 64)}
    assert [(damage.code, damage.title.rpartition(": ")[2]) for damage in copies.damages(manifest, sizes, read)] == [
        ("backup-digest", "digest"),
        ("backup-missing", "gone"),
        ("backup-missing", "missing"),
        ("backup-size", "size"),
    ]
    assert [(wrong.code, wrong.title.rpartition(": ")[2]) for wrong in copies.differences(manifest.objects, read, "b")] == [
        ("object-content", "digest"),
        *[("object-missing", key) for key in ("gone", "missing", "size", "unread")],
    ]
