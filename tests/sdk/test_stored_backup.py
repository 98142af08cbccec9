"""Manifests of backups: all old ones are readable, and new ones have the same keys."""

import json
from pathlib import Path

import pytest

from drillbook.errors import StepFailed
from drillbook.sdk.action import Action, known_names
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.stored_backup import BackupManifest, FilesManifest, sha256
from drillbook.systems.docker import manifest as docker
from drillbook.systems.files import manifest as files
from drillbook.systems.postgres import manifest as postgres
from drillbook.systems.qdrant import manifest as qdrant
from drillbook.systems.redis import manifest as redis
from drillbook.systems.s3 import manifest as s3

RECORDED = Path(__file__).parent.parent / "golden" / "manifests"
KINDS = {
    "files-archive": files.Manifest,
    "objects-backup": s3.Manifest,
    "postgres-backup": postgres.Manifest,
    "postgres-base": postgres.BaseManifest,
    "qdrant-backup": qdrant.Manifest,
    "redis-backup": redis.Manifest,
    "volume-backup": docker.Manifest,
}
LATER = {"files-archive": "machine", "redis-backup": "mark", "volume-backup": "root"}
"""Fields that were added to a kind later; older manifests lack them."""
FOLDER = Reference("backups", "run/database")


def recorded(kind, **values):
    """Manifest by an action of this kind before there was a common model, with some ``values`` replaced."""
    data = (RECORDED / f"{kind}.json").read_bytes()
    return json.dumps({**json.loads(data), **values}).encode() if values else data


def derived(model):
    """All models of manifests below ``model`` with a separate format."""
    for found in model.__subclasses__():
        if isinstance(found.model_fields["format"].default, str):
            yield found
        yield from derived(found)


@pytest.mark.parametrize("kind", KINDS)
def test_a_recorded_manifest_reads_and_is_written_the_same_byte_for_byte(kind):
    data = recorded(kind)
    found = KINDS[kind].parsed(data, FOLDER)
    assert found.encoded() == data
    assert (found.format, found.service) == (f"drillbook/{kind}/1", json.loads(data)["service"])
    assert found.taken_at.endswith("Z")


@pytest.mark.parametrize("kind", LATER)
def test_a_manifest_from_before_a_field_was_added_reads(kind):
    older = json.loads(recorded(kind))
    del older[LATER[kind]]
    assert not getattr(KINDS[kind].parsed(json.dumps(older).encode(), FOLDER), LATER[kind])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("values", [{"format": "drillbook/other/1"}, {"more": 1}, {"taken_at": 5, "snapshot_at": 5}])
def test_what_is_no_manifest_of_a_kind_is_refused(kind, values):
    with pytest.raises(StepFailed, match=f"is not a manifest of format drillbook/{kind}/1") as refused:
        KINDS[kind].parsed(recorded(kind, **values), FOLDER)
    assert [found.code for found in refused.value.findings] == ["backup-manifest"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_manifest_names_all_objects_that_belong_to_its_backup(kind):
    """A part that it omits would stay in the store for ever after the backup is pruned."""
    data = json.loads(recorded(kind))
    wanted = {name: one["size"] for name, one in data.get("files", {}).items()}
    if kind == "files-archive":
        wanted = {"archive.tar.gz": data["archive"]["size"]}
    elif kind == "objects-backup":
        wanted = {f"objects/{key}": one["size"] for key, one in data["objects"].items()}
    elif kind == "qdrant-backup":
        wanted["collection.snapshot"] = data["snapshot"]["size"]
    assert KINDS[kind].parsed(recorded(kind), FOLDER).stored() == wanted != {}


def test_every_kind_of_backup_has_a_recorded_manifest():
    known_names(Action)  # imports the modules of all systems
    built_in = {found for found in derived(BackupManifest) if found.__module__.startswith("drillbook.")}
    assert built_in == set(KINDS.values())


@pytest.mark.parametrize("kind", [kind for kind, model in KINDS.items() if issubclass(model, FilesManifest)])
def test_files_are_listed_for_carrying_and_their_names_lead_nowhere_else(kind):
    found = KINDS[kind].parsed(recorded(kind), FOLDER)
    assert [(file.name, file.size) for file in found.listed()] == sorted(
        (name, one.size) for name, one in found.files.items()
    )
    assert found.bytes >= sum(file.size for file in found.listed()) > 0
    name, file = next(iter(json.loads(recorded(kind))["files"].items()))
    for odd in ("../" + name, "/" + name, "", name + "\n"):
        with pytest.raises(StepFailed, match="is not a manifest"):
            KINDS[kind].parsed(recorded(kind, files={odd: file}), FOLDER)


def test_a_backup_is_known_by_the_digest_that_is_pinned():
    found = postgres.Manifest.parsed(recorded("postgres-backup"), FOLDER)
    assert found.digest_at(FOLDER) == sha256(recorded("postgres-backup"))
    assert found.digest_at(Reference("backups", "run/database", "5" * 64)) == "5" * 64
