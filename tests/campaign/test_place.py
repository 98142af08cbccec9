"""Place of a project: a number that differs in every copy of the project, and is the same for all its processes."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from drillbook.campaign import continuing, place, worker
from drillbook.campaign.attempt import Job
from drillbook.campaign.campaign_record import Intent
from drillbook.campaign.executor import LOCAL_CLUSTER, ON_THIS_MACHINE
from drillbook.campaign.processes import Processes
from drillbook.errors import UsageError

JOB = Job("c", "s0", "run-s0", "d", suite=False, inventory="i", root="", entry={"inventory": "x"})


@pytest.fixture
def project(tmp_path):
    (tmp_path / "a" / "drills").mkdir(parents=True)
    return tmp_path / "a"


def test_a_place_is_known_by_a_number_on_its_disk(project):
    first = place.here(project)
    assert place.here(project) == first
    (project / "reports" / ".place").unlink()
    assert place.here(project).number != first.number


def test_a_copy_of_a_project_is_another_place_and_takes_no_job_of_the_first(project, monkeypatch):
    first = place.here(project)
    shutil.copytree(project, project.with_name("b"))
    copied = place.here(project.with_name("b"))
    assert copied.number != first.number
    assert place.is_copy(copied.name, first.name)
    monkeypatch.setenv(place.PROJECT_VARIABLE, copied.root)
    ending = worker.carry_out(replace(JOB, root=first.root, place=first.name))
    assert ending["state"] == "unknown"
    assert f"the site was started at {first.name}, but this worker is at {copied.name}" in ending["message"]
    assert not (Path(copied.root) / "reports" / "campaigns").exists()


def test_a_restored_project_is_another_place(project):
    """A backup that is restored to the same path may lack the runs that began after it was made."""
    first = place.here(project)
    project.rename(project.with_name("old"))
    shutil.copytree(project.with_name("old"), project)
    assert place.here(project).number != first.number


def test_a_restored_project_whose_file_has_the_same_inode_number_is_another_place(project):
    first, file = place.here(project), project / "reports" / ".place"
    stored, number = file.read_bytes(), file.stat().st_ino
    file.unlink()
    for attempt in range(100):
        file = project / "reports" / f"{attempt}"
        file.write_bytes(stored)
        if file.stat().st_ino == number:
            break
    else:
        pytest.skip("the file system does not use the inode number again")
    if ":" not in place._file(file):
        pytest.skip("the file system tells no generation of an inode")
    file.rename(project / "reports" / ".place")
    assert place.here(project).number != first.number


@pytest.mark.parametrize("ids", [("1f\n", "2e\n"), ("1f\n", ""), ("", "2e\n")])
def test_the_same_folder_on_another_machine_is_another_place(project, monkeypatch, ids):
    machine = project.with_name("machine-id")
    monkeypatch.setattr(place, "MACHINE_IDS", (machine.with_name("missing"), machine))
    numbers = []
    for one in ids:
        machine.write_text(one)
        numbers.append(place.here(project).number)
    assert numbers[0] != numbers[1]


def test_a_machine_without_an_identity_is_known_by_its_host_name(project, monkeypatch):
    monkeypatch.setattr(place, "MACHINE_IDS", ())
    first = place.here(project)
    assert place.here(project) == first
    monkeypatch.setattr(place.platform, "node", lambda: "clone")
    assert place.here(project).number != first.number


def test_processes_that_begin_together_agree_on_the_number(project):
    with ThreadPoolExecutor(16) as pool:
        assert len({one.number for one in pool.map(lambda _: place.here(project), range(64))}) == 1
    assert [path.name for path in (project / "reports").iterdir()] == [".place"]


def reached(project, name, begun="", *, resumed=(), executor="processes", on=""):
    """Return True when a campaign whose open site is at the place ``name`` may be resumed in ``project``."""
    started, controllers = SimpleNamespace(campaign="c"), [(executor, begun), *resumed]
    state = SimpleNamespace(start=started, controllers=controllers, open={"s0": Intent("run-s0", name)})
    try:
        continuing.refuse(state, place.name_of(project), on)
    except UsageError as error:
        return not any(
            text in str(error) for text in ("other machines started drills at some sites", "was begun or resumed at")
        )
    return True


def test_a_campaign_is_resumed_here_when_its_sites_were_started_here(project):
    """A number from before its second part existed is known by the random part, the host name and the path."""
    own = place.here(project).name
    number, _, where = own.partition("@")
    random = number.partition("-")[0]
    assert reached(project, own)
    assert reached(project, "")
    assert reached(project, f"{random}@{where}")
    assert not reached(project, f"{random}@{where}2")
    assert not reached(project, f"{random}-0123456789abcdef@{where}")
    assert not reached(project, f"0123@{where}")
    assert reached(project, own, begun=own)
    copied = f"{random}-0123456789abcdef@{where}"
    assert not reached(project, "", begun=copied)
    assert not reached(project, "", begun=copied, on="local")


def test_workers_resume_a_campaign_unless_another_project_drilled_sites_on_its_own_machine(project):
    own, other, far = place.here(project).name, "0123-0123456789abcdef@north:/project", "tls://far:8786"
    assert reached(project, other, own, on=far)
    assert reached(project, other, other, executor="dask", on=far)
    assert not reached(project, other, other, executor="dask")
    assert not reached(project, other, other, executor="dask", on="local")
    for executor in (Processes.name, LOCAL_CLUSTER):
        assert executor in ON_THIS_MACHINE
        assert not reached(project, other, other, executor=executor, on=far)
        assert not reached(project, own, own, resumed=[(executor, other)], on=far)
    assert reached(project, own, own, resumed=[("dask", other)], on=far)
    assert not reached(project, own, own, resumed=[("dask", other)])
    assert not reached(project, own, own, resumed=[("dask", other)], on="local")
    assert reached(project, own, own, resumed=[("processes", ""), ("processes", own)])


class Disk:
    """Folder on a file system without hard links, such as vfat."""

    def __init__(self, monkeypatch):
        self.asked = 0
        monkeypatch.setattr(Path, "hardlink_to", self.refuse)

    def refuse(self, *_):
        self.asked += 1
        raise PermissionError(1, "Operation not permitted")


def test_a_file_system_without_hard_links_can_hold_a_place(project, monkeypatch):
    disk = Disk(monkeypatch)
    with ThreadPoolExecutor(16) as pool:
        assert len({one.number for one in pool.map(lambda _: place.here(project), range(64))}) == 1
    assert disk.asked
    first = place.here(project)
    assert len(first.number.partition("-")[0]) == 16
    assert [path.name for path in (project / "reports").iterdir()] == [".place"]
    monkeypatch.undo()
    assert place.here(project) == first


def test_a_place_whose_file_stays_empty_is_told(project, monkeypatch):
    """A process died while it wrote the file, on a disk without hard links."""
    (project / "reports").mkdir()
    (project / "reports" / ".place").touch()
    monkeypatch.setattr(place, "PATIENCE_S", 0.1)
    with pytest.raises(OSError, match="is empty"):
        place.here(project)
    with pytest.raises(UsageError, match=r"which identifies this project, cannot be used: .* is empty"):
        place.name_of(project)


def test_a_place_whose_file_is_damaged_is_told_as_a_mistake(project):
    (project / "reports").mkdir()
    (project / "reports" / ".place").write_bytes(b"3f\xff0a")
    with pytest.raises(OSError, match="is damaged"):
        place.here(project)
    with pytest.raises(UsageError, match=r"cannot be used: .*\.place is damaged: .* not ASCII"):
        place.name_of(project)


def test_a_place_that_cannot_be_stored_is_told_as_a_mistake(project):
    (project / "reports").mkdir()
    (project / "reports" / ".place").mkdir()
    with pytest.raises(UsageError, match="cannot be used: Is a directory"):
        place.name_of(project)
