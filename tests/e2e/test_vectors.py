"""vectors-diverged on the lab, and cases that must not pass."""

from __future__ import annotations

import pytest

pytest.importorskip("qdrant_client", reason="the extra `qdrant` is not installed")

from drillbook.judge.result import Verdict
from tests.e2e.test_sabotage import began, codes, store, when
from tests.systems.qdrant import server

pytestmark = pytest.mark.long(12)


class Killed(BaseException):
    pass


@pytest.fixture
def vectors(bench):
    """The collection through Qdrant's own client: its content, and a function that damages it."""
    own = server.client(str(bench.value("vectors.url")), bench.secret("vectors"))
    yield Vectors(own)
    own.close()


class Vectors:
    name = "chunks"

    def __init__(self, own) -> None:
        self.own = own

    def all(self) -> dict:
        points, rest = self.own.scroll(self.name, limit=10_000, with_vectors=True, with_payload=True)
        assert rest is None
        return {point.id: (point.vector, point.payload) for point in points}

    def delete(self, *ids) -> None:
        self.own.delete(self.name, points_selector=list(ids), wait=True)


@pytest.mark.long(15)
def test_it_passes_and_every_vector_is_as_before(bench, vectors):
    before = vectors.all()
    _, view = bench.run(bench.plan("vectors-diverged"))
    assert view.result.verdict is Verdict.PASSED, (view.result.reason, view.result.findings)
    assert view.result.residue == ()
    assert view.result.objectives["rto"].met
    facts = {step.id: step.facts for step in view.result.steps}
    assert (facts["detect.1"]["missing"], facts["detect.1"]["strays"]) == (150, 40)
    assert (facts["restore.1"]["from_backup"], facts["restore.1"]["deleted"], facts["restore.1"]["left"]) == (150, 40, 0)
    assert vectors.all() == before


@pytest.mark.long(15)
def test_without_its_remedy_it_does_not_pass_and_the_undo_puts_all_back(bench, vectors):
    before = vectors.all()
    text = bench.text("vectors-diverged")
    plan = bench.plan("vectors-diverged", (text[text.index("restore:") : text.index("verify:")], ""))
    _, view = bench.run(plan)
    assert view.result.verdict is Verdict.FAILED
    assert {"vector-missing", "vector-unexpected"} <= codes(view)
    assert view.result.residue == (), view.result.residue
    assert vectors.all() == before


@pytest.mark.long(10)
def test_a_run_that_was_killed_is_put_back_from_its_folder(bench, vectors):
    def die(event):
        if event.kind == "phase.started" and event.data["phase"] == "detect":
            raise Killed

    before = vectors.all()
    try:
        folder, _ = bench.run(bench.plan("vectors-diverged"), die)
    except Killed:
        folder = bench.project.reports / bench.run_id
    assert bench.recover(folder) == []
    assert vectors.all() == before


@pytest.mark.long(10)
def test_a_damaged_snapshot_is_noticed_before_anything_is_broken(bench, vectors):
    def act(event):
        key = f"{bench.run_id}/vectors/points-00001.jsonl.gz"
        store(bench).put_object(Bucket="dr-backups", Key=key, Body=b"damaged")

    before = vectors.all()
    _, view = bench.run(bench.plan("vectors-diverged"), when("done", "backup.1", act))
    assert "backup-digest" in codes(view)
    assert view.result.verdict is Verdict.FAILED
    assert not began(view, "inject")
    assert vectors.all() == before
