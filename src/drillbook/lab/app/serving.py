"""Starts the application under a server, in one process or in several workers."""

from __future__ import annotations

import json
import logging
import os
from logging.handlers import RotatingFileHandler
from pathlib import Path

from fastapi import FastAPI

from drillbook.atomic_file import replace_file
from drillbook.lab.app import api
from drillbook.lab.app.backends import Backends
from drillbook.lab.app.metrics import Metrics
from drillbook.lab.app.settings import Settings

SHARED = Path("log/workers")
"""Folder for the counters of all workers, so that every worker can report the metrics of the whole service."""


def application() -> FastAPI:
    """Create the API with settings from the environment. Raises SettingsError when a setting is missing."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("psycopg.pool", "httpx", "botocore"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    access = logging.getLogger("access")
    access.propagate = False
    handler = RotatingFileHandler(Path("log/access.log"), maxBytes=5_000_000, backupCount=1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    access.addHandler(handler)
    settings = Settings.load()
    if settings.workers == 1:
        return api.make(Backends(settings), Metrics())
    return api.make(Backends(settings), SharedMetrics(SHARED))


class SharedMetrics(Metrics):
    """Metrics of one worker. They report the sum of the counters of all workers.

    The sum includes workers that have terminated, so that no counter decreases.
    """

    def __init__(self, folder: Path) -> None:
        """Choose this worker's file in ``folder``.

        The function ``begin`` empties this folder before the first worker starts.
        """
        super().__init__()
        self._file = folder / f"{os.getpid()}.json"

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request, and write the counters at once, so that no other worker reports an older sum."""
        super().observe(method, route, status, seconds)
        self.begin()

    def begin(self) -> None:
        """Write the counters to this worker's file, so that the other workers can add them to the sum."""
        replace_file(self._file, json.dumps(self.state()).encode("ascii"), mode=None)

    def workers(self) -> int:
        """Number of workers that have started and that still run."""
        return sum(Path("/proc", path.stem).exists() for path in self._file.parent.glob("*.json"))

    def whole(self) -> Metrics:
        """Sum of the counters of all workers."""
        total = Metrics()
        total.add(self.state())
        for path in sorted(self._file.parent.glob("*.json")):
            if path != self._file:
                total.add(json.loads(path.read_text(encoding="ascii")))
        return total


def begin(folder: Path = SHARED) -> None:
    """Delete the counters that workers of a previous start left in ``folder``."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
