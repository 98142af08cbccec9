"""Corpus of broken repositories: each has exactly its finding, and none is restored without an error."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.sdk.backup_source import parsed_moment
from drillbook.sdk.sandbox import Sandbox
from tests.artefacts import exact
from tests.needs import need
from tests.systems.estate import codes
from tests.systems.pgbackrest import artefacts
from tests.systems.pgbackrest.artefacts import (
    BARE_CORPUS,
    BUNDLED_CORPUS,
    FILES_CORPUS,
    SECRET_CORPUS,
    Damage,
    bundle,
    first_wal,
    flip,
    lost_bundle,
    lost_manifests,
    manifests,
    newest_wal_cut,
    wal_damaged,
    wal_gap,
    wal_twice,
)
from tests.systems.pgbackrest.team import estate, team
from tests.systems.refusals import refused_until

AS_ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def bundled(tmp_path_factory):
    """Team with a full, a differential and an incremental backup in bundles, and later WAL."""
    with artefacts.opened(tmp_path_factory.mktemp("bundled"), artefacts.BUNDLES) as made:
        yield made


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    """A team with an encrypted repository."""
    with artefacts.opened_secret(tmp_path_factory.mktemp("secret")) as made:
        yield made


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Team whose repository has one file for each file of the cluster, and another compression."""
    need("lz4")
    with artefacts.opened(tmp_path_factory.mktemp("plain"), artefacts.FILES) as made:
        yield made


@pytest.mark.parametrize("artefact", [*BUNDLED_CORPUS.parameters(), *BUNDLED_CORPUS.whole()])
def test_each_repository_has_exactly_its_findings(tmp_path, bundled, artefact):
    exact(artefact.lay(bundled, tmp_path), artefact)


@pytest.mark.parametrize("artefact", [*FILES_CORPUS.parameters(), *FILES_CORPUS.whole()])
def test_each_repository_without_bundles_has_exactly_its_findings(tmp_path, plain, artefact):
    exact(artefact.lay(plain, tmp_path), artefact)


