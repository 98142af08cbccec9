"""A volume: saved to the lab's store, damaged, brought back and proven; and what was there stays when that fails."""

import subprocess
import uuid

import pytest

from drillbook.actions.docker.volumes import VolumeBackup, VolumeRestore
from drillbook.errors import NotReady, StepFailed
from drillbook.store import Store
from drillbook.stored import sha256

FILL = "umask 027; mkdir -p a/b && echo one > a/b/1 && ln -s b a/link && printf x > '.name with space'; chown drill a/b/1; chmod 600 a/b/1"


@pytest.fixture
def volume(box):
    name = f"drillbook-test-{uuid.uuid4().hex[:8]}"
    made = box.container(volumes={name: {"bind": "/data", "mode": "rw"}}, working_dir="/data", user="0:0")
    assert made.exec_run(["sh", "-c", FILL]).exit_code == 0
    yield name, made
    made.remove(force=True)
    box.made.remove(made)
    subprocess.run(["docker", "volume", "rm", "-f", name], check=True, capture_output=True)


@pytest.fixture
def store(box, volume, site):
    """The lab's store, beside the container."""
    box.services = box.services | {"backups": site.project.inventory("docker").services["backups"]}
    return Store(box.services["backups"])


def listed(made):
    script = "cd /data; find . -printf '%p %y %m %u %l\\n' | sort; cat a/b/1"
    return made.exec_run(["sh", "-c", script]).output


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
    assert made.exec_run(["sh", "-c", "rm -rf a; echo wrong > '.name with space'; touch stray"]).exit_code == 0
    restore = VolumeRestore(service="box", volume=name, **{"from": facts["location"]})
    ctx = box.ctx("restore.1")
    restore.ready(ctx)
    undo = restore.undo(ctx)
    assert restore.active(ctx) is False
    assert restore.run(ctx)["restarted"] == [made.name]
    made.reload()
    assert made.status == "running"
    assert listed(made) == before
    box.undo(undo)
    made.reload()
    assert (made.status, listed(made)) == ("running", before), "the undo of a finished restore changes nothing"
    assert [path for path in box.scratch.rglob("*") if path.is_file()] == []


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


@pytest.mark.parametrize("stage", ["new", "kept", "in"])
def test_a_restore_that_died_is_put_back_from_every_stage(box, volume, stage):
    name, made = volume
    before = listed(made)
    ctx = box.ctx("restore.1")
    restore = VolumeRestore(service="box", volume=name, **{"from": "s3://dr-backups/x/y"})
    undo = restore.undo(ctx)
    steps = {"new": "mkdir $p-new; echo new > $p-new/file",
             "kept": "mkdir $p-new $p-kept; mv a $p-kept/",
             "in": "mkdir $p-in $p-kept; mv a '.name with space' $p-kept/; echo new > file; mkdir -p a/b; echo wrong > a/b/1"}
    assert made.exec_run(["sh", "-c", f"p=.drillbook-{ctx.run_id}; {steps[stage]}"]).exit_code == 0
    assert restore.active(ctx) is True
    for _ in range(2):
        box.undo(undo)
        made.reload()
        assert (made.status, listed(made)) == ("running", before)
        assert restore.active(ctx) is False


def test_a_volume_that_is_none(box, volume):
    with pytest.raises(NotReady, match="has no volume 'other'") as failure:
        VolumeBackup(service="box", volume="other", to="s3://dr-backups/x/y").ready(box.ctx())
    assert volume[0] in failure.value.hint
