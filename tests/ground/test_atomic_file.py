"""Files that are replaced atomically: permissions, flush to the disk, and the state after a failure."""

import ast
import os
import stat
from pathlib import Path

import pytest

from drillbook import atomic_file
from drillbook.atomic_file import private_folder, replace_file


def permissions(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize(("mode", "wanted"), [(0o600, 0o600), (0o644, 0o644), (0o700, 0o700), (None, 0o640)])
def test_the_file_has_the_mode_that_was_asked_for_or_that_of_the_umask(tmp_path, mode, wanted):
    path = tmp_path / "file"
    replace_file(path, b"old", mode=mode)
    replace_file(path, b"new", mode=mode)
    assert (path.read_bytes(), permissions(path)) == (b"new", wanted)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_only_the_owner_reads_a_file_whose_mode_nobody_named(tmp_path):
    replace_file(tmp_path / "file", b"")
    assert permissions(tmp_path / "file") == 0o600


def test_a_link_is_replaced_and_its_target_is_kept(tmp_path):
    (tmp_path / "target").write_bytes(b"kept")
    (tmp_path / "file").symlink_to("target")
    replace_file(tmp_path / "file", b"new")
    assert not (tmp_path / "file").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"kept"


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127])
def test_a_name_of_the_longest_size_can_be_replaced(tmp_path, name):
    path = tmp_path / name
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("flush", [True, False])
def test_content_is_flushed_before_the_rename_where_it_is_asked_for(tmp_path, monkeypatch, flush):
    path, seen = tmp_path / "file", []
    real = os.fsync

    def fsync(descriptor):
        seen.append((os.fstat(descriptor).st_size, path.exists()))
        real(descriptor)

    monkeypatch.setattr(atomic_file.os, "fsync", fsync)
    replace_file(path, b"whole", flush=flush)
    assert seen == ([(5, False)] if flush else [])


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_keeps_the_old_content_and_leaves_no_temporary_file(tmp_path, monkeypatch, error):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fsync(descriptor):
        raise error

    monkeypatch.setattr(atomic_file.os, "fsync", fsync)
    with pytest.raises(type(error)):
        replace_file(path, b"new", flush=True)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_is_missing_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "missing" / "file", b"")


PACKAGE = Path(atomic_file.__file__).parent
RENAMES = {
    "atomic_file.py": "the one helper",
    "campaign/transfer.py": "a folder that appears when it is complete",
    "lab/qdrant_snapshots.py": "an unpacked folder",
    "lab/qdrant_stand_in.py": "an unpacked folder",
    "report/publish.py": "a link",
    "sdk/run_folder.py": "a folder that becomes visible",
    "signing/keys.py": "a public key that ssh-keygen wrote",
    "systems/docker/actions/backup.py": "replaces text in a path of a host",
    "systems/files/deletion_program.py": "a path that is about to be deleted, by a program that runs alone on the host",
}
"""Modules that rename or replace a path without writing a whole file, each with the reason."""


def renames(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ("replace", "rename") and len(node.args) == 1 and not node.keywords:
                return True
            if ast.unparse(node.func) in ("os.replace", "os.rename", "shutil.move", "tempfile.mkstemp"):
                return True
    return False


def test_no_other_module_replaces_a_file_by_code_of_its_own():
    found = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if renames(path)}
    assert found == set(RENAMES)


@pytest.mark.usefixtures("umask")
def test_every_new_folder_is_closed_to_others_and_existing_ones_are_kept(tmp_path):
    (tmp_path / "old").mkdir(mode=0o755)
    for _ in range(2):
        private_folder(tmp_path / "old" / "a" / "b")
    assert [permissions(tmp_path / name) for name in ("old", "old/a", "old/a/b")] == [0o750, 0o700, 0o700]
