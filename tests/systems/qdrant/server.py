"""A Qdrant server for tests: the lab's stand-in, or the one whose URL is in DRILLBOOK_QDRANT_URL."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from drillbook.sdk.web import ask
from drillbook.systems.qdrant.service import Qdrant
from drillbook.values import Secret
from tests.ports import free_ports
from tests.systems.postgres.site import secret

API_KEY = "key-of-the-vectors"
READ_KEY = "read-only-key-for-tests"
SIZE = 16


def given() -> str:
    """URL of a real server to test against, or nothing."""
    return os.environ.get("DRILLBOOK_QDRANT_URL", "").rstrip("/")


class StandIn:
    """Stand-in in a separate process, which tests can kill and start again on its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_ports(1)[0]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        argv = [
            sys.executable,
            "-P",
            "-m",
            "drillbook.lab.qdrant_stand_in",
            "--port",
            str(self.port),
            "--folder",
            str(self.folder),
        ]
        log = self.folder.with_suffix(".log").open("ab")
        source = str(Path(__file__).parents[3] / "src")
        with log:
            self.process = subprocess.Popen(
                argv,
                env={
                    "PYTHONPATH": source,
                    "QDRANT__SERVICE__API_KEY": API_KEY,
                    "QDRANT__SERVICE__READ_ONLY_API_KEY": READ_KEY,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + 40
        while not self.answers():
            assert self.process.poll() is None, self.folder.with_suffix(".log").read_text()
            assert time.monotonic() < until, "the stand-in does not start"
            time.sleep(0.02)

    def answers(self) -> bool:
        with contextlib.suppress(OSError):
            return ask(f"{self.url}/readyz", timeout=2).status == 200
        return False

    def end(self, number: int) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=40)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """URL of a server."""
    if given():
        yield given()
        return
    stand_in = StandIn(folder / "vectors")
    try:
        stand_in.start()
        yield stand_in.url
    finally:
        stand_in.close()


def api_key() -> Secret | None:
    if given() and not os.environ.get("DRILLBOOK_QDRANT_KEY"):
        return None
    return secret(os.environ.get("DRILLBOOK_QDRANT_KEY", API_KEY), "TEST_QDRANT_KEY")


def client(url: str, key: str = ""):
    """Official Qdrant client, without Drillbook's code."""
    from qdrant_client import QdrantClient

    known = api_key()
    key = key or (known.reveal() if known else "")
    return QdrantClient(
        url=url, port=None, headers={"api-key": key} if key else {}, check_compatibility=False, trust_env=False, timeout=60
    )


@contextlib.contextmanager
def collection(url: str, points=(), **options) -> Iterator[Qdrant]:
    """Separate collection for the test, as a service of an inventory."""
    from qdrant_client import models

    name = f"drillbook-test-{uuid.uuid4().hex[:12]}"
    own = client(url)
    try:
        own.create_collection(
            name, **(options or {"vectors_config": models.VectorParams(size=SIZE, distance=models.Distance.COSINE)})
        )
        if points:
            own.upsert(name, points=list(points), wait=True)
        yield Qdrant(name="vectors", host="db-1", url=url, collection=name, api_key=api_key())
    finally:
        own.delete_collection(name)
        own.close()
