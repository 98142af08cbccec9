"""Snapshots of a real restic: intact ones restore, and each kind of damage or mistake has exactly its finding."""

import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drillbook.errors import CommandTimedOut, CouldNotVerify, StepFailed
from tests.artefacts import exact
from tests.needs import missing
from tests.systems.estate import codes
from tests.systems.postgres.site import BUCKET, KEY, SECRET_KEY, site
from tests.systems.refusals import refused_until
from tests.systems.restic import artefacts
from tests.systems.restic.artefacts import CORPORA, DAMAGE, OPENING, PASSWORD, estate, flip, write_lock

(CORPUS,) = CORPORA


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Folder, and a repository with one snapshot of it; tests use copies of the repository."""
    with artefacts.opened(tmp_path_factory.mktemp("restic")) as made:
        yield made


@pytest.fixture
def job(original, tmp_path):
    """The job with a separate repository."""
    return artefacts.copied(original, tmp_path)


def compare(place, facts):
    """Compare the restored folder with the service's own."""
    moment = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()  # nothing changed since
    assert facts["backup"]["taken_at"] < moment
    return place.run("files.compare", service="copy", original="site", taken_at=moment)


def content(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_whole_snapshot_has_no_finding_and_restores(job):
    before = content(job.repository)
    place = estate(job, max_age="1h")
    listed = place.run("backup.list", service="files")
    assert listed["count"] == 1
    assert listed["newest"]["hostname"] == "web-1"
    assert listed["newest"]["bytes"] == 606_001
    assert listed["age_s"] < 3600
    checked = place.run("backup.check", service="files")
    assert checked["files"] == {str(job.www): 4}
    assert checked["locks"] == []
    assert len(checked["covered"]) == 2
    assert "the data of other snapshots" in checked["not_covered"]
    facts = place.restore("files", "copy")
    data = Path(f"{place.folder('copy')}/data{job.www}")
    assert (data / "sub" / "noise").read_bytes() == (job.www / "sub" / "noise").read_bytes()
    assert (data / "private").stat().st_mode & 0o777 == 0o600
    assert (data / "link").readlink() == Path("page")
    assert facts["bytes"] == 606_001
    assert facts["seconds"]["restore_and_verify"] <= facts["seconds"]["total"]
    assert not (place.folder("copy") / "cache").exists()
    compared = compare(place, facts)
    assert (compared["compared"], compared["bytes"], compared["changed_since"]) == (3, 606_001, 0)
    place.remove("files", "copy")
    assert not place.folder("copy").exists()
    assert content(job.repository) == before  # no lock, no cache, no other trace
    assert list((place.root / "scratch").rglob("restic-*")) == []


def test_a_repository_that_nobody_may_write_to_is_enough(job):
    for path in [job.repository, *job.repository.rglob("*")]:
        path.chmod(path.stat().st_mode & 0o555)
    place = estate(job)
    place.run("backup.check", service="files")
    place.restore("files", "copy")
    place.remove("files", "copy")


def test_the_whole_repository_is_read_where_that_is_wanted(job):
    flip(job.files("data")[0])
    place = estate(job, read="repository")
    fails(place, "backup.check", "backup-damaged", "ciphertext verification failed")


def fails(place, name, code, *texts):
    """Assert that the action fails with exactly one finding."""
    with pytest.raises(StepFailed) as failure:
        place.run(name, service="files")
    assert codes(failure) == [code]
    measured = failure.value.findings[0].measured
    assert all(text in measured for text in texts), measured
    return failure.value


def unrestorable(place, code):
    """Assert that a restore fails with exactly ``code``, and that its sandbox is removed."""
    with pytest.raises(StepFailed) as failure:
        place.restore("files", "copy")
    assert codes(failure) == [code]
    place.remove("files", "copy")
    assert not place.folder("copy").exists()


@pytest.mark.parametrize("artefact", [*CORPUS.parameters(), *CORPUS.whole()])
def test_each_repository_has_exactly_its_findings(original, tmp_path, artefact):
    place = artefact.lay(original, tmp_path)
    exact(place, artefact)
    if artefact.name in {**DAMAGE, **OPENING}:
        assert place.found_by_restore() == list(artefact.findings)
    if artefact.name in OPENING:
        for action in ("backup.list", "backup.measure"):
            fails(place, action, artefact.findings[0])


def test_a_damaged_snapshot_hides_no_newer_backup(job):
    """Restic lists the other snapshots, with exit status 0."""
    before = set(job.files("snapshots"))
    job.backup()
    flip((set(job.files("snapshots")) - before).pop())
    assert len(job.restic("snapshots", "--compact", "--json")) > 2
    fails(estate(job), "backup.list", "backup-damaged", "Ignoring")


def test_a_wrong_password_is_a_lost_key(job):
    place = estate(job, password="another")
    fails(place, "backup.list", "backup-key-lost", "wrong password")
    fails(place, "backup.check", "backup-key-lost")
    unrestorable(place, "backup-key-lost")


def test_an_empty_repository_has_no_backup(job):
    shutil.rmtree(job.repository)
    job.restic("init")
    fails(estate(job), "backup.check", "backup-missing", "none")


def test_a_snapshot_of_nothing_is_empty(job, tmp_path):
    """An unmounted volume: restic exits with status 0."""
    job.www = tmp_path / "mount"
    job.www.mkdir()
    job.backup()
    with pytest.raises(StepFailed) as failure:
        estate(job).run("backup.check", service="files")
    assert codes(failure) == ["backup-empty", "backup-shrunken"]  # of the driver, and of the series of sizes


def test_a_path_without_a_file_beside_a_full_one_is_empty(job, tmp_path):
    nothing = tmp_path / "uploads"
    nothing.mkdir()
    job.backup(str(job.www), str(nothing))
    place = estate(job, paths=[str(job.www), str(nothing)])
    failed = fails(place, "backup.check", "backup-empty")
    assert failed.findings[0].title.endswith(str(nothing))


def test_snapshots_of_other_paths_are_no_backups_of_this_job(job, tmp_path):
    other = tmp_path / "ww"
    other.mkdir()
    failed = fails(estate(job, paths=[str(job.www), str(other)]), "backup.check", "backup-missing", "1 other snapshots")
    assert str(other) in failed.findings[0].wanted


def test_a_running_backup_is_no_finding_and_an_abandoned_lock_is_told(job):
    with running(job):
        place = estate(job)
        [lock] = place.run("backup.check", service="files")["locks"]
        assert "exclusive" not in lock
    locks = content(job.repository / "locks")
    assert len(locks) == 1  # of a process that was killed a moment ago
    write_lock(job, age=timedelta(minutes=40))
    fails(place, "backup.check", "backup-locked", "lock held by process 4711 on web-9 (user backup)")
    place.restore("files", "copy")
    place.remove("files", "copy")
    assert len(content(job.repository / "locks")) == 2
    assert locks.items() <= content(job.repository / "locks").items()


def test_an_abandoned_exclusive_lock_is_told(job):
    write_lock(job, age=timedelta(days=2), exclusive=True)
    job.backup(status=11)  # it stops new backups
    fails(estate(job), "backup.check", "backup-locked", "exclusive lock")


def test_a_repository_that_is_being_pruned_is_not_judged(job):
    write_lock(job, age=timedelta(minutes=2), exclusive=True)
    with pytest.raises(
        CouldNotVerify, match="another restic process is changing the repository: exclusive lock held by process 4711"
    ):
        estate(job).run("backup.check", service="files")


@contextmanager
def running(job):
    """Backup that waits for more input, and is killed at the end; its lock remains."""
    with subprocess.Popen(
        ["restic", "backup", "--stdin", "--no-cache"], env=job.env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as child:
        until = time.monotonic() + 60
        while not [path for path in (job.repository / "locks").iterdir() if "-tmp-" not in path.name]:
            assert time.monotonic() < until
            time.sleep(0.02)
        yield
        child.kill()


def test_a_stale_snapshot_is_too_old(job):
    shutil.rmtree(job.repository)
    job.restic("init")
    job.backup("--time", f"{datetime.now(UTC) - timedelta(days=3):%Y-%m-%d %H:%M:%S}", str(job.www))
    fails(estate(job, max_age="26h"), "backup.check", "backup-too-old")


def test_a_missed_night_is_a_gap(job):
    shutil.rmtree(job.repository)
    job.restic("init")
    for days in (4, 3, 1):
        job.backup("--time", f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%d %H:%M:%S}", str(job.www))
    fails(estate(job, every="1d", max_age="26h"), "backup.check", "backup-gap")


def test_a_job_that_suddenly_saves_less_is_shrunken(job, tmp_path):
    shutil.copytree(job.www, tmp_path / "shop", symlinks=True)
    job.www = tmp_path / "shop"
    for days in (4, 3, 2):
        job.backup("--time", f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%d %H:%M:%S}", str(job.www))
    (job.www / "sub" / "noise").unlink()
    job.backup()
    fails(estate(job), "backup.check", "backup-shrunken")


def test_a_relative_path_is_found_in_the_snapshot(job):
    shutil.rmtree(job.repository)
    job.restic("init")
    job.backup(".", cwd=job.www)
    place = estate(job)
    assert place.run("backup.check", service="files")["files"] == {str(job.www): 4}


def test_snapshots_of_two_hosts_are_not_taken_for_one_series(job):
    job.restic("backup", "--quiet", "--host", "web-2", str(job.www))
    with pytest.raises(CouldNotVerify, match="web-1, web-2"):
        estate(job).run("backup.list", service="files")
    assert estate(job, folder=job.root / "one", snapshot_host="web-2").run("backup.list", service="files")["count"] == 1
    assert estate(job, folder=job.root / "all", snapshot_host="*").run("backup.list", service="files")["count"] == 2


def test_tags_choose_the_job(job):
    job.backup("--tag", "nightly", "--tag", "web", str(job.www))
    assert estate(job, tags=["web"]).run("backup.list", service="files")["count"] == 1


def test_a_snapshot_is_restored_by_its_id_and_by_a_moment(job, tmp_path):
    moment = datetime.now(UTC)
    job.backup()
    place = estate(job)
    newest, first = place.run("backup.list", service="files")["backups"]
    facts = place.restore("files", "copy", at=first["id"])
    assert facts["backup"]["id"] == first["id"]
    place.remove("files", "copy")
    facts = place.restore("files", "copy", at=moment.isoformat())
    assert facts["backup"]["id"] == first["id"] != newest["id"]
    place.remove("files", "copy")


def test_a_repository_in_s3_is_read_with_the_credentials_of_the_inventory(job, tmp_path):
    with site(tmp_path / "site") as stores:
        job.repository = f"s3:{stores.store.endpoint}/{BUCKET}/restic"
        job.store = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        job.restic("init")
        job.backup()
        env = {name: {"source": "env", "name": f"TEST_{name}"} for name in job.store}
        os.environ.update({f"TEST_{name}": value for name, value in job.store.items()})
        place = estate(job, env=env)
        place.run("backup.check", service="files")
        place.restore("files", "copy")
        assert Path(f"{place.folder('copy')}/data{job.www}/page").read_text() == (job.www / "page").read_text()
        place.remove("files", "copy")


def test_a_store_that_does_not_answer_is_no_damage(job):
    place = estate(job, repository="rest:http://127.0.0.1:1/repository/")
    with pytest.raises(CommandTimedOut):  # restic itself tries again for minutes
        place.run("backup.list", ctx=place.ctx(seconds=4), service="files")


def test_a_full_disk_of_the_sandbox_is_no_damage(job, tmp_path):
    place = estate(job)
    service = place.inventory.services["copy"]
    small = service.model_copy(update={"sandbox": service.sandbox.model_copy(update={"disk": 1000})})
    place.inventory.services["copy"] = small
    unrestorable(place, "sandbox-too-small")


def test_a_repository_in_a_folder_of_another_host_is_told_before(job):
    place = estate(job)
    source, copy = (place.inventory.services[name] for name in ("files", "copy"))
    copies = [copy.model_copy(update={"host": "elsewhere"}), copy]
    said = "the repository .* is on the host here, but copy is on the host elsewhere"
    refused_until(lambda: source.ready_sandbox(place.ctx(), copies[0]), said, lambda: copies.pop(0))


def test_a_value_of_two_lines_is_refused(job):
    place = estate(job, env={"AWS_ACCESS_KEY_ID": "one\nBASH_ENV=/tmp/x"})
    source = place.inventory.services["files"]
    refused_until(
        lambda: place.action("backup.list", service="files").ready(place.ctx()),
        "files: the value of AWS_ACCESS_KEY_ID has more than one line",
        lambda: place.inventory.services.update(files=source.model_copy(update={"env": {"AWS_ACCESS_KEY_ID": "one"}})),
    )


def test_the_password_and_the_credentials_are_hidden_everywhere(job):
    os.environ["TEST_RESTIC_KEY"] = "a key of the store"
    place = estate(job, env={"AWS_SECRET_ACCESS_KEY": {"source": "env", "name": "TEST_RESTIC_KEY"}})
    hidden = place.inventory.revealed(["files"], lambda value: None)
    assert {PASSWORD, "a key of the store"} <= set(hidden)


def test_a_file_that_restic_may_not_read_is_missing_in_the_copy(job, tmp_path):
    """Restic exits with status 3 and keeps the snapshot; the repository does not show this."""
    if os.geteuid() != 0:
        missing("needs root, to take a backup as another user")
    www = Path("/var/tmp") / f"drillbook-test-{os.getpid()}"
    shutil.copytree(job.www, www, symlinks=True)
    try:
        (www / "private").chmod(0o600)
        shutil.rmtree(job.repository)
        job.root.chmod(0o755)
        job.www = www
        job.repository = www.parent / f"{www.name}-repository"
        as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        job.restic("init")
        subprocess.run(["chown", "-R", "65534", job.repository], check=True)
        job.backup(str(www), prefix=as_nobody, status=3)
        place = estate(job)
        checked = place.run("backup.check", service="files")
        assert checked["files"] == {str(www): 3}
        assert "not permitted to read" in checked["not_covered"][0]
        facts = place.restore("files", "copy")
        with pytest.raises(StepFailed) as failure:
            compare(place, facts)
        place.remove("files", "copy")
        assert [finding.title.rpartition("/")[2] for finding in failure.value.findings] == ["private"]
        assert codes(failure) == ["file-missing"]
    finally:
        shutil.rmtree(www)
        shutil.rmtree(job.repository, ignore_errors=True)
