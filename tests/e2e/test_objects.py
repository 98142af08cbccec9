"""objects-deleted and object-corrupted on the lab with traffic, and their sabotage."""

from __future__ import annotations

import json
import urllib.request

import pytest

from drillbook.journal.journal import FILE, read
from drillbook.judge.result import Verdict
from drillbook.lab.seed import original
from drillbook.systems.s3.actions.faults import MARK
from tests.e2e.test_sabotage import began, codes, store, when
from tests.examples import replaced

BUCKET = "dpa-originals"
KEY = "originals/00000007"


def served(bench, number=7) -> bytes:
    with urllib.request.urlopen(f"{bench.value('api.url')}/api/v1/documents/{number}/original", timeout=5) as answer:
        return answer.read()


def versions(bench, key):
    found = store(bench).list_object_versions(Bucket=BUCKET, Prefix=key)
    return [one["VersionId"] for one in found.get("Versions", [])], [
        one["VersionId"] for one in found.get("DeleteMarkers", [])
    ]


@pytest.mark.parametrize("name", ["objects-deleted", "object-corrupted"])
def test_it_passes_beside_the_traffic(bench, name):
    _, view = bench.run(bench.plan(name))
    assert view.result.verdict is Verdict.PASSED, (view.result.reason, view.result.findings)
    assert view.result.objectives["rto"].met
    assert served(bench) == original(7)


@pytest.mark.parametrize("name", ["objects-deleted", "object-corrupted"])
def test_without_a_restore_the_undo_puts_it_back_and_what_a_client_wrote_meanwhile_stays(bench, name):
    def act(event):
        store(bench).put_object(Bucket=BUCKET, Key="originals/00000009", Body=b"a client wrote this")

    before = versions(bench, KEY)
    text = bench.text(name)
    plan = bench.plan(name, (text[text.index("restore:") : text.index("verify:")], ""))
    _, view = bench.run(plan, when("done", "inject.1", act))
    kept = served(bench, 9)
    store(bench).put_object(Bucket=BUCKET, Key="originals/00000009", Body=original(9))
    assert kept == b"a client wrote this"
    assert view.result.residue == (), view.result.residue
    assert view.result.verdict is Verdict.FAILED
    assert served(bench) == original(7)
    assert versions(bench, KEY) == before, "no version and no delete marker of the drill is left"


def test_a_run_that_was_killed_is_put_back_from_its_journal(bench):
    class Killed(BaseException):
        pass

    def die(event):
        if event.kind == "fault.active":
            raise Killed

    # The error of the observer ends the run at once. The recovery must then restore everything that is not undone yet.
    try:
        folder, _ = bench.run(bench.plan("objects-deleted"), die)
    except Killed:
        folder = bench.project.reports / bench.run_id
    assert bench.recover(folder) == []
    assert served(bench) == original(7)


HALF_UNDONE = """\
drill: half-undone
title: Another client deletes an object that the drill deleted too, so that its undo leaves both markers
service: originals
inject:
  - s3.delete_objects: {service: originals, keys: [originals/00000001, originals/00000002]}
  - s3.corrupt_object: {service: originals, key: originals/00000007}
"""


def test_an_example_undoes_by_hand_what_a_run_left(bench):
    """Both actions have work: a delete marker of the run, and a version of the run that came after its undo."""

    def act(event):
        markers.append(store(bench).delete_object(Bucket=BUCKET, Key="originals/00000001")["VersionId"])

    markers, before = [], [versions(bench, key) for key in (KEY, "originals/00000001")]
    path = bench.project.root / "drills" / "half-undone.yml"
    path.write_text(HALF_UNDONE)
    folder, view = bench.run(bench.made(path), when("done", "inject.1", act))
    assert view.result.exit == 5
    client = store(bench)
    client.delete_object(Bucket=BUCKET, Key="originals/00000001", VersionId=markers[0])
    client.put_object(Bucket=BUCKET, Key=KEY, Body=b"late", Metadata={MARK: folder.name})
    undo = {event.step: event.data["undo"] for event in read(folder / FILE).events if event.kind == "intent"}
    objects = json.dumps(undo["inject.1"]["params"]["objects"])
    path = path.with_name("s3-undo.yml")
    given = ('{originals/00000001: ["3f2a", "9c41"]}', objects), ("20260101T120000.000Z-object-corrupted-ab12", folder.name)
    path.write_text(replaced("s3-undo", *given))
    _, view = bench.run(bench.made(path))
    assert view.result.verdict is Verdict.PASSED, (view.result.reason, view.result.findings)
    assert [step.facts["removed"] for step in view.result.steps[:2]] == [1, 1]
    assert [versions(bench, key) for key in (KEY, "originals/00000001")] == before
    assert bench.recover(folder) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (
            lambda client, key, body: client.put_object(Bucket="dr-backups", Key=key, Body=body[:-7] + b"damaged"),
            "backup-digest",
        ),
        (lambda client, key, body: client.delete_object(Bucket="dr-backups", Key=key), "backup-missing"),
    ],
    ids=["other-bytes", "missing"],
)
def test_a_damaged_copy_is_noticed_before_anything_is_broken(bench, change, code):
    def act(event):
        client, key = store(bench), f"{bench.run_id}/originals/objects/originals/00000150"
        change(client, key, client.get_object(Bucket="dr-backups", Key=key)["Body"].read())

    _, view = bench.run(bench.plan("objects-deleted"), when("done", "backup.1", act))
    assert code in codes(view)
    assert (view.result.verdict, view.result.exit) == (Verdict.FAILED, 1)
    assert not began(view, "inject")


def test_a_restore_that_is_not_equal_fails(bench):
    def act(event):
        store(bench).put_object(Bucket=BUCKET, Key=KEY, Body=b"!" + original(7)[1:])
        store(bench).delete_object(Bucket=BUCKET, Key="originals/00000008")

    _, view = bench.run(bench.plan("objects-deleted"), when("phase.started", "verify", act))
    for number in (7, 8):
        store(bench).put_object(Bucket=BUCKET, Key=f"originals/{number:08d}", Body=original(number))
    assert {"object-content", "object-missing"} <= codes(view)
    assert view.result.verdict is Verdict.FAILED
    assert view.result.exit != 0
