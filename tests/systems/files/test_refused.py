"""Files and folders that a user may not use: told before a drill, and usable once the rights are there."""

import os

import pytest

from drillbook.sdk.action import find
from drillbook.sdk.service import Http
from drillbook.systems.files.service import Folder
from tests.systems.files.test_rights import ground as users_ground
from tests.systems.ground import is_root
from tests.systems.refusals import refused_until
from tests.systems.test_faults_as_ordinary_user import NOBODY

__all__ = ["users_ground"]
FILE, FOLDER = "DIR/folder/file", "DIR/folder"
REPLACE = ("files.replace", {"path": FILE, "content": "other\n"})
CHANGE = ("settings.change", {"service": "api", "remove": ["LEVEL"], "restart": False})


class Place:
    """A folder with a file, both of the ordinary user."""

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
        (("files.remove", {"path": FILE}), lambda place: of_root(place.folder), "folder may not be written by nobody"),
        (("files.corrupt", {"path": FILE}), lambda place: place.file.chmod(0o400), "file may not be written by nobody"),
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


@pytest.mark.parametrize(
    ("find_says", "run_as", "said"),
    [("find: unrecognized: -printf", "", "has no GNU find"), ("", "nobody-there", "there is no user nobody-there")],
    ids=["busybox", "account"],
)
def test_the_newest_write_needs_gnu_find_and_the_account(ground, monkeypatch, find_says, run_as, said):
    programs = ground.root / "bin"
    programs.mkdir()
    path = os.environ["PATH"]
    if find_says:
        (programs / "find").write_text(f"#!/bin/sh\necho '{find_says}' >&2\nexit 1\n")
        (programs / "find").chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:{path}")
    copy = Folder(name="copy", host="here", path=str(programs), run_as=run_as)
    ground.services["copy"] = copy
    newest = find("files.newest_moment").model_validate({"service": "copy"})

    def mend():
        monkeypatch.setenv("PATH", path)
        ground.services["copy"] = copy.model_copy(update={"run_as": ""})
        (programs / "written").touch()

    refused_until(lambda: newest.ready(ground.ctx()), said, mend)
    assert newest.run(ground.ctx())["newest_moment"]
