"""Damaged backups: every damage is found before anything is restored."""

import json

import pytest

from drillbook.errors import StepFailed
from tests.systems.estate import codes
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import BUCKET, body, flip, leftovers

place, primary, backup, target = fixtures.place, fixtures.primary, fixtures.backup, fixtures.target


def largest(place, prefix):
    return max(
        (key for key in place.keys(prefix + "/database/") if key.endswith(".gz")), key=lambda key: len(body(place, key))
    )


def test_every_damage_is_found_before_anything_is_made(place, backup, target):
    def damaged(change):
        location, prefix = place.copy(backup["location"])
        change(prefix)
        with pytest.raises(StepFailed) as failure:
            place.run("postgres.restore", service=target.service.name, **{"from": location})
        assert not target.data.exists()
        assert leftovers(place) == []
        return codes(failure), [one.title for one in failure.value.findings]

    def cut(prefix):
        key = largest(place, prefix)
        place.s3().put_object(Bucket=BUCKET, Key=key, Body=body(place, key)[:-100])

    assert damaged(cut)[0] == ["backup-size"]
    assert damaged(lambda prefix: flip(place, largest(place, prefix)))[0] == ["backup-digest"]
    assert damaged(lambda prefix: flip(place, f"{prefix}/globals.sql"))[0] == ["backup-digest"]
    assert damaged(lambda prefix: place.s3().delete_object(Bucket=BUCKET, Key=largest(place, prefix)))[0] == [
        "backup-missing"
    ]
    assert damaged(lambda prefix: flip(place, f"{prefix}/manifest.json"))[0] == ["backup-manifest"]
    assert damaged(lambda prefix: place.s3().delete_object(Bucket=BUCKET, Key=f"{prefix}/manifest.json"))[0] == [
        "backup-missing"
    ]


def test_a_manifest_that_leads_out_of_its_folder_is_refused(place, backup, target):
    _, prefix = place.copy(backup["location"])
    manifest = json.loads(body(place, f"{prefix}/manifest.json"))
    manifest["files"]["../../evil"] = manifest["files"]["schema.sql"]
    place.s3().put_object(Bucket=BUCKET, Key=f"{prefix}/manifest.json", Body=json.dumps(manifest))
    with pytest.raises(StepFailed) as failure:
        place.run("postgres.restore", service=target.service.name, **{"from": f"s3://{BUCKET}/{prefix}"})
    assert codes(failure) == ["backup-manifest"]
