"""files-lost on the lab, and its sabotage."""

from __future__ import annotations

from pathlib import Path

import pytest

from drillbook.journal.run_state import RunState
from drillbook.judge.result import Verdict
from drillbook.project.finished_runs import judged
from tests.e2e.test_sabotage import began, codes, rewrite, store, when


def settings(bench) -> Path:
    return Path(str(bench.value("home.app-1"))) / "api.env"


def test_it_passes_beside_the_traffic(bench):
    before, mode = settings(bench).read_bytes(), settings(bench).stat().st_mode
    folder, view = bench.run(bench.plan("files-lost"))
    assert view.result.verdict is Verdict.PASSED, (view.result.reason, view.result.findings)
    assert view.result.objectives["rto"].met
    assert (settings(bench).read_bytes(), settings(bench).stat().st_mode) == (before, mode)
    assert not list(settings(bench).parent.glob("*.drillbook-*"))
    known = [bench.secret(name).encode() for name in ("pg_app", "s3_secret", "redis")]
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert not any(secret in path.read_bytes() for secret in known), path


def flipped(body):
    return body[:-1] + bytes([body[-1] ^ 1])


def test_a_damaged_archive_is_noticed_before_anything_is_broken(bench):
    act = rewrite(bench, flipped)
    _, view = bench.run(bench.plan("files-lost"), when("done", "backup.1", act))
    assert act.saved, "the sabotage took place"
    assert "backup-digest" in codes(view)
    assert (view.result.verdict, view.result.exit) == (Verdict.FAILED, 1)
    assert not began(view, "inject")


def test_an_archive_that_is_damaged_later_is_never_extracted_and_recover_clears_it(bench):
    act = rewrite(bench, flipped)
    before = settings(bench).read_bytes()
    folder, view = bench.run(bench.plan("files-lost"), when("done", "backup.2", act))
    assert "backup-digest" in codes(view)
    assert view.result.exit == 5, "the settings are lost and not restored: that is residue"
    assert not settings(bench).exists()
    for key, body in act.saved:
        store(bench).put_object(Bucket="dr-backups", Key=key, Body=body)
    assert bench.recover(folder) == []
    assert settings(bench).read_bytes() == before
    assert judged(RunState(folder)).result.residue == ()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda path: path.write_bytes(path.read_bytes() + b"# edited\n"), "file-content"),
        (lambda path: path.chmod(0o644), "file-mode"),
    ],
    ids=["other-bytes", "other-mode"],
)
def test_a_restore_that_is_not_equal_fails(bench, change, code):
    path = settings(bench)
    before = path.read_bytes()
    _, view = bench.run(bench.plan("files-lost"), when("phase.started", "verify", lambda event: change(path)))
    path.write_bytes(before)
    path.chmod(0o600)
    assert code in codes(view)
    assert (view.result.verdict, view.result.exit) == (Verdict.FAILED, 1)
