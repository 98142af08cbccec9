"""RDB files of real servers: intact ones restore, and each kind of damage has exactly its finding."""

import gzip
import os
import re

import pytest
import redis

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.values import Secret
from tests import keys
from tests.artefacts import exact
from tests.needs import need
from tests.systems.estate import codes
from tests.systems.mariadb.artefacts import PACKERS, packed
from tests.systems.redis import artefacts
from tests.systems.redis.alone import Alone, alive, forward
from tests.systems.redis.artefacts import RDB_CORPUS, aged
from tests.systems.redis.artefacts import rdb_estate as estate
from tests.systems.refusals import refused_until

PASSWORD = "word-of-the-copy"


@pytest.fixture(scope="module")
def rdb(tmp_path_factory):
    """RDB with all data types that a server stores."""
    with artefacts.opened_rdb(tmp_path_factory.mktemp("server")) as data:
        yield data


@pytest.mark.parametrize("name", ["dump.rdb", "dump.rdb.gz"])
def test_a_whole_dump_has_no_finding_and_restores(tmp_path, rdb, name):
    place = estate(tmp_path, gzip.compress(rdb) if name.endswith("gz") else rdb, name, max_age="1h")
    checked = place.run("backup.check", service="dumps")
    assert (checked["keys"], checked["expires"], checked["databases"]) == (306, 1, 21)
    assert "the checksum of the whole file" in checked["covered"]
    facts = place.restore("dumps", "copy")
    assert (facts["keys"], facts["databases"]) == (306, {"0": 305, "20": 1})
    assert set(facts["seconds"]) == {"sandbox", "fetch", "check", "load", "total"}
    healthy = place.run("redis.healthy", service="copy")
    assert (healthy["keys"], healthy["persistence"]["append_only"]) == (306, False)
    with forward(place, "copy") as client:
        assert client.lrange("queue", 0, -1) == [b"b", b"a", b"b"]
        assert client.fcall("f", 0) == 1
        assert client.config_get("port")["port"] == "0"
        pid = client.info("server")["process_id"]
    place.remove("dumps", "copy")
    assert not place.folder("copy").exists()
    assert not alive(pid)


@pytest.mark.parametrize("artefact", [*RDB_CORPUS.parameters(), *RDB_CORPUS.whole()])
def test_each_dump_has_exactly_its_findings(tmp_path, rdb, artefact):
    """A restore reports the same findings, except those of the list of backups."""
    place = artefact.lay(rdb, tmp_path)
    exact(place, artefact)
    if artefact.findings in (("backup-damaged",), ("backup-empty",)):
        assert place.found_by_restore() == list(artefact.findings)


def test_a_truncated_dump_is_first_called_lost(tmp_path, rdb):
    place = estate(tmp_path, rdb[: len(rdb) // 2], "dump.rdb", pattern="*")
    with pytest.raises(StepFailed) as failure:
        place.run("backup.check", service="dumps")
    assert failure.value.findings[0].remedy.startswith("Treat this backup as lost.")


def test_a_new_copy_of_an_old_dump_is_old(tmp_path, rdb):
    """The time of the file is misleading: it was copied just now."""
    old = aged(tmp_path)
    place = estate(tmp_path, old, max_age="1h")
    with pytest.raises(StepFailed) as failure:
        place.run("backup.list", service="dumps")
    assert codes(failure) == ["backup-too-old"]
    measured = place.run("backup.measure", service="dumps")
    assert 7100 < measured["loss_s"] < 7500
    assert "header of the RDB" in measured["basis"]
    (tmp_path / "backups" / "fresh.rdb").write_bytes(rdb)
    os.utime(tmp_path / "backups" / "fresh.rdb", (1, 1))
    assert place.run("backup.list", service="dumps")["newest"]["id"] == "fresh.rdb"


def test_without_a_checksum_the_check_says_what_it_cannot_see(tmp_path):
    place = estate(tmp_path, aged(tmp_path))
    checked = place.run("backup.check", service="dumps")
    assert "saved without a checksum" in " ".join(checked["not_covered"])
    assert "the checksum of the whole file" not in checked["covered"]


def laid(folder, data, name):
    """Put a file with this name into the folder: compressed by its suffix, and encrypted if there is a key."""
    file = folder / "backups" / name.removesuffix(".age")
    file.write_bytes(packed(data, file.suffix.removeprefix(".")))
    if name.endswith(".age"):
        target = file.with_name(name)
        target.unlink(missing_ok=True)
        keys.Key(re.findall("age1[0-9a-z]+", (folder / "key.txt").read_text())[0], None).sealed(file)


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        *(
            (name, False)
            for name in ("dump.rdb", *(f"dump.rdb.{end}" for end in PACKERS), "dump.rdb.age", "dump.rdb.zst.age")
        ),
        ("dump.rdb", True),
    ],
)
def test_a_format_of_the_future_is_no_damage_and_no_pass(tmp_path, rdb, name, printed):
    """A check before the drill refuses the file by its first word; the steps fail for the same reason."""
    changed, source = b"REDIS0099" + rdb[9:], {}
    if name.endswith(".age"):
        need("age")
        source = {"identity": keys.made(tmp_path).identity}
    if printed:
        source = {"at": ["cat", f"{tmp_path}/backups/{name}"]}
    place = estate(tmp_path, **source)
    laid(tmp_path, changed, name)
    name, file = "output" if printed else name, name
    steps = {"backup.check": {"service": "dumps"}, "backup.restore": {"service": "copy", "from": "dumps"}}
    for step, fields in steps.items():
        action = place.action(step, **fields)
        with pytest.raises(
            NotReady, match=f"{name} has the format REDIS0099, which the Redis or Valkey on here does not know"
        ):
            action.ready(place.ctx())
        with pytest.raises(CouldNotVerify, match="does not know"):
            action.run(place.ctx())
    place.remove("dumps", "copy")
    laid(tmp_path, rdb, file)
    for step, fields in steps.items():
        place.action(step, **fields).ready(place.ctx())


