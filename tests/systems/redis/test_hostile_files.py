"""Sandboxed copy of a cache: it connects to no other server and runs no code, whatever its files contain."""

import pytest
import redis

from drillbook.errors import StepFailed
from drillbook.systems.redis.disposable_server.sandboxed import REFUSED
from tests.ports import free_port
from tests.systems.estate import codes
from tests.systems.redis import artefacts
from tests.systems.redis.alone import Alone, forward
from tests.systems.redis.artefacts import FIRST, aof_estate


def words(*arguments):
    """Command in the form of an append-only file."""
    return b"".join([b"*%d\r\n" % len(arguments), *(b"$%d\r\n%s\r\n" % (len(word), word) for word in arguments)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with artefacts.opened_aof(tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest.fixture
def production(tmp_path):
    """Server at a port that the sandbox could reach, with a separate key."""
    (tmp_path / "production").mkdir()
    with Alone(tmp_path / "production", port=str(free_port())) as alone:
        alone.client().set("of production", "x")
        yield alone


@pytest.mark.parametrize("command", [b"REPLICAOF", b"SLAVEOF"])
def test_a_restored_copy_follows_no_server_even_without_a_network_of_its_own(tmp_path, folder, production, command):
    port = production.client().config_get("port")["port"].encode()
    place = aof_estate(tmp_path, folder)
    (tmp_path / "run").mkdir()
    service = place.inventory.services["copy"]
    config = service.sandbox.model_copy(update={"isolation": "none"})
    place.inventory.services["copy"] = service.model_copy(update={"sandbox": config})
    with (tmp_path / "backups" / "2026-11-27" / "appendonlydir" / FIRST).open("ab") as file:
        file.write(words(command, b"127.0.0.1", port))
    try:
        with pytest.raises(StepFailed) as failure:
            place.restore("logs", "copy")
        assert codes(failure) == ["restore-errors"]
        assert "unknown command" in failure.value.findings[0].measured
        assert production.client().info("replication")["connected_slaves"] == 0
        assert "cmdstat_psync" not in production.client().info("commandstats")
    finally:
        place.remove("logs", "copy")


def test_a_server_on_a_whole_file_knows_no_command_that_reaches_another_server(tmp_path, folder):
    place = aof_estate(tmp_path, folder)
    try:
        place.restore("logs", "copy")
        with forward(place, "copy") as client:
            assert client.info("replication")["role"] == "master"
            for command in REFUSED:
                with pytest.raises(redis.ResponseError, match="unknown command"):
                    client.execute_command(command, "127.0.0.1", "6379")
    finally:
        place.remove("logs", "copy")
