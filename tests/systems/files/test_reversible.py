"""files.replace, .chmod, .fill_disk on real files: the undo restores every attribute."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from drillbook.errors import NotReady, StepFailed
from drillbook.systems.files.actions.faults.reversible import Chmod, FillDisk, Replace
from tests.needs import need
from tests.systems.files.archived import CONTENT, alone, fingerprint
from tests.systems.ground import path_without


def test_replace_and_back_byte_for_byte(ground, file):
    before, during = fingerprint(file), []
    action = Replace(path=str(file), content="nonsense\n")
    facts = ground.cycle(action, lambda: during.append((file.read_bytes(), fingerprint(file))))
    assert during[0][0] == b"nonsense\n"
    assert during[0][1][2:5] == before[2:5]
    assert during[0][1][7] == before[7]
    assert fingerprint(file) == before
    assert facts["was"] == before[0]
    assert facts["is"] == hashlib.sha256(b"nonsense\n").hexdigest()
    assert alone(file)
    ground.never(action)
    assert fingerprint(file) == before


@pytest.mark.parametrize("reached", ["mkdir", "copy", "kept", "linked", "replaced", "undoing"])
def test_replace_that_broke_off_anywhere(ground, file, reached):
    ctx, before = ground.ctx(), fingerprint(file)
    action = Replace(path=str(file), content="nonsense\n")
    undo = action.undo(ctx)
    kept = file.with_name(f"{file.name}.drillbook-{ground.run}-original")
    steps = ["mkdir", "copy", "kept", "linked", "replaced", "undoing"]
    done = steps[: steps.index(reached) + 1]
    kept.mkdir(0o700)
    if "copy" in done:
        (kept / "is").write_text("nonsense\n")
    if "kept" in done:
        os.link(file, kept / "was")
    if "linked" in done:
        os.link(kept / "is", kept / "new")
    if "replaced" in done:
        (kept / "new").rename(file)
    if "undoing" in done:
        (kept / "was").rename(file)
    assert action.active(ctx) is True
    ground.undo(undo)
    assert action.active(ctx) is False
    assert fingerprint(file) == before
    assert alone(file)


def test_what_a_restore_put_there_stays_and_a_change_in_place_does_not(ground, file):
    ctx, before = ground.ctx(), fingerprint(file)
    action = Replace(path=str(file), content="nonsense\n")
    undo = action.undo(ctx)
    action.inject(ctx)
    file.write_text("the service rewrote the wrong file")
    ground.undo(undo)
    assert fingerprint(file) == before
    action.inject(ctx)
    (ground.root / "restored").write_text("restored")
    (ground.root / "restored").rename(file)
    ground.undo(undo)
    assert file.read_text() == "restored"
    assert action.active(ctx) is False
    assert alone(file)


def test_replace_puts_back_what_was_deleted_meanwhile(ground, file):
    ctx, before = ground.ctx(), fingerprint(file)
    action = Replace(path=str(file), content="nonsense\n")
    undo = action.undo(ctx)
    action.inject(ctx)
    file.unlink()
    ground.undo(undo)
    assert fingerprint(file) == before


def test_replace_refuses_what_it_could_not_put_back(ground, file):
    ctx = ground.ctx()
    link = ground.root / "link"
    link.symlink_to(file)
    for path, said in (
        (link, "symbolic link"),
        (ground.root / "none", "not a file"),
        (file.parent, "not a file"),
        ("/etc", "refused"),
    ):
        with pytest.raises(NotReady, match=said):
            Replace(path=str(path), content="x").ready(ctx)
    with pytest.raises(StepFailed, match="already has that content"):
        same = file.with_name("same")
        same.write_text("x")
        Replace(path=str(same), content="x").inject(ctx)
    ground.undo(Replace(path=str(same), content="x").undo(ctx))
    action = Replace(path=str(file), content="x")
    action.inject(ctx)
    with pytest.raises(StepFailed, match=r"already .* by this run"):
        action.inject(ctx)
    ground.undo(action.undo(ctx))
    assert file.read_bytes() == CONTENT


@pytest.mark.parametrize("mode", ["000", "0444", "2777"])
def test_chmod_and_back(ground, file, mode):
    before, during = fingerprint(file), []
    facts = ground.cycle(Chmod(path=str(file), mode=mode), lambda: during.append(file.stat().st_mode & 0o7777))
    assert during == [int(mode, 8)]
    assert (facts["was"], facts["is"]) == ("640", f"{int(mode, 8):o}")
    assert fingerprint(file) == before
    ground.never(Chmod(path=str(file), mode=mode))


def test_chmod_of_a_folder_keeps_its_special_bits(ground):
    folder = ground.root / "folder"
    folder.mkdir()
    folder.chmod(0o2750)
    during = []
    ground.cycle(Chmod(path=str(folder), mode="700"), lambda: during.append(folder.stat().st_mode & 0o7777))
    assert during == [0o700]
    assert folder.stat().st_mode & 0o7777 == 0o2750


def test_chmod_leaves_what_somebody_changed_again(ground, file):
    ctx, action = ground.ctx(), Chmod(path=str(file), mode="000")
    undo = action.undo(ctx)
    action.inject(ctx)
    file.chmod(0o600)
    assert action.active(ctx) is False
    ground.undo(undo)
    assert file.stat().st_mode & 0o777 == 0o600
    file.unlink()
    ground.undo(undo)


def test_chmod_refuses(ground, file):
    link = ground.root / "link"
    link.symlink_to(file)
    for path, mode, said in (
        (link, "000", "symbolic link"),
        (file, "640", "already"),
        (file, "0640", "already"),
        (ground.root / "none", "000", "does not exist"),
        ("/etc", "000", "refused"),
    ):
        with pytest.raises(NotReady, match=said):
            Chmod(path=str(path), mode=mode).ready(ground.ctx())
    for mode in ("8", "64", "999", "u+x", "00000"):
        with pytest.raises(ValueError):
            Chmod(path=str(file), mode=mode)


def fill(ground, **more):
    return FillDisk.model_validate({"path": str(ground.root), **more})


@pytest.mark.parametrize("without", [(), ("fallocate",)], ids=["fallocate", "zeros"])
def test_fill_disk_takes_real_space_and_gives_it_back(ground, monkeypatch, without):
    if without:
        monkeypatch.setenv("PATH", path_without(ground.root.parent / f"{ground.run}-bin", *without))
    during = []
    facts = ground.cycle(fill(ground, size="40MiB"), lambda: during.append(Path(facts_file(ground)).stat()))
    assert facts["bytes"] == during[0].st_size == 40 << 20
    assert during[0].st_blocks * 512 >= 40 << 20
    assert during[0].st_mode & 0o777 == 0o600
    assert not Path(facts["file"]).exists()
    ground.never(fill(ground, size="40MiB"))


def facts_file(ground):
    return next(ground.root.glob(".drillbook-*-filler"))


def test_fill_disk_until_a_rest_is_left(ground):
    """On a separate file system if it can be mounted, never on that of this machine."""
    need("mount")
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    place = ground.root / "small"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(place)], check=False, capture_output=True
    ).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        left = []
        action = FillDisk.model_validate({"path": str(place), "leave": "8MiB"})
        facts = ground.cycle(action, lambda: left.append(os.statvfs(place).f_bavail * os.statvfs(place).f_bsize))
        assert abs(left[0] - (8 << 20)) < 1 << 20
        assert facts["free_before"] - facts["free_after"] == pytest.approx(56 << 20, abs=1 << 20)
        with pytest.raises(NotReady, match="too little"):
            FillDisk.model_validate({"path": str(place), "size": "1GiB"}).ready(ground.ctx())
        with pytest.raises(NotReady, match="too little"):
            FillDisk.model_validate({"path": str(place), "leave": "64MiB"}).ready(ground.ctx())
        assert list(place.iterdir()) == []
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_fill_disk_never_fills_the_root_below_its_floor(ground):
    """The smallest free space is part of the check, whatever the drill sets; no disk is filled here."""
    for measure in ({"leave": "1MiB"}, {"size": "900TiB"}):
        with pytest.raises(NotReady, match="too little") as told:
            FillDisk.model_validate({"path": "/var/tmp", **measure}).ready(ground.ctx())
        if Path("/var/tmp").stat().st_dev == Path("/").stat().st_dev:
            assert "200MiB must stay free" in told.value.hint


def test_fill_disk_refuses_a_foreign_file_and_a_folder_that_is_not_ours(ground):
    action = fill(ground, size="1MiB")
    mine = ground.root / f".drillbook-{ground.run}-inject.1-filler"
    mine.write_text("not ours")
    with pytest.raises(NotReady, match="already exists"):
        action.ready(ground.ctx())
    with pytest.raises(StepFailed, match="the disk was not filled"):
        action.inject(ground.ctx())
    assert mine.read_text() == "not ours"
    with pytest.raises(NotReady, match="is not a folder"):
        FillDisk.model_validate({"path": str(ground.root / "none"), "size": "1MiB"}).ready(ground.ctx())
    for wrong in ({}, {"size": "1MiB", "leave": "1MiB"}, {"size": "10"}, {"size": "1kB"}):
        with pytest.raises(ValueError):
            fill(ground, **wrong)


def test_fill_disk_refuses_a_folder_that_vanishes_while_it_is_examined(ground, monkeypatch):
    """The listing of free space then prints nothing, as here a listing that fails."""
    tools = ground.root.parent / f"{ground.run}-bin"
    tools.mkdir()
    (tools / "df").write_text("#!/bin/sh\nexit 1\n")
    (tools / "df").chmod(0o755)
    action = fill(ground, size="1MiB")
    action.ready(ground.ctx())
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    with pytest.raises(NotReady, match="is not a folder that this user may write to"):
        action.ready(ground.ctx())


def test_half_a_filler_is_removed(ground):
    action = fill(ground, size="40MiB")
    (ground.root / f".drillbook-{ground.run}-inject.1-filler").write_bytes(b"\0" * 4096)
    assert action.active(ground.ctx()) is False
    ground.undo(action.undo(ground.ctx()))
    assert not list(ground.root.glob(".drillbook-*"))
