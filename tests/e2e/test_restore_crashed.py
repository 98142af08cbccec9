"""The new server crashes during a restore of the database: no client ever sees a partial database, or an empty one in
its place.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sysconfig
import threading
import time
from pathlib import Path

import psycopg
import pytest

from drillbook.journal.run_state import RunState
from drillbook.project.finished_runs import judged
from tests.e2e.conftest import ROOT
from tests.e2e.controllers import eventually_healthy
from tests.e2e.field import at
from tests.e2e.test_objects import BUCKET, store
from tests.waiting import lasts, until

RESTORE = ("step.started", "restore.1")
AFTER_S = {"appeared": 0.4, "loading": 0.1}
DATABASES = {"appeared": 1, "loading": 4}
"""Databases that the new server must have before the crash: it accepts connections, or it has one besides the standard ones."""
PATIENCE_S = 60.0


def postmaster(bench):
    """Pid of the server, as stored in its data directory."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int((Path(str(bench.value("data.db-1"))) / "postmaster.pid").read_text().split("\n")[0])
    return None


def databases(bench):
    """Number of databases of the new server. It is 0 as long as the server accepts no connection."""
    with (
        contextlib.suppress(psycopg.Error),
        psycopg.connect(
            host="127.0.0.1",
            port=bench.value("postgres.db-1"),
            dbname="postgres",
            user="postgres",
            password=bench.secret("pg_admin"),
            connect_timeout=2,
        ) as session,
    ):
        return len(session.execute("SELECT 1 FROM pg_database").fetchall())
    return 0


def crash(bench, before, moment, done):
    """Kill the new server with SIGKILL, and start it again at once, as a service manager does."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        pid = postmaster(bench)
        if pid not in (None, before) and databases(bench) >= DATABASES[moment]:
            lasts(AFTER_S[moment])  # the kill is in the middle of the restore
            os.kill(pid, signal.SIGKILL)
            done.set()
            break
        time.sleep(0.005)
    for _ in range(3):
        lasts(0.3)  # the pause of the service manager
        subprocess.run(
            [
                f"{sysconfig.get_path('scripts')}/supervisorctl",
                "-c",
                str(bench.value("manager.db-1")),
                "start",
                "postgresql",
            ],
            check=False,
            capture_output=True,
        )


class Client(threading.Thread):
    """Application that repeatedly counts the documents: it must get all of them, or an error."""

    def __init__(self, bench) -> None:
        super().__init__(daemon=True)
        self.where = {
            "host": "127.0.0.1",
            "port": bench.value("postgres.db-1"),
            "dbname": "dpa",
            "user": "dpa",
            "password": bench.secret("pg_app"),
            "connect_timeout": 2,
            "autocommit": True,
        }
        self.counts, self.errors, self.looks, self.over = set(), 0, 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.01):
            try:
                with psycopg.connect(**self.where) as session:
                    self.counts.add(session.execute("SELECT count(*) >= 20000 FROM documents").fetchone()[0])
            except psycopg.Error as error:
                self.errors += 1
                if "does not exist" in str(error) and "relation" in str(error):
                    self.counts.add("a database without its tables")
            self.looks += 1


@contextlib.contextmanager
def client(bench):
    made = Client(bench)
    made.start()
    try:
        yield made
    finally:
        made.over.set()
        made.join(10)


def originals(bench):
    """Originals of all documents in the database."""
    with bench.admin() as connection:
        known = {f"originals/{number:08d}" for (number,) in connection.execute("SELECT id FROM documents")}
    pages = store(bench).get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return {
        one["Key"]: (one["ETag"], one["LastModified"]) for page in pages for one in page["Contents"] if one["Key"] in known
    }


@pytest.mark.parametrize(("closed", "moment"), [(True, "appeared"), (True, "loading"), (False, "loading")])
def test_a_server_that_crashes_while_it_is_restored_shows_nobody_an_empty_database(bench, closed, moment):
    bench.spoiled = True
    plan = bench.plan("postgres-lost", *(() if closed else ((", closed: true", ""),)))
    before, kept, crashed = postmaster(bench), originals(bench), threading.Event()
    observer = at(RESTORE, lambda: threading.Thread(target=crash, args=(bench, before, moment, crashed)).start())
    with client(bench) as seen:
        folder, view = bench.run(plan, observer)
        assert crashed.is_set()
        assert view.result.exit == 5, view.result.reason
        assert view.result.verdict != "passed"
        with contextlib.suppress(psycopg.OperationalError), bench.admin():
            raise AssertionError("a database is there that was not restored whole")
        assert seen.counts <= {True}
        assert bench.recover(folder) == []
        assert judged(RunState(folder)).result.residue == ()
        assert eventually_healthy(bench)
        looked = seen.looks
        until(lambda: seen.looks > looked + 1, "another look of the client")
    assert seen.counts == {True}, "all of the rows, or an error"
    with bench.admin() as connection:
        assert connection.execute("SELECT count(*) FROM documents").fetchone()[0] >= 20_000
        left = connection.execute(
            "SELECT datname, datconnlimit FROM pg_database WHERE NOT datistemplate ORDER BY 1"
        ).fetchall()
        assert left == [("dpa", -1), ("postgres", -1)]
    now = originals(bench)
    assert {key: now.get(key) for key in kept} == kept, "no original was overwritten"
    bench.spoiled = False


def test_the_log_that_was_received_is_kept_until_the_cluster_is_recovered(bench):
    """The only copy of the last commits is in the temporary files of the run that failed to recover it."""
    bench.spoiled = True
    plan = bench.made(ROOT / "drills" / "handbook" / "database-lost.yml")
    before = postmaster(bench)

    over = threading.Event()

    def kill_all():
        while not over.wait(0.005):
            if (pid := postmaster(bench)) not in (None, before):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    killing = threading.Thread(target=kill_all)

    def observer(event):
        if (event.kind, event.step) == RESTORE:
            killing.start()
        elif event.kind == "phase.ended" and event.data["phase"] == "restore":
            over.set()

    try:
        folder, view = bench.run(plan, observer)
    finally:
        over.set()
        killing.join()
    assert view.result.exit == 5, view.result.reason
    scratch = Path(bench.inventory.hosts["db-1"].scratch) / "drillbook" / "runs" / folder.name
    assert list(scratch.glob("wal-*/*")), "the log that was received"
    assert bench.recover(folder) == []
    assert judged(RunState(folder)).result.residue == ()
    assert not scratch.exists()
    assert eventually_healthy(bench)
    bench.spoiled = False
