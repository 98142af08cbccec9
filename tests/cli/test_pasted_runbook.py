"""Commands of a runbook, pasted into an interactive shell: after a command that failed, nothing else is changed or started."""

import gzip
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli import restores_by_hand
from tests.cli.restores_by_hand import commands
from tests.needs import need

HOSTS = """\
environment: staging
hosts:
  here: {local: true}
  there: {local: true}
services:
  folder: {kind: folder, host: here, sandbox: {data_may_leave: true}}
  postgres: {kind: postgres, host: here, database: shop, user: u, data_directory: /srv/data, admin: {user: postgres}, sandbox: {data_may_leave: true}}
  mariadb: {kind: mariadb, host: here, database: shop, sandbox: {data_may_leave: true}}
  redis: {kind: redis, host: here, sandbox: {data_may_leave: true}}
  origin: {kind: postgres, host: here, database: shop, user: u, data_directory: /srv/data, admin: {user: postgres}}
backups:
"""
SOURCES = {
    "tar": ("folder", "kind: tar, at: {place}, pattern: '*.tgz'"),
    "tar-encrypted": ("folder", "kind: tar, at: {place}, pattern: '*.tgz.age', identity: !env KEY"),
    "tar-url": ("folder", "kind: tar, at: 'http://127.0.0.1:9/a.tgz'"),
    "tar-command": ("folder", "kind: tar, at: [cat, {place}/a.tgz]"),
    "tar-bucket": ("folder", "kind: tar, at: 's3://saved/site/', pattern: '*.tgz'"),
    "restic": ("folder", "kind: restic, repository: {place}/restic, password: !env KEY, paths: [/srv]"),
    "postgres-dump": ("postgres", "kind: pg_dump, at: {place}, pattern: '*.sql', globals: '*.roles'"),
    "postgres-archive": ("postgres", "kind: pg_dump, at: {place}, pattern: '*.dump'"),
    "pgbackrest": ("postgres", "kind: pgbackrest, service: origin, stanza: main, config: {place}/pgbackrest.conf"),
    "mariadb-dump": ("mariadb", "kind: mariadb_dump, at: {place}, pattern: '*.sql'"),
    "mariabackup": ("mariadb", "kind: mariabackup, at: {place}"),
    "mariabackup-stream": ("mariadb", "kind: mariabackup, form: stream, at: {place}, pattern: '*.mb'"),
    "redis-rdb": ("redis", "kind: redis_rdb, at: {place}, pattern: '*.rdb'"),
    "redis-aof": ("redis", "kind: redis_aof, at: {place}"),
    "sqlite": ("folder", "kind: sqlite, at: {place}, pattern: '*.db'"),
}
BACKUPS = ("a.tgz", "a.tgz.age", "a.sql", "a.roles", "a.dump", "mariadb_backup_info", "a.mb", "a.rdb", "a.manifest", "a.db")


def blocks(tmp_path, name, host="here"):
    """Blocks of commands that the runbook of a backup source shows."""
    target, source = SOURCES[name]
    backup = f"{{host: {host}, {source.replace('{place}', str(tmp_path / 'place'))}}}"
    return commands(restores_by_hand.page(tmp_path, HOSTS, backup, target=target))


