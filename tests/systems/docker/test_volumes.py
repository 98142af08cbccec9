"""A volume whose restore failed or died: its old content remains."""

import os
import subprocess
from dataclasses import replace

import pytest

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.systems.docker import volumes
from drillbook.systems.docker.actions.backup import VolumeRestore
from drillbook.systems.docker.volumes import Volume
from tests.systems.docker.looking import listed
from tests.systems.ground import path_without
from tests.systems.refusals import refused_until


@pytest.mark.parametrize("stage", ["new", "kept", "in"])
def test_a_restore_that_died_is_put_back_from_every_stage(box, volume, stage):
    name, made = volume
    before = listed(made)
    ctx = box.ctx("restore.1")
    restore = VolumeRestore(service="box", volume=name, **{"from": "s3://dr-backups/x/y"})
    undo = restore.undo(ctx)
    steps = {
        "new": "mkdir $p-new; echo new > $p-new/file",
        "kept": "mkdir $p-new $p-kept; mv a $p-kept/",
        "in": "stat -c '%u:%g %a' . > $p-was; chown 0:0 .; chmod 700 .; mkdir $p-in $p-kept; mv a '.name with space' $p-kept/; echo new > file; mkdir -p a/b; echo wrong > a/b/1",
    }
    assert made.exec_run(["sh", "-c", f"p=.drillbook-{ctx.run_id}; {steps[stage]}"]).exit_code == 0
    assert restore.active(ctx) is True
    for _ in range(2):
        box.undo(undo)
        made.reload()
        assert (made.status, listed(made)) == ("running", before)
        assert restore.active(ctx) is None


def test_a_restore_that_died_before_it_kept_anything_starts_who_was_stopped(box, volume):
    _, made = volume
    ctx = box.ctx("restore.1")
    restore = VolumeRestore(service="box", volume="/data", **{"from": "s3://dr-backups/x/y"})
    undo = restore.undo(ctx)
    made.stop(timeout=0)
    assert restore.active(ctx) is None, "the runner takes False for proof that nothing is left to undo"
    box.undo(undo)
    made.reload()
    assert made.status == "running"


def test_the_undo_ends_a_helper_that_outlived_its_command(box, volume):
    name, made = volume
    before = listed(made)
    ctx = box.ctx("restore.1")
    undo = VolumeRestore(service="box", volume=name, **{"from": "s3://dr-backups/x/y"}).undo(ctx)
    found = Volume.of(ctx, "box", name)
    argv = found.helper("while :; do echo wrong > /volume/stray; sleep 0.1; done", write=True)
    helper = subprocess.Popen(argv, stdin=subprocess.PIPE)
    try:
        box.until(lambda: b"stray" in listed(made), 60)
        helper.kill()
        helper.wait()
        box.undo(undo)
        assert box.client.containers.list(all=True, filters={"volume": name}) == [made]
        assert made.exec_run(["rm", "stray"]).exit_code == 0
        assert listed(made) == before
    finally:
        helper.stdin.close()
        subprocess.run(found._alone(), check=True)


def test_what_cannot_be_looked_at_is_not_taken_for_nothing(box, volume):
    found = replace(Volume.of(box.ctx("restore.1"), "box", "/data"), image="drillbook-test/none")
    with pytest.raises(CouldNotVerify, match="could not be examined"):
        found.kept()
    done = subprocess.run(found.undo().commands[0], capture_output=True, check=False)
    assert done.returncode != 0


def test_a_digest_of_half_a_volume_is_none(box, volume, monkeypatch):
    found = Volume.of(box.ctx("restore.1"), "box", "/data")
    monkeypatch.setattr(volumes, "_DIGEST", volumes._DIGEST.replace("ok sort", "ok no-such-program"))
    with pytest.raises(StepFailed, match="not all of it could be read"):
        found.digest()


def test_a_host_without_the_command_that_copies_the_volume(box, volume, monkeypatch, tmp_path):
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", path_without(tmp_path / "bin"))
    said = "has no `docker` command that controls"
    refused_until(lambda: Volume.of(box.ctx(), "box", "/data"), said, lambda: monkeypatch.setenv("PATH", path))


def test_a_volume_of_a_container_that_is_none(box, volume):
    known = box.services
    box.services = {"box": known["box"].model_copy(update={"container": "drillbook-test-none"})}
    refused_until(
        lambda: Volume.of(box.ctx(), "box", "/data"),
        "there is no container 'drillbook-test-none'",
        lambda: setattr(box, "services", known),
    )
