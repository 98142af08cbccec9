"""Records of trust: written, read, compared, and refused when somebody else could have written them."""

import os

import pytest

from drillbook.errors import UsageError
from drillbook.trust import trust_record
from drillbook.trust.trust_record import VARIABLE, Record, Unusable

KEPT = Record(
    "sha256:" + "a" * 64, "2026-11-30T12:00:00Z", "ann", {"drills/a.yml:5": {"text": "touch x", "digest": "sha256:b"}}
)
OTHER = "sha256:" + "c" * 64


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv(VARIABLE, raising=False)
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def test_a_record_is_read_as_it_was_written_and_private_to_its_user(root):
    assert trust_record.read(root) is None
    path = trust_record.write(root, KEPT)
    assert trust_record.read(root) == KEPT
    assert (path, path.stat().st_mode & 0o777) == (trust_record.place(root), 0o600)
    assert not path.is_relative_to(root)
    assert trust_record.write(root, Record(OTHER, KEPT.at, KEPT.by, {})) == path
    assert trust_record.read(root).digest == OTHER


def test_plugins_and_each_inventory_elsewhere_have_records_of_their_own(root):
    places = ["", "plugins", "/srv/site.yml", "/srv/other.yml"]
    assert len({trust_record.place(root, outside) for outside in places}) == 4
    trust_record.write(root, KEPT, "plugins")
    assert [trust_record.read(root, outside) for outside in places] == [None, KEPT, None, None]


@pytest.mark.parametrize(
    ("digest", "several", "said"),
    [
        (KEPT.digest, False, ""),
        (OTHER, False, "it has changed since it was trusted, 2026-11-30T12:00:00Z"),
        (OTHER, True, "they have changed since they were trusted, 2026-11-30T12:00:00Z"),
    ],
)
def test_only_the_digest_of_the_record_is_trusted(root, digest, several, said):
    assert trust_record.doubt(root, "", digest, several=several) == f"nobody has trusted {'them' if several else 'it'} yet"
    trust_record.write(root, KEPT)
    assert trust_record.doubt(root, "", digest, several=several) == said


def test_the_variable_of_a_pipeline_takes_the_place_of_the_record(root, monkeypatch):
    trust_record.write(root, KEPT)
    monkeypatch.setenv(VARIABLE, f"{OTHER}, sha256:d")
    assert trust_record.doubt(root, "", OTHER, several=False) == ""
    assert trust_record.doubt(root, "", KEPT.digest, several=False) == f"{VARIABLE} holds another digest than {KEPT.digest}"
    assert trust_record.doubt(root, "", KEPT.digest, several=True) == f"{VARIABLE} does not hold {KEPT.digest}"
    monkeypatch.setenv(VARIABLE, "")
    assert trust_record.doubt(root, "", KEPT.digest, several=False) == ""


@pytest.mark.parametrize(
    ("said", "holds"), [("a", True), ("b,a", True), (" b  a ", True), ("aa", False), ("A", False), ("", False), (",", False)]
)
def test_a_digest_is_one_of_several_as_a_whole(said, holds):
    assert trust_record.holds(said, "a") is holds


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: b"[]",
        lambda data: data[:-5],
        lambda data: b"[" * 100_000,
        lambda data: data.replace(b"trust/1", b"trust/2"),
        lambda data: data.replace(b'"items":{', b'"objects":{'),
        lambda data: data.replace(b'"inventory":""', b'"inventory":"plugins"'),
        lambda data: data.replace(b"/project", b"/another"),
    ],
    ids=["empty", "list", "cut", "deep", "version", "items", "inventory", "root"],
)
def test_a_record_that_is_damaged_or_of_another_project_is_no_trust(root, change):
    path = trust_record.write(root, KEPT)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(Unusable, match="is damaged") as failure:
        trust_record.read(root)
    assert failure.value.hint == "to trust the project again, run `invoke trust`"
    said = trust_record.doubt(root, "", KEPT.digest, several=False)
    assert said.startswith(f"{path} is damaged: ")
    assert "\n" not in said


def replaced_by_a_link(path):
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def replaced_by_a_pipe(path):
    path.unlink()
    os.mkfifo(path, 0o600)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: path.chmod(0o620), "other users can change"),
        (lambda path: path.chmod(0o602), "other users can change"),
        (lambda path: path.parent.chmod(0o770), "other users can change"),
        (lambda path: path.parents[1].chmod(0o777), "other users can change"),
        (replaced_by_a_link, "cannot be read"),
        (replaced_by_a_pipe, "has the wrong file type"),
    ],
    ids=["group", "others", "folder", "state", "link", "pipe"],
)
def test_a_record_that_others_could_write_is_no_trust(root, change, said):
    change(trust_record.write(root, KEPT))
    with pytest.raises(Unusable, match=said):
        trust_record.read(root)
    assert said in trust_record.doubt(root, "", KEPT.digest, several=False)


def test_a_folder_that_everybody_may_write_protects_the_files_of_others_by_its_sticky_bit(root):
    path = trust_record.write(root, KEPT)
    path.parents[2].chmod(0o1777)
    assert trust_record.read(root) == KEPT


def test_a_state_folder_in_the_project_is_refused(root, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(root / "state"))
    for use in (lambda: trust_record.read(root), lambda: trust_record.write(root, KEPT)):
        with pytest.raises(Unusable, match="is in the project"):
            use()
    assert not (root / "state").exists()


def test_a_record_that_cannot_be_written_is_no_trust(root):
    path = trust_record.place(root)
    path.mkdir(parents=True, mode=0o700)
    for folder in path.parents[:2]:
        folder.chmod(0o700)
    with pytest.raises(UsageError, match=r"cannot be written: .*; nothing is trusted"):
        trust_record.write(root, KEPT)


def test_a_record_is_removed_once(root):
    assert trust_record.remove(root) is False
    path = trust_record.write(root, KEPT)
    assert trust_record.remove(root, "plugins") is False
    assert trust_record.remove(root) is True
    assert not path.exists()
    assert (trust_record.remove(root), trust_record.read(root)) == (False, None)
    path.symlink_to("nowhere")
    assert trust_record.remove(root) is True
