"""vectors-diverged on the lab, and cases that must not pass."""

from __future__ import annotations

import pytest

pytest.importorskip("qdrant_client", reason="the extra `qdrant` is not installed")

from drillbook.journal.journal import FILE, read
from drillbook.judge.result import Verdict
from drillbook.systems.qdrant.actions.faults import MARK
from tests.e2e.test_sabotage import began, codes, store, when
from tests.examples import replaced
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

    def put(self, point, payload, *ids) -> None:
        """Write copies of a point."""
        from qdrant_client import models

        self.own.upsert(self.name, [models.PointStruct(id=one, vector=point[0], payload=payload) for one in ids], wait=True)

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


HALF_UNDONE = """\
drill: half-undone
title: The record of the deleted points cannot be read while the run undoes its faults
service: vectors
inject:
  - qdrant.delete_points: {service: vectors, count: 5}
  - qdrant.add_strays: {service: vectors, count: 2}
"""


@pytest.mark.long(10)
def test_an_example_undoes_by_hand_what_a_run_left(bench, vectors):
    """Both actions have work: the deleted points, and points of the run that came after its undo."""

    def act(event):
        (record,) = (bench.project.reports / bench.run_id / "evidence").glob("*.points-*.jsonl")
        hidden.append(record.rename(record.with_suffix(".hidden")))

    hidden, before = [], vectors.all()
    path = bench.project.root / "drills" / "half-undone.yml"
    path.write_text(HALF_UNDONE)
    folder, view = bench.run(bench.made(path), when("done", "inject.2", act))
    assert view.result.exit == 5
    hidden[0].rename(hidden[0].with_suffix(".jsonl"))
    back, strays = (
        event.data["undo"]["params"]
        for event in read(folder / FILE).events
        if event.kind == "intent" and event.data["effect"] == "fault"
    )
    vectors.put(before[10], {MARK: folder.name}, *strays["ids"])
    path = path.with_name("qdrant-undo.yml")
    given = (
        ("inject.1.controller.points-0123456789ab.jsonl", back["record"]),
        ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", back["digest"]),
        ("[900001, 900002]", str(strays["ids"])),
        ("20260101T120000.000Z-vectors-diverged-ab12", folder.name),
    )
    path.write_text(replaced("qdrant-undo", *given))
    _, view = bench.run(bench.made(path))
    assert view.result.verdict is Verdict.PASSED, (view.result.reason, view.result.findings)
    facts = [step.facts for step in view.result.steps]
    assert facts[:3] == [{"written": 5, "there": 0}, {"removed": 2}, {"removed": False}]
    assert vectors.all() == before
    assert bench.recover(folder) == []
