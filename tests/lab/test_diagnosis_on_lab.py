"""Diagnosis on the embedded lab: each real failure is named, a healthy lab is healthy, and hanging parts block nothing."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import redis

from drillbook.cli import diagnose as incident
from drillbook.diagnosis import scope
from drillbook.diagnosis.run import Book
from drillbook.diagnosis.tree import Check, Tree, Words
from drillbook.lab import processes
from drillbook.lab.layout import ADDRESS, DATABASE
from drillbook.project.project import Project
from drillbook.sdk.web import ask
from tests import tiers
from tests.e2e.conftest import ROOT
from tests.needs import need

from .conftest import get, run

PATIENCE = 60.0


class Ward:
    """The lab with ways to break and to inspect it."""

    def __init__(self, lab, monkeypatch):
        monkeypatch.setenv("DRILLBOOK_LAB", str(lab.folder))
        self.lab, self.project = lab, Project(ROOT)
        inventory = self.project.inventory("lab")
        home = lab.folder / "app-1"
        api = inventory.services["api"].model_copy(
            update={"env_file": str(home / "api.env"), "env_template": str(home / "api.env.template")}
        )
        self.inventory = inventory.model_copy(update={"services": {**inventory.services, "api": api}})
        self.book = Book(incident.trees(self.project), self.inventory)

    def look(self, service="", within=PATIENCE):
        services = self.inventory.services
        with incident.looking(self.book) as look:
            return look(scope.around(services, service) if service else scope.everything(services), within)

    def read(self, name, **params):
        """Facts of one reading action."""
        check = Check(id="it", action=name, params=params, words=Words())
        kind = self.inventory.services[params["service"]].kind
        book = Book((Tree(tree="one", title="one", kind=kind, checks=(check,)),), self.inventory)
        with incident.looking(book) as look:
            (one,) = look([params["service"]], PATIENCE).checks
        assert one.status == "made", one.message
        return one.facts

    def first(self, service="api"):
        """First cause of the ranking, its place, and all of its evidence as one text."""
        found = self.look(service)
        assert found.ranked, found.why
        best = found.ranked[0]
        return best.cause, best.service, " ".join(one.says for one in best.supports)

    def unit(self, host, word, unit):
        done = run(self.lab, host, f"supervisorctl -c {self.lab.folder / host / 'supervisord.conf'} {word} {unit}")
        assert b"ERROR (no such process)" not in done.out, done

    @contextlib.contextmanager
    def stopped(self, host, unit):
        self.unit(host, "stop", unit)
        try:
            yield
        finally:
            self.unit(host, "start", unit)
            self.well()

    def well(self):
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError):
                if get(self.lab, "/health")[0] == 200 and get(self.lab, "/health")[1]["status"] == "ok":
                    return
            assert time.monotonic() < end, "the lab did not come back"
            time.sleep(0.1)

    def connect(self, user=DATABASE, secret="pg_app"):
        return psycopg.connect(
            host=ADDRESS,
            port=self.lab.port("postgres.db-1"),
            dbname=DATABASE,
            user=user,
            password=self.lab.secret(secret),
            autocommit=True,
            application_name="drill-test",
        )


def listens(port):
    with socket.socket() as line:
        return line.connect_ex((ADDRESS, port)) == 0


@pytest.fixture
def ward(lab, monkeypatch):
    made = Ward(lab, monkeypatch)
    made.well()
    return made


def until_known(look, again=5):
    """Result of the diagnosis, repeated up to a number of times while it is `unknown`."""
    for _ in range(again + 1):
        found = look()
        assert found.ranked == (), found
        if found.found != "unknown":
            break
    return found


TRIES = 20 if tiers.ALL else 6


@pytest.mark.long(20)
def test_no_false_alarm_in_many_tries(ward):
    """Diagnoses of all services; of the vectors once, because comparing all ids takes seconds.

    A busy machine makes some results unknown, and those are repeated. No diagnosis may ever name a cause.
    """
    everything = scope.everything(ward.inventory.services)
    with incident.looking(ward.book) as look, ThreadPoolExecutor(2) as pool:
        tries = [[name for name in everything if name != "vectors" or not number] for number in range(TRIES)]
        found = list(pool.map(lambda names: until_known(lambda: look(names, PATIENCE)), tries))
    assert [(one.found, one.why) for one in found] == [("healthy", ())] * TRIES


def test_a_standby_is_examined_only_when_it_is_asked_for(ward):
    assert "spare" not in ward.look().examined
    assert ward.first("spare")[:2] == ("database-lost", "spare")


@contextlib.contextmanager
def silent(ward, service):
    """Service that accepts connections and never answers."""
    pid = ward.read("service.status", service=service)["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_api_down_and_well_again_while_prometheus_says_nothing(ward):
    with ward.stopped("app-1", "api"):
        cause, service, said = ward.first()
        assert (cause, service) == ("api-down", "api")
        assert "STOPPED" in said
        log = ward.read("service.log", service="api", lines=5)
        assert 0 < len(log["lines"]) <= 5
    need("prometheus")
    with silent(ward, "metrics"):
        found = until_known(lambda: ward.look("api"))
    assert (found.found, found.why) == ("healthy", ())
    assert {one.check for one in found.checks if one.status == "not made"} >= {"p95", "alerts", "growth"}


def test_port_taken(ward):
    with ward.stopped("app-1", "api"):
        program = f"import socket, time; s = socket.create_server(('{ADDRESS}', {ward.lab.port('api')})); time.sleep(600)"
        pid = int(run(ward.lab, "app-1", f'setsid python3 -c "{program}" </dev/null >/dev/null 2>&1 & echo $!').out)
        try:
            end = time.monotonic() + PATIENCE
            while not listens(ward.lab.port("api")):
                assert time.monotonic() < end, "it does not listen"
            cause, service, said = ward.first()
        finally:
            os.kill(pid, signal.SIGKILL)
        assert (cause, service) == ("port-taken", "api")
        assert f"process {pid} of " in said
        assert "time.sleep(600)" in said


def test_env_missing(ward):
    file = ward.lab.folder / "app-1" / "api.env"
    before = file.read_bytes()
    with ward.stopped("app-1", "api"):
        try:
            file.write_bytes(b"\n".join(line for line in before.split(b"\n") if not line.startswith(b"REDIS_URL=")))
            cause, service, said = ward.first()
        finally:
            file.write_bytes(before)
        assert (cause, service) == ("env-missing", "api")
        assert "REDIS_URL" in said
        assert ward.lab.secret("redis") not in said


def test_an_endpoint_that_fails(ward):
    file = ward.lab.folder / "app-1" / "api.env"
    before = file.read_bytes()

    def asked(times):
        return [ask(f"{ward.lab.api}/api/v1/duplicates?limit=5", timeout=PATIENCE).status for _ in range(times)]

    try:
        file.write_bytes(before + b"\nLAB_FAIL_PATH=/api/v1/duplicates\n")
        ward.unit("app-1", "restart", "api")
        ward.well()
        assert asked(6) == [500] * 6
        cause, service, said = ward.first()
    finally:
        file.write_bytes(before)
        ward.unit("app-1", "restart", "api")
        ward.well()
        assert asked(80) == [200] * 80  # otherwise the next test would find the old failure
    assert (cause, service) == ("endpoint-fails", "api")
    assert "GET /api/v1/duplicates failed " in said
    assert "RuntimeError: no page layout is known for /api/v1/duplicates" in said


@pytest.mark.parametrize(("host", "unit", "service"), [("db-1", "postgresql", "database"), ("store-1", "redis", "cache")])
def test_dependency_down(ward, host, unit, service):
    with ward.stopped(host, unit):
        assert ward.first()[:2] == ("dependency-down", service)
        assert ward.first(service)[:2] == ("dependency-down", service)


def test_dependency_that_hangs(ward):
    pid = int((ward.lab.folder / "db-1" / "pgdata" / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGSTOP)
    try:
        cause, service, said = ward.first()
    finally:
        os.kill(pid, signal.SIGCONT)
        ward.well()
    assert (cause, service) == ("dependency-down", "database")
    assert "does not answer" in said


def test_network_cut(ward):
    control = ward.lab.folder / "app-1" / "relay" / "postgres"
    control.write_text("drop")
    try:
        end = time.monotonic() + PATIENCE
        while get(ward.lab, "/health")[0] == 200:
            assert time.monotonic() < end, "the path is open"
        cause, service, said = ward.first()
        assert (cause, service) == ("network-cut", "database")
        assert f"the relay database_path on app-1 is in mode `drop`: {control}" in said
    finally:
        control.unlink()
        ward.well()


def test_connections_exhausted(ward):
    held = []
    try:
        with contextlib.suppress(psycopg.OperationalError):
            while len(held) < 200:
                held.append(ward.connect())
        cause, service, said = ward.first()
    finally:
        for one in held:
            one.close()
    ward.well()
    assert (cause, service) == ("connections-exhausted", "database")
    assert "drill-test" in said


def sleep_in(session):
    with contextlib.suppress(psycopg.errors.QueryCanceled):
        session.execute("SELECT pg_sleep(600)")


def test_a_session_that_holds_others_up_idle_and_at_work(ward):
    with ward.connect() as idle, ward.connect() as blocked:
        pid = idle.info.backend_pid
        idle.execute("BEGIN")
        idle.execute("LOCK TABLE documents IN ACCESS EXCLUSIVE MODE")
        waits = threading.Thread(target=lambda: blocked.execute("SELECT count(*) FROM documents"))
        waits.start()
        works = threading.Thread(target=sleep_in, args=(idle,))
        try:
            end = time.monotonic() + PATIENCE
            with ward.connect("postgres", "pg_admin") as look:
                while not look.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone():
                    assert time.monotonic() < end
            cause, service, said = ward.first()
            locks = ward.read("postgres.locks", service="database")
            long = ward.read("postgres.statements", service="database", longer_than="100ms")
            works.start()
            busy = ward.first()
        finally:
            idle.cancel_safe()
            if works.is_alive():
                works.join(PATIENCE)
            idle.execute("ROLLBACK")
            waits.join(PATIENCE)
    ward.well()
    assert (cause, service) == ("idle-in-transaction", "database")
    assert f"process {pid} " in said
    assert f"process {pid} holds AccessExclusiveLock on documents" in said
    assert busy[:2] == ("lock-held", "database")
    assert f"process {pid} (drill-test), busy in a transaction" in busy[2]
    assert [(one["pid"], one["relation"]) for one in locks["exclusive"]] == [(pid, "documents")]
    assert locks["waiting"][0]["relation"] == "documents"
    assert long["running"][0]["blocked_by"] == [pid]
    assert long["working"] == []


def test_slow_query(ward):
    """An index is missing, and a client repeatedly runs the query that needs it."""
    over = threading.Event()

    def ask(lasts):
        with ward.connect() as session:
            while not over.is_set():
                session.execute(f"SELECT count(*), pg_sleep({lasts}) FROM documents WHERE sha256 = 'private'".encode())

    with ward.connect("postgres", "pg_admin") as admin:
        (index,) = admin.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'documents_sha256'").fetchone()
        admin.execute("DROP INDEX documents_sha256")
        asks = [threading.Thread(target=ask, args=(lasts,)) for lasts in (0, 1)]
        for one in asks:
            one.start()
        try:
            cause, service, said = ward.first()
        finally:
            over.set()
            for one in asks:
                one.join(PATIENCE)
            admin.execute(index)
    assert (cause, service) == ("slow-query", "database")
    assert "documents was read from end to end" in said
    assert "reads as a whole documents (" in said
    assert "private" not in said


def test_cache_lost(ward):
    client = redis.Redis(host=ADDRESS, port=ward.lab.port("redis"), password=ward.lab.secret("redis"))
    kept = [(key, client.dump(key), max(0, client.pttl(key))) for key in client.scan_iter()]
    client.flushall()
    try:
        cause, service, said = ward.first()
    finally:
        for key, value, lives in kept:
            if value is not None:
                client.restore(key, lives, value, replace=True)
        client.config_resetstat()
        client.close()
    assert (cause, service) == ("cache-lost", "cache")
    assert "it was emptied once" in said


def test_data_orphans(ward):
    with ward.connect() as session:
        columns = [
            row[0]
            for row in session.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_name = 'chunks' ORDER BY ordinal_position"
            )
        ]
        names = ", ".join(columns)
        kept = session.execute(f"SELECT {names} FROM chunks WHERE document_id = 501").fetchall()
        session.execute("DELETE FROM chunks WHERE document_id = 501")
        try:
            cause, service, said = ward.first("database")
        finally:
            for row in kept:
                session.execute(f"INSERT INTO chunks ({names}) VALUES ({', '.join(['%s'] * len(columns))})", row)
    assert kept
    assert (cause, service) == ("data-orphans", "database")
    assert said.startswith("completed documents without chunks: 1")


def test_vectors_diverged(ward):
    """A row is deleted, and its vector remains."""
    with ward.connect() as session:
        columns = [
            row[0]
            for row in session.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_name = 'chunks' ORDER BY ordinal_position"
            )
        ]
        names = ", ".join(columns)
        row = session.execute(f"SELECT {names} FROM chunks WHERE document_id = 7 ORDER BY id LIMIT 1").fetchone()
        session.execute("DELETE FROM chunks WHERE id = %s", (row[columns.index("id")],))
        try:
            cause, service, said = ward.first("vectors")
        finally:
            session.execute(f"INSERT INTO chunks ({names}) VALUES ({', '.join(['%s'] * len(columns))})", row)
    assert (cause, service) == ("vectors-diverged", "vectors")
    assert f"vectors without a row: 1, such as {row[columns.index('id')]}" in said


def test_database_lost(ward):
    data = ward.lab.folder / "db-1" / "pgdata"
    with ward.stopped("db-1", "postgresql"):
        shutil.move(data, data.with_name("moved"))
        try:
            assert ward.first()[:2] == ("database-lost", "database")
        finally:
            shutil.move(data.with_name("moved"), data)


def test_the_remedy_is_carried_out_once_somebody_agrees(ward, tmp_path):
    (tmp_path / "drills").mkdir()
    for name in ("drills/diagnosis", "inventory"):
        (tmp_path / name).symlink_to(ROOT / name)

    def diagnose(*more):
        program = "from drillbook.cli.program import main; main()"
        return subprocess.run(
            [sys.executable, "-c", program, "diagnose", "api", "--apply", *more],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    with ward.stopped("app-1", "api"):
        asked, refused, done = diagnose(), diagnose("--assume", "no"), diagnose("--assume", "yes")
        assert (asked.returncode, refused.returncode, done.returncode) == (2, 1, 0), [asked, refused, done]
        assert "there is no terminal to ask at" in asked.stderr
        assert "no remedy was applied" in refused.stdout
        (run_,) = (tmp_path / "reports").glob("*-remedy-api-down-*")
        assert '"kind":"intent"' in (run_ / "journal.jsonl").read_text()


def test_hosts_that_hang_hold_nobody(ward):
    """The SSH servers of all hosts are stopped: the program still ends in time, and calls nothing healthy."""

    def command_line(pid):
        with contextlib.suppress(OSError):  # other processes come and go
            return Path(f"/proc/{pid}/cmdline").read_bytes()
        return b""

    pids = [
        pid
        for pid in processes.everything()
        if b"drillbook.lab.daemon" in command_line(pid) and str(ward.lab.folder).encode() in command_line(pid)
    ]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "invoke", "diagnose", "--within", "8s"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        ward.well()
    assert done.returncode == 3, done.stdout + done.stderr
    assert "unknown" in done.stdout
    assert "no answer within" in done.stdout
