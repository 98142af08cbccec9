"""Folders of locks and leases that others may read: closed if nobody else could write to them and they are
of Drillbook alone, and otherwise refused."""

import os
import sys
from pathlib import Path

import pytest

from drillbook.engine.leases import Lease, Lock
from drillbook.errors import NotReady
from drillbook.hosts.local import LocalHost
from tests.engine.leases.conftest import owner, soon
from tests.program import Folder, fault

READABLE = (0o755, 0o711, 0o750, 0o705, 0o744)
WRITABLE = (0o777, 0o775, 0o770, 0o702, 0o720)


def mode(path):
    return path.stat().st_mode & 0o777


def made(scratch, bits):
    """Folder of a version before, with anchors in it."""
    folder = scratch / "drillbook"
    (folder / "anchors").mkdir(parents=True)
    folder.chmod(bits)
    return folder


@pytest.mark.usefixtures("any_shell")
@pytest.mark.parametrize("bits", READABLE)
def test_a_folder_of_this_user_that_others_may_only_read_is_closed(here, scratch, bits):
    folder = made(scratch, bits)
    lease = Lease(here, "run-1", 60)
    lease.ready(deadline=soon())
    assert mode(folder) == bits, "a check changes nothing"
    token = Lock(here, "api", 60).take(owner(), deadline=soon()).token
    assert mode(folder) == 0o700
    folder.chmod(bits)
    lease.arm(1, "x", [["true"]], deadline=soon())
    assert mode(folder) == 0o700
    lease.end(deadline=soon())
    Lock(here, "api", 60).release(token, deadline=soon())
    assert [path.name for path in folder.iterdir()] == ["anchors"]


@pytest.mark.usefixtures("any_shell")
@pytest.mark.parametrize("bits", WRITABLE)
def test_a_folder_that_others_may_write_to_is_refused(here, scratch, bits):
    folder = made(scratch, bits)
    for use in (
        lambda: Lease(here, "run-1", 60).ready(deadline=soon()),
        lambda: Lease(here, "run-1", 60).arm(1, "x", [["true"]], deadline=soon()),
        lambda: Lock(here, "api", 60).take(owner(), deadline=soon()),
    ):
        with pytest.raises(NotReady, match="is open to others") as error:
            use()
        assert "do not remove it, because it may contain anchors" in error.value.hint
    assert mode(folder) == bits


@pytest.mark.parametrize("foreign", ["owner", "link"])
def test_a_readable_folder_with_the_file_of_another_user_is_refused(here, scratch, foreign):
    """Others could write to the folder at some time before."""
    folder = made(scratch, 0o755)
    if foreign == "owner":
        if os.geteuid() != 0:
            pytest.skip("only root can be another user")
        os.chown(folder / "anchors", 65534, 65534)
    else:
        (folder / ".locks").symlink_to(scratch)
    lease = Lease(here, "run-1", 60)
    with pytest.raises(NotReady, match=r"is open to others, and .* belongs to somebody else"):
        lease.ready(deadline=soon())
    with pytest.raises(NotReady, match=r"is open to others, and .* belongs to somebody else"):
        lease.arm(1, "x", [["true"]], deadline=soon())
    assert mode(folder) == 0o755
    if foreign == "owner":
        os.chown(folder / "anchors", os.geteuid(), -1)
    else:
        (folder / ".locks").unlink()
    lease.ready(deadline=soon())
    lease.arm(1, "x", [["true"]], deadline=soon())
    assert mode(folder) == 0o700
    lease.end(deadline=soon())


@pytest.mark.usefixtures("any_shell")
@pytest.mark.parametrize("name", ["deploy", "drillbook"])
def test_a_readable_folder_that_is_not_of_drillbook_alone_keeps_its_mode(here, scratch, monkeypatch, name):
    """The inventory names a folder in which other programs have files, or the home folder of an account `drillbook`."""
    folder = scratch / name
    folder.mkdir(parents=True)
    (folder / "authorized_keys").touch()
    folder.chmod(0o755)
    if name == "drillbook":
        monkeypatch.setenv("HOME", str(folder))
    lease = Lease(LocalHost(target=here.target.model_copy(update={"state": str(folder)})), "run-1", 60)
    told = "is open to others, and is not a folder of Drillbook alone"
    with pytest.raises(NotReady, match=told) as error:
        lease.ready(deadline=soon())
    assert "a folder that only Drillbook uses" in error.value.hint
    with pytest.raises(NotReady, match=told):
        lease.arm(1, "x", [["true"]], deadline=soon())
    assert mode(folder) == 0o755
    inner = here.target.model_copy(update={"state": f"{folder}/drillbook"})
    lease = Lease(LocalHost(target=inner), "run-1", 60)
    lease.ready(deadline=soon())
    lease.arm(1, "x", [["true"]], deadline=soon())
    assert mode(folder / "drillbook") == 0o700
    lease.end(deadline=soon())


@pytest.fixture
def newcomer(tmp_path):
    """Project of a user whose leases on this machine are beside the anchors."""
    made = Folder(tmp_path)
    inventory = tmp_path / "inventory" / "lab.yml"
    state = tmp_path / "home" / ".local" / "state"
    inventory.write_text(inventory.read_text().replace("lease:", f"state: {state}/drillbook, lease:"))
    made.environment |= {"HOME": str(tmp_path / "home"), "XDG_STATE_HOME": str(state)}
    flag = tmp_path / "flag"
    made.write(
        fault([sys.executable, "-c", f"open({str(flag)!r}, 'x')"], ["rm", "-f", str(flag)], proof=("test", "-e", str(flag)))
    )
    (tmp_path / "home").mkdir()
    made.state = state / "drillbook"
    return made


@pytest.mark.parametrize("before", [None, 0o755])
def test_the_first_run_of_a_user_on_this_machine_passes(newcomer, before):
    if before:
        newcomer.state.mkdir(parents=True)
        newcomer.state.chmod(before)
    mask = os.umask(0o022)
    try:
        done = newcomer.run("drill", "sample")
    finally:
        os.umask(mask)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(newcomer.state.glob("anchors/*.jsonl"))
    kept = [newcomer.state, newcomer.state / "anchors"] + (
        [] if before else [newcomer.state.parent, newcomer.state.parents[1]]
    )
    assert {path.name: oct(mode(path)) for path in kept} == {path.name: "0o700" for path in kept}


def test_a_refused_folder_of_leases_is_no_residue(newcomer):
    newcomer.state.mkdir(parents=True)
    newcomer.state.chmod(0o777)
    done = newcomer.run("drill", "sample")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "is open to others" in done.stdout + done.stderr
    assert newcomer.result()["residue"] == []
    assert not Path(newcomer.root / "flag").exists()