def pasted(text, home, *answers):
    """Paste lines into an interactive shell in ``home``, and answer its questions. Return what it printed."""
    given, lines = list(answers), []
    for line in text.splitlines():
        lines += [line, given.pop(0) if given else "none"] if line.startswith("read ") else [line]
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "MYSQL", "RESTIC", "AWS"))}
    done = subprocess.run(
        ["bash", "--norc", "--noprofile", "-i"],
        input="".join(f"{line}\n" for line in lines),
        cwd=home,
        env=env | {"HOME": str(home), "HISTFILE": "/dev/null"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        start_new_session=True,
    )
    return done.stdout + done.stderr


def seen(*folders):
    """Names, times and contents of everything below the folders."""
    found = {}
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            found[str(path)] = (status.st_mode, status.st_mtime_ns, status.st_ctime_ns, content)
    return found


@pytest.fixture
def home(tmp_path):
    """Home of a user who runs a server: its data are in the folder `data`."""
    path = tmp_path / "home"
    for name in ("data/base", "data/appendonlydir", "tablespaces"):
        (path / name).mkdir(parents=True)
    for name in ("data/PG_VERSION", "data/postgresql.conf", "data/pg_hba.conf", "data/ibdata1", "log", "hba.conf", "a note"):
        (path / name).write_text("17\n")
    return path


@pytest.fixture
def folder():
    """Function that returns the folder of a block, and removes it after the test."""
    found = []

    def of(text):
        path = Path(re.search(r"folder=(\S+)", text)[1])
        found.extend((path, Path(f"{path}.backup")))
        for one in found:
            shutil.rmtree(one, ignore_errors=True)
        return path

    yield of
    for one in found:
        shutil.rmtree(one, ignore_errors=True)


@pytest.mark.parametrize("name", SOURCES)
def test_commands_do_nothing_when_their_folder_exists(tmp_path, home, folder, name):
    (tmp_path / "place").mkdir()
    for file in BACKUPS:
        (tmp_path / "place" / file).write_text("SELECT 1;\n")
    [text] = blocks(tmp_path, name)
    there = folder(text)
    (there / "data").mkdir(parents=True)
    (there / "data" / "PG_VERSION").write_text("17\n")
    before = seen(home, there, tmp_path / "place")
    said = pasted(text, home)
    assert "File exists" in said
    assert seen(home, there, tmp_path / "place") == before, said


@pytest.mark.parametrize("name", SOURCES)
def test_commands_do_nothing_in_a_shell_without_their_folder(tmp_path, home, folder, name):
    """A person opens a new shell, and pastes the lines after the first two: no line means another place."""
    (tmp_path / "place").mkdir()
    [text] = blocks(tmp_path, name)
    there = folder(text)
    before = seen(home, tmp_path / "place")
    said = pasted("\n".join(text.splitlines()[2:]), home)
    assert "folder: parameter null or not set" in said
    assert seen(home, tmp_path / "place") == before, said
    assert not there.exists()


LOOKED_FOR = [name for name in SOURCES if name not in ("tar-url", "tar-command", "tar-bucket", "restic", "pgbackrest")]


@pytest.mark.parametrize("name", LOOKED_FOR)
def test_commands_do_nothing_when_no_backup_exists(tmp_path, home, folder, name):
    (tmp_path / "place").mkdir()
    [text] = blocks(tmp_path, name)
    there = folder(text)
    before = seen(home)
    said = pasted(text, home)
    assert "folder: parameter null or not set" in said
    assert seen(home) == before, said
    assert list(there.iterdir()) == []


@pytest.mark.parametrize("name", LOOKED_FOR)
def test_nothing_is_carried_when_the_other_host_has_no_backup(tmp_path, home, folder, name):
    (tmp_path / "place").mkdir()
    first, second = blocks(tmp_path, name, host="there")
    there = folder(second)
    before = seen(home)
    said = pasted(first, home)
    assert "there is no such backup" in said
    assert [path.name for path in Path(f"{there}.backup").rglob("*")] == ["part"]
    pasted(second, home)
    assert seen(home) == before
    assert list(there.iterdir()) == []


def archive(tmp_path, content):
    (tmp_path / "place").mkdir(exist_ok=True)
    (tmp_path / "file").write_text(content)
    subprocess.run(["tar", "-czf", tmp_path / "place" / "a.tgz", "-C", tmp_path, "file"], check=True)


@pytest.mark.parametrize("name", ["tar", "tar-command"])
def test_a_second_attempt_changes_nothing_of_the_first(tmp_path, home, folder, name):
    archive(tmp_path, "first")
    first, second = blocks(tmp_path, name, host="there")
    there = folder(second)
    for text in (first, second):
        pasted(text, home)
    assert (there / "data" / "file").read_text() == "first"
    archive(tmp_path, "second")
    before = seen(home, there, Path(f"{there}.backup"))
    for text in (first, second):
        assert "File exists" in pasted(text, home)
    assert seen(home, there, Path(f"{there}.backup")) == before


def test_a_link_in_place_of_the_copied_backup_leads_nowhere(tmp_path, home, folder):
    archive(tmp_path, "first")
    first, second = blocks(tmp_path, "tar", host="there")
    arrived = Path(f"{folder(second)}.backup")
    arrived.symlink_to(home)
    before = seen(home)
    try:
        for text in (first, second):
            pasted(text, home)
        assert seen(home) == before
    finally:
        arrived.unlink()


def test_an_encrypted_backup_from_another_host(tmp_path, home, folder):
    need("age")
    archive(tmp_path, "secret")
    made = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True)
    key = re.search(r"AGE-SECRET-KEY-\S+", made.stdout)[0]
    recipient = re.search(r"public key: (\S+)", made.stdout + made.stderr)[1]
    place = tmp_path / "place"
    subprocess.run(["age", "-r", recipient, "-o", place / "a.tgz.age", place / "a.tgz"], check=True)
    first, second = blocks(tmp_path, "tar-encrypted", host="there")
    there = folder(second)
    for text in (first, second):
        said = pasted(text, home, key)
    assert (there / "data" / "file").read_text() == "secret", said


