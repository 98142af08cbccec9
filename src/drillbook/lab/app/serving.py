"""The application as a server runs it, in one process or in each of several workers."""

from __future__ import annotations

import json
import logging
import os
from logging.handlers import RotatingFileHandler
from pathlib import Path

from fastapi import FastAPI

from drillbook.lab.app import api
from drillbook.lab.app.backends import Backends
from drillbook.lab.app.metrics import Metrics
from drillbook.lab.app.settings import Settings

SHARED = Path("log/workers")
"""Where each of several workers keeps its counters for the others, one of whom is asked for the metrics."""


def application() -> FastAPI:
    """The API with the settings of the environment. Raises SettingsError."""
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
    """Metrics of one worker, which shows those of all: of workers that ended too, so that no counter falls."""

    def __init__(self, folder: Path) -> None:
        """Keep them in ``folder``, which is empty when the first worker starts."""
        super().__init__()
        self._file = folder / f"{os.getpid()}.json"

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """See Metrics; written down at once, or another worker would show less than this one has shown."""
        super().observe(method, route, status, seconds)
        self.begin()

    def begin(self) -> None:
        """See Metrics; its file tells the others."""
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(self.state()), encoding="ascii")
        new.replace(self._file)

    def workers(self) -> int:
        """See Metrics: those that have begun, and live."""
        return sum(Path("/proc", path.stem).exists() for path in self._file.parent.glob("*.json"))

    def whole(self) -> Metrics:
        """See Metrics."""
        total = Metrics()
        total.add(self.state())
        for path in sorted(self._file.parent.glob("*.json")):
            if path != self._file:
                total.add(json.loads(path.read_text(encoding="ascii")))
        return total


def begin(folder: Path = SHARED) -> None:
    """Forget the counters of workers that ended before this start."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
