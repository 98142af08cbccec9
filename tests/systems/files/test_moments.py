"""files.newest_moment: when a file in a folder was last written."""

import os

import pytest

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.sdk.action import find
from drillbook.systems.files.service import Folder
from tests.systems.refusals import refused_until


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


def test_the_newest_write_is_that_of_a_file_at_any_depth(ground):
    root = ground.root / "copy"
    (root / "deep" / "er").mkdir(parents=True)
    for path, at in ((root / "old", 1_000_000_000), (root / "deep" / "er" / "new", 1_700_000_000.5)):
        path.touch()
        os.utime(path, (at, at))
    (root / "link").symlink_to("/etc/hostname")
    ground.services["copy"] = Folder(name="copy", host="here", path=str(root))
    newest = find("files.newest_moment").model_validate({"service": "copy"})
    assert newest.run(ground.ctx())["newest_moment"].startswith("2023-11-14T22:13:20.5")
    strict = find("files.newest_moment").model_validate({"service": "copy", "max_age": "1h"})
    with pytest.raises(StepFailed):
        strict.run(ground.ctx())


def test_a_folder_without_files_has_no_newest_write(ground):
    (ground.root / "empty" / "folder").mkdir(parents=True)
    newest = find("files.newest_moment").model_validate({"service": "copy"})
    for path in ("empty", "absent"):
        ground.services["copy"] = Folder(name="copy", host="here", path=str(ground.root / path))
        with pytest.raises((CouldNotVerify, StepFailed)):
            newest.run(ground.ctx())
