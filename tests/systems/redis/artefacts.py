"""Files of real Valkey servers as a corpus: RDB files and append-only files, intact ones and ones with a single damage."""

from __future__ import annotations

import gzip
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drillbook.systems.redis.verification import saved_at
from tests.artefacts import CHANGED, CUT, EMPTY, LOST, OLD, OTHER, WHOLE, Artefact, Corpus
from tests.systems.estate import Estate
from tests.systems.redis.alone import Alone
from tests.systems.redis.unit import program

BASE, FIRST, SECOND = (f"appendonly.aof.{end}" for end in ("2.base.rdb", "2.incr.aof", "3.incr.aof"))
MANIFEST = "appendonly.aof.manifest"


def fill(client):
    pipe = client.pipeline(transaction=False)
    for number in range(300):
        pipe.set(f"page:{number}", os.urandom(60))
    pipe.hset("session:1", mapping={"user": "one", "token": "t" * 50})
    pipe.execute_command("HPEXPIRE", "session:1", 3_600_000, "FIELDS", 1, "token")
    pipe.rpush("queue", "b", "a", "b")
    pipe.zadd("ranks", {"one": 1, "third": 1 / 3})
    pipe.xadd("events", {"a": "1"}, id="1-1")
    pipe.set("lease", "mine", ex=3600)
    pipe.function_load("#!lua name=lib\nserver.register_function('f', function() return 1 end)")
    pipe.execute_command("SELECT", 20)
    pipe.set("far", "away")
    pipe.execute()


def rdb_estate(tmp_path, data=None, name="dump.rdb", **source):
    (tmp_path / "backups").mkdir(parents=True, exist_ok=True)
    if data is not None:
        (tmp_path / "backups" / name).write_bytes(data)
    return Estate(
        tmp_path,
        services={"copy": {"kind": "redis", "program": program(), "sandbox": {}}},
        backups={"dumps": {"kind": "redis_rdb", "at": str(tmp_path / "backups"), "program": program(), **source}},
    )


def flipped(data, at, bit=0x40):
    return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]


