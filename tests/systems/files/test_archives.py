"""files.archive, .backup_intact, .extract, .matches, .lose and .corrupt with a real tar and a real store."""

import itertools
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from drillbook.errors import CommandFailed, CouldNotVerify, NotReady, StepFailed
from drillbook.sdk.action import find
from drillbook.sdk.backup_writer import BackupSet
from drillbook.sdk.programs import Programs
from drillbook.systems.files import archives as knowledge
from drillbook.systems.files import manifest
from drillbook.systems.units.service import Process
from tests.needs import need
from tests.sameness import holds
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import BUCKET

place = fixtures.place
ROOT = os.geteuid() == 0


NUMBERS = itertools.count()


@pytest.fixture
def tree(place):
    """A folder with one file of each type."""
    return planted(place.folder / f"tree-{next(NUMBERS)}" / "data")


def planted(root):
    root.mkdir(parents=True)
    (root / "sub" / "empty").mkdir(parents=True)
    (root / "plain").write_bytes(b"plain\n" * 1000)
    (root / "plain").chmod(0o4750)
    os.link(root / "plain", root / "sub" / "second")
    (root / "link").symlink_to("plain")
    (root / "dangling").symlink_to("../no/where")
    (root / "new\nline \\ü").write_text("odd name")
    (Path(os.fsdecode(os.fsencode(root) + b"/bad\xff"))).write_text("no utf-8")
    with (root / "sparse").open("wb") as file:
        file.truncate(8 << 20)
        file.seek(5 << 20)
        file.write(b"island")
    os.mkfifo(root / "pipe")
    os.setxattr(root / "plain", "user.origin", b"\0\xffvalue")
    os.setxattr(root / "sub", "user.folder", b"yes")
    if ROOT:
        os.chown(root / "sub" / "empty", 1234, 4321)
    (root / "sub" / "empty").chmod(0o2711)
    os.utime(root / "plain", (1, 1_000_000_000.25))
    return root


def run(place, name, *, ctx=None, **fields):
    ctx = ctx or context(place)
    return place.run(name, ctx=ctx, service="app", **fields)


def context(place, step="backup.1"):
    ctx = place.context(step=step)
    ctx.services["app"] = Process(name="app", host="db-1")
    return ctx


def archived(place, tree):
    return run(place, "files.archive", path=str(tree), to=f"s3://{BUCKET}/{tree.parent.name}")


@pytest.fixture(scope="module")
def original(place):
    """A tree that no test changes, and the facts of its archive."""
    root = planted(place.folder / "original" / "data")
    return root, archived(place, root)


def compression():
    return "zstd" if shutil.which("zstd") else None


def codes(failure):
    return [one.code for one in failure.value.findings]


def damaged(place, tree, change):
    key = f"{tree.parent.name}/{manifest.archive_name(compression())}"
    body = place.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read()
    place.s3().put_object(Bucket=BUCKET, Key=key, Body=change(body))


def flipped(body):
    return body[:100] + bytes([body[100] ^ 1]) + body[101:]


def test_everything_comes_back_as_it_was(place, tree):
    facts = archived(place, tree)
    assert facts["entries"] == 11
    assert facts["packed"] < 100_000, "holes are not stored"
    proof = run(place, "files.backup_intact", **{"from": facts["location"]})
    assert proof["entries"] == 11
    ctx = context(place)
    lose = find("files.lose").model_validate({"service": "app", "path": str(tree), "from": facts["location"]})
    lose.ready(ctx)
    assert holds(proof, lose, ctx) is True
    assert holds(proof, lose.model_copy(update={"path": f"{tree}/plain"}), ctx) is False, "other files of the same service"
    assert (
        holds({"identity": proof["identity"] | {"of": proof["identity"]["of"] | {"machine": "another"}}}, lose, ctx) is False
    )
    assert lose.undo(ctx).kind == "restore"
    assert lose.active(ctx) is False
    lose.run(ctx)
    assert lose.active(ctx) is True
    assert not tree.exists()
    assert run(place, "files.extract", **{"from": facts["location"]})["path"] == str(tree)
    assert lose.active(ctx) is False
    assert run(place, "files.matches", manifest=facts["manifest"])["entries"] == 11
    assert (tree / "sparse").stat().st_blocks * 512 < 1 << 20
    assert (tree / "plain").stat().st_ino == (tree / "sub" / "second").stat().st_ino
    assert (tree / "plain").stat().st_mode & 0o7777 == 0o4750
    assert os.getxattr(tree / "plain", "user.origin") == b"\0\xffvalue"
    assert [one.name for one in tree.parent.iterdir()] == ["data"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda root: (root / "plain").write_bytes(b"plaiN\n" * 1000), "file-content"),
        (lambda root: shutil.rmtree(root / "sub"), "file-missing"),
        (lambda root: (root / "sub").chmod(0o777), "file-mode"),
        pytest.param(
            lambda root: os.lchown(root / "link", 7, 7),
            "file-owner",
            marks=pytest.mark.skipif(not ROOT, reason="only root gives files away"),
        ),
        (lambda root: [(root / "link").unlink(), (root / "link").symlink_to("sparse")], "file-link"),
        (
            lambda root: [(root / "sub" / "second").unlink(), shutil.copy2(root / "plain", root / "sub" / "second")],
            "file-link",
        ),
        (lambda root: os.removexattr(root / "plain", "user.origin"), "file-xattr"),
        (lambda root: os.utime(root / "plain", (1, 1)), "file-time"),
        (lambda root: (root / "stray").write_text("x"), "file-unexpected"),
        (lambda root: [(root / "pipe").unlink(), (root / "pipe").mkdir()], "file-mode"),
    ],
)
def test_each_difference_has_its_code_and_names_the_path(place, original, change, code):
    root, facts = original
    tree = place.folder / f"tree-{next(NUMBERS)}"
    subprocess.run(["cp", "-a", str(root), str(tree)], check=True)
    change(tree)
    with pytest.raises(StepFailed) as failure:
        run(place, "files.matches", path=str(tree), manifest=facts["manifest"])
    found = [one for one in failure.value.findings if one.code == code]
    assert found, codes(failure)
    assert all(str(tree) in one.title for one in found)


