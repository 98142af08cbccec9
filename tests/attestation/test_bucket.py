"""Anchors in a locked bucket of a real store."""

from __future__ import annotations

import json
import shutil
import time

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from drillbook.attestation import anchor_places, bucket
from drillbook.cli.run_output import tell_missed
from drillbook.errors import UsageError
from tests.attestation.conducting import conducted
from tests.attestation.test_sign_runs import SAMPLE
from tests.audit.test_assurance import verified
from tests.systems.postgres.site import KEY, SECRET_KEY, store

LOCKED, LOOSE = "anchors", "loose"


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """A store with a locked bucket and one without a lock."""
    with store(tmp_path_factory.mktemp("s3")) as service:
        client = boto3.client(
            "s3",
            endpoint_url=service.endpoint,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
        )
        client.endpoint = service.endpoint
        until = time.monotonic() + 30
        while True:
            try:
                client.create_bucket(Bucket=LOCKED, ObjectLockEnabledForBucket=True)
                break
            except (BotoCoreError, ClientError):
                assert time.monotonic() < until
        client.create_bucket(Bucket=LOOSE)
        yield client


@pytest.fixture
def at(s3, monkeypatch, tmp_path):
    """Let anchors be stored in a folder of a bucket, with credentials from environment variables of boto3.

    Return the name of the place.
    """
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.endpoint)
    for name, value in (("ACCESS_KEY_ID", KEY), ("SECRET_ACCESS_KEY", SECRET_KEY), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)

    def at(name=LOCKED, options=""):
        monkeypatch.setenv(anchor_places.CHOICE, f"s3://{name}/{tmp_path.name}{options}")
        return f"s3://{name}/{tmp_path.name}"

    return at


def objects(s3, tmp_path, name=LOCKED):
    return [one["Key"] for one in s3.list_objects_v2(Bucket=name, Prefix=f"{tmp_path.name}/").get("Contents", ())]


def without_own(bench):
    """Delete the anchor in the state folder, as anybody with write access could."""
    anchor_places.default(bench.root / "reports").unlink()


def test_a_run_that_was_removed_with_its_own_anchor_is_missed_by_the_locked_one(bench, audit, at, s3, tmp_path):
    source = at()
    bench.run(SAMPLE)
    kept = objects(s3, tmp_path)
    assert [key.split("/")[1] for key in kept] == [bench.folder.name] * 2, "at its begin, and at its end"
    assert audit()[0] == verified(bench) == 0
    without_own(bench)
    shutil.rmtree(bench.folder)
    for key in kept:
        s3.delete_object(Bucket=LOCKED, Key=key)  # this only creates a marker
    assert objects(s3, tmp_path) == []
    status, said = audit()
    assert status == 3
    assert f"{bench.folder.name} is missing, although the anchor in " in said
    assert source in said
    assert verified(bench) == 3


def test_a_newer_version_does_not_hide_what_was_written(bench, audit, at, s3, tmp_path):
    at()
    bench.run(SAMPLE)
    assert audit()[0] == 0
    for key in objects(s3, tmp_path):
        s3.put_object(Bucket=LOCKED, Key=key, Body=b"{}")
    s3.put_object(Bucket=LOCKED, Key=f"{tmp_path.name}/{bench.folder.name}/999999999-{'0' * 64}.json", Body=b"{}")
    without_own(bench)
    assert audit()[0] == 0, "the versions that were written are still there, and locked"
    shutil.rmtree(bench.folder)
    assert audit()[0] == 3


def test_the_lock_is_read_back_and_cannot_be_removed(bench, at, s3, tmp_path):
    at(options="?keep=3d")
    bench.run(SAMPLE)
    for one in s3.list_object_versions(Bucket=LOCKED, Prefix=f"{tmp_path.name}/")["Versions"]:
        kept = s3.get_object_retention(Bucket=LOCKED, Key=one["Key"], VersionId=one["VersionId"])["Retention"]
        assert kept["Mode"] == "COMPLIANCE"
        assert 2.9 * 86400 < kept["RetainUntilDate"].timestamp() - time.time() <= 3 * 86400
        with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
            s3.delete_object(Bucket=LOCKED, Key=one["Key"], VersionId=one["VersionId"])


def test_a_bucket_without_a_lock_is_told_after_the_run_and_by_the_audit(bench, audit, at, s3, tmp_path, capsys):
    source = at(LOOSE)
    tell_missed(conducted(bench).missed)
    assert f"the anchors in {source} cannot be written: InvalidRequest" in capsys.readouterr().err
    line = anchor_places.default(bench.root / "reports").read_bytes().splitlines(keepends=True)[-1]
    content = json.loads(line)
    key = f"{tmp_path.name}/{content['run']}/{content['events']:09d}-{bucket.hashlib.sha256(line).hexdigest()}.json"
    s3.put_object(Bucket=LOOSE, Key=key, Body=line)
    status, said = audit()
    assert (status, "has no lock in mode COMPLIANCE" in said) == (3, True)
    assert verified(bench) == 3


def test_a_store_that_does_not_answer_keeps_no_run_from_ending_and_is_never_taken_for_compared(
    bench, audit, at, monkeypatch
):
    source = at()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    assert bench.run(SAMPLE).result.exit == 0
    status, said = audit()
    assert status == 3
    assert f"the anchors in {source} cannot be read: EndpointConnectionError" in said
    assert verified(bench) == 3


@pytest.mark.parametrize(
    "text", ["s3://", "s3://UPPER/x", "s3://bucket/x?keep=soon", "s3://bucket/x?keep", "s3://bucket/x?lock=1d"]
)
def test_a_place_that_is_none_is_refused_before_anything_begins(bench, monkeypatch, text):
    monkeypatch.setenv(anchor_places.CHOICE, text)
    before = sorted((bench.root / "reports").iterdir())
    with pytest.raises(UsageError, match="anchor"):
        conducted(bench)
    assert sorted((bench.root / "reports").iterdir()) == before


@pytest.mark.parametrize("named", ["s3", "file"])
def test_the_named_place_alone_is_compared_with(bench, audit, at, tmp_path, named):
    source = at()
    bench.run(SAMPLE)
    if named == "file":
        source = str(anchor_places.default(bench.root / "reports"))
    assert audit(anchor=source)[0] == 0
    facts = json.loads((bench.root / "audit" / "audit.json").read_text())["anchors"]
    assert [one.partition(": ")[0] for one in facts] == [source]
    shutil.rmtree(bench.folder)
    assert audit(anchor=source)[0] == 3
