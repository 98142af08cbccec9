"""files.archive, .extract and .backup_intact with a real tar and a real store."""

import os
import shutil
import subprocess

import pytest

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.sdk.backup_writer import BackupSet
from drillbook.sdk.programs import Programs
from drillbook.systems.files import archives as knowledge
from drillbook.systems.files import manifest
from tests.needs import need
from tests.systems.files.archived import archived, codes, compression, damaged, flipped, run
from tests.systems.postgres.site import BUCKET


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
