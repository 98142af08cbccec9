"""Files and folders without permission for a user: reported before a drill, and usable once the permission exists."""

import os
import shutil
from dataclasses import replace
from hashlib import sha256

import pytest

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.sdk.action import find
from drillbook.sdk.service import Http
from drillbook.systems.files import archives
from drillbook.systems.files.service import Folder
from tests.needs import need
from tests.systems.files.test_rights import ground as users_ground
from tests.systems.ground import PLAIN, is_root, path_without
from tests.systems.refusals import refused_until
from tests.systems.test_faults_as_ordinary_user import NOBODY

__all__ = ["users_ground"]
FILE, FOLDER = "DIR/folder/file", "DIR/folder"
REPLACE = ("files.replace", {"path": FILE, "content": "other\n"})
CHANGE = ("settings.change", {"service": "api", "remove": ["LEVEL"], "restart": False})


class Place:
    """A folder with a file, both owned by the ordinary user."""

    def __init__(self, ground):
        self.folder, self.file = ground.root / "folder", ground.root / "folder" / "file"
        self.folder.mkdir()
        self.file.write_text("LEVEL=info\n")
        self.whole()
        ground.services["api"] = Http(name="api", host="here", url="http://127.0.0.1:1", env_file=str(self.file))

    def whole(self):
        for path, mode in ((self.folder, 0o755), (self.file, 0o640)):
            path.chmod(mode)
            os.chown(path, NOBODY, NOBODY)


def of_root(path):
    os.chown(path, 0, 0)


@pytest.mark.skipif(not is_root(), reason="only root can make what belongs to others")
@pytest.mark.parametrize(
    ("action", "spoil", "said"),
    [
        (REPLACE, lambda place: of_root(place.folder), "is in a folder that this user may not write to"),
        (REPLACE, lambda place: of_root(place.file), "cannot be read"),
        (REPLACE, lambda place: (of_root(place.file), place.file.chmod(0o644)), "belongs to another user"),
        (("files.chmod", {"path": FILE, "mode": "000"}), lambda place: of_root(place.file), "belongs to another user"),
        (("files.fill_disk", {"path": FOLDER, "size": "1MiB"}), lambda place: of_root(place.folder), "may write to"),
        (("files.remove", {"path": FILE}), lambda place: of_root(place.folder), "folder cannot be written by nobody"),
        (("files.corrupt", {"path": FILE}), lambda place: place.file.chmod(0o400), "file cannot be written by nobody"),
        (CHANGE, lambda place: of_root(place.folder), "is in a folder that is not writable"),
        (CHANGE, lambda place: of_root(place.file), "cannot be read"),
    ],
)
def test_rights_that_are_missing_refuse_a_fault_that_works_with_them(users_ground, action, spoil, said):
    ground, (name, params) = users_ground, action
    place = Place(ground)
    given = {
        key: value.replace("DIR", str(ground.root)) if isinstance(value, str) else value for key, value in params.items()
    }
    spoil(place)
    fault = find(name).model_validate(given)
    refused_until(lambda: fault.ready(ground.ctx()), said, place.whole)
    ground.cycle(fault)


def unlink(file):
    file.unlink()


def touch(file):
    file.touch(0o640)


def open_up(file):
    file.chmod(0o600)


@pytest.mark.parametrize(
    ("name", "params", "spoil", "said", "mend"),
    [
        ("files.remove", {}, unlink, "the path to remove, .*/file, does not exist", touch),
        (
            "files.lose",
            {"service": "app", "from": "s3://backups/y"},
            unlink,
            "the path to delete, .*/file, does not exist",
            touch,
        ),
        (
            "files.corrupt",
            {},
            lambda file: file.write_text(""),
            "is not a file, or is empty",
            lambda file: file.write_text("x"),
        ),
        ("files.chmod", {"mode": "640"}, touch, "already has the permissions 640", open_up),
        ("files.chmod", {"mode": "600"}, unlink, "does not exist, or is a symbolic link", touch),
    ],
)
def test_a_path_that_is_not_as_the_fault_needs_it(ground, name, params, spoil, said, mend):
    file = ground.root / "file"
    file.write_text("text\n")
    file.chmod(0o640)
    spoil(file)
    fault = find(name).model_validate({"path": str(file), **params})
    refused_until(lambda: fault.ready(ground.ctx()), said, lambda: mend(file))


