"""Hosts of backups without a program: reported before a drill, and accepted once the program exists."""

import os
import shutil
from dataclasses import replace

import pytest

from drillbook.hosts.local import LocalHost
from drillbook.sdk.host import Target
from drillbook.sdk.host_needs import BASE
from drillbook.sdk.sandbox import Sandbox
from drillbook.sdk.service import Http
from drillbook.systems.files.service import Folder
from drillbook.systems.mariadb import disposable_server
from drillbook.systems.mariadb.dump_source import MariadbDump
from drillbook.systems.mariadb.service import Mariadb
from drillbook.systems.postgres import disposable_server as postgres_sandbox
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.source import PgDumpSource
from drillbook.systems.redis.rdb_source import RdbSource
from drillbook.systems.redis.service import Redis
from drillbook.systems.tar.source import TarSource
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
        ({"kind": "tar", "pattern": "saved*"}, "gzip", None, "has no gzip", ""),
        ({"kind": "mariadb_dump", "pattern": "*.sql.gz"}, "gzip", None, "has no gzip", ""),
        ({"kind": "mariadb_dump", "pattern": "saved*"}, "gzip", None, "has no gzip", ""),
        (RESTIC, "restic", None, "has no restic", "echo restic 0.17.3"),
        (RESTIC, "restic", "echo restic 0.9.6", "the installed restic is too old: restic 0.9.6", "echo restic 0.17.3"),
        ({"kind": "sqlite"}, "python3", None, "has no python3", ""),
        ({"kind": "sqlite"}, "python3", WITHOUT_MODULE, "python3 has no module sqlite3", ""),
        ({"kind": "pg_dump"}, "pg_restore", None, "has no pg_restore", "exit 1"),
        ({"kind": "pg_dump", "pattern": "saved*"}, "zstd", None, "has no zstd, which the dump saved.sql.gz needs", "exit 0"),
        ({"kind": "redis_rdb", "pattern": "saved*"}, "gzip", None, "has no gzip", ""),
        ({"kind": "redis_rdb"}, "redis-check-rdb", None, "has no redis-check-rdb, valkey-check-rdb or server", "exit 0"),
    ],
    ids=[
        *("tar", "unpacker", "unpacker of the newest", "unpacker of a dump", "unpacker of the newest dump", "restic"),
        *("old restic", "python", "module", "dump", "packed dump", "packed file of Redis", "checker"),
    ],
)
def test_a_source_whose_host_lacks_a_program(tmp_path, monkeypatch, source, program, before, said, after):
    given = source if "repository" in source else {"at": str(tmp_path), **source}
    place = Estate(tmp_path, services={}, backups={"saved": given})
    folder = tmp_path / "bin"
    monkeypatch.setenv("PATH", path_without(folder, program))
    for name in {*BASE, "uniq", "tar", "gzip"} - {program}:
        put(folder, name, "")
    if program != "redis-check-rdb":
        put(folder, "redis-check-rdb", "exit 0")
    (tmp_path / "shop.dump").write_bytes(b"PGDMP\1\17\0\4\10\1" + bytes(100))
    (tmp_path / "saved.sql.gz").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    if before:
        put(folder, program, before)
    check, listing = (place.action(name, service="saved") for name in ("backup.check", "backup.list"))
    if "repository" not in source:
        listing.ready(place.ctx())
    refused_until(lambda: check.ready(place.ctx()), said, lambda: put(folder, program, after))


def test_a_kind_that_no_source_restores_in_place_needs_a_sandbox(tmp_path):
    """The plan already refuses this, for a service that it knows."""
    services = {"files": {"kind": "folder", "path": str(tmp_path / "site")}, "copy": {"kind": "folder", "sandbox": {}}}
    place = Estate(tmp_path, services=services, backups={"saved": {"kind": "sqlite", "at": str(tmp_path)}})
    restores = [place.action("backup.restore", service=name, **{"from": "saved"}) for name in services]
    said = "backups of kind sqlite can only be restored into a sandbox, not into files"
    refused_until(lambda: restores[0].ready(place.ctx()), said, lambda: restores.pop(0))


