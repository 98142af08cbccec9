"""The drill `routine-vectors` on a real lab. A job that knows nothing of Drillbook lets the server make a snapshot, and
stores its file in a bucket.
"""

import hashlib
from pathlib import Path
from urllib.request import Request, urlopen

import boto3
import pytest

pytest.importorskip("qdrant_client", reason="the extra `qdrant` is not installed")

from drillbook.journal.journal import FILE, read
from drillbook.judge.result import Verdict
from tests.e2e.controllers import start, wait_for
from tests.e2e.test_interrupts import SLOW
from tests.systems.qdrant import server

BUCKET, KEY, COPY = "dr-backups", "vectors/chunks-2026.snapshot", "chunks-rehearsed"


class Job:
    """Nightly job of a team."""

    def __init__(self, bench):
        self.bench, self.url = bench, str(bench.value("vectors.url"))
        self.own = server.client(self.url, bench.secret("vectors"))
        self.store = boto3.client(
            "s3",
            endpoint_url=str(bench.value("s3.endpoint")),
            region_name="us-east-1",
            aws_access_key_id=bench.secret("s3_key"),
            aws_secret_access_key=bench.secret("s3_secret"),
        )

    def run(self, *, checksum=True, change=lambda data: data):
        made = self.own.create_snapshot("chunks")
        headers = {"api-key": self.bench.secret("vectors")}
        with urlopen(Request(f"{self.url}/collections/chunks/snapshots/{made.name}", headers=headers), timeout=30) as answer:
            data = answer.read()
        self.own.delete_snapshot("chunks", made.name)
        self.store.put_object(Bucket=BUCKET, Key=KEY, Body=change(data))
        if checksum:
            self.store.put_object(Bucket=BUCKET, Key=f"{KEY}.checksum", Body=hashlib.sha256(data).hexdigest().encode())

    def collections(self):
        return {each.name for each in self.own.get_collections().collections}

    def close(self):
        for key in (KEY, f"{KEY}.checksum"):
            self.store.delete_object(Bucket=BUCKET, Key=key)
        if COPY in self.collections():
            self.own.delete_collection(COPY)
        self.own.close()


@pytest.fixture
def job(bench):
    made = Job(bench)
    yield made
    made.close()


def failed(job, view, step, code):
    assert (view.result.verdict, view.result.exit) == (Verdict.FAILED, 1), view.result.reason
    assert [each.id for each in view.result.steps if each.status == "failed"] == [step]
    assert [each.code for each in view.result.findings] == [code]
    assert COPY not in job.collections()


@pytest.mark.long(15)
@pytest.mark.parametrize("checksum", [True, False])
def test_the_snapshot_of_another_program_is_restored_and_the_copy_removed(bench, job, checksum):
    job.run(checksum=checksum)
    before = job.own.count("chunks").count
    folder, view = bench.run(bench.plan("routine-vectors"))
    assert view.result.verdict is Verdict.PASSED, (view.result.reason, [each.measured for each in view.result.findings])
    assert view.result.residue == ()
    facts = {step.id: step.facts for step in view.result.steps}
    assert (facts["backup.1"]["checksum"], facts["backup.1"]["count"]) == (checksum, 1)
    assert facts["restore.1"]["points"] == facts["verify.1"]["points"] == before
    assert [event.data["action"] for event in read(folder / FILE).events if event.kind == "intent"] == ["qdrant.recover"]
    assert COPY not in job.collections()
    assert job.own.count("chunks").count == before


def damaged(data):
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    ("checksum", "step", "code"), [(True, "backup.1", "backup-digest"), (False, "restore.1", "restore-errors")]
)
def test_a_damaged_snapshot_fails_the_drill(bench, job, checksum, step, code):
    job.run(checksum=checksum, change=damaged)
    _, view = bench.run(bench.plan("routine-vectors"))
    failed(job, view, step, code)


def test_an_old_or_missing_snapshot_fails_the_drill(bench, job):
    _, view = bench.run(bench.plan("routine-vectors"))
    failed(job, view, "backup.1", "backup-missing")
    job.run()
    _, view = bench.run(bench.plan("routine-vectors", ("max_age: 26h", "max_age: 1ms")))
    failed(job, view, "backup.1", "backup-too-old")


def test_a_snapshot_that_lacks_vectors_fails_the_comparison_with_the_rows(bench, job):
    points, _ = job.own.scroll("chunks", limit=5, with_vectors=True, with_payload=True)
    job.own.delete("chunks", [point.id for point in points], wait=True)
    job.run()
    from qdrant_client import models

    again = [models.PointStruct(id=point.id, vector=point.vector, payload=point.payload) for point in points]
    job.own.upsert("chunks", again, wait=True)
    _, view = bench.run(bench.plan("routine-vectors"))
    assert view.result.verdict is Verdict.FAILED
    assert {step.id: step.facts for step in view.result.steps}["verify.2"]["missing"] == 5
    assert COPY not in job.collections()


def test_a_collection_that_exists_is_not_touched(bench, job):
    from qdrant_client import models

    job.run()
    job.own.create_collection(COPY, vectors_config=models.VectorParams(size=4, distance=models.Distance.DOT))
    _, view = bench.run(bench.plan("routine-vectors"))
    assert (view.result.verdict, view.result.exit) == (Verdict.REFUSED, 4)
    assert COPY in job.collections()


def test_the_copy_of_a_killed_run_is_removed_from_its_journal(bench, job):
    job.run()
    path = bench.project.root / "drills" / "routine-vectors.yml"
    text, before = path.read_text(), "verify:\n"
    assert before in text
    path.write_text(text.replace(before, before + SLOW, 1))
    process = start(bench, "drill", "routine-vectors")
    folder = wait_for(bench, process, "step.started", "verify.1")
    process.kill()
    process.communicate()
    assert COPY in job.collections()
    assert bench.recover(folder) == []
    assert COPY not in job.collections()
    assert Path(folder / FILE).is_file()
