"""Manifests of archives: changed ones are noticed, and those of gzip are as older versions wrote them."""

import pytest

from drillbook.errors import StepFailed
from drillbook.systems.files import archives as knowledge
from drillbook.systems.files import manifest
from tests.systems.files.archived import archived, codes, run
from tests.systems.postgres.site import BUCKET


def test_a_changed_manifest_is_noticed(place, tree):
    facts = archived(place, tree)
    key = f"{tree.parent.name}/manifest.json"
    body = place.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read()
    place.s3().put_object(Bucket=BUCKET, Key=key, Body=body.replace(b'"4750"', b'"0750"'))
    with pytest.raises(StepFailed) as failure:
        run(place, "files.backup_intact", **{"from": facts["location"]})
    assert codes(failure) == ["backup-manifest"]


def test_a_manifest_of_gzip_is_written_as_by_older_versions(place, tree, monkeypatch):
    monkeypatch.setattr(knowledge, "compression_of", lambda ctx: None)
    facts = archived(place, tree)
    body = place.s3().get_object(Bucket=BUCKET, Key=f"{tree.parent.name}/manifest.json")["Body"].read()
    assert b"compression" not in body
    assert manifest.Manifest.model_validate_json(body).name == "archive.tar.gz", facts