BROKEN_RDB = {
    "cut off in the first word": (lambda rdb: rdb[:5], "backup-damaged"),
    "cut off in the header": (lambda rdb: rdb[:40], "backup-damaged"),
    "cut off after a tenth": (lambda rdb: rdb[: len(rdb) // 10], "backup-damaged"),
    "cut off in the middle": (lambda rdb: rdb[: len(rdb) // 2], "backup-damaged"),
    "cut off before its end": (lambda rdb: rdb[:-9], "backup-damaged"),
    "cut off in the checksum": (lambda rdb: rdb[:-3], "backup-damaged"),
    "another first word": (lambda rdb: flipped(rdb, 0), "backup-damaged"),
    "a bit of a value": (lambda rdb: flipped(rdb, len(rdb) // 2), "backup-damaged"),
    "a bit near its end": (lambda rdb: flipped(rdb, len(rdb) - 12), "backup-damaged"),
    "a bit of the checksum": (lambda rdb: flipped(rdb, len(rdb) - 2), "backup-damaged"),
    "bytes behind its end": (lambda rdb: rdb + b"\0" * 100, "backup-damaged"),
    "twice in one file": (lambda rdb: rdb + rdb, "backup-damaged"),
    "zeros in the middle": (lambda rdb: rdb[:5000] + bytes(4096) + rdb[9096:], "backup-damaged"),
    "compressed under a plain name": (gzip.compress, "backup-damaged"),
    "commands instead of an RDB": (lambda rdb: b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n", "backup-damaged"),
}


def aged(tmp_path):
    """RDB whose header says that it was saved two hours ago; without a checksum, which the changed header would break."""
    (tmp_path / "server").mkdir()
    with Alone(tmp_path / "server", rdbchecksum="no") as server:
        server.client().set("a", 1)
        data = server.saved()
    moment = saved_at(data)
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 60
    now = int(moment.timestamp())
    assert data.count(now.to_bytes(4, "little")) == 1
    return data.replace(now.to_bytes(4, "little"), (now - 7200).to_bytes(4, "little"))


def rewritten(client):
    client.bgrewriteaof()
    until = time.monotonic() + 60
    while client.info("persistence")["aof_rewrite_in_progress"] or client.info("persistence")["aof_rewrite_scheduled"]:
        assert time.monotonic() < until
        time.sleep(0.02)


def aof_estate(tmp_path, folder=None, **source):
    place = tmp_path / "backups"
    if folder is not None:
        shutil.copytree(folder, place / "2026-11-27" / "appendonlydir")
    else:
        place.mkdir()
    return Estate(
        tmp_path,
        services={"copy": {"kind": "redis", "program": program(), "sandbox": {}}},
        backups={"logs": {"kind": "redis_aof", "at": str(place), "program": program(), **source}},
    )


def cut(name, share):
    def change(folder):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * share)])

    return change


def changed(name, old, new):
    def change(folder):
        data = (folder / name).read_bytes()
        assert old in data
        (folder / name).write_bytes(data.replace(old, new, 1))

    return change


def without_its_exec(folder):
    data = (folder / FIRST).read_bytes()
    (folder / FIRST).write_bytes(data[: data.rindex(b"*1\r\n$4\r\nEXEC")])


def flipped_file(name):
    def change(folder):
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 0x40
        (folder / name).write_bytes(data)

    return change


def newer_part(folder):
    shutil.copy(folder / FIRST, folder / SECOND)


def of_an_older_manifest(folder):
    (folder / FIRST).rename(folder / SECOND)
    (folder / MANIFEST).write_text(f"file {BASE} seq 2 type b\n")


def newer_manifest(folder):
    (folder / MANIFEST).write_text((folder / MANIFEST).read_text() + f"file {SECOND} seq 3 type i\n")


BROKEN_AOF = {
    "increment cut off in a command": (cut(FIRST, 0.503), "backup-damaged"),
    "increment cut off near its end": (cut(FIRST, 0.999), "backup-damaged"),
    "increment cut off in a transaction": (without_its_exec, "backup-damaged"),
    "a changed length in a command": (changed(FIRST, b"$40\r\n", b"$41\r\n"), "backup-damaged"),
    "a changed number of words": (changed(FIRST, b"*3\r\n", b"*4\r\n"), "backup-damaged"),
    "zeros in the increment": (changed(FIRST, b"$3\r\nSET", bytes(7)), "backup-damaged"),
    "base cut off": (cut(BASE, 0.5), "backup-damaged"),
    "base of no bytes": (cut(BASE, 0), "backup-damaged"),
    "a bit of the base": (flipped_file(BASE), "backup-damaged"),
    "base missing": (lambda folder: (folder / BASE).unlink(), "backup-missing"),
    "increment missing": (lambda folder: (folder / FIRST).unlink(), "backup-missing"),
    "manifest missing": (lambda folder: (folder / MANIFEST).unlink(), "backup-missing"),
    "manifest of no bytes": (cut(MANIFEST, 0), "backup-damaged"),
    "manifest cut off": (cut(MANIFEST, 0.7), "backup-damaged"),
    "newer manifest than files": (newer_manifest, "backup-missing"),
    "newer files than manifest": (newer_part, "backup-damaged"),
    "increment not in the manifest": (of_an_older_manifest, "backup-damaged"),
}


@contextmanager
def opened_rdb(folder: Path) -> Iterator[bytes]:
    """RDB with all data types that a server stores."""
    with Alone(folder) as server:
        fill(server.client())
        yield server.saved()


@contextmanager
def opened_aof(folder: Path) -> Iterator[Path]:
    """Copy of an append-only file: a base with 100 keys, and an increment with 50 more."""
    with Alone(folder, appendonly="yes", appendfsync="always") as server:
        client = server.client()
        for number in range(100):
            client.set(f"page:{number}", "x" * 40)
        rewritten(client)
        for number in range(50):
            client.set(f"new:{number}", "y" * 40)
        client.execute_command("MULTI")
        client.set("pair:1", 1)
        client.set("pair:2", 2)
        client.execute_command("EXEC")
        shutil.copytree(folder / "data" / "appendonlydir", folder / "copy")
    assert {path.name for path in (folder / "copy").iterdir()} == {BASE, FIRST, MANIFEST}
    yield folder / "copy"


def lay(change: Callable[[bytes], bytes], name: str = "dump.rdb", **source: Any) -> Callable[[bytes, Path], Estate]:
    return lambda rdb, root: rdb_estate(root, change(rdb), name, **source)


def lay_aof(change: Callable[[Path], object], **source: Any) -> Callable[[Path, Path], Estate]:
    def laid(folder: Path, root: Path) -> Estate:
        made = aof_estate(root, folder, **source)
        (root / "run").mkdir()
        change(root / "backups" / "2026-11-27" / "appendonlydir")
        return made

    return laid


def of_no_key(_: bytes, root: Path) -> Estate:
    (root / "server").mkdir()
    with Alone(root / "server") as server:
        return rdb_estate(root, server.saved())


def of_expired_keys(_: bytes, root: Path) -> Estate:
    (root / "server").mkdir()
    with Alone(root / "server") as server:
        server.client().set("brief", 1, px=300)
        brief = server.saved()
        while server.client().exists("brief"):
            time.sleep(0.02)
    return rdb_estate(root, brief)


def old_dump(_: bytes, root: Path) -> Estate:
    """New copy of an old dump: the time of the file is misleading."""
    return rdb_estate(root, aged(root), max_age="1h")


def compressed_old_dump(_: bytes, root: Path) -> Estate:
    return rdb_estate(root, gzip.compress(aged(root)), "dump.rdb.gz", max_age="1h")


def aof_of(act: Callable[[Any], object]) -> Callable[[Path, Path], Estate]:
    """Append-only file of a separate server."""

    def laid(_: Path, root: Path) -> Estate:
        (root / "server").mkdir()
        with Alone(root / "server", appendonly="yes", appendfsync="always") as server:
            act(server.client())
            shutil.copytree(root / "server" / "data" / "appendonlydir", root / "saved")
        return aof_estate(root, root / "saved")

    return laid


def flushed(client: Any) -> None:
    client.set("a", 1)
    client.flushall()


def _sort(what: str) -> str:
    words = (("cut off", CUT), ("of no bytes", EMPTY), ("missing", LOST), ("newer", OTHER), ("not in the manifest", OTHER))
    others = (("twice in", OTHER), ("under a plain name", OTHER), ("instead of", OTHER))
    return next((sort for word, sort in (*words, *others) if word in what), CHANGED)


_DAMAGED, _EMPTY = ("backup-damaged",), ("backup-empty",)
RDB = (
    Artefact("whole", WHOLE, (), lay(lambda rdb: rdb, max_age="1h")),
    Artefact("whole: compressed", WHOLE, (), lay(gzip.compress, "dump.rdb.gz")),
    *(Artefact(what, _sort(what), (code,), lay(change)) for what, (change, code) in BROKEN_RDB.items()),
    Artefact("no bytes", EMPTY, ("backup-empty", "backup-shrunken"), lay(lambda rdb: b"")),
    Artefact("compressed and cut off", CUT, _DAMAGED, lay(lambda rdb: gzip.compress(rdb)[: len(rdb) // 2], "dump.rdb.gz")),
    Artefact(
        "compressed, a bit changed",
        CHANGED,
        _DAMAGED,
        lay(lambda rdb: flipped(gzip.compress(rdb), len(gzip.compress(rdb)) // 2), "dump.rdb.gz"),
    ),
    Artefact("no key", EMPTY, _EMPTY, of_no_key),
    Artefact("expired keys alone", EMPTY, _EMPTY, of_expired_keys),
    Artefact("a new copy of an old dump", OLD, ("backup-too-old",), old_dump),
    Artefact("an old dump, compressed", OLD, ("backup-too-old",), compressed_old_dump),
)
AOF = (
    Artefact("whole", WHOLE, (), lay_aof(lambda folder: None, max_age="1h")),
    *(Artefact(what, _sort(what), (code,), lay_aof(change)) for what, (change, code) in BROKEN_AOF.items()),
    Artefact("of nothing", EMPTY, _EMPTY, aof_of(lambda client: None)),
    Artefact("commands that leave no key", EMPTY, _EMPTY, aof_of(flushed), seen_by="restore"),
    Artefact(
        "a command that no server knows",
        CHANGED,
        ("restore-errors",),
        lay_aof(changed(FIRST, b"SET", b"SXT")),
        seen_by="restore",
    ),
)
RDB_CORPUS, AOF_CORPUS = Corpus("redis_rdb", opened_rdb, RDB), Corpus("redis_aof", opened_aof, AOF)
CORPORA = (RDB_CORPUS, AOF_CORPUS)
