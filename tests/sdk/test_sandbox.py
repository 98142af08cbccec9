"""Sandboxes on this machine: isolated, removed completely, and without effect on anything else."""

import contextlib
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from drillbook.errors import NotReady, StepFailed
from drillbook.hosts.local import LocalHost
from drillbook.sdk.sandbox import Sandbox, removal
from tests.needs import need
from tests.processes import entries
from tests.systems.estate import Estate, codes
from tests.systems.ground import is_root, path_without
from tests.systems.refusals import refused_until


@pytest.fixture
def place(tmp_path):
    return Estate(
        tmp_path,
        services={
            "box": {"kind": "folder", "sandbox": {}},
            "open": {"kind": "folder", "sandbox": {"isolation": "none"}},
            "small": {"kind": "folder", "sandbox": {"disk": "1MiB"}},
            "large": {"kind": "folder", "sandbox": {"disk": "4000TiB"}},
            "tight": {"kind": "folder", "sandbox": {"memory": "96MiB"}},
            "leaving": {"kind": "folder", "sandbox": {"data_may_leave": False}},
            "plain": {"kind": "folder", "path": str(tmp_path)},
        },
        backups={},
    )


def box(place, name="box"):
    ctx = place.ctx()
    made = Sandbox.of(ctx, ctx.services[name])
    made.make()
    return made


def test_programs_in_it_have_no_network(place):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        made = box(place)
        look = f"import socket; socket.create_connection(('127.0.0.1', {port}), timeout=5)"
        output = made.run("python3", "-c", look)
        assert not output.ok
        assert b"unreachable" in output.stderr or b"refused" in output.stderr
        made.remove()
        made = box(place, "open")
        assert made.run("python3", "-c", look).ok
        made.remove()


