"""Restores of snapshots into the folder itself, after it was deleted; and refusal of snapshots of another folder."""

import shutil

import pytest

from drillbook.errors import StepFailed
from tests.needs import need
from tests.systems.estate import codes
from tests.systems.restic.artefacts import Job, estate
from tests.systems.restic.test_source import content


@pytest.fixture
def job(tmp_path):
    """Job with a separate folder and repository."""
    need("restic")
    made = Job(tmp_path)
    (made.www / "sub").mkdir(parents=True)
    (made.www / "page").write_text("hello\n" * 1000)
    (made.www / "sub" / "private").write_text("s")
    (made.www / "sub" / "private").chmod(0o600)
    made.www.chmod(0o751)
    made.restic("init")
    return made


def unlike(place):
    """Reason against a restore of the newest snapshot into the site."""
    checked = place.run("backup.check", service="files")
    source, ctx = place.inventory.services["files"], place.ctx()
    [backup] = source.backups(ctx)
    return source.in_place(ctx, place.inventory.services["site"]).unlike(backup, checked)


@pytest.mark.parametrize("words", [(), ("www",)], ids=["by-its-path", "by-its-name"])
def test_a_deleted_folder_comes_back_with_its_rights(job, words):
    job.backup(*words, cwd=job.root)
    place = estate(job)
    before = content(job.www)
    assert unlike(place) == ""
    action = place.action("backup.restore", service="site", **{"from": "files"})
    action.ready(place.ctx())
    shutil.rmtree(job.www)
    facts = action.run(place.ctx())
    assert content(job.www) == before
    assert (job.www / "sub" / "private").stat().st_mode & 0o777 == 0o600
    assert job.www.stat().st_mode & 0o777 == 0o751
    assert facts["files"] == 2
    assert [path.name for path in job.root.iterdir() if "drillbook" in path.name] == []


def test_a_folder_that_is_there_is_not_written(job):
    job.backup()
    place = estate(job)
    (job.www / "page").write_text("newer")
    with pytest.raises(StepFailed) as failure:
        place.action("backup.restore", service="site", **{"from": "files"}).run(place.ctx())
    assert codes(failure) == ["restore-target"]
    assert (job.www / "page").read_text() == "newer"
    assert [path.name for path in job.root.iterdir() if "drillbook" in path.name] == []


def test_a_snapshot_that_lacks_what_is_older_is_told(job):
    job.backup("--exclude", "page", str(job.www))
    assert "the backup lacks 1 of the" in unlike(estate(job))


def test_a_snapshot_without_the_folder_itself_is_told(job):
    job.backup(".", cwd=job.www)
    with pytest.raises(StepFailed, match="a restore would lose the folder's owner and permissions"):
        unlike(estate(job))


def test_a_damaged_snapshot_leaves_nothing(job):
    job.backup()
    place = estate(job)
    shutil.rmtree(job.www)
    for pack in job.files("data"):
        pack.write_bytes(pack.read_bytes()[:100])
    with pytest.raises(StepFailed) as failure:
        place.action("backup.restore", service="site", **{"from": "files"}).run(place.ctx())
    assert codes(failure) == ["backup-damaged"]
    assert not job.www.exists()
    assert [path.name for path in job.root.iterdir() if "drillbook" in path.name] == []
