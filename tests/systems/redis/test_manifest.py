"""Manifest of a saved keyspace; `tests/sdk/test_stored_backup.py` reads the recorded ones."""

import pytest
from pydantic import ValidationError

from drillbook.systems.redis.content import Entry
from drillbook.systems.redis.manifest import Manifest, Place

PLACE = {
    "program": "/usr/bin/valkey-server",
    "directory": "/var/lib/valkey",
    "rdb": "dump.rdb",
    "aof_directory": "appendonlydir",
    "aof": "appendonly.aof",
    "appends": True,
}


def manifest(keys):
    return Manifest(
        run="r1",
        service="cache",
        host="db-1",
        server="valkey",
        server_version="8.0.0",
        taken_at="2026-11-30T12:00:00.000Z",
        place=Place(**PLACE),
        loaded=3,
        keys=keys,
        files={},
    )


def test_keys_are_counted_over_all_databases():
    entry = {kind: Entry(type=kind, sha256="a" * 64) for kind in ("string", "hash")}
    made = manifest({"0": {"a": entry["string"], "b": entry["hash"]}, "3": {"a": entry["string"]}})
    assert (made.count, made.types()) == (3, {"hash": 1, "string": 2})
    assert manifest({}).types() == {}


def test_the_time_of_the_save_has_its_old_name_in_the_store():
    assert b'"snapshot_at": "2026-11-30T12:00:00.000Z"' in manifest({}).encoded().replace(b'":"', b'": "')


@pytest.mark.parametrize(
    "change", [{"directory": "var"}, {"rdb": "../dump.rdb"}, {"rdb": "-x"}, {"aof": "a/b"}, {"aof_directory": ""}], ids=str
)
def test_names_of_files_that_lead_elsewhere_are_refused(change):
    assert Place(**PLACE).rdb == "dump.rdb"
    with pytest.raises(ValidationError):
        Place(**(PLACE | change))
