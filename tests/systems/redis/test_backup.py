"""Backups in a store, verified before they are restored."""

import json

import pytest

from drillbook.errors import StepFailed
from tests.systems.postgres.site import BUCKET
from tests.systems.redis.cache import codes, flipped, forged


@pytest.mark.parametrize(
    ("name", "change", "code"),
    [
        ("dump.rdb", lambda body: body[:-50], "backup-size"),
        ("dump.rdb", flipped, "backup-digest"),
        ("dump.rdb", None, "backup-missing"),
        ("manifest.json", lambda body: body + b" ", "backup-manifest"),
        ("manifest.json", None, "backup-missing"),
    ],
    ids=["truncated", "bit-flip", "missing", "manifest", "no-manifest"],
)
def test_a_damaged_backup_is_refused_before_anything_is_touched(place, cache, saved, name, change, code):
    location, prefix = place.copy(saved["location"])
    key = f"{prefix}/{name}"
    body = place.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read()
    place.s3().delete_object(Bucket=BUCKET, Key=key)
    if change:
        place.s3().put_object(Bucket=BUCKET, Key=key, Body=change(body))
    for action in ("redis.backup_intact", "redis.restore"):
        pid = cache.client().info("server")["process_id"]
        with pytest.raises(StepFailed) as failure:
            cache.run(action, **{"from": location})
        assert codes(failure) == {code}
        assert cache.client().info("server")["process_id"] == pid
    assert cache.strays() == []


def test_a_saved_file_with_other_keys_than_its_manifest_is_no_backup(place, cache, saved):
    body = json.loads((cache.folder / "run" / saved["evidence"]["file"]).read_text())
    del body["keys"]["0"]["views:1"]
    with pytest.raises(StepFailed, match="does not match its manifest") as failure:
        cache.run("redis.backup_intact", **{"from": forged(place, saved, keys=body["keys"])})
    assert codes(failure) == {"key-unexpected"}
