"""MariaDB server as a unit of supervisor, as a team would run it, whose databases tests can lose and restore in place."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.needs import need
from tests.systems.estate import Estate
from tests.systems.mariadb import site
from tests.systems.mariadb.site import Server

CONFIG = """
[supervisord]
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
nodaemon=true
[unix_http_server]
file={folder}/s.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{folder}/s.sock
[program:shop]
command={command}
autostart=true
autorestart=false
startsecs=0
startretries=0
redirect_stderr=true
stdout_logfile={folder}/log
"""


@dataclass
class Unit(Server):
    """The server of the unit `shop`, its backups, and a source of each kind."""

    @property
    def copies(self) -> Path:
        return self.folder / "copies"

    def control(self, *words: str) -> str:
        argv = [need("supervisorctl"), "-c", str(self.folder / "supervisord.conf"), *words]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout

    def until_it_answers(self) -> None:
        until = time.monotonic() + 60
        while subprocess.run([*self.login("mariadb"), "-e", "DO 1"], capture_output=True, check=False).returncode:
            assert time.monotonic() < until, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.05)

    def estate(self, root: Path, *, database: str = "shop", **fields: Any) -> Estate:
        service = {"kind": "mariadb", "address": self.socket, "user": "root", "database": database}
        service |= {"unit": "shop", "data_directory": str(self.data), **fields}
        dumps = {"kind": "mariadb_dump", "service": "database", "at": str(self.copies), "pattern": "*.sql.gz"}
        streams = {"kind": "mariabackup", "service": "database", "form": "stream", "at": str(self.copies), "pattern": "*.mb"}
        manager = {"kind": "supervisor", "config": str(self.folder / "supervisord.conf")}
        made = Estate(root, services={"database": service}, backups={"dumps": dumps, "streams": streams}, manager=manager)
        (root / "run" / "evidence").mkdir(parents=True)
        return made

    def save(self, *, options: tuple[str, ...] = ("--single-transaction", "--routines", "--events", "shop")) -> None:
        """Nightly job: a dump and a physical backup."""
        dump = subprocess.run(["gzip", "-c"], input=self.dump(*options), capture_output=True, check=True).stdout
        (self.copies / "shop.sql.gz").write_bytes(dump)
        (self.copies / "shop.mb").write_bytes(self.backup("--stream=mbstream"))

    def beside(self) -> list[str]:
        """Names of files next to the data directory that belong to a restore."""
        return [path.name for path in self.folder.iterdir() if "drillbook" in path.name]


@contextlib.contextmanager
def unit(folder: Path) -> Iterator[Unit]:
    os.environ["PATH"] = f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
    made = Unit(folder)
    for name in ("tmp", "copies"):
        (folder / name).mkdir()
    site.install(made)
    command = " ".join(site.command(made))
    (folder / "supervisord.conf").write_text(CONFIG.format(folder=folder, command=command))
    child = subprocess.Popen(
        [need("supervisord"), "-c", str(folder / "supervisord.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        made.until_it_answers()
        made.sql(site.RICH)
        yield made
    finally:
        made.control("shutdown")
        child.terminate()
        child.wait()
