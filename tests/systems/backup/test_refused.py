"""Hosts of backups that lack a program: told before a drill, and ready once it is there."""

import os
import shutil

import pytest

from drillbook.systems.mariadb import server
from drillbook.systems.mariadb.service import Mariadb
from tests.needs import need
from tests.systems.estate import Estate
from tests.systems.ground import PLAIN, path_without
from tests.systems.refusals import refused_until

RESTIC = {"kind": "restic", "repository": "/nowhere", "password": {"source": "env", "name": "HOME"}, "paths": ["/srv"]}
WITHOUT_MODULE = f'case "$*" in *sqlite3*) exit 1;; esac\nexec {shutil.which("python3", path=PLAIN["PATH"])} "$@"'


def put(folder, name, script):
    """Put a program into the PATH of the host: this script, or the real one."""
    (folder / name).unlink(missing_ok=True)
    if script:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    else:
        (folder / name).symlink_to(shutil.which(name, path=PLAIN["PATH"]) or need(name))


@pytest.mark.parametrize(
    ("source", "program", "before", "said", "after"),
    [
        ({"kind": "tar"}, "tar", None, "has no tar", ""),
        ({"kind": "tar", "pattern": "*.tar.gz"}, "gzip", None, "has no gzip", ""),
        ({"kind": "mariadb_dump", "pattern": "*.sql.gz"}, "gzip", None, "has no gzip", ""),
        (RESTIC, "restic", None, "has no restic", "echo restic 0.17.3"),
        (RESTIC, "restic", "echo restic 0.9.6", "this restic is too old: restic 0.9.6", "echo restic 0.17.3"),
        ({"kind": "sqlite"}, "python3", None, "has no python3", ""),
        ({"kind": "sqlite"}, "python3", WITHOUT_MODULE, "python3 has no module sqlite3", ""),
        ({"kind": "pg_dump"}, "pg_restore", None, "has no pg_restore", "exit 1"),
        ({"kind": "redis_rdb"}, "redis-check-rdb", None, "has no redis-check-rdb, valkey-check-rdb or server", "exit 0"),
    ],
    ids=["tar", "unpacker", "unpacker of a dump", "restic", "old restic", "python", "module", "dump", "checker"],
)
def test_a_source_whose_host_lacks_a_program(tmp_path, monkeypatch, source, program, before, said, after):
    given = source if "repository" in source else {"at": str(tmp_path), **source}
    place = Estate(tmp_path, services={}, backups={"saved": given})
    folder = tmp_path / "bin"
    monkeypatch.setenv("PATH", path_without(folder, program))
    for name in {"find", "od", "uniq", "tar", "gzip"} - {program}:
        put(folder, name, "")
    (tmp_path / "shop.dump").write_bytes(b"PGDMP\1\17\0\4\10\1" + bytes(100))
    if before:
        put(folder, program, before)
    check = place.action("backup.list", service="saved")
    refused_until(lambda: check.ready(place.ctx()), said, lambda: put(folder, program, after))


@pytest.mark.parametrize(
    ("check", "before", "said"),
    [
        (lambda ctx, service: server.need(ctx, service, ("mariadb",)), None, "has no .*/bin/mariadb"),
        (server.need_safe_client, "exit 7", "has no option --sandbox"),
    ],
    ids=["missing", "old"],
)
def test_a_client_of_mariadb(ground, check, before, said):
    folder = ground.root / "bin"
    folder.mkdir()
    if before:
        put(folder, "mariadb", before)
    service = Mariadb(name="shop", host="here", bin=str(folder))
    refused_until(lambda: check(ground.ctx(), service), said, lambda: put(folder, "mariadb", "exit 0"))
    assert os.access(folder / "mariadb", os.X_OK)
