"""Archives of tar: intact ones in every compression restore, and each kind of damage has its finding."""

import subprocess

import pytest

from tests.artefacts import exact
from tests.systems.tar import artefacts
from tests.systems.tar.artefacts import CORPORA, ENDS, cut_between_files, estate, packed

(CORPUS,) = CORPORA


@pytest.fixture
def source(tmp_path):
    with artefacts.opened(tmp_path) as made:
        yield made


@pytest.mark.parametrize("end", ENDS)
def test_a_whole_archive_has_no_finding_and_restores(tmp_path, source, end):
    packed(tmp_path, source, end)
    place = estate(tmp_path, max_age="1d")
    checked = place.run("backup.check", service="files")
    assert (checked["entries"], checked["files"]) == (6, 4)
    assert ("changed bytes" in " ".join(checked["not_covered"])) is (end == "tar")
    facts = place.restore("files", "copy")
    data = place.folder("copy") / "data"
    assert facts["files"] == 3
    assert (data / "noise").read_bytes() == (source / "noise").read_bytes()
    assert (data / "private").stat().st_mode & 0o777 == 0o600
    assert (data / "link").readlink() == (source / "link").readlink()
    place.remove("files", "copy")
    assert not place.folder("copy").exists()


@pytest.mark.parametrize("artefact", [*CORPUS.parameters(), *CORPUS.whole()])
def test_each_archive_has_exactly_its_findings(tmp_path, source, artefact):
    place = artefact.lay(source, tmp_path)
    exact(place, artefact)
    if artefact.findings in (("backup-damaged",), ("backup-empty",)):
        assert place.found_by_restore() == list(artefact.findings)


def test_tar_itself_takes_an_archive_that_was_cut_off_between_two_files_for_whole(tmp_path, source):
    path = packed(tmp_path, source, "tar")
    cut_between_files(path)
    assert subprocess.run(["tar", "-tf", path], capture_output=True, check=False).returncode == 0