def test_a_way_to_production_is_found_by_trying(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = Estate(
            tmp_path,
            services={
                "production": {
                    "kind": "redis",
                    "port": server.getsockname()[1],
                },
                "box": {"kind": "folder", "sandbox": {}},
                "open": {"kind": "folder", "sandbox": {"isolation": "none"}},
            },
            backups={},
        )
        made = box(place)
        assert made.prove_isolated() == [f"127.0.0.1:{server.getsockname()[1]}"]
        made.remove()
        made = box(place, "open")
        with pytest.raises(StepFailed) as failure:
            made.prove_isolated()
        assert codes(failure) == ["sandbox-not-isolated"]
        made.remove()


def test_its_programs_end_with_it_and_no_others(place, tmp_path):
    made = box(place)
    made.start("sh", "-c", "cd /; sleep 600 & sleep 601")
    bystander = subprocess.Popen(["sleep", "602"], env={**os.environ, "DRILLBOOK_SANDBOX": f"{made.folder}-2"})
    in_folder = subprocess.Popen(["sleep", "603"], cwd=made.folder)
    try:
        until = time.monotonic() + 20
        while len(marked(made.folder)) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        assert len(marked(made.folder)) >= 2
        made.remove()
        assert marked(made.folder) == []
        assert in_folder.wait(20) == -9
        assert bystander.poll() is None
        made.remove()
    finally:
        bystander.kill()
        bystander.wait()


def marked(folder):
    """Pids of processes with the folder in their environment."""
    found = []
    for environ in entries("environ"):
        with contextlib.suppress(OSError):
            if f"DRILLBOOK_SANDBOX={folder}".encode() in environ.read_bytes().split(b"\0"):
                found.append(int(environ.parent.name))
    return found


def test_a_folder_that_was_there_is_not_made_and_not_removed(place):
    folder = place.folder("box")
    folder.mkdir()
    (folder / "precious").write_text("x")
    with pytest.raises(StepFailed) as failure:
        box(place)
    assert codes(failure) == ["restore-target"]
    assert (folder / "precious").read_text() == "x"
    made, said = Sandbox.of(place.ctx(), place.inventory.services["box"]), "it is not known which run created it"
    refused_until(made.ready, said, lambda: folder.rename(folder.with_name("kept")))


def test_a_link_in_its_place_is_not_followed(place, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "drillbook.run").write_text(f"{place.run_id}\n")
    place.folder("box").symlink_to(precious)
    done = subprocess.run(removal(place.inventory.services["box"], place.run_id), capture_output=True, check=False)
    assert done.returncode == 77
    assert (precious / "drillbook.run").exists()


def test_a_sandbox_that_died_between_its_two_first_steps_is_removed(place):
    place.folder("box").mkdir()
    subprocess.run(removal(place.inventory.services["box"], place.run_id), check=True)
    assert not place.folder("box").exists()


def test_budgets(place):
    made = box(place, "small")
    made.need_space(1 << 20)
    with pytest.raises(StepFailed) as failure:
        made.need_space(3 << 19)
    assert codes(failure) == ["sandbox-too-small"]
    assert failure.value.message.endswith("the copy needs 1.5 MiB, but the sandbox has less: `disk` of the sandbox: 1.0 MiB")
    made.remove()
    made = box(place)
    with pytest.raises(StepFailed) as failure:
        made.need_space(1 << 60)
    assert codes(failure) == ["sandbox-too-small"]
    made.remove()
    made = box(place, "large")
    with pytest.raises(
        StepFailed, match=r"free space of the sandbox's file system: [1-9]\d*\.\d MiB, of which 64\.0 MiB must remain free"
    ):
        made.need_space(1 << 50)
    made.remove()


def test_memory_has_a_limit(place):
    made = box(place)
    assert not made.run("python3", "-c", "x = bytearray(3 << 30)").ok
    assert made.run("python3", "-c", "x = bytearray(1 << 20)").ok
    made.remove()


def exceeded(made, *argv):
    """Run a program until it is killed. Return the error about the budget."""
    assert not made.run(*argv).ok
    with pytest.raises(StepFailed) as failure:
        made.must_be_within_budget()
    assert codes(failure) == ["sandbox-too-small"]
    return failure.value.findings[0]


def test_memory_of_all_processes_together_has_a_limit(place):
    """Each process is far below the limit, including the server that was started before."""
    made = box(place, "tight")
    one = "python3 -c 'x = bytearray(30 << 20); import time; time.sleep(600)'"
    made.must_be_within_budget()
    made.start("sh", "-c", f"{one} & {one}")
    found = exceeded(made, "sh", "-c", f"{one} & {one} & {one} & wait")
    assert found.wanted == f"memory: {96 << 20} bytes"
    assert int(found.measured.split()[0]) > 96 << 20
    until = time.monotonic() + 20
    while len(marked(made.folder)) > 0 and time.monotonic() < until:
        time.sleep(0.02)
    assert marked(made.folder) == []
    made.remove()


def test_memory_that_processes_share_counts_once(place):
    made = box(place, "tight")
    share = "import os, time; x = bytearray(50 << 20); [os.fork() for n in range(2)]; time.sleep(3)"
    assert made.run("python3", "-c", share).ok
    made.must_be_within_budget()
    made.remove()


def test_the_folder_has_a_limit(place):
    made = box(place, "small")
    found = exceeded(made, "sh", "-c", f"head -c 5000000 /dev/zero > {made.folder}/file; exec sleep 600")
    assert found.wanted == f"disk: {1 << 20} bytes"
    made.remove()


def test_a_copy_that_grew_over_the_limit_between_two_looks_is_told_too(place):
    made = box(place, "small")
    (Path(made.folder) / "file").write_bytes(bytes(5_000_000))
    with pytest.raises(StepFailed, match=r"bytes of disk|exceeded its budget") as failure:
        made.must_be_within_budget()
    assert codes(failure) == ["sandbox-too-small"]
    made.remove()


def apart(tmp_path, folder):
    """Sandbox in ``folder``, next to a server with data in ``data``, and backups in ``backups``."""
    for name in ("data", "backups"):
        (tmp_path / name / "inner").mkdir(parents=True)
    services = {
        "cache": {"kind": "redis", "port": 1, "data_directory": str(tmp_path / "data")},
        "box": {"kind": "folder", "sandbox": {"folder": str(folder)}},
    }
    return Estate(tmp_path, services=services, backups={"daily": {"kind": "tar", "at": str(tmp_path / "backups")}})


def refused(place, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StepFailed, match="cannot be created: the sandbox's folder is inside") as failure:
        box(place)
    assert codes(failure) == ["restore-target"]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "path", ["data/box", "data/inner/box", "backups/box", "other/../data/box", "link/box", "link/inner/box"]
)
def test_no_path_leads_into_the_data_of_a_server_or_among_backups(tmp_path, path):
    place = apart(tmp_path, tmp_path / path)
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    refused(place, tmp_path)


