"""State of a lab, read without Drillbook: data, files, programs, and remainders of a drill."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psycopg
import redis
from botocore.config import Config

from drillbook.lab import control, processes
from drillbook.lab.layout import ADDRESS, BUCKETS, COLLECTION, DATABASE, HOSTS, PORTS, REGION, Lab
from drillbook.lab.schema import DOCUMENTS
from drillbook.sdk.web import ask
from drillbook.systems.postgres import cluster_recovery

BULK = ("log", "pgdata", "s3", "redis", "vectors", "prometheus", "alertmanager", "pgbackrest", "shop")
"""Folders in a host's home that belong to a server; their data is compared through the server."""
KEPT = (cluster_recovery.MARKER,)
"""Files of Drillbook that a restored cluster keeps; see docs/safety.md."""
LISTENS = "0A"
"""State of a listening socket in /proc/net/tcp."""
TABLES = """
SELECT 'seeded documents', count(*), sum(hashtextextended(d::text, 0)) FROM documents d WHERE id <= %(seeded)s
UNION ALL
SELECT 'seeded chunks', count(*), sum(hashtextextended(c::text, 0)) FROM chunks c WHERE document_id <= %(seeded)s
UNION ALL
SELECT 'documents of clients', count(*), sum(hashtextextended(id || ' ' || title || ' ' || created_at, 0)) FROM documents
  WHERE id > %(seeded)s AND id <= %(newest)s
ORDER BY 1
"""
"""Columns that the application changes after it accepted a client's document; those of the initial documents do not
change.
"""
CATALOGUE = """
SELECT 'relation', n.nspname || '.' || c.relname, c.relkind::text || ' ' || pg_get_userbyid(c.relowner) || ' ' || coalesce(c.relacl::text, '')
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname !~ '^pg_(catalog|toast|temp)|^information_schema$'
UNION ALL
SELECT 'column', c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  WHERE n.nspname = 'public' AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'constraint', conname::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT 'index', c.relname::text, pg_get_indexdef(i.indexrelid) || ' ' || i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
  WHERE c.relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'view', viewname::text, definition FROM pg_views WHERE schemaname = 'public'
UNION ALL
SELECT 'trigger', tgname::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT 'schema', nspname::text, coalesce(nspacl::text, '') FROM pg_namespace WHERE nspname !~ '^pg_'
UNION ALL
SELECT 'database', datname::text, datallowconn || ' ' || datconnlimit || ' ' || coalesce(datacl::text, '') || ' ' || pg_get_userbyid(datdba) FROM pg_database
UNION ALL
SELECT 'role', rolname::text, rolcanlogin || ' ' || rolconnlimit || ' ' || rolsuper FROM pg_roles WHERE rolname !~ '^pg_'
UNION ALL
SELECT 'setting', coalesce(d.datname, '') || '/' || s.setrole, s.setconfig::text FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase
ORDER BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """State that must be equal before a drill and after its recovery.

    Clients continue to write; ``newest`` limits the comparison.
    """

    newest: int
    tables: list[Any]
    catalogue: list[Any]
    keys: dict[bytes, bytes]
    objects: dict[str, str]
    files: dict[str, str]
    programs: frozenset[tuple[str, str]]
    vectors: dict[str, str]
    ports: frozenset[int]

    def differences(self, after: Picture) -> list[str]:
        """Differences of ``after``: missing and additional entries."""
        found = [
            f"{name}: {before} became {now}"
            for name, before, now in (
                ("tables", self.tables, after.tables),
                ("programs", sorted(self.programs), sorted(after.programs)),
                ("ports", sorted(self.ports), sorted(after.ports)),
            )
            if before != now
        ]
        found += _changed(
            "catalogue", {row[:2]: row[2] for row in self.catalogue}, {row[:2]: row[2] for row in after.catalogue}
        )
        found += _changed("key", self.keys, after.keys)
        found += _changed("file", self.files, after.files) + _changed("vector", self.vectors, after.vectors)
        theirs = {
            key: etag for key, etag in after.objects.items() if key in self.objects
        }  # one request may have been in progress
        return found + _changed("object", self.objects, theirs)


def _changed(what: str, before: dict[Any, Any], after: dict[Any, Any]) -> list[str]:
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return [f"{what} {name}: {before.get(name)} became {after.get(name)}" for name in names[:5]]


class Camera:
    """Takes pictures of one lab."""

    def __init__(self, folder: Path) -> None:
        lab = Lab.read(folder)
        assert lab is not None
        self.lab = lab
        self.store: Any = boto3.client(
            "s3",
            endpoint_url=lab.s3,
            aws_access_key_id=lab.secret("s3_key"),
            aws_secret_access_key=lab.secret("s3_secret"),
            region_name=REGION,
            config=Config(proxies={}, s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )

    def take(self, newest: int | None = None) -> Picture:
        """Take a picture, with documents up to ``newest``; by default with all documents."""
        with psycopg.connect(
            host=ADDRESS,
            port=self.lab.port("postgres.db-1"),
            dbname=DATABASE,
            user="postgres",
            password=self.lab.secret("pg_admin"),
            autocommit=True,
            connect_timeout=5,
        ) as session:
            newest = newest or session.execute("SELECT max(id) FROM documents").fetchone()[0]  # type: ignore[index]
            tables = session.execute(TABLES, {"newest": newest, "seeded": DOCUMENTS}).fetchall()
            catalogue = session.execute(CATALOGUE).fetchall()
        return Picture(
            newest,
            tables,
            catalogue,
            self._keys(),
            self._objects(newest),
            self._files(),
            self._programs(),
            self._vectors(),
            self._ports(),
        )

    def _keys(self) -> dict[bytes, bytes]:
        client = redis.Redis(host=ADDRESS, port=self.lab.port("redis"), password=self.lab.secret("redis"), socket_timeout=5)
        with closing(client):
            names = [name for name in client.scan_iter(count=5000) if not name.startswith(b"documents:")]
            pipe = client.pipeline(transaction=False)
            for name in names:
                pipe.dump(name)
            return dict(zip(names, pipe.execute(), strict=True))

    def _objects(self, newest: int) -> dict[str, str]:
        """Originals of the compared documents; a client may have added another one since."""
        pages = self.store.get_paginator("list_objects_v2").paginate(Bucket=BUCKETS[1])
        return {
            item["Key"]: item["ETag"]
            for page in pages
            for item in page.get("Contents", ())
            if int(item["Key"].rpartition("/")[2]) <= newest
        }

    def _vectors(self) -> dict[str, str]:
        """Every point with a digest of its vector and payload, read from the server page by page."""
        found: dict[str, str] = {}
        url, start = f"http://{ADDRESS}:{self.lab.port('vectors')}/collections/{COLLECTION}/points/scroll", None
        while True:
            asked = {
                "limit": 1000,
                "with_payload": True,
                "with_vector": True,
                **({"offset": start} if start is not None else {}),
            }
            answer = ask(
                url,
                timeout=20,
                method="POST",
                headers={"api-key": self.lab.secret("vectors"), "content-type": "application/json"},
                body=json.dumps(asked).encode(),
                limit=64 << 20,
            )
            page = json.loads(answer.body)["result"]
            found |= {
                str(one["id"]): hashlib.sha256(json.dumps(one, sort_keys=True).encode()).hexdigest()[:16]
                for one in page["points"]
            }
            start = page["next_page_offset"]
            if start is None:
                return found

    def _files(self) -> dict[str, str]:
        return {str(path.relative_to(self.lab.folder)): _description(path) for path in self._paths()}

    def _paths(self) -> Iterator[Path]:
        for host in HOSTS:
            for entry in sorted(self.lab.home(host).iterdir()):
                yield entry
                if entry.name not in BULK and entry.is_dir():
                    yield from sorted(entry.rglob("*"))

    def _programs(self) -> frozenset[tuple[str, str]]:
        return frozenset((one.host, one.name) for one in control.status(self.lab.folder).components if one.up)

    def _ports(self) -> frozenset[int]:
        """Ports of the lab with a listener."""
        rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
        listened = {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == LISTENS}
        return frozenset(listened & {self.lab.port(name) for name in PORTS})

    def ill(self) -> str | None:
        """Reason why the lab does not work for clients; None when it does."""
        try:
            for path in ("/health", "/api/v1/documents/1", "/api/v1/documents/7/original"):
                answer = ask(f"{self.lab.api}{path}", timeout=5)
                if answer.status != 200:
                    return f"{path}: status {answer.status}"
            uploads = [
                one for bucket in BUCKETS for one in self.store.list_multipart_uploads(Bucket=bucket).get("Uploads", ())
            ]
            return f"unfinished uploads: {uploads}" if uploads else None
        except OSError as error:
            return str(error)

    def strays(self, run_id: str) -> list[str]:
        """Processes, files and keys with the run's name, and unsupervised processes."""
        return [*self._files_of(run_id), *_processes_of(run_id), *self._unsupervised()]

    def _files_of(self, run_id: str) -> Iterator[str]:
        for root in (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm")):
            yield from (str(path) for path in root.iterdir() if run_id in path.name)
        for folder, folders, files in os.walk(self.lab.folder):
            folders[:] = [name for name in folders if name not in ("log", "s3")]
            yield from (
                f"{folder}/{name}"
                for name in (*folders, *files)
                if name not in KEPT and (run_id in name or "drillbook" in name)
            )

    def _unsupervised(self) -> Iterator[str]:
        """Processes that the lab's daemon or a session started, and that belong to no supervisor."""
        table = processes.everything()
        recorded = set(processes.recorded(self.lab.folder).values()) | {self.lab.pid}
        theirs = processes.marked(self.lab.folder, table) | processes.below([self.lab.pid], table)
        for pid in theirs - recorded - processes.below(recorded - {self.lab.pid}, table):
            if pid in table and not table[pid].zombie and "drillbook.lab.daemon" not in _command(pid):
                yield f"process {pid}: {_command(pid)}"


def _processes_of(run_id: str) -> Iterator[str]:
    own = os.getpid()
    for pid in (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()):
        try:
            shown = Path(f"/proc/{pid}/cmdline").read_bytes()
            if pid != own and run_id.encode() in shown + Path(f"/proc/{pid}/environ").read_bytes():
                yield f"process {pid}: {_command(pid)}"
        except OSError:
            continue


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")[:200]
    except OSError:
        return "?"


def _description(path: Path) -> str:
    try:
        found = path.lstat()
        if path.is_file() and not path.name.endswith((".pid", ".lock")):
            return f"{found.st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
        return f"{found.st_mode:o}"
    except OSError as error:
        return str(error)
