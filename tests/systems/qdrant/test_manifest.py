"""Manifest of the backup of a collection; `tests/sdk/test_stored_backup.py` reads the recorded ones."""

import pytest
from pydantic import ValidationError

from drillbook.systems.qdrant.manifest import SNAPSHOT, Manifest, PointsFile, ServerSnapshot

FILE = PointsFile(size=70, sha256="a" * 64, points=3)


def manifest(**changes):
    values = {
        "run": "r1",
        "service": "vectors",
        "collection": "chunks",
        "server_version": "1.15.0",
        "taken_at": "2026-11-30T12:00:00.000Z",
        "config": {"vectors": {"size": 3}},
        "points": 3,
        "digest": "b" * 64,
        "files": {"points-00001.jsonl.gz": FILE},
    }
    return Manifest.model_validate(values | changes)


def test_the_size_of_a_backup_includes_the_snapshot_of_the_server():
    assert (manifest().bytes, manifest().stored()) == (70, {"points-00001.jsonl.gz": 70})
    whole = manifest(snapshot=ServerSnapshot(size=1000, sha256="c" * 64))
    assert (whole.bytes, whole.stored()) == (1070, {"points-00001.jsonl.gz": 70, SNAPSHOT: 1000})


@pytest.mark.parametrize(
    "changes",
    [
        {"points": -1},
        {"digest": "b"},
        {"method": "other"},
        {"files": {"../points": FILE}},
        {"format": "drillbook/qdrant-backup/2"},
    ],
    ids=str,
)
def test_a_manifest_with_other_values_is_refused(changes):
    with pytest.raises(ValidationError):
        manifest(**changes)