def test_what_the_archive_does_not_hold_is_never_deleted(place, tree):
    facts = archived(place, tree)
    (tree / "sub" / "since").write_text("written after the archive")
    with pytest.raises(StepFailed, match="differs from the archive"):
        run(place, "files.lose", path=str(tree), **{"from": facts["location"]})
    assert (tree / "sub" / "since").exists()
    assert run(place, "files.matches", manifest=facts["manifest"], unexpected="allow")["unexpected"] == 1


@pytest.mark.parametrize(("change", "code"), [(flipped, "backup-digest"), (lambda body: body[:-10], "backup-size")])
def test_a_damaged_archive_is_noticed_and_never_extracted(place, tree, change, code):
    facts = archived(place, tree)
    damaged(place, tree, change)
    shutil.rmtree(tree)
    for name in ("files.backup_intact", "files.extract"):
        with pytest.raises(StepFailed) as failure:
            run(place, name, **{"from": facts["location"]})
        assert codes(failure) == [code]
    assert list(tree.parent.iterdir()) == []
    place.s3().delete_object(Bucket=BUCKET, Key=f"{tree.parent.name}/{manifest.archive_name(compression())}")
    with pytest.raises(StepFailed) as failure:
        run(place, "files.backup_intact", **{"from": facts["location"]})
    assert codes(failure) == ["backup-missing"]


def test_a_changed_manifest_is_noticed(place, tree):
    facts = archived(place, tree)
    key = f"{tree.parent.name}/manifest.json"
    body = place.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read()
    place.s3().put_object(Bucket=BUCKET, Key=key, Body=body.replace(b'"4750"', b'"0750"'))
    with pytest.raises(StepFailed) as failure:
        run(place, "files.backup_intact", **{"from": facts["location"]})
    assert codes(failure) == ["backup-manifest"]


def test_nothing_is_overwritten(place, tree):
    facts = archived(place, tree)
    with pytest.raises(StepFailed, match="already"):
        archived(place, tree)
    (tree / "plain").write_text("newer")
    with pytest.raises(StepFailed) as failure:
        run(place, "files.extract", **{"from": facts["location"]})
    assert codes(failure) == ["restore-target"]
    assert (tree / "plain").read_text() == "newer"
    empty = tree.parent / "empty"
    empty.mkdir()
    run(place, "files.extract", path=str(empty), **{"from": facts["location"]})
    assert run(place, "files.matches", path=str(empty), manifest=facts["manifest"])["entries"] == 11


def test_a_single_file(place, tree):
    facts = run(place, "files.archive", path=str(tree / "plain"), to=f"s3://{BUCKET}/single")
    assert facts["entries"] == 1
    (tree / "plain").unlink()
    run(place, "files.extract", **{"from": facts["location"]})
    run(place, "files.matches", manifest=facts["manifest"])