@pytest.mark.parametrize("part", ["data", "data/inner"])
def test_no_second_mount_leads_there(tmp_path, part):
    (tmp_path / "mount").mkdir()
    place = apart(tmp_path, tmp_path / "mount" / "box")
    mounted = subprocess.run(["mount", "--bind", tmp_path / part, tmp_path / "mount"], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("this user may not mount")
    try:
        refused(place, tmp_path)
    finally:
        subprocess.run(["umount", tmp_path / "mount"], check=True)


class Stranger(LocalHost):
    """This machine with an SSH user who is neither root nor the user of the sandbox."""

    def run(self, argv, **options):
        return super().run(("printf", "1234") if argv == ("id", "-u") else argv, **options)


def test_a_folder_beside_them_is_made(tmp_path):
    made = box(apart(tmp_path, tmp_path / "data-2"))
    made.remove()


def test_the_controller_takes_no_data_unless_the_inventory_permits_it(place):
    with pytest.raises(NotReady, match="which must not receive production data"):
        box(place, "leaving")
    assert not place.folder("leaving").exists()
    services = [place.inventory.services[name] for name in ("leaving", "box")]
    said = "which must not receive production data"
    refused_until(lambda: Sandbox.of(place.ctx(), services[0]).ready(), said, lambda: services.pop(0))


def test_a_host_that_permits_no_sandbox_is_told_before(place, tmp_path, monkeypatch):
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", path_without(tmp_path / "bin"))
    made = Sandbox.of(place.ctx(), place.inventory.services["box"])
    refused_until(made.ready, "here does not permit a sandbox: ", lambda: monkeypatch.setenv("PATH", path))


def test_a_kind_that_cannot_run_in_a_container_is_told_before(place):
    service = place.inventory.services["box"]
    contained = service.sandbox.model_copy(update={"isolation": "container"})
    services = [service.model_copy(update={"sandbox": contained}), service]
    said = "the sandbox box cannot run in a container: services of this kind do not support that"
    refused_until(lambda: Sandbox.of(place.ctx(), services[0]).ready(), said, lambda: services.pop(0))


@pytest.mark.skipif(not is_root(), reason="only root can make what belongs to others")
def test_a_socket_that_the_ssh_user_could_not_open_is_told(place, tmp_path, monkeypatch):
    """setfacl would give the SSH user access to the socket of another user's server."""
    need("setfacl")
    path, other_user = os.environ["PATH"], need("setpriv")
    monkeypatch.setenv("PATH", path_without(tmp_path / "bin"))
    (tmp_path / "bin" / "setpriv").symlink_to(other_user)
    service = place.inventory.services["box"].model_copy(update={"run_as": "nobody"})
    made = Sandbox(place.ctx(), service, Stranger("here", target=place.host.target))
    refused_until(
        made.must_admit,
        "the SSH user cannot open the socket of a server that runs as nobody",
        lambda: monkeypatch.setenv("PATH", path),
    )


def test_what_is_no_sandbox_is_refused(place):
    services = [place.inventory.services[name] for name in ("plain", "box")]
    refused_until(lambda: Sandbox.of(place.ctx(), services[0]), "plain is not a sandbox", lambda: services.pop(0))
