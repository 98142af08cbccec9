"""files.lose and files.corrupt: what is lost comes back from its archive, and changed bytes by the undo."""

import os
import shutil
import subprocess

import pytest

from drillbook.errors import CommandFailed, CouldNotVerify, NotReady, StepFailed
from drillbook.systems.files.actions.faults.loss_and_damage import Corrupt
from tests.needs import need
from tests.systems.files.archived import CONTENT, ROOT, alone, archived, context, fingerprint, run
from tests.systems.ground import path_without
from tests.systems.postgres.site import BUCKET


@pytest.mark.parametrize("path", ["/", "/etc", "/var/../etc"])
def test_the_top_of_a_file_system_is_never_lost(place, path):
    ctx = context(place)
    with pytest.raises((StepFailed, NotReady, ValueError), match=r"refused|pattern"):
        place.action("files.lose", service="app", path=path, **{"from": f"s3://{BUCKET}/x"}).run(ctx)


def corrupt(place, path, **fields):
    return place.action("files.corrupt", path=str(path), **fields)


def put_back(ctx, action):
    for argv in action.undo(ctx).commands:
        ctx.host.run(argv, deadline=ctx.deadline).check()


def test_changed_bytes_are_put_back_exactly(place, tree):
    ctx, before, mode = context(place), (tree / "plain").read_bytes(), (tree / "plain").stat().st_mode
    action = corrupt(place, tree / "plain", bytes=32, seed=5)
    action.ready(ctx)
    put_back(ctx, action)
    assert action.active(ctx) is False
    facts = action.run(ctx)
    after = (tree / "plain").read_bytes()
    assert [n for n in range(len(before)) if before[n] != after[n]] == list(range(facts["offset"], facts["offset"] + 32))
    assert action.active(ctx) is True
    assert (tree / "plain").stat().st_mode == mode
    put_back(ctx, action)
    put_back(ctx, action)
    assert (tree / "plain").read_bytes() == before
    assert (tree / "plain").stat().st_mode == mode
    assert action.active(ctx) is False
    assert not list(tree.glob("*drillbook*"))


def test_a_file_that_was_replaced_meanwhile_stays(place, tree):
    ctx = context(place)
    action = corrupt(place, tree / "plain")
    facts = archived(place, tree)
    action.run(ctx)
    with pytest.raises(StepFailed) as failure:
        run(place, "files.matches", ctx=ctx, manifest=facts["manifest"])
    assert {one.code for one in failure.value.findings} <= {"file-content", "file-time"}
    (tree / "plain").unlink()
    (tree / "plain").write_text("x" * 6000)
    assert action.active(ctx) is False
    put_back(ctx, action)
    assert (tree / "plain").read_text() == "x" * 6000
    assert not list(tree.glob("*drillbook*"))


def test_what_cannot_be_damaged_is_not_ready(place, tree):
    ctx = context(place)
    for path in (tree / "sub", tree / "nothing"):
        with pytest.raises(NotReady, match="is not a file, or is empty"):
            corrupt(place, path).ready(ctx)


@pytest.fixture
def immutable(tree):
    """File that even root cannot delete until the test has ended."""
    if not ROOT:
        pytest.skip("only root makes files immutable")
    need("chattr")
    (tree / "sub" / "fixed").write_text("stays")
    if subprocess.run(["chattr", "+i", str(tree / "sub" / "fixed")], check=False, capture_output=True).returncode:
        pytest.skip("this file system knows no immutable files")
    yield tree / "sub" / "fixed"
    for path in tree.parent.rglob("fixed"):
        subprocess.run(["chattr", "-i", str(path)], check=False)


def lose_of(place, tree, facts):
    return place.action("files.lose", service="app", path=str(tree), **{"from": facts["location"]})


def test_a_deletion_that_ends_half_way_is_neither_there_nor_gone_until_its_rest_is_removed(place, tree, immutable):
    facts, ctx = archived(place, tree), context(place, tree.parent.name)
    lose = lose_of(place, tree, facts)
    assert lose.untouched(ctx) is True
    with pytest.raises(StepFailed, match=r"could be deleted only in part; the remaining files are in "):
        lose.run(ctx)
    assert not tree.exists(), "out of its place in one step"
    assert lose.untouched(ctx) is False
    run(place, "files.extract", ctx=ctx, **{"from": facts["location"]})
    assert run(place, "files.matches", manifest=facts["manifest"])["entries"] == 12
    rest = [one for one in tree.parent.iterdir() if one != tree]
    assert len(rest) == 1
    with pytest.raises(CouldNotVerify, match="still contains some of the files to delete"):
        lose.active(ctx)
    assert lose.untouched(ctx) is False
    subprocess.run(["chattr", "-i", str(rest[0] / "sub" / "fixed")], check=True)
    assert run(place, "files.extract", ctx=ctx, **{"from": facts["location"]})["already"] is True
    assert lose.active(ctx) is False
    assert [one.name for one in tree.parent.iterdir()] == ["data"]


