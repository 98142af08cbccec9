"""Folders of Drillbook on a target: their paths, and folders that are not private."""

import pytest

from drillbook.errors import NotReady
from drillbook.hosts.local import LocalHost
from drillbook.sdk import target_folders
from drillbook.sdk.host import Deadline, Target


@pytest.fixture
def host(tmp_path):
    return LocalHost("here", target=Target(name="here", local=True, scratch=f"{tmp_path}/scratch/"))


def make(host, path, name=""):
    return target_folders.make(host, path, name, deadline=Deadline.after(60))


def test_the_path_of_a_run_has_two_parts(host):
    path = target_folders.scratch_of(host, "r1")
    root = f"{host.target.scratch.rstrip('/')}/drillbook"
    assert path == f"{root}/runs/r1"
    assert target_folders.parts(path) == (root, "runs/r1")
    assert target_folders.scratch_of(host, "r1", former=True) == f"{root}-r1"
    assert target_folders.parts(f"{root}-r1") == (f"{root}-r1", ".")
    assert target_folders.parts("/srv/other/runs/r1") == ("/srv/other/runs/r1", ".")


def test_a_new_folder_is_private_and_its_inner_folder_empty(host, tmp_path):
    (tmp_path / "scratch").mkdir()
    path = target_folders.scratch_of(host, "r1")
    inner = tmp_path / "scratch" / "drillbook" / "runs" / "r1" / "dump"
    assert make(host, path, "dump") == str(inner)
    for folder in (inner, inner.parent, tmp_path / "scratch" / "drillbook"):
        assert folder.stat().st_mode & 0o777 == 0o700
    (inner / "left").touch()
    make(host, path, "dump")
    assert list(inner.iterdir()) == []


def test_a_folder_that_others_may_write_to_is_refused(host, tmp_path):
    (tmp_path / "scratch" / "drillbook").mkdir(parents=True)
    (tmp_path / "scratch" / "drillbook").chmod(0o777)
    with pytest.raises(NotReady, match="is open to others") as told:
        make(host, target_folders.scratch_of(host, "r1"))
    assert "chmod go-rwx" in told.value.hint
    assert list((tmp_path / "scratch" / "drillbook").iterdir()) == []


def test_a_link_in_the_place_of_the_folder_is_refused(host, tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "scratch" / "drillbook").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotReady):
        make(host, target_folders.scratch_of(host, "r1"))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_functions_are_sent_without_comments():
    assert "own()" in target_folders.shell().replace(" ", "")
    assert not [line for line in target_folders.shell().splitlines() if line.lstrip().startswith("#")]
