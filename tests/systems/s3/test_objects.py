"""Single objects, written to a real store, read, and compared with digests."""

import hashlib

import pytest

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from tests.systems.postgres.site import BUCKET, SECRET_KEY, secret


def codes(failure):
    return [one.code for one in failure.value.findings]


def test_what_is_put_comes_back(place, tmp_path):
    facts = place.run("s3.put", store="store", key="notes/first", text="grüße")
    digest = hashlib.sha256("grüße".encode()).hexdigest()
    assert facts == {"uri": f"s3://{BUCKET}/notes/first#sha256={digest}", "bytes": 7, "sha256": digest}
    got = place.run("s3.get", uri=facts["uri"])
    assert got["sha256"] == digest
    assert (place.folder / "run" / got["evidence"]["file"]).read_text() == "grüße"
    (tmp_path / "file").write_bytes(b"\0\1")
    assert place.run("s3.put", store="store", key="notes/file", file=str(tmp_path / "file"))["bytes"] == 2


def test_nothing_is_replaced_unless_it_says_so(place):
    place.run("s3.put", store="store", key="once", text="one")
    with pytest.raises(StepFailed, match="already exists"):
        place.run("s3.put", store="store", key="once", text="two")
    assert place.s3().get_object(Bucket=BUCKET, Key="once")["Body"].read() == b"one"
    place.run("s3.put", store="store", key="once", text="two", overwrite=True)
    assert place.s3().get_object(Bucket=BUCKET, Key="once")["Body"].read() == b"two"


def test_an_object_that_is_missing_or_other(place):
    uri = place.run("s3.put", store="store", key="will/change", text="before")["uri"]
    place.run("s3.put", store="store", key="will/change", text="beforf", overwrite=True)
    with pytest.raises(StepFailed) as failure:
        place.run("s3.get", uri=uri)
    assert codes(failure) == ["object-content"]
    assert failure.value.facts["sha256"] == hashlib.sha256(b"beforf").hexdigest()
    with pytest.raises(StepFailed) as failure:
        place.run("s3.get", uri=f"s3://{BUCKET}/never")
    assert codes(failure) == ["object-missing"]


def test_more_than_the_limit_is_not_read(place):
    place.run("s3.put", store="store", key="big", text="x" * 2000)
    with pytest.raises(CouldNotVerify, match="2000 bytes"):
        place.run("s3.get", uri=f"s3://{BUCKET}/big", limit="1kB")


def test_objects_are_compared_one_by_one(place):
    wanted = {f"set/{name}": place.run("s3.put", store="store", key=f"set/{name}", text=name)["sha256"] for name in "abc"}
    assert place.run("s3.matches", store="store", objects=wanted)["objects"] == 3
    place.s3().delete_object(Bucket=BUCKET, Key="set/a")
    place.s3().put_object(Bucket=BUCKET, Key="set/b", Body=b"B")
    with pytest.raises(StepFailed) as failure:
        place.run("s3.matches", store="store", objects=wanted)
    assert [(one.code, one.title.rpartition(": ")[2]) for one in failure.value.findings] == [
        ("object-missing", "set/a"),
        ("object-content", "set/b"),
    ]
    assert failure.value.facts["objects"] == 3


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"store": "store"},
        {"objects": {}},
        {"store": "store", "manifest": "s3://bucket/x"},
        {"store": "store", "objects": {}},
        {"store": "store", "objects": {"a": "short"}},
        {"manifest": "not-a-uri"},
    ],
)
def test_a_comparison_needs_one_source(place, fields):
    with pytest.raises(ValueError):
        place.action("s3.matches", **fields)


@pytest.mark.parametrize("fields", [{}, {"text": "a", "file": "b"}])
def test_a_put_needs_one_content(place, fields):
    with pytest.raises(ValueError):
        place.action("s3.put", store="store", key="x", **fields)


def test_a_store_that_refuses(place):
    ctx = place.context()
    ctx.services["store"] = place.store.model_copy(update={"secret_key": secret("wrong-key", "TEST_S3_WRONG")})
    for name, fields in (
        ("s3.put", {"store": "store", "key": "x", "text": "x"}),
        ("s3.get", {"uri": f"s3://{BUCKET}/big"}),
        ("s3.matches", {"store": "store", "objects": {"x": "0" * 64}}),
    ):
        with pytest.raises(NotReady, match="SignatureDoesNotMatch") as refusal:
            place.action(name, **fields).ready(ctx)
        assert "secret_key" in refusal.value.hint
        assert SECRET_KEY not in str(refusal.value)
    with pytest.raises(StepFailed):
        place.action("s3.put", store="store", key="x", text="x").run(ctx)
    with pytest.raises(CouldNotVerify):
        place.action("s3.get", uri=f"s3://{BUCKET}/big").run(ctx)