def test_a_backup_is_restored_into_a_sandbox_of_its_kind(tmp_path):
    """The plan already refuses this, for a source that it knows."""
    kinds = {"copy": "redis", "folder": "folder"}
    place = Estate(
        tmp_path,
        services={name: {"kind": kind, "sandbox": {}} for name, kind in kinds.items()},
        backups={"saved": {"kind": "tar", "at": str(tmp_path)}},
    )
    (tmp_path / "saved.tar").write_bytes(bytes(10240))
    restores = [place.action("backup.restore", service=name, **{"from": "saved"}) for name in kinds]
    said = "backups of kind tar cannot be restored into a sandbox of kind redis"
    refused_until(lambda: restores[0].ready(place.ctx()), said, lambda: restores.pop(0))


@pytest.mark.parametrize(
    ("kind", "box", "others"),
    [
        ("tar", "folder", ["tar"]),
        ("mariadb_dump", "folder", []),
        ("redis_rdb", "redis", ["redis-server", "redis-check-rdb"]),
    ],
)
def test_a_sandbox_whose_host_cannot_decompress_the_newest_backup(tmp_path, monkeypatch, kind, box, others):
    """The pattern of the backups does not show their compression."""
    boxes = {"copy": {"kind": box, "sandbox": {}}}
    place = Estate(tmp_path, services=boxes, backups={"saved": {"kind": kind, "at": str(tmp_path), "pattern": "saved*"}})
    folder = tmp_path / "bin"
    monkeypatch.setenv("PATH", path_without(folder, "gzip"))
    for name in {*BASE, "uniq"}:
        put(folder, name, "")
    for name in others:
        put(folder, name, "exit 0")
    (tmp_path / "saved.gz").write_bytes(b"\x1f\x8b" + bytes(100))
    source, copy = (place.inventory.services[name] for name in ("saved", "copy"))
    refused_until(lambda: source.ready_sandbox(place.ctx(), copy), "has no gzip", lambda: put(folder, "gzip", ""))


@pytest.mark.parametrize(
    ("source", "look", "service", "said"),
    [
        (RdbSource, lambda place: place.redis, Redis, "it is not a service of kind redis"),
        (MariadbDump, lambda place: place.mariadb, Mariadb, "it is not a service of kind mariadb"),
        (PgDumpSource, lambda place: place.postgres, Postgres, "it is not a service of kind postgres"),
        (TarSource, lambda place: place.ready(), Folder, "it is not a service of kind folder"),
    ],
)
def test_a_restore_in_place_needs_a_service_of_its_kind(ground, source, look, service, said):
    made = source(name="saved", host="here", at="/nowhere")
    right = service.model_construct(
        name="it", host="here", path=str(ground.root / "it"), unit="it", data_directory="/nowhere", run_as=""
    )
    services = [Http(name="it", host="here", url="http://127.0.0.1:1"), right]
    refused_until(lambda: look(made.in_place(ground.ctx(), services[0])), said, lambda: services.pop(0))


@pytest.mark.parametrize(
    ("look", "fields"),
    [
        (disposable_server.place, {"kind": "mariadb"}),
        (
            postgres_sandbox.tools_of,
            {"kind": "postgres", "database": "shop", "user": "clerk", "admin": {"user": "postgres"}},
        ),
    ],
    ids=["mariadb", "postgres"],
)
def test_a_server_in_a_sandbox_is_one_of_its_kind(tmp_path, look, fields):
    services = {"files": {"kind": "folder", "sandbox": {}}, "it": {"sandbox": {}, **fields}}
    place = Estate(tmp_path, services=services, backups={})
    boxes = [Sandbox.of(place.ctx(), place.inventory.services[name]) for name in services]
    refused_until(lambda: look(boxes[0]), f"files is not a service of kind {fields['kind']}", lambda: boxes.pop(0))


def test_a_restore_runs_on_the_host_of_its_sandbox(tmp_path):
    place = Estate(
        tmp_path,
        services={"copy": {"kind": "folder", "sandbox": {}}},
        backups={"saved": {"kind": "tar", "at": str(tmp_path)}},
    )
    restore, ctx = place.action("backup.restore", service="copy", **{"from": "saved"}), place.ctx()
    hosts = [LocalHost("other", target=Target(name="other", local=True)), place.host]
    said = "the sandbox copy is on here, but the step runs on other"
    refused_until(lambda: restore.ready(replace(ctx, host=hosts[0])), said, lambda: hosts.pop(0))


@pytest.mark.parametrize(
    ("check", "before", "said"),
    [
        (lambda ctx, service: disposable_server.need(ctx, service, ("mariadb",)), None, "has no .*/bin/mariadb"),
        (disposable_server.need_safe_client, "exit 7", "has no option --sandbox"),
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