def test_folders_without_a_file_are_no_archive(place, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(StepFailed, match="contains no files, so there is nothing to archive"):
        run(place, "files.archive", path=str(tmp_path / "a"), to=f"s3://{BUCKET}/hollow")


@pytest.mark.parametrize("size", [6, 1 << 20], ids=["small", "large"])
def test_an_archive_is_taken_again_when_a_file_changes_while_it_is_sent(place, tree, monkeypatch, size):
    pack, remove, removed = knowledge.pack, BackupSet.remove, []
    content = iter([b"a" * size, b"b" * size])

    def changing(*given):
        pack(*given)
        if data := next(content, b""):
            (tree / "log").write_bytes(data)

    def noted(self, name):
        removed.append(name)
        remove(self, name)

    (tree / "log").write_bytes(b"0" * size)
    os.utime(tree / "log", (1, 1))
    monkeypatch.setattr(knowledge, "pack", changing)
    monkeypatch.setattr(BackupSet, "remove", noted)
    facts = archived(place, tree)
    assert removed == [manifest.archive_name(compression())], "from the second time on, the files are compared before"
    monkeypatch.undo()
    run(place, "files.backup_intact", **{"from": facts["location"]})
    assert run(place, "files.matches", manifest=facts["manifest"])["entries"] == 12


def test_a_store_that_keeps_the_archive_of_changed_files_is_told(place, tree, monkeypatch):
    pack = knowledge.pack

    def changing(*given):
        pack(*given)
        (tree / "plain").write_text("changed meanwhile")

    def kept(self, name):
        raise CouldNotVerify(f"the store did not delete {name}")

    monkeypatch.setattr(knowledge, "pack", changing)
    monkeypatch.setattr(BackupSet, "remove", kept)
    with pytest.raises(StepFailed, match="files changed during archiving, and the store did not delete"):
        archived(place, tree)


def test_files_that_change_all_the_time_are_no_archive(place, tree):
    script = 'while test -e "$1"; do date +%N >> "$1"; sleep 0.01; done'
    (tree / "log").write_text("")
    child = subprocess.Popen(["sh", "-c", script, "sh", str(tree / "log")])
    try:
        with pytest.raises(StepFailed, match="change during archiving"):
            archived(place, tree)
    finally:
        (tree / "log").unlink()
        child.wait()
    assert not place.keys(f"{tree.parent.name}/")


def test_a_restore_that_loses_permissions_fails(place, tree, monkeypatch):
    facts = archived(place, tree)
    shutil.rmtree(tree)
    wrapper = place.folder / f"wrapped-{tree.parent.name[:20]}"
    wrapper.mkdir()
    real = shutil.which("tar")
    (wrapper / "tar").write_text(
        f'#!/bin/sh\n{real} "$@" || exit\ncase " $* " in *" --extract "*) chmod 0600 ./data/plain;; esac\n'
    )
    (wrapper / "tar").chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper}:{os.environ['PATH']}")
    with pytest.raises(StepFailed) as failure:
        run(place, "files.extract", **{"from": facts["location"]})
    assert set(codes(failure)) == {"file-mode"}
    assert not tree.exists()


@pytest.mark.parametrize(("program", "said"), [("echo busybox", "other than GNU tar"), ("exit 127", "other than GNU tar")])
def test_a_tar_that_is_not_gnu_is_told(place, tree, monkeypatch, program, said):
    (tree.parent / "tar").write_text(f"#!/bin/sh\n{program}\n")
    (tree.parent / "tar").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tree.parent}:{os.environ['PATH']}")
    with pytest.raises(NotReady, match=said):
        knowledge.need_tar(context(place))


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


@pytest.mark.parametrize(("there", "name"), [(True, "archive.tar.zst"), (False, "archive.tar.gz")])
def test_an_archive_is_compressed_by_zstd_where_the_host_has_it(place, tree, monkeypatch, there, name):
    if there:
        need("zstd")
    else:
        monkeypatch.setattr(knowledge, "compression_of", lambda ctx: None)
    facts = archived(place, tree)
    held = place.s3().list_objects_v2(Bucket=BUCKET, Prefix=f"{tree.parent.name}/")["Contents"]
    assert {one["Key"].rpartition("/")[2] for one in held} == {name, "manifest.json"}
    before = run(place, "files.backup_intact", **{"from": facts["location"]})
    assert before["entries"] == facts["entries"]
    shutil.rmtree(tree)
    run(place, "files.extract", **{"from": facts["location"]})
    assert run(place, "files.matches", manifest=facts["manifest"])["entries"] == facts["entries"]


def test_a_host_without_zstd_says_what_it_lacks(place, tree, monkeypatch):
    need("zstd")
    facts = archived(place, tree)
    monkeypatch.setattr(Programs, "missing", lambda self, host, programs, deadline: list(programs))
    with pytest.raises(StepFailed, match="has no zstd, which compressed the archive"):
        run(place, "files.backup_intact", **{"from": facts["location"]})


def test_a_manifest_of_gzip_is_written_as_by_older_versions(place, tree, monkeypatch):
    monkeypatch.setattr(knowledge, "compression_of", lambda ctx: None)
    facts = archived(place, tree)
    body = place.s3().get_object(Bucket=BUCKET, Key=f"{tree.parent.name}/manifest.json")["Body"].read()
    assert b"compression" not in body
    assert manifest.Manifest.model_validate_json(body).name == "archive.tar.gz", facts