@pytest.mark.parametrize("where", [".", "sub/mnt point"])
def test_a_folder_on_or_in_which_something_is_mounted_is_not_deleted(place, tree, where):
    need("mount")
    point = tree / where
    point.mkdir(exist_ok=True)
    if not ROOT or subprocess.run(["mount", "-t", "tmpfs", "none", str(point)], check=False, capture_output=True).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        (point / "other").write_text("of another file system")
        facts, ctx = archived(place, tree), context(place, tree.parent.name)
        lose = lose_of(place, tree, facts)
        with pytest.raises(StepFailed, match="a file system is mounted on"):
            lose.run(ctx)
        assert run(place, "files.matches", manifest=facts["manifest"])
        assert lose.untouched(ctx) is True
    finally:
        subprocess.run(["umount", str(point)], check=True)


def test_half_a_folder_is_not_untouched_and_what_was_refused_is(place, tree):
    facts, ctx = archived(place, tree), context(place, tree.parent.name)
    lose = lose_of(place, tree, facts)
    assert lose.untouched(ctx) is True
    shutil.rmtree(tree / "sub")
    assert lose.untouched(ctx) is False, "as after a deletion that was cut off"
    with pytest.raises(StepFailed, match="differs from the archive"):
        lose.run(ctx)
    assert lose.untouched(ctx) is True, "the step itself deleted nothing"
    ctx.evidence("losing.txt", "as a second attempt notes it")
    assert lose.untouched(ctx) is False


def test_a_deletion_that_is_killed_is_told_and_mended(place, tree, monkeypatch):
    """The deleting program is really killed, at the moment when rm begins."""
    facts, ctx = archived(place, tree), context(place, tree.parent.name)
    lose = lose_of(place, tree, facts)
    wrapper = place.folder / f"killing-{tree.parent.name}"
    wrapper.mkdir()
    (wrapper / "rm").write_text(f'#!/bin/sh\n{shutil.which("rm")} -rf -- "$4/plain"\nkill -KILL "$PPID"\n')
    (wrapper / "rm").chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{wrapper}:{os.environ['PATH']}")
        with pytest.raises(CommandFailed):
            lose.run(ctx)
    assert lose.untouched(ctx) is False
    assert lose.active(ctx) is True
    run(place, "files.extract", ctx=ctx, **{"from": facts["location"]})
    assert lose.active(ctx) is False
    assert [one.name for one in tree.parent.iterdir()] == ["data"]


def test_corrupt_changes_bytes_and_nothing_else_and_back(ground, file):
    before, during = fingerprint(file), []
    action = Corrupt(path=str(file), bytes=16, seed=3)
    facts = ground.cycle(action, lambda: during.append((file.read_bytes(), fingerprint(file))))
    at = facts["offset"]
    assert during[0][0] == CONTENT[:at] + bytes(byte ^ 0x80 for byte in CONTENT[at : at + 16]) + CONTENT[at + 16 :]
    assert during[0][1][1:] == before[1:], "size, time and permissions tell nothing"
    assert fingerprint(file) == before
    assert alone(file)
    ground.never(action)


@pytest.mark.parametrize("written", [0, 1, 7, 15, 16])
def test_corrupt_and_its_repair_that_broke_off_between_two_bytes(ground, file, written):
    ctx = ground.ctx()
    action = Corrupt(path=str(file), bytes=16)
    undo = action.undo(ctx)
    at = action.inject(ctx)["offset"]
    torn = bytearray(file.read_bytes())
    torn[at : at + written] = CONTENT[at : at + written]
    file.write_bytes(torn)
    assert action.active(ctx) is (written < 16)
    ground.undo(undo)
    assert file.read_bytes() == CONTENT
    assert alone(file)


def test_corrupt_leaves_a_file_that_was_restored_meanwhile(ground, file):
    ctx = ground.ctx()
    action = Corrupt(path=str(file), bytes=16)
    undo = action.undo(ctx)
    action.inject(ctx)
    file.write_bytes(b"another" * 200)
    ground.undo(undo)
    assert file.read_bytes() == b"another" * 200
    assert alone(file)


def test_corrupt_changes_nothing_that_it_cannot_note_down(ground, file, monkeypatch):
    monkeypatch.setenv("PATH", path_without(ground.root / "bin", "tr"))
    action = Corrupt(path=str(file))
    with pytest.raises(CommandFailed, match="status 5"):
        action.inject(ground.ctx())
    assert file.read_bytes() == CONTENT
    ground.undo(action.undo(ground.ctx()))
    assert alone(file)
