"""Append-only files of real servers: intact ones restore, and each kind of damage has exactly its finding."""

import re
import shutil

import pytest

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from tests.artefacts import exact
from tests.needs import need
from tests.systems.estate import codes
from tests.systems.redis import artefacts
from tests.systems.redis.alone import Alone, forward
from tests.systems.redis.artefacts import AOF_CORPUS, BASE, FIRST, MANIFEST, changed, rewritten
from tests.systems.redis.artefacts import aof_estate as estate


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Copy of an append-only file: a base with 100 keys, and an increment with 50 more."""
    with artefacts.opened_aof(tmp_path_factory.mktemp("server")) as made:
        yield made


def test_a_whole_folder_has_no_finding_and_restores(tmp_path, folder):
    place = estate(tmp_path, folder, max_age="1h")
    before = {path: path.read_bytes() for path in (tmp_path / "backups").rglob("*.*") if path.is_file()}
    checked = place.run("backup.check", service="logs")
    assert (checked["backup"]["id"], checked["files"], checked["keys_in_base"]) == (
        f"2026-11-27/appendonlydir/{MANIFEST}",
        3,
        100,
    )
    assert place.restore("logs", "copy")["keys"] == 152
    with forward(place, "copy") as client:
        assert client.get("new:49") == b"y" * 40
        assert client.config_get("aof-load-truncated")["aof-load-truncated"] == "no"
    assert place.run("redis.healthy", service="copy")["keys"] == 152
    place.remove("logs", "copy")
    after = {path: path.read_bytes() for path in (tmp_path / "backups").rglob("*.*") if path.is_file()}
    assert after == before, "the backup itself is never opened for writing"


def test_a_single_file_restores(tmp_path, folder):
    place = estate(tmp_path)
    shutil.copy(folder / FIRST, tmp_path / "backups" / "cache-20261127-0300.aof")
    checked = place.run("backup.list", service="logs")
    assert [one["id"] for one in checked["backups"]] == ["cache-20261127-0300.aof"]
    place.run("backup.check", service="logs")
    assert place.restore("logs", "copy")["keys"] == 52
    place.remove("logs", "copy")


@pytest.mark.parametrize("single", [True, False])
def test_a_base_of_a_version_that_valkey_reads_but_does_not_load_is_no_pass(tmp_path, folder, single):
    """The checker reports such a file as valid, and the server refuses to load it."""
    place = estate(tmp_path, None if single else folder)
    base = folder / BASE
    foreign = b"REDIS0012" + base.read_bytes()[9:-8] + bytes(8)
    if single:
        (tmp_path / "backups" / "cache.aof").write_bytes(foreign + (folder / FIRST).read_bytes())
    else:
        (tmp_path / "backups" / "2026-11-27" / "appendonlydir" / BASE).write_bytes(foreign)
    actions = (
        place.action("backup.check", service="logs"),
        place.action("backup.restore", service="copy", **{"from": "logs"}),
    )
    for action in actions:
        with pytest.raises(CouldNotVerify, match="has the format REDIS0012, which the program on here does not know"):
            action.run(place.ctx())
        with pytest.raises(NotReady, match="has the format REDIS0012, which the Redis or Valkey on here does not know"):
            action.ready(place.ctx())
    place.remove("logs", "copy")
    if single:
        shutil.copy(folder / FIRST, tmp_path / "backups" / "cache.aof")
    else:
        shutil.copy(base, tmp_path / "backups" / "2026-11-27" / "appendonlydir" / BASE)
    for action in actions:
        action.ready(place.ctx())


def test_the_newest_of_several_folders_is_chosen_by_its_path(tmp_path, folder):
    place = estate(tmp_path, folder, newest="name")
    shutil.copytree(folder, tmp_path / "backups" / "2026-11-26" / "appendonlydir")
    listed = place.run("backup.list", service="logs")
    assert (listed["count"], listed["newest"]["taken_at"]) == (2, "2026-11-27T00:00:00.000Z")


@pytest.mark.parametrize("artefact", [*AOF_CORPUS.parameters(), *AOF_CORPUS.whole()])
def test_each_append_only_file_has_exactly_its_findings(tmp_path, folder, artefact):
    place = artefact.lay(folder, tmp_path)
    exact(place, artefact)
    if artefact.findings:
        assert place.found_by_restore() == list(artefact.findings)


def test_a_command_that_no_server_knows_is_seen_by_the_restore_alone(tmp_path, folder):
    """A changed byte inside a word keeps the lengths valid: the checker continues, the server refuses."""
    place = estate(tmp_path, folder)
    (tmp_path / "run").mkdir()
    changed(FIRST, b"SET", b"SXT")(tmp_path / "backups" / "2026-11-27" / "appendonlydir")
    assert "changed bytes inside values" in " ".join(place.run("backup.check", service="logs")["not_covered"])
    with pytest.raises(StepFailed) as failure:
        place.restore("logs", "copy")
    assert codes(failure) == ["restore-errors"]
    place.remove("logs", "copy")


def test_parts_of_redis_of_debian(tmp_path):
    """Its manifests contain additional words, and its base begins with another word."""
    server = need("redis-server")
    (tmp_path / "server").mkdir()
    with Alone(tmp_path / "server", server, appendonly="yes", appendfsync="always") as alone:
        alone.client().set("a", 1)
        rewritten(alone.client())
        alone.client().set("b", 1)
        shutil.copytree(tmp_path / "server" / "data" / "appendonlydir", tmp_path / "theirs")
    assert re.search(r"type [bi]", (tmp_path / "theirs" / MANIFEST).read_text())
    place = estate(tmp_path, tmp_path / "theirs", program=server)
    assert place.run("backup.check", service="logs")["keys_in_base"] == 1
    place.inventory.services["copy"] = place.inventory.services["copy"].model_copy(update={"program": server})
    assert place.restore("logs", "copy")["keys"] == 2
    place.remove("logs", "copy")
