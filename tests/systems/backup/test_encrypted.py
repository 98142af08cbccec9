"""Backups that a team encrypted with age: intact ones restore, and each damage or lost key has exactly one finding."""

import os
import sqlite3
import subprocess

import pytest

from drillbook.errors import StepFailed
from drillbook.values import Secret
from tests import keys
from tests.needs import need
from tests.systems.estate import Estate, codes
from tests.systems.postgres import dumps
from tests.systems.redis.alone import Alone
from tests.systems.redis.unit import program
from tests.systems.refusals import refused_until


@pytest.fixture
def key(tmp_path):
    need("age")
    return keys.made(tmp_path)


@pytest.fixture
def archive(tmp_path, key):
    """Encrypted archive of a folder, in `backups`."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "orders").write_bytes(os.urandom(300_000))
    (tmp_path / "backups").mkdir()
    path = tmp_path / "backups" / "www.tar.gz"
    subprocess.run(["tar", "-czf", path, "-C", tmp_path / "source", "."], check=True)
    return key.sealed(path)


def estate(tmp_path, identity, *, kind="tar", box=None, **source):
    copy = box or {"kind": "folder"}
    secret = {"identity": identity} if identity else {}
    given = {"kind": kind, "at": str(tmp_path / "backups"), **secret, **source}
    return Estate(tmp_path, services={"copy": {**copy, "sandbox": {}}}, backups={"nightly": given})


def broken(place, code):
    """Assert that check and restore both report exactly ``code``, and leave no decrypted file."""
    for run in (lambda: place.run("backup.check", service="nightly"), lambda: place.restore("nightly", "copy")):
        with pytest.raises(StepFailed) as failure:
            run()
        assert codes(failure) == [code]
    place.remove("nightly", "copy")
    assert left(place) == []


def left(place):
    return [path for path in (place.root / "scratch").rglob("*") if path.is_file()]


def test_a_whole_archive_restores_and_nothing_decrypted_stays(tmp_path, key, archive):
    before = archive.read_bytes()
    place = estate(tmp_path, key.identity, pattern="*.tar.gz.age")
    checked = place.run("backup.check", service="nightly")
    assert (checked["files"], checked["backup"]["id"]) == (1, "www.tar.gz.age")
    assert "the compression's checksum of the content" in checked["covered"]
    assert left(place) == []
    place.restore("nightly", "copy")
    assert (place.folder("copy") / "data" / "orders").read_bytes() == (tmp_path / "source" / "orders").read_bytes()
    assert [path.name for path in place.folder("copy").rglob("*.tar*")] == []
    place.remove("nightly", "copy")
    assert archive.read_bytes() == before


@pytest.mark.parametrize("lost", ["no identity", "not set", "another", "no key in it"])
def test_a_lost_key_is_told(tmp_path, key, archive, lost):
    (tmp_path / "empty").write_text("# public key: lost\n")
    identity = {
        "no identity": None,
        "not set": Secret(source="env", name="NO_SUCH_KEY"),
        "another": keys.made(tmp_path, "another").identity,
        "no key in it": Secret(source="file", name=str(tmp_path / "empty")),
    }[lost]
    broken(estate(tmp_path, identity), "backup-key-lost")


@pytest.mark.parametrize("share", [0.0, 0.0003, 0.3, 0.9, 0.99999])
def test_a_cipher_text_that_was_cut_off_is_damaged(tmp_path, key, archive, share):
    os.truncate(archive, int(archive.stat().st_size * share))
    broken(estate(tmp_path, key.identity), "backup-damaged")


@pytest.mark.parametrize("share", [0.001, 0.3, 0.7, 0.99999])
def test_a_flipped_bit_is_damage(tmp_path, key, archive, share):
    dumps.flip(share)(archive)
    broken(estate(tmp_path, key.identity), "backup-damaged")


def test_a_plain_archive_under_the_name_of_an_encrypted_one_is_damaged(tmp_path, key, archive):
    archive.write_bytes(key.opened(archive.read_bytes()))
    broken(estate(tmp_path, key.identity), "backup-damaged")


def test_a_damaged_archive_inside_of_a_whole_cipher_text_is_damaged(tmp_path, key, archive):
    path = archive.with_suffix("")
    path.write_bytes(key.opened(archive.read_bytes())[:-2000])
    archive.unlink()
    key.sealed(path)
    broken(estate(tmp_path, key.identity), "backup-damaged")


def test_a_database_of_sqlite(tmp_path, key):
    (tmp_path / "backups").mkdir()
    path = tmp_path / "backups" / "shop.db"
    with sqlite3.connect(path) as session:
        session.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        session.execute("INSERT INTO orders VALUES (1)")
    session.close()
    key.sealed(path)
    place = estate(tmp_path, key.identity, kind="sqlite")
    assert place.run("backup.check", service="nightly")["tables"] == {"orders": 1}
    place.restore("nightly", "copy")
    assert [path.name for path in (place.folder("copy") / "data").iterdir()] == ["shop.db"]
    place.remove("nightly", "copy")
    assert left(place) == []


def test_a_keyspace_of_redis(tmp_path, key):
    (tmp_path / "backups").mkdir()
    (tmp_path / "server").mkdir()
    with Alone(tmp_path / "server") as server:
        server.client().set("orders", "1")
        (tmp_path / "backups" / "dump.rdb").write_bytes(server.saved())
    key.sealed(tmp_path / "backups" / "dump.rdb")
    box = {"kind": "redis", "program": program()}
    place = estate(tmp_path, key.identity, kind="redis_rdb", box=box, program=program())
    assert place.run("backup.check", service="nightly")["keys"] == 1
    assert place.restore("nightly", "copy")["keys"] == 1
    place.remove("nightly", "copy")
    assert left(place) == []


def test_an_append_only_file_is_not_decrypted_and_says_so(tmp_path, key):
    (tmp_path / "backups").mkdir()
    box = {"kind": "redis", "program": program()}
    place = estate(tmp_path, key.identity, kind="redis_aof", box=box, program=program())
    check, services, said = (
        place.action("backup.check", service="nightly"),
        place.inventory.services,
        "Drillbook cannot decrypt backups of kind redis_aof",
    )
    readable = services["nightly"].model_copy(update={"identity": None})
    refused_until(lambda: check.ready(place.ctx()), said, lambda: services.update(nightly=readable))
