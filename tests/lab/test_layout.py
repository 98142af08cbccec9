"""Layout of a lab: its folder, its ports and its values."""

import dataclasses
import os
import socket
from pathlib import Path

import pytest

from drillbook.errors import LabError
from drillbook.lab import control, layout
from drillbook.lab.containers import layout as docker_layout
from drillbook.lab.containers.layout import SERVICES, DockerLab
from drillbook.lab.layout import ADDRESS, BLOCK, PORTS, Lab


def test_lookup(lab: Lab) -> None:
    assert control.lookup(lab.folder, "ssh.db-1") == lab.port("ssh.db-1")
    assert control.lookup(lab.folder, "api.url") == lab.api
    assert control.lookup(lab.folder, "secrets.pg_app") == str(lab.folder / "secrets" / "pg_app")
    down = Path("/var/tmp/no-such-lab")
    assert control.lookup(down, "redis.port") == Lab.preferred(down).port("redis")
    with pytest.raises(LabError, match=r"similar names: .*ssh\.db-1"):
        control.lookup(lab.folder, "ssh.db1")


def test_when_a_port_is_taken_the_next_block_is_used(folder: Path) -> None:
    wanted = Lab.preferred(folder)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((ADDRESS, wanted.port("redis")))
        other.listen()
        assert Lab.free(folder).base != wanted.base
    assert Lab.preferred(folder) == wanted
    assert 20000 <= wanted.base <= 29980


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another identity")
def test_a_socket_that_another_user_left_is_avoided(folder: Path) -> None:
    """SeaweedFS of this user could not replace the file in /tmp, and would not start."""
    wanted = Lab.free(folder)  # another lab may use the ports that this folder prefers
    left = Path(f"/tmp/seaweedfs-filer-grpc-{wanted.base + 3}.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(left))
        try:
            assert Lab.free(folder) == wanted, "root replaces it"
            os.seteuid(65534)
            assert Lab.free(folder).base != wanted.base
        finally:
            os.seteuid(0)
            left.unlink()


def test_the_default_folder_is_short_and_stable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRILLBOOK_LAB", raising=False)
    assert control.default_folder(tmp_path) == control.default_folder(tmp_path) != control.default_folder(tmp_path / "other")
    assert str(control.default_folder(tmp_path)).startswith(f"/var/tmp/drillbook-{os.getuid()}-")
    monkeypatch.setenv("DRILLBOOK_LAB", "/var/tmp/chosen")
    assert control.default_folder(tmp_path) == Path("/var/tmp/chosen")


def test_a_lab_is_read_as_it_was_written_and_a_broken_file_is_none(tmp_path):
    written = dataclasses.replace(Lab.preferred(tmp_path), identity="same", pid=7, started=8, ready=True, monitored=False)
    assert Lab.read(tmp_path) is None
    written.write()
    assert Lab.read(tmp_path) == written
    for text in ("{", "[]", '{"base": 20000}'):
        (tmp_path / "lab.json").write_text(text)
        assert Lab.read(tmp_path) is None


def test_every_port_is_in_the_block_of_its_lab(tmp_path):
    lab = Lab.preferred(tmp_path)
    assert [lab.port(name) - lab.base for name in PORTS] == list(range(BLOCK))


def test_a_docker_lab_has_the_names_and_ports_of_its_folder(tmp_path):
    values = DockerLab.preferred(tmp_path).values()
    assert docker_layout.lookup(tmp_path, "ssh.db") == values["ssh.db"] == Lab.preferred(tmp_path).port("ssh.db-1")
    assert values["container.api"] == f"{values['project']}-api-1"
    assert {name for name in values if name.startswith("container.")} == {f"container.{name}" for name in SERVICES}
    with pytest.raises(LabError, match=r"the Docker lab has no value 'ssh\.dbb'") as refused:
        docker_layout.lookup(tmp_path, "ssh.dbb")
    assert refused.value.hint.startswith("similar names: ssh.db")
    assert docker_layout.default_folder(tmp_path).name == layout.default_folder(tmp_path).name + "-docker"
