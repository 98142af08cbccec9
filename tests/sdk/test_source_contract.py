"""Contract of backup sources: the driver of tar fulfils it, and each violation is reported."""

import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drillbook.errors import StepFailed
from drillbook.sdk.backup_source import Checked
from drillbook.sdk.contract import Artefact, source_problems
from drillbook.systems.tar import SYSTEM
from drillbook.systems.tar.source import TarSource
from tests.needs import need

NOTHING = Checked((), ("nothing",), ())


def archive(folder):
    (folder.parent / "files").mkdir()
    (folder.parent / "files" / "page").write_text("hello\n" * 5000)
    subprocess.run(["tar", "-czf", folder / "files.tar.gz", "-C", folder.parent / "files", "."], check=True)
    return folder / "files.tar.gz"


def cut(folder):
    path = archive(folder)
    os.truncate(path, path.stat().st_size // 2)


WHOLE, CUT = Artefact("whole", archive), Artefact("cut", cut, "backup-damaged")


@pytest.fixture(autouse=True)
def namespaces():
    need("unshare")


def told(folder, *artefacts, **options):
    return source_problems(SYSTEM, "tar", artefacts or (WHOLE, CUT), folder, **options)


def test_a_driver_that_holds_it_has_no_problem(tmp_path):
    assert told(tmp_path) == []
    assert list(tmp_path.rglob("sandbox")) == []


def test_both_sorts_of_artefacts_are_needed(tmp_path):
    assert told(tmp_path / "one", WHOLE) == ["none of the artefacts is a damaged backup"]
    assert told(tmp_path / "other", CUT) == ["none of the artefacts is an intact backup"]
    assert told(tmp_path / "same", WHOLE, CUT, CUT) == ["two artefacts have the same name"]


def test_another_finding_than_the_expected_one_is_told(tmp_path):
    wrong = replace(CUT, finding="backup-empty")
    assert told(tmp_path, WHOLE, wrong) == [
        f"cut: backup.{action} reports ['backup-damaged'], expected ['backup-empty']" for action in ("check", "restore")
    ]


def test_a_finding_that_only_one_action_may_report_is_told_of_the_other(tmp_path):
    found = told(tmp_path, WHOLE, replace(CUT, seen_by=("restore",)))
    assert found == ["cut: backup.check reports ['backup-damaged'], expected nothing"]


def test_a_kind_of_service_is_no_source(tmp_path):
    assert "is not a kind of backup source" in source_problems(SYSTEM, "folder", [WHOLE, CUT], tmp_path)[0]


def changing(self, ctx, backup):
    Path(self.at, backup.id).write_bytes(b"")
    return NOTHING


def leaving(self, ctx, backup):
    Path(ctx.make_scratch("left"), "file").touch()
    return NOTHING


def failing(self, ctx, backup):
    raise StepFailed("the tool ended")


def future(self, ctx):
    return [replace(backup, taken_at=datetime.now(UTC) + timedelta(hours=1)) for backup in LISTED(self, ctx)]


def nameless(self, ctx):
    return [replace(backup, basis="", error_s=-1.0) for backup in LISTED(self, ctx)]


LISTED = TarSource.backups
BROKEN = {
    "sees nothing": ("check", lambda self, ctx, backup: NOTHING, CUT, "backup.check reports nothing, expected"),
    "covers nothing": ("check", lambda self, ctx, backup: Checked((), (), ()), WHOLE, "lists no check that was carried out"),
    "facts are no JSON": (
        "check",
        lambda self, ctx, backup: Checked((), ("x",), (), {"x": {1}}),
        WHOLE,
        "cannot be written as JSON",
    ),
    "fails without a finding": ("check", failing, CUT, "backup.check fails without a finding: the tool ended"),
    "changes the backup": ("check", changing, WHOLE, "an action changed the backup"),
    "leaves a file": ("check", leaving, WHOLE, "files were left on the host"),
    "restores nothing": ("restore", lambda self, ctx, backup, box, at: {}, WHOLE, "leaves the sandbox empty"),
    "restores half": ("restore", lambda self, ctx, backup, box, at: {}, CUT, "backup.restore reports nothing, expected"),
    "lists the future": ("backups", future, WHOLE, "the time of the backup is in the future"),
    "names no basis": ("backups", nameless, WHOLE, "the backup has no `basis`"),
    "negative error": ("backups", nameless, WHOLE, "the error of the backup's time is negative"),
    "lists nothing": ("backups", lambda self, ctx: [], WHOLE, "the source lists no backups"),
    "lists twice": (
        "backups",
        lambda self, ctx: LISTED(self, ctx) * 2,
        WHOLE,
        "the source lists two backups with the same id",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_driver_that_breaks_it_is_told(tmp_path, monkeypatch, what):
    method, broken, artefact, said = BROKEN[what]
    monkeypatch.setattr(TarSource, method, broken)
    found = told(tmp_path)
    assert any(line.startswith(f"{artefact.name}: ") and said in line for line in found), found


@pytest.mark.parametrize(("kinds", "said"), [((), "names no kind of sandbox"), (("http",), "which cannot be a sandbox")])
def test_a_driver_that_restores_into_no_sandbox_is_told(tmp_path, monkeypatch, kinds, said):
    monkeypatch.setattr(TarSource, "RESTORES_TO", kinds)
    assert said in " ".join(told(tmp_path))
