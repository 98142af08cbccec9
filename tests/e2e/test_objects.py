"""objects-deleted and object-corrupted on the lab with traffic, and their sabotage."""

from __future__ import annotations

import urllib.request

import pytest

from drillbook.judge.result import Verdict
from drillbook.lab.seed import original
from tests.e2e.test_sabotage import began, codes, store, when

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

    # The observer's error ends the run at once; whatever was undone by then, the recovery must restore everything.
    try:
        folder, _ = bench.run(bench.plan("objects-deleted"), die)
    except Killed:
        folder = bench.project.reports / bench.run_id
    assert bench.recover(folder) == []
    assert served(bench) == original(7)


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
