"""Places of anchors: a file in the state folder, and those that the environment names."""

import pytest

from drillbook.attestation import anchor_places
from drillbook.attestation.anchor_places import AnchorFile
from drillbook.attestation.bucket import AnchorBucket
from drillbook.attestation.place_contract import AnchorProblem
from drillbook.errors import UsageError


@pytest.fixture
def reports(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv(anchor_places.CHOICE, raising=False)
    return tmp_path / "my project" / "reports"


def test_anchors_are_appended_to_a_private_file(tmp_path):
    place = AnchorFile(tmp_path / "new" / "anchors.jsonl")
    for line in (b"first\n", b"second\n"):
        place.add("r1", 7, line)
    assert place.read().lines == (b"first", b"second")
    assert (place.path.stat().st_mode & 0o777, place.path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert place.source == str(place.path)


def test_a_file_that_is_missing_is_told_only_where_it_is_expected(tmp_path):
    assert AnchorFile(tmp_path / "none", expected=False).read().lines == ()
    with pytest.raises(AnchorProblem, match="does not exist"):
        AnchorFile(tmp_path / "none").read()


def test_a_file_that_cannot_be_used_is_told_with_its_path(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(AnchorProblem, match=r"folder cannot be written: Is a directory"):
        AnchorFile(tmp_path / "folder").add("r1", 7, b"x\n")
    with pytest.raises(AnchorProblem, match=r"folder cannot be read: Is a directory"):
        AnchorFile(tmp_path / "folder").read()


def test_each_folder_of_reports_has_a_file_of_its_own(reports, tmp_path):
    own = anchor_places.default(reports)
    assert own.parent == tmp_path / "state" / "drillbook" / "anchors"
    assert own.name.startswith("my-project-")
    assert own.suffix == ".jsonl"
    assert anchor_places.default(reports.parent / "." / "reports") == own
    assert anchor_places.default(tmp_path / "other" / "reports") != own
    assert anchor_places.default(reports.parent / "more") != own


@pytest.mark.parametrize("state", ["", "relative/state"])
def test_without_a_state_folder_of_its_own_it_is_in_the_home_folder(reports, tmp_path, monkeypatch, state):
    monkeypatch.setenv("XDG_STATE_HOME", state)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert anchor_places.default(reports).is_relative_to(tmp_path / "home" / ".local" / "state")


def test_the_environment_names_further_places(reports, monkeypatch):
    (own,) = anchor_places.places(reports)
    assert (own.path, own.expected) == (anchor_places.default(reports), False)
    monkeypatch.setenv(anchor_places.CHOICE, " /srv/anchors.jsonl ,, s3://locked/a?keep=3d")
    assert anchor_places.places(reports) == [
        own,
        AnchorFile(anchor_places.Path("/srv/anchors.jsonl")),
        AnchorBucket("locked", "a", 3 * 86400.0),
    ]


@pytest.mark.parametrize("text", ["s3://", "s3://UPPER", "~nobody-of-that-name/anchors"])
def test_a_place_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="for anchors"):
        anchor_places.named(text)