@pytest.mark.parametrize("version", [b"REDIS0012", b"VALKEY099"])
@pytest.mark.parametrize("whole", [True, False])
def test_a_version_that_valkey_reads_but_does_not_load_is_no_damage_and_no_pass(tmp_path, rdb, version, whole):
    """The checker of Valkey 9 reads such a file to its end, but its server refuses to load the file."""
    changed = version + rdb[9:-8] + bytes(8)
    place = estate(tmp_path, changed if whole else changed[: len(changed) // 2])
    steps = {"backup.check": {"service": "dumps"}, "backup.restore": {"service": "copy", "from": "dumps"}}
    said = f"has the format {version.decode()}, which the"
    for step, fields in steps.items():
        action = place.action(step, **fields)
        with pytest.raises(NotReady, match=said):
            action.ready(place.ctx())
        with pytest.raises(CouldNotVerify, match=said):
            action.run(place.ctx())
    place.remove("dumps", "copy")


def test_a_checker_on_path_knows_its_own_format_and_none_of_the_future(tmp_path, rdb):
    need("redis-check-rdb")
    files = {"future.rdb": b"REDIS0099" + rdb[9:], "own.rdb": b"REDIS0009" + rdb[9:], "other.rdb": b"no RDB at all"}
    place = estate(tmp_path, files["future.rdb"], "future.rdb", program="")
    check = place.action("backup.check", service="dumps")

    def mend():
        (tmp_path / "backups" / "future.rdb").write_bytes(files["own.rdb"])

    refused_until(lambda: check.ready(place.ctx()), "has the format REDIS0099, which the Redis or Valkey", mend)
    (tmp_path / "backups" / "future.rdb").write_bytes(files["other.rdb"])
    check.ready(place.ctx())


def test_a_copy_with_a_password_lets_only_its_user_in(tmp_path, rdb, monkeypatch):
    monkeypatch.setenv("COPY_WORD", PASSWORD)
    place = estate(tmp_path, rdb)
    for user in ("", "reader"):
        service = place.inventory.services["copy"]
        secret = Secret(source="env", name="COPY_WORD")
        place.inventory.services["copy"] = service.model_copy(update={"user": user, "password": secret})
        place.restore("dumps", "copy")
        assert place.run("redis.healthy", service="copy")["keys"] == 306
        if not user:
            with pytest.raises(redis.AuthenticationError):
                redis.Redis(unix_socket_path=service.socket).ping()
        place.remove("dumps", "copy")


def test_a_dump_with_redis_of_debian(tmp_path):
    """Checker and server are looked up on PATH, and the programs of Redis read a dump of Redis."""
    server, _ = need("redis-server"), need("redis-check-rdb")
    (tmp_path / "server").mkdir()
    with Alone(tmp_path / "server", server) as alone:
        alone.client().hset("h", mapping={"a": 1})
        alone.client().execute_command("HEXPIRE", "h", 1000, "FIELDS", 1, "a")
        data = alone.saved()
    place = estate(tmp_path, data, program="")
    assert place.run("backup.check", service="dumps")["keys"] == 1
    place.inventory.services["copy"] = place.inventory.services["copy"].model_copy(update={"program": ""})
    assert place.restore("dumps", "copy")["server"].startswith("redis ")
    place.remove("dumps", "copy")
    foreign = estate(tmp_path / "foreign", data)
    with pytest.raises((CouldNotVerify, NotReady), match="does not know"):
        foreign.run("backup.check", service="dumps")


def test_ready_says_what_is_missing(tmp_path, rdb):
    place = estate(tmp_path, rdb)
    for name, action, fields in (
        ("dumps", "backup.check", {"service": "dumps"}),
        ("copy", "backup.restore", {"service": "copy", "from": "dumps"}),
    ):
        kept = place.inventory.services[name]
        place.inventory.services[name] = kept.model_copy(update={"program": "/nowhere/redis-server"})
        refused_until(
            lambda: place.action(action, **fields).ready(place.ctx()),  # noqa: B023  runs at once
            "has no /nowhere/redis-server",
            lambda: place.inventory.services.update({name: kept}),  # noqa: B023
        )