@pytest.mark.parametrize(
    ("program", "script", "said"),
    [
        ("tar", "echo busybox", "here has a tar other than GNU tar"),
        (
            "tar",
            'case "$*" in --version) echo "tar (GNU tar) 1.26";; esac',
            "here has a GNU tar without extended attributes",
        ),
        ("tar", "", "here has no tar"),
        ("gzip", "", "here has no gzip"),
        ("python3", "", r"here has no python3 \(3.7 or later\)"),
    ],
    ids=["busybox", "old", "no tar", "no gzip", "no python"],
)
def test_an_archive_needs_a_tar_that_keeps_everything(ground, monkeypatch, program, script, said):
    folder = ground.root / "bin"
    for name in ("tar", "gzip"):
        need(name)
    monkeypatch.setenv("PATH", path_without(folder, program))
    for name in {"tar", "gzip"} - {program}:
        (folder / name).symlink_to(shutil.which(name, path=PLAIN["PATH"]))
    if script:
        (folder / program).write_text(f"#!/bin/sh\n{script}\n")
        (folder / program).chmod(0o755)

    def install():
        (folder / program).unlink(missing_ok=True)
        (folder / program).symlink_to(shutil.which(program, path=PLAIN["PATH"]))

    refused_until(lambda: archives.need_tar(ground.ctx()), said, install)


def test_a_filler_of_the_same_step_is_not_overwritten(ground):
    fill, ctx = find("files.fill_disk").model_validate({"path": str(ground.root), "size": "1MiB"}), ground.ctx()
    fill.inject(ctx)
    refused_until(lambda: fill.ready(ctx), "filler already exists", lambda: ground.undo(fill.undo(ctx)))


def test_a_disk_without_the_space_is_not_filled(ground):
    faults = [
        find("files.fill_disk").model_validate({"path": str(ground.root), "size": size}) for size in ("900TiB", "1MiB")
    ]
    said = "MiB free, too little to fill the wanted amount"
    refused_until(lambda: faults[0].ready(ground.ctx()), said, lambda: faults.pop(0))


def test_a_loss_that_nothing_could_restore(ground):
    file = ground.root / "file"
    file.touch()
    lose, contexts = find("files.lose").model_validate({"service": "app", "path": str(file)}), [ground.ctx()]
    contexts.append(replace(ground.ctx(), proofs=frozenset({"backup.check"})))
    said = "files.lose names no archive for .*, and this drill verifies no backup of app"
    refused_until(lambda: lose.ready(contexts[0]), said, lambda: contexts.pop(0))


def test_a_path_that_no_drill_may_touch(ground):
    file = ground.root / "file"
    file.touch()
    faults = [find("files.remove").model_validate({"path": path}) for path in ("/etc", str(file))]
    refused_until(
        lambda: faults[0].ready(ground.ctx()), "/etc is refused: a drill does not remove top-level", lambda: faults.pop(0)
    )


def test_a_list_of_digests_that_is_absent_refuses_a_comparison_that_works_with_it(ground):
    (ground.root / "page").write_text("page\n")
    ground.services["www"] = Folder(name="www", host="here", path=str(ground.root))
    action = find("files.recorded").model_validate({"service": "www", "digests": "SUMS"})
    with pytest.raises(StepFailed, match="does not exist"):
        action.run(ground.ctx())
    told = []
    action.ready(replace(ground.ctx(), changed=True, doubt=told.append))
    assert ["an earlier step may change this" in text for text in told] == [True]
    text = f"{sha256(b'page' + bytes([10])).hexdigest()}  page\n"
    refused_until(
        lambda: action.ready(ground.ctx()),
        "the list of digests SUMS of www does not exist, or cannot be read",
        lambda: (ground.root / "SUMS").write_text(text),
    )
    assert action.run(ground.ctx())["compared"] == 1


@pytest.mark.skipif(not is_root(), reason="only root can become the ordinary user")
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda place: shutil.rmtree(place.folder), "the path to digest, .*/folder, does not exist"),
        (lambda place: place.file.unlink(), "is no file, and contains no files"),
        (lambda place: place.folder.chmod(0), "cannot be read by this user"),
    ],
)
def test_a_path_without_files_refuses_a_digest_that_works_with_them(users_ground, spoil, said):
    place = Place(users_ground)
    action = find("files.digest").model_validate({"path": str(place.folder)})
    spoil(place)
    with pytest.raises(CouldNotVerify, match="could not be computed"):
        action.run(users_ground.ctx())
    told = []
    action.ready(replace(users_ground.ctx(), disturbed=True, doubt=told.append))
    assert ["an earlier step may change this" in text for text in told] == [True]

    def mend():
        place.folder.mkdir(exist_ok=True)
        place.folder.chmod(0o755)
        place.file.write_text("back\n")
        place.whole()

    refused_until(lambda: action.ready(users_ground.ctx()), said, mend)
    assert action.run(users_ground.ctx())["files"] == 1
    find("files.digest").model_validate({"path": str(place.file)}).ready(users_ground.ctx())