@pytest.mark.parametrize("artefact", [*SECRET_CORPUS.parameters(), *SECRET_CORPUS.whole()])
def test_each_encrypted_repository_has_exactly_its_findings(tmp_path, secret, artefact):
    exact(artefact.lay(secret, tmp_path), artefact)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Team that backs up a cluster without any row."""
    with artefacts.opened_bare(tmp_path_factory.mktemp("bare")) as made:
        yield made


@pytest.mark.parametrize("artefact", BARE_CORPUS.parameters())
def test_a_backup_of_a_cluster_without_a_row_is_empty(tmp_path, bare, artefact):
    exact(artefact.lay(bare, tmp_path), artefact)


def test_a_whole_repository_without_bundles_has_no_finding(tmp_path, plain):
    checked = Damage(tmp_path, plain).estate().run("backup.check", service="wal", at=plain.incr)
    assert checked["wal_segments"] >= 4


RESTORED = [
    (bundle, "backup-damaged"),
    (lost_bundle, "backup-missing"),
    (lost_manifests, "backup-missing"),
    (manifests, "backup-damaged"),
    (first_wal, "wal-gap"),
    (wal_gap, "wal-gap"),
    (wal_damaged, "wal-gap"),
    (newest_wal_cut, "wal-gap"),
    (wal_twice, "wal-gap"),
]


@pytest.mark.parametrize(("damaging", "code"), RESTORED, ids=lambda one: getattr(one, "__name__", None))
def test_a_damaged_backup_is_never_restored_in_silence(tmp_path, bundled, damaging, code):
    damage = Damage(tmp_path, bundled)
    damaging(damage)
    place = damage.estate()
    try:
        with pytest.raises(StepFailed) as failure:
            place.restore("wal", "copy")
        assert codes(failure) == [code]
    finally:
        place.remove("wal", "copy")


def test_what_pgbackrest_expired_is_missing(tmp_path, bundled):
    place = Damage(tmp_path, bundled).estate()
    with pytest.raises(StepFailed) as failure:
        place.run("backup.check", service="wal", at="20200101-000000F")
    assert codes(failure) == ["backup-missing"]


def test_the_backup_of_another_cluster_is_a_finding(tmp_path, bundled, plain):
    damage = Damage(tmp_path, bundled)
    place = estate(tmp_path, plain.team, damage.repository)
    with pytest.raises(StepFailed) as failure:
        place.run("backup.check", service="wal")
    assert codes(failure) == ["backup-of-another"]


def test_a_server_that_does_not_answer_is_not_covered(tmp_path, bundled):
    damage = Damage(tmp_path, bundled)
    place = damage.estate(service="copy")
    checked = place.run("backup.check", service="wal")
    assert "whether the backup is of the cluster of copy: this service could not be queried" in checked["not_covered"]


def test_a_stanza_that_does_not_exist_is_missing(tmp_path, bundled):
    place = Damage(tmp_path, bundled).estate(stanza="other")
    with pytest.raises(StepFailed) as failure:
        place.run("backup.list", service="wal")
    assert codes(failure) == ["backup-missing"]


def test_settings_that_are_not_there_verify_nothing(tmp_path, bundled):
    place = Damage(tmp_path, bundled).estate(config="/nowhere/pgbackrest.conf")
    with pytest.raises(CouldNotVerify, match="unable to open missing file"):
        place.run("backup.list", service="wal")


def test_a_repository_that_may_not_be_read_verifies_nothing(tmp_path, bundled):
    damage = Damage(tmp_path, bundled)
    damage.backups.chmod(0)
    place = damage.estate()
    source = place.inventory.services["wal"]
    program = source.program(place.ctx(), place.host, run_as="")
    error = program.failed("info", "[PathOpenError] unable to list file info for path '/r': [13] Permission denied")
    assert isinstance(error, CouldNotVerify)
    if not AS_ROOT:
        with pytest.raises(CouldNotVerify):
            place.run("backup.list", service="wal")
    damage.backups.chmod(0o700)


def test_a_page_that_was_damaged_when_the_backup_was_taken_is_a_finding(tmp_path_factory, tmp_path):
    with team(tmp_path_factory.mktemp("pages") / "team") as made:
        made.sql("INSERT INTO seen SELECT generate_series(1, 5000)", "CHECKPOINT")
        (path,) = made.sql("SELECT pg_relation_filepath('seen')")[0]
        made.stop()
        flip(made.data / path, 0.1)
        made.start()
        label = made.backup("full")
        made.archived()
        place = estate(tmp_path, made, made.repository)
        with pytest.raises(StepFailed) as failure:
            place.run("backup.check", service="wal", at=label)
        assert codes(failure) == ["backup-damaged"]
        assert path in failure.value.findings[0].measured


def test_a_moment_beyond_the_archive_or_before_the_first_backup_fails(tmp_path, bundled):
    place = Damage(tmp_path, bundled).estate()
    for moment in ("2099-01-01T00:00:00Z", "2020-01-01T00:00:00Z"):
        with pytest.raises(StepFailed) as failure:
            place.restore("wal", "copy", at=moment)
        assert codes(failure) == ["backup-missing"]


def test_a_moment_that_the_server_does_not_reach_fails_after_its_start(tmp_path, bundled):
    """The time of a file in the repository is later than its last commit: without pg_waldump only the server knows it."""
    place = Damage(tmp_path, bundled).estate()
    ctx = place.ctx()
    source = place.inventory.services["wal"]
    backup = max(source.backups(ctx), key=lambda one: one.id)
    box = Sandbox.of(ctx, place.inventory.services["copy"])
    box.make()
    try:
        with pytest.raises(StepFailed) as failure:
            source.restore(ctx, backup, box, parsed_moment("2098-01-01T00:00:00Z"))
        assert codes(failure) == ["backup-missing"]
        assert "ends before" in failure.value.findings[0].measured
    finally:
        place.remove("wal", "copy")


def test_a_sandbox_of_another_major_version_is_told_before(tmp_path, bundled):
    place = Damage(tmp_path, bundled).estate()
    services, real, folder = place.inventory.services, place.inventory.services["copy"].bin, tmp_path / "bin-9"
    folder.mkdir()
    for tool in Path(real).iterdir():
        (folder / tool.name).symlink_to(tool)
    (folder / "postgres").unlink()
    (folder / "postgres").write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 9.6.24'\n")
    (folder / "postgres").chmod(0o755)
    services["copy"] = services["copy"].model_copy(update={"bin": str(folder)})
    restore = place.action("backup.restore", service="copy", **{"from": "wal"})
    said = "here: the backup is of PostgreSQL .*, but the sandbox has 9"
    refused_until(
        lambda: restore.ready(place.ctx()),
        said,
        lambda: services.update(copy=services["copy"].model_copy(update={"bin": real})),
    )


def test_a_sandbox_of_another_major_version_is_refused(tmp_path, bundled):
    place = Damage(tmp_path, bundled).estate()
    source = place.inventory.services["wal"]
    backup = source.backups(place.ctx())[0]
    older = replace(backup, facts={**backup.facts, "version": "9"})
    box = Sandbox.of(place.ctx(), place.inventory.services["copy"])
    box.make()
    try:
        with pytest.raises(NotReady, match=r"is of PostgreSQL 9"):
            source.restore(place.ctx(), older, box, None)
    finally:
        place.remove("wal", "copy")
