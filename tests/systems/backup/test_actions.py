"""Actions for all kinds of backup sources, tested with tar archives: choice of a backup, age, schedule, sandbox."""

import os
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from drillbook.errors import CouldNotVerify, NotReady, StepFailed, UsageError
from tests.needs import need
from tests.systems.estate import Estate, codes

NOW = datetime.now(UTC)


def archive(folder, name, text, age_s):
    folder.mkdir(exist_ok=True)
    inner = folder.parent / "inner"
    inner.mkdir(exist_ok=True)
    (inner / "text").write_text(text)
    subprocess.run(["tar", "-cf", folder / name, "-C", inner, "text"], check=True)
    os.utime(folder / name, (time.time() - age_s, time.time() - age_s))


@pytest.fixture
def place(tmp_path):
    for days in range(5):
        archive(tmp_path / "backups", f"day-{days}.tar", f"{days}", days * 86400 + 60)
    return Estate(
        tmp_path,
        services={"copy": {"kind": "folder", "sandbox": {}}},
        backups={
            "daily": {"kind": "tar", "at": str(tmp_path / "backups"), "max_age": "26h", "every": "24h"},
            "strict": {"kind": "tar", "at": str(tmp_path / "backups"), "max_age": "10s"},
            "hourly": {"kind": "tar", "at": str(tmp_path / "backups"), "every": "1h", "max_age": "2d"},
            "none": {"kind": "tar", "at": str(tmp_path / "backups"), "pattern": "*.nothing"},
            "away": {"kind": "tar", "at": str(tmp_path / "nowhere")},
        },
    )


def restored(place, **fields):
    place.restore("daily", "copy", **fields)
    text = (place.folder("copy") / "data" / "text").read_text()
    place.remove("daily", "copy")
    return text


def test_the_newest_an_id_or_a_moment(place):
    assert restored(place) == "0"
    assert restored(place, at="day-3.tar") == "3"
    assert restored(place, at=(NOW - timedelta(days=1, hours=1)).isoformat()) == "2"
    for at in ("day-9.tar", (NOW - timedelta(days=9)).isoformat()):
        with pytest.raises(StepFailed) as failure:
            place.restore("daily", "copy", at=at)
        assert codes(failure) == ["backup-missing"]
    with pytest.raises(ValueError, match="no offset from UTC"):
        place.action("backup.check", service="daily", at="2026-11-27T12:00:00")


def test_a_restored_backup_of_the_time_of_a_drill_names_the_drill(place):
    asked = []

    def drilled(at):
        asked.append(at)
        return "site-lost"

    facts = place.run("backup.restore", ctx=replace(place.ctx(), drilled=drilled), service="copy", **{"from": "daily"})
    assert facts["backup"]["taken_during"] == "site-lost"
    assert facts["backup"]["taken_at"].startswith(f"{asked[0]:%Y-%m-%dT%H:%M:%S}")
    place.remove("daily", "copy")


def test_earlier_runs_that_cannot_be_read_stop_no_restore(place):
    def drilled(at):
        raise UsageError("the folder of all runs cannot be read")

    facts = place.run("backup.restore", ctx=replace(place.ctx(), drilled=drilled), service="copy", **{"from": "daily"})
    assert "taken_during" not in facts["backup"]
    place.remove("daily", "copy")


def test_a_list_says_what_there_is_and_how_old(place):
    facts = place.run("backup.list", service="daily")
    assert facts["count"] == 5
    assert facts["newest"]["id"] == "day-0.tar"
    assert 55 < facts["age_s"] < 300
    assert [one["id"] for one in facts["backups"]] == [f"day-{number}.tar" for number in range(5)]
    with pytest.raises(StepFailed) as failure:
        place.run("backup.list", service="strict")
    assert codes(failure) == ["backup-too-old"]
    assert place.run("backup.list", service="strict", required=False)["count"] == 5
    with pytest.raises(StepFailed) as failure:
        place.run("backup.list", service="hourly")
    assert set(codes(failure)) == {"backup-gap"}


def test_a_source_without_backups_and_a_place_that_does_not_exist(place):
    for source in ("none", "away"):
        with pytest.raises(StepFailed) as failure:
            place.run("backup.list", service=source)
        assert codes(failure) == ["backup-missing"]
        if source == "none":
            found = failure.value.findings[0].measured
            assert found == f"none in {place.inventory.services['none'].at} with a name like *.nothing"


@pytest.mark.parametrize("kind", ["tar", "sqlite", "mariadb_dump", "pg_dump"])
@pytest.mark.parametrize("name", ["README.txt", "shop.sha256", "job.log"])
def test_another_file_beside_the_backups_is_told_by_the_pattern(tmp_path, kind, name):
    archive(tmp_path / "backups", "day-0.tar", "0", 60)
    (tmp_path / "backups" / name).write_text("0a1b  shop: how to use these backups\n")
    source = {"kind": kind, "at": str(tmp_path / "backups")}
    exact = {**source, "pattern": name}
    place = Estate(tmp_path, services={}, backups={"nightly": source, "exact": exact})
    with pytest.raises(StepFailed) as failure:
        place.run("backup.check", service="nightly")
    [found] = failure.value.findings
    assert found.code in ("backup-damaged", "backup-empty")
    said = (
        f"If {name} is not a backup, but for example a note, a checksum or a file of roles, narrow `backups.nightly.pattern`"
    )
    assert found.remedy.startswith(said)
    with pytest.raises(StepFailed) as failure:
        place.run("backup.check", service="exact")
    assert "narrow `" not in failure.value.findings[0].remedy