ENDED = "\n--\n-- PostgreSQL database dump complete\n--\n"


@pytest.mark.parametrize("pattern", ["*.sql.gz", "*"])
@pytest.mark.parametrize("broken", ["", "cut", "checksum", "no end"])
def test_a_part_of_a_dump_is_not_a_complete_restore(tmp_path, home, folder, monkeypatch, pattern, broken):
    """psql accepts each beginning of a dump that ends between two statements."""
    (tmp_path / "place").mkdir()
    (tmp_path / "bin").mkdir()
    for name in ("initdb", "pg_ctl", "psql", "createdb", "pg_restore"):
        status = 'case "$*" in *--list*) exit 1 ;; esac; ' if name == "pg_restore" else ""
        reads = 'case "$*" in *ON_ERROR_STOP*) cat >/dev/null ;; esac\n' if name == "psql" else ""
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{status}{reads}")
        (tmp_path / "bin" / name).chmod(0o755)
    packed = gzip.compress((f"SELECT 1;\n{'' if broken == 'no end' else ENDED}").encode())
    packed = packed[:-4] if broken == "cut" else packed[:-8] + b"\0" * 4 + packed[-4:] if broken == "checksum" else packed
    (tmp_path / "place" / "a.sql.gz").write_bytes(packed)
    source = f"{{host: here, kind: pg_dump, at: {tmp_path}/place, pattern: '{pattern}', bin: {tmp_path}/bin}}"
    hosts = HOSTS.replace(
        "data_directory: /srv/data, admin: {user: postgres}, sandbox",
        f"bin: {tmp_path}/bin, data_directory: /srv/data, admin: {{user: postgres}}, sandbox",
    )
    [text] = commands(restores_by_hand.page(tmp_path, hosts, source, target="postgres"))
    there = folder(text)
    said = pasted(text, home)
    assert (there / "restored").exists() is (not broken), said


def test_two_restores_into_one_service_have_two_folders(tmp_path, folder):
    text = blocks(tmp_path, "postgres-dump")[0]
    assert f"by-hand-postgres-{restores_by_hand.SOURCE} " in text


@pytest.mark.parametrize("name", SOURCES)
def test_shellcheck_has_nothing_to_say_of_the_commands(tmp_path, name):
    for host in ("here", "there"):
        for text in blocks(tmp_path, name, host=host):
            argv = [need("shellcheck"), "--shell=bash", "--exclude=SC2015,SC2034,SC2154,SC2016", "--format=gcc", "-"]
            done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{shlex.join(argv)}\n{done.stdout}\n{text}"
