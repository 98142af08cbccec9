"""Possible loss by a restore, determined from the restored copy: the same facts for files and keys, each with basis
and error.
"""

import os
from datetime import UTC, datetime

import pytest

from drillbook.errors import CouldNotVerify, StepFailed
from tests.systems.estate import Estate, codes
from tests.systems.refusals import refused_until

HOUR = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "www"
    folder.mkdir()
    for number in range(5):
        path = folder / str(number)
        path.write_text("x")
        os.utime(path, (HOUR.timestamp() - 10 * number,) * 2)
    (folder / "link").symlink_to("gone")
    services = {"site": {"kind": "folder", "path": str(folder)}, "api": {"kind": "http", "url": "http://127.0.0.1:1"}}
    return Estate(tmp_path, services=services, backups={})


def test_the_loss_of_files_is_measured_by_the_newest_write_of_a_file(place):
    facts = place.run("loss.measure", service="site", until="2026-11-01T13:00:30+01:00")
    assert (facts["loss_s"], facts["error_s"], facts["ahead_s"]) == (30.0, 10.0, 0.0)
    assert facts["newest_moment"] == "2026-11-01T12:00:00.000Z"
    assert "mtime" in facts["basis"]
    assert place.run("files.newest_moment", service="site")["moments"] == facts["moments"]


def test_a_copy_without_a_file_tells_no_moment(place, tmp_path):
    for path in (tmp_path / "www").iterdir():
        path.unlink()
    with pytest.raises(CouldNotVerify, match="site contains no data from which the time of its last write can be read"):
        place.run("loss.measure", service="site")


def test_an_old_copy_fails_where_an_age_is_given(place):
    with pytest.raises(StepFailed) as failure:
        place.run("loss.measure", service="site", by={"max_age": "1s"})
    assert codes(failure) == ["backup-too-old"]


def test_a_moment_without_an_offset_is_refused(place):
    with pytest.raises(ValueError, match="has no offset from UTC"):
        place.action("loss.measure", service="site", until="2026-11-01T13:00:30")


def test_a_kind_without_a_moment_is_not_ready(place):
    measures = [place.action("loss.measure", service=service) for service in ("api", "site")]
    said = "the newest data of a service of kind http cannot be measured"
    refused_until(lambda: measures[0].ready(place.ctx()), said, lambda: measures.pop(0))