@pytest.mark.parametrize("end", ["tar", "tar.gz"])
def test_a_truncated_backup_is_first_called_lost(tmp_path, end):
    archive(tmp_path / "backups", "shop.tar", "x" * 100_000, 60)
    path = tmp_path / "backups" / "shop.tar"
    if end == "tar.gz":
        subprocess.run(["gzip", path], check=True)
        path = path.with_name("shop.tar.gz")
    os.truncate(path, path.stat().st_size // 2)
    place = Estate(
        tmp_path,
        services={"copy": {"kind": "folder", "sandbox": {}}},
        backups={"nightly": {"kind": "tar", "at": str(tmp_path / "backups")}},
    )
    for step in (lambda: place.run("backup.check", service="nightly"), lambda: place.restore("nightly", "copy")):
        with pytest.raises(StepFailed) as failure:
            step()
        [found] = failure.value.findings
        assert found.code == "backup-damaged"
        assert found.remedy.startswith("Treat this backup as lost."), found.remedy
        assert found.remedy.endswith(
            f"If {path.name} is not a backup of this job, narrow `backups.nightly.pattern`, which is '*'."
        )


def test_the_size_of_a_note_is_not_compared_with_the_sizes_of_backups(place, tmp_path):
    (tmp_path / "backups" / "backup.log").write_text("backup finished\n")
    with pytest.raises(StepFailed) as failure:
        place.run("backup.check", service="daily")
    assert codes(failure) == ["backup-damaged"]
    with pytest.raises(StepFailed) as failure:
        place.run("backup.list", service="daily")
    assert codes(failure) == ["backup-shrunken"], "a list reads no file"


def test_the_loss_is_measured_from_the_newest_backup(place):
    facts = place.run("backup.measure", service="daily")
    assert 55 < facts["loss_s"] < 300
    assert facts["error_s"] == 1.0
    assert "time of the last change" in facts["basis"]


def test_a_backup_of_tomorrow_is_not_judged(place, tmp_path):
    archive(tmp_path / "backups", "day-9.tar", "9", -86400)
    with pytest.raises(CouldNotVerify, match="in the future"):
        place.run("backup.check", service="strict")


def test_the_sandbox_of_another_run_is_not_touched(place):
    place.restore("daily", "copy")
    other = place.ctx(run="0123456789ab")
    with pytest.raises(NotReady, match=f"the run {place.run_id} created it"):
        place.action("backup.restore", service="copy", **{"from": "daily"}).ready(other)
    with pytest.raises(StepFailed) as failure:
        place.action("backup.restore", service="copy", **{"from": "daily"}).run(other)
    assert codes(failure) == ["restore-target"]
    place.remove("daily", "copy", run="0123456789ab")
    assert (place.folder("copy") / "data" / "text").read_text() == "0"
    place.remove("daily", "copy")


def test_the_run_that_made_a_sandbox_is_named_by_its_folder_in_reports(place):
    place.run_id = "20261127T031500.000Z-rehearse-files-b9cc"
    place.restore("daily", "copy")
    with pytest.raises(NotReady, match=f"the run {place.run_id} created it"):
        place.action("backup.restore", service="copy", **{"from": "daily"}).ready(place.ctx(run="0123456789ab"))
    place.remove("daily", "copy")


def test_a_restore_again_by_the_same_run_begins_anew(place):
    place.restore("daily", "copy")
    (place.folder("copy") / "data" / "more").write_text("x")
    assert place.action("backup.restore", service="copy", **{"from": "daily"}).active(place.ctx()) is True
    place.restore("daily", "copy")
    assert [one.name for one in (place.folder("copy") / "data").iterdir()] == ["text"]
    place.remove("daily", "copy")
    assert place.action("backup.restore", service="copy", **{"from": "daily"}).active(place.ctx()) is False


@pytest.fixture
def tight(tmp_path):
    """An archive that takes 65 MiB of memory to decompress, and one with 60 MB of zeros."""
    need("xz")
    archive(tmp_path / "backups", "day.tar", "text", 60)
    subprocess.run(["xz", "-9", tmp_path / "backups" / "day.tar"], check=True)
    (tmp_path / "zeros").mkdir()
    (tmp_path / "inner" / "text").write_bytes(bytes(60_000_000))
    subprocess.run(["tar", "-czf", tmp_path / "zeros" / "zeros.tar.gz", "-C", tmp_path / "inner", "text"], check=True)
    return Estate(
        tmp_path,
        services={
            "copy": {"kind": "folder", "sandbox": {}},
            "poor": {"kind": "folder", "sandbox": {"memory": "24MiB"}},
            "narrow": {"kind": "folder", "sandbox": {"disk": "10MiB"}},
        },
        backups={
            "daily": {"kind": "tar", "at": str(tmp_path / "backups")},
            "zeros": {"kind": "tar", "at": str(tmp_path / "zeros")},
        },
    )


@pytest.mark.parametrize(("source", "box", "budget"), [("daily", "poor", "memory"), ("zeros", "narrow", "disk")])
def test_a_restore_that_exceeds_the_budget_says_so_and_its_sandbox_goes(tight, source, box, budget):
    """The archive is intact: too little memory for its decompressor is no damage."""
    tight.restore(source, "copy")
    tight.remove(source, "copy")
    with pytest.raises(StepFailed) as failure:
        tight.restore(source, box)
    assert codes(failure) == ["sandbox-too-small"]
    assert failure.value.findings[0].wanted.startswith(budget)
    tight.remove(source, box)
    assert not tight.folder(box).exists()
