"""Backups of volumes in the lab's store, and their restore."""

import json
import uuid

import pytest

from drillbook.engine.provenance import Provenance
from drillbook.errors import NotReady, StepFailed
from drillbook.sdk.identity import Identity
from drillbook.sdk.store import Store
from drillbook.sdk.stored_backup import sha256
from drillbook.systems.docker.actions.backup import VolumeBackup, VolumeRestore
from drillbook.systems.docker.volumes import Volume
from tests.systems.docker.looking import listed
from tests.systems.refusals import refused_until


@pytest.fixture
def store(box, volume, site):
    """The lab's store, and the container."""
    box.services = box.services | {"backups": site.project.inventory("docker").services["backups"]}
    return Store(box.services["backups"])


def saved(box, name):
    backup = VolumeBackup(service="box", volume="/data", to=f"s3://dr-backups/test-{uuid.uuid4().hex[:8]}/v")
    ctx = box.ctx("backup.1")
    backup.ready(ctx)
    facts = backup.run(ctx)
    assert facts["volume"] == name
    assert facts["entries"] == 5
    return facts


def test_a_volume_is_saved_and_comes_back(box, volume, store):
    name, made = volume
    before = listed(made)
    facts = saved(box, name)
    damage = "rm -rf a; echo wrong > '.name with space'; touch stray; chown 0:0 .; chmod 700 ."
    assert made.exec_run(["sh", "-c", damage]).exit_code == 0
    restore = VolumeRestore(service="box", volume=name, **{"from": facts["location"]})
    ctx = box.ctx("restore.1")
    restore.ready(ctx)
    undo = restore.undo(ctx)
    assert restore.active(ctx) is None
    assert restore.run(ctx)["restarted"] == [made.name]
    made.reload()
    assert made.status == "running"
    assert listed(made) == before
    box.undo(undo)
    made.reload()
    assert (made.status, listed(made)) == ("running", before), "the undo of a finished restore changes nothing"
    assert [path for path in box.scratch.rglob("*") if path.is_file()] == []


def test_a_backup_says_which_volume_it_is_of(box, volume, store):
    name, _ = volume
    facts = saved(box, name)
    backup = VolumeBackup(service="box", volume="/data", to="s3://dr-backups/test/v")
    identity = Identity.read(Provenance().examine(backup, box.ctx("backup.1"), facts)["identity"])
    assert (identity.kind, identity.of["path"]) == ("volume", name)
    assert facts["location"].endswith(f"#sha256={identity.manifest}")
    restore = VolumeRestore(service="box", volume=name, **{"from": facts["location"]})
    restored = Provenance().examine(restore, box.ctx("restore.1"), restore.run(box.ctx("restore.1")))["made"]
    assert Identity.read(restored) == identity
    assert identity.equals(Identity(kind="volume", of={**identity.of, "path": f"{name}-other"})) is False


def test_an_empty_volume_is_no_backup(box, volume, store):
    _, made = volume
    assert made.exec_run(["sh", "-c", "rm -rf /data/* /data/.[!.]*"]).exit_code == 0
    backup = VolumeBackup(service="box", volume="/data", to=f"s3://dr-backups/test-{uuid.uuid4().hex[:8]}/v")
    with pytest.raises(StepFailed, match="is empty, so there is nothing to back up"):
        backup.run(box.ctx("backup.1"))


def test_the_folder_itself_is_compared_where_the_backup_knows_it(box, volume, store):
    name, made = volume
    before, facts = listed(made), saved(box, name)
    folder = facts["location"].split("/", 3)[3].partition("#")[0]
    restore = VolumeRestore(service="box", volume=name, **{"from": facts["location"].partition("#")[0]})
    known = json.loads(store.get(f"{folder}/manifest.json"))
    assert known["root"]["mode"] == "2751"
    for root, stays in (({**known["root"], "mode": "2750"}, True), (None, False)):
        assert made.exec_run(["sh", "-c", "chown 0:0 .; chmod 700 ."]).exit_code == 0
        present = listed(made)
        data = json.dumps({key: value for key, value in {**known, "root": root}.items() if value is not None}).encode()
        store.put(f"{folder}/manifest.json", data, sha256(data), overwrite=True)
        if stays:
            with pytest.raises(StepFailed, match="differs from the backup"):
                restore.run(box.ctx("restore.1"))
        else:
            restore.run(box.ctx("restore.1"))
        assert listed(made) == (present if stays else before)


def test_what_was_there_stays_when_the_archive_is_another(box, volume, store):
    name, made = volume
    facts = saved(box, name)
    assert made.exec_run(["sh", "-c", "echo newer > a/b/1"]).exit_code == 0
    present = listed(made)
    folder = facts["location"].split("/", 3)[3].partition("#")[0]
    other = b"x" * facts["bytes"]
    store.put(f"{folder}/volume.tar", other, sha256(other), overwrite=True)
    restore = VolumeRestore(service="box", volume=name, **{"from": facts["location"]})
    with pytest.raises(StepFailed, match="is damaged") as failure:
        restore.run(box.ctx("restore.1"))
    assert failure.value.findings[0].code == "backup-digest"
    made.reload()
    assert (made.status, listed(made)) == ("running", present)


def test_a_volume_that_is_none(box, volume, store):
    with pytest.raises(NotReady, match="has no volume 'other'") as failure:
        VolumeBackup(service="box", volume="other", to="s3://dr-backups/x/y").ready(box.ctx())
    assert volume[0] in failure.value.hint
    VolumeBackup(service="box", volume=volume[0], to="s3://dr-backups/x/y").ready(box.ctx())


def test_users_that_cannot_be_stopped_and_started_again(box, volume, store):
    name, made = volume
    restore = VolumeRestore(service="box", volume=name, **{"from": "s3://dr-backups/x/y"})
    made.pause()
    said = f"the volume {name} cannot be restored: the container {made.name}, which uses the volume, is paused"
    refused_until(lambda: restore.ready(box.ctx("restore.1")), said, made.unpause)
    passing = box.client.containers.run(
        box.image,
        ["sleep", "600"],
        detach=True,
        init=True,
        auto_remove=True,
        volumes={name: {"bind": "/data", "mode": "rw"}},
    )
    try:
        with pytest.raises(NotReady, match="was created with --rm"):
            Volume.of(box.ctx("restore.1"), "box", name).must_be_free()
    finally:
        passing.remove(force=True)
    Volume.of(box.ctx("restore.1"), "box", name).must_be_free()
