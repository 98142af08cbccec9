"""Real servers for tests: PostgreSQL clusters and one S3 store on loopback, each with a separate folder and port."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from drillbook.hosts.local import LocalHost
from drillbook.lab import database
from drillbook.lab.layout import weed_sockets
from drillbook.sdk.action import Action, Context, Facts, find
from drillbook.sdk.host import Deadline, Target
from drillbook.sdk.service import S3, Service
from drillbook.systems.postgres.service import Admin, Postgres
from drillbook.values import Secret
from tests.needs import need
from tests.ports import free_ports
from tests.processes import entries
from tests.skeleton import left_in
from tests.systems.ground import PLAIN

ADMIN_PASSWORD, USER_PASSWORD = "top-secret-admin", "hidden-user-word"
KEY, SECRET_KEY = "labkey-for-tests", "labsecret-for-tests"
BUCKET = "backups-for-tests"
AS_NOBODY = ["unshare", "--user", "--map-user=65534", "--map-group=65534", "--"] if os.geteuid() == 0 else []


def secret(value: str, name: str) -> Secret:
    os.environ[name] = value
    return Secret(source="env", name=name)


def programs(folder: Path, binaries: Path | None = None) -> Path:
    """Folder with all programs of PostgreSQL; wrappers run those that refuse root as nobody."""
    folder.mkdir()
    for tool in (binaries or database.binaries()).iterdir():
        if tool.name in ("initdb", "pg_ctl") and AS_NOBODY:
            wrapper = folder / tool.name
            wrapper.write_text(f'#!/bin/sh\nexec {" ".join(AS_NOBODY)} "{tool}" "$@"\n')
            wrapper.chmod(0o755)
        else:
            (folder / tool.name).symlink_to(tool)
    return folder


def readable(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


@dataclass
class Cluster:
    """Place for a cluster: a service of the inventory, with or without a running server."""

    service: Postgres

    @property
    def data(self) -> Path:
        return Path(self.service.data_directory)

    def dsn(self, database: str | None = None, user: str | None = None) -> dict[str, Any]:
        return {
            "host": "127.0.0.1",
            "port": self.service.port,
            "dbname": database or self.service.database,
            "user": user or "postgres",
            "password": USER_PASSWORD if user else ADMIN_PASSWORD,
            "connect_timeout": 5,
        }

    def connect(self, database: str | None = None, user: str | None = None) -> psycopg.Connection[Any]:
        return psycopg.connect(**self.dsn(database, user), autocommit=True)

    def sql(self, *statements: str, database: str | None = None) -> list[Any]:
        with self.connect(database) as session:
            for statement in statements:
                cursor = session.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def create(self) -> None:
        password = self.data.parent / "password"
        password.write_text(ADMIN_PASSWORD)
        subprocess.run(
            [
                f"{self.service.bin}/initdb",
                "-D",
                str(self.data),
                "-U",
                "postgres",
                "--no-sync",
                "-k",
                "-E",
                "UTF8",
                "--locale",
                "C",
                "--auth",
                "scram-sha-256",
                "--pwfile",
                str(password),
            ],
            check=True,
            capture_output=True,
        )
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(
                f"\nlisten_addresses = '127.0.0.1'\nport = {self.service.port}\nshared_buffers = 32MB\n"
                f"unix_socket_directories = '{self.data.parent}'\ntimezone = 'UTC'\n"
            )

    def start(self) -> None:
        subprocess.run(
            [f"{self.service.bin}/pg_ctl", "-D", str(self.data), "-w", "-s", "-l", f"{self.data}.log", "start"],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def promote(self) -> None:
        subprocess.run(
            [f"{self.service.bin}/pg_ctl", "-D", str(self.data), "-w", "-s", "promote"], check=True, stdin=subprocess.DEVNULL
        )

    def kill(self) -> None:
        """Kill the server as in a crash, and wait until its zombie is gone too, because a zombie would keep the lock
        file valid.
        """
        pid = self.pid()
        assert pid is not None
        children = [status.parent.name for status in entries("status") if f"\nPPid:\t{pid}\n" in readable(status)]
        for one in (pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        until = time.monotonic() + 60
        while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
            time.sleep(0.02)

    def pid(self) -> int | None:
        try:
            return int((self.data / "postmaster.pid").read_text().splitlines()[0])
        except (OSError, IndexError):
            return None

    def destroy(self) -> None:
        pid = self.pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGQUIT)
            while (text := readable(Path(f"/proc/{pid}/status"))) and "\nState:\tZ" not in text:
                time.sleep(0.02)
        shutil.rmtree(self.data, ignore_errors=True)


@dataclass
class Site:
    """The store and the places for clusters, with everything that an action needs."""

    folder: Path
    store: S3
    programs: Path
    host: LocalHost
    clusters: dict[str, Cluster] = field(default_factory=dict)
    extra: dict[str, Service] = field(default_factory=dict)

    def place(self, name: str, **options: Any) -> Cluster:
        """Place for a cluster, without a server."""
        home = self.folder / name
        home.mkdir()
        given: dict[str, Any] = {
            "name": name,
            "host": "db-1",
            "port": free_ports(1)[0],
            "database": "shop",
            "user": "clerk",
            "password": secret(USER_PASSWORD, "TEST_PG_USER"),
            "data_directory": str(home / "pgdata"),
            "admin": Admin(user="postgres", password=secret(ADMIN_PASSWORD, "TEST_PG_ADMIN")),
            "bin": str(self.programs),
        }
        cluster = self.clusters[name] = Cluster(Postgres(**(given | options)))
        return cluster

    def context(self, *, seconds: float = 120, step: str = "backup.1", run: str | None = None) -> Context:
        services: dict[str, Service] = {"store": self.store, **self.extra}
        services |= {name: cluster.service for name, cluster in self.clusters.items()}
        return Context(
            run_id=run or uuid.uuid4().hex[:12],
            step=step,
            host=self.host,
            services=services,
            host_named=lambda name: self.host,
            deadline=Deadline.after(seconds),
            folder=self.folder / "run",
        )

    def action(self, name: str, **fields: Any) -> Action:
        action: Action = find(name).model_validate(fields)
        return action

    def run(self, name: str, *, ctx: Context | None = None, **fields: Any) -> Facts:
        return self.action(name, **fields).run(ctx or self.context())

    def s3(self) -> Any:
        return client(self.store)

    def keys(self, prefix: str = "") -> list[str]:
        pages = self.s3().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [one["Key"] for page in pages for one in page.get("Contents", [])]

    def uploads(self) -> list[Any]:
        return self.s3().list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])

    def copy(self, location: str) -> tuple[str, str]:
        """Copy of a backup that a test may damage: its location and its prefix."""
        origin, _, digest = location.removeprefix(f"s3://{BUCKET}/").partition("#")
        prefix = f"copy-{uuid.uuid4().hex[:8]}"
        for key in self.keys(origin + "/"):
            body = self.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read()
            self.s3().put_object(Bucket=BUCKET, Key=prefix + key[len(origin) :], Body=body)
        return f"s3://{BUCKET}/{prefix}#{digest}", prefix


def client(store: S3) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=store.endpoint,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, proxies={}),
    )


def make_bucket(store: S3) -> None:
    """Create the bucket; the filer of the store may be ready later than its port."""
    until = time.monotonic() + 120
    while True:
        try:
            client(store).create_bucket(Bucket=BUCKET)
            break
        except Exception:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


@contextlib.contextmanager
def store(folder: Path, address: str = "127.0.0.1", **more: object) -> Iterator[S3]:
    """SeaweedFS at ``address``, ready and running during the block. ``more``: further options of the program."""
    names = ("admin", "master", "volume", "filer", "s3")
    ports = dict(zip([f"{name}.port{kind}" for name in names for kind in ("", ".grpc")], free_ports(10), strict=True))
    child = start_weed(folder, address, ports | more)
    try:
        await_port(child, folder / "weed.log", address, ports["s3.port"])
        yield S3(
            name="store",
            host="db-1",
            endpoint=f"http://{address}:{ports['s3.port']}",
            bucket=BUCKET,
            access_key=secret(KEY, "TEST_S3_KEY"),
            secret_key=secret(SECRET_KEY, "TEST_S3_SECRET"),
        )
    finally:
        child.kill()
        child.wait()
        for path in weed_sockets(ports.values()):
            path.unlink(missing_ok=True)


def start_weed(folder: Path, address: str, ports: Mapping[str, object]) -> subprocess.Popen[bytes]:
    """Start all servers of a SeaweedFS in one process, which writes ``weed.log`` in its folder."""
    weed = Path(sysconfig.get_path("scripts"), "weed")
    program = str(weed) if weed.exists() else need("weed")
    options = {
        "dir": folder,
        "ip": address,
        "ip.bind": address,
        "master.telemetry": "false",
        "admin.ui": "false",
        "webdav": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.autoCreateBucket": "false",
        **ports,
    }
    environ = {**os.environ, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "GOMEMLIMIT": "400MiB"}
    with (folder / "weed.log").open("wb") as log:
        return subprocess.Popen(
            [program, "-logtostderr=true", "mini", *(f"-{k}={v}" for k, v in options.items())],
            env=environ,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )


def await_port(child: subprocess.Popen[bytes], log: Path, address: str, port: int) -> None:
    """Wait until the server accepts connections. Fail with its log when it ended, or is silent for two minutes."""
    until = time.monotonic() + 120
    while time.monotonic() < until and child.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((address, port), 5):
            return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens at {address}:{port}; exit status {child.poll()}\n{log.read_text()[-4000:]}")


@contextlib.contextmanager
def site(folder: Path) -> Iterator[Site]:
    """Site that runs during the block."""
    for name in ("s3", "scratch", "run"):
        (folder / name).mkdir(parents=True)
    with store(folder / "s3") as service:
        host = LocalHost(target=Target(name="db-1", local=True, scratch=str(folder / "scratch")))
        made = Site(folder, service, programs(folder / "bin"), host)
        make_bucket(service)
        try:
            yield made
        finally:
            for cluster in made.clusters.values():
                cluster.destroy()


def leftovers(place: Site) -> list[str]:
    """Files that steps left in their folders on the host."""
    return left_in(place.host.target.scratch)


def body(place: Site, key: str) -> bytes:
    content: bytes = place.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read()
    return content


def flip(place: Site, key: str) -> None:
    """Change one bit in the middle of an object."""
    data = bytearray(body(place, key))
    data[len(data) // 2] ^= 1
    place.s3().put_object(Bucket=BUCKET, Key=key, Body=bytes(data))


def with_tool(place: Site, cluster: Cluster, tmp_path: Path, name: str, script: str) -> str:
    """Service like ``cluster``, with ``script`` in place of the program ``name``."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in Path(cluster.service.bin).iterdir():
        if tool.name != name:
            (folder / tool.name).symlink_to(tool)
    (folder / name).write_text("#!/bin/sh\n" + script)
    (folder / name).chmod(0o755)
    place.extra["patched"] = cluster.service.model_copy(update={"bin": str(folder)})
    return "patched"


def undo(action: Action, ctx: Context) -> None:
    """Run the commands that undo an action, as a recovery would."""
    found = action.undo(ctx)
    assert found.kind == "commands"
    for argv in found.commands:
        subprocess.run(argv, env=PLAIN, cwd="/", stdin=subprocess.DEVNULL, check=True, timeout=60)


def connects(cluster: Cluster) -> bool:
    """True if the application can log in."""
    try:
        cluster.connect(user="clerk").close()
    except psycopg.OperationalError:
        return False
    return True


def sessions(cluster: Cluster, application: str) -> int:
    """Number of sessions with this name of an application."""
    count: int = cluster.sql(f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{application}'")[0][0]
    return count
