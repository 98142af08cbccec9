"""The newest backup in a store: whose it is, who took it, how old it is, and who vouches for it."""

import re
from dataclasses import replace

import pytest

from drillbook.attestation.manifests import ManifestKeys
from drillbook.errors import CouldNotVerify, StepFailed
from tests.systems.estate import codes
from tests.systems.postgres import fixtures, one_table
from tests.systems.postgres.site import BUCKET

place, primary, backup = fixtures.place, fixtures.primary, one_table.backup


def test_the_newest_backup_is_told_by_what_it_says(place, primary, backup):
    """Not by upload time, not a backup of another service, and not an object that only resembles a backup."""
    nightly = place.context(run="20260101T030000.000Z-nightly-dump-0001")
    later = place.run("postgres.dump", ctx=nightly, service="primary", to=f"s3://{BUCKET}/newest/b")
    first = place.s3().get_object(Bucket=BUCKET, Key="tables/manifest.json")["Body"].read()
    place.s3().put_object(Bucket=BUCKET, Key="newest/a/manifest.json", Body=first)
    other = first.replace(b'"service":"primary"', b'"service":"another"').replace(b'"server_time":"2', b'"server_time":"3')
    assert other != first
    place.s3().put_object(Bucket=BUCKET, Key="newest/c/manifest.json", Body=other)
    place.s3().put_object(Bucket=BUCKET, Key="newest/d/manifest.json", Body=b'{"format":"drillbook/postgres-backup/1"}')
    place.s3().put_object(Bucket=BUCKET, Key="newest/e/manifest.json", Body=b"{}")
    found = place.run("postgres.newest_backup", service="primary", store="store", prefix="newest/")
    assert (found["location"], found["manifest"]) == (later["location"], later["manifest"])
    assert (found["count"], found["unreadable"]) == (2, ["newest/d/manifest.json"])
    assert (found["taken_by"], found["routine"]) == ("nightly-dump", False)
    assert 0 <= found["age_s"] < 3600, "the age of the newest, not of the one in the future"
    routine = {"service": "primary", "store": "store", "prefix": "newest/", "taken_by": ["nightly-dump"]}
    with pytest.raises(StepFailed) as failure:
        place.run("postgres.newest_backup", **routine, max_age="1ms")
    assert codes(failure) == ["backup-too-old"]
    with pytest.raises(CouldNotVerify, match="no backup of primary"):
        place.run("postgres.newest_backup", service="primary", store="store", prefix="nothing/")
    none = place.run("postgres.newest_backup", service="primary", store="store", prefix="nothing/", required=False)
    assert none["found"] is False


def test_a_backup_that_a_drill_took_for_itself_is_no_routine_backup(place, primary, backup):
    """It is newer than the last one of the nightly drill, and would hide that this one has stopped."""
    for name in ("nightly-dump", "table-dropped"):
        ctx = place.context(run=f"20260101T030000.000Z-{name}-0001")
        place.run("postgres.dump", ctx=ctx, service="primary", to=f"s3://{BUCKET}/routine/{ctx.run_id}/dpa")
    store = {"service": "primary", "store": "store", "prefix": "routine/"}
    newest = place.run("postgres.newest_backup", **store)
    assert (newest["taken_by"], newest["routine"], newest["count"]) == ("table-dropped", False, 2)
    routine = place.run("postgres.newest_backup", **store, taken_by=["nightly-dump"], max_age="26h")
    assert (routine["taken_by"], routine["routine"], routine["count"]) == ("nightly-dump", True, 1)
    assert routine["snapshot_at"] < newest["snapshot_at"]
    with pytest.raises(
        CouldNotVerify, match="that weekly took; the store contains backups that other drills took: nightly-dump, table-dr"
    ):
        place.run("postgres.newest_backup", **store, taken_by=["weekly"], max_age="26h")
    assert place.run("postgres.newest_backup", **store, taken_by=["weekly"], required=False)["found"] is False
    with pytest.raises(ValueError, match="`max_age` needs `taken_by`"):
        place.action("postgres.newest_backup", **store, max_age="26h")


def test_the_newest_backup_must_be_vouched_for(place, primary, backup, tmp_path, monkeypatch):
    """A manifest with recomputed digests is the newest one, but has no signature."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    ctx = replace(place.context(), vouchers=ManifestKeys(tmp_path))
    facts = place.run("postgres.dump", ctx=ctx, service="primary", to=f"s3://{BUCKET}/vouched/a")
    assert facts["signed"] is True
    search = {"service": "primary", "store": "store", "prefix": "vouched/"}
    found = place.run("postgres.newest_backup", ctx=ctx, **search)
    assert (found["vouched"], "unvouched" in found) == (True, False)
    body = place.s3().get_object(Bucket=BUCKET, Key="vouched/a/manifest.json")["Body"].read()
    place.s3().put_object(Bucket=BUCKET, Key="vouched/a/manifest.json", Body=body.replace(b'"run":"', b'"run":"another-'))
    with pytest.raises(
        CouldNotVerify, match=r"the newest backup of primary, s3://.*: the signature of the manifest does not match"
    ):
        place.run("postgres.newest_backup", ctx=ctx, **search)
    place.s3().delete_object(Bucket=BUCKET, Key="vouched/a/manifest.json.sig")
    with pytest.raises(CouldNotVerify, match="the manifest is not signed"):
        place.run("postgres.newest_backup", ctx=ctx, **search)
    found = place.run("postgres.newest_backup", ctx=ctx, signed=False, **search)
    assert (found["vouched"], found["unvouched"]) == (False, "the manifest is not signed")
    asked = place.run("postgres.newest_backup", ctx=ctx, required=False, **search)
    assert (asked["vouched"], "unvouched" in asked) == (False, False), "nothing is taken yet"


def test_a_backup_of_tomorrow_is_not_the_newest(place, primary, backup):
    """A backup with a wrong clock would hide that no later one is taken."""
    body = place.s3().get_object(Bucket=BUCKET, Key="tables/manifest.json")["Body"].read()
    ahead = re.sub(rb'"server_time":"[0-9]+', b'"server_time":"2999', body)
    assert ahead != body
    place.s3().put_object(Bucket=BUCKET, Key="ahead/a/manifest.json", Body=ahead)
    place.s3().put_object(Bucket=BUCKET, Key="ahead/b/manifest.json", Body=body)
    with pytest.raises(CouldNotVerify, match=r"is dated 2999.* s in the future: s3://.*/ahead/a"):
        place.run("postgres.newest_backup", service="primary", store="store", prefix="ahead/")
