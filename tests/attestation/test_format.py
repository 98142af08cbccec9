"""The format of an attestation, and the files of a run's folder that it covers."""

import hashlib
import json

import pytest

from drillbook.attestation import format as attested
from drillbook.journal.run_state import RunState

GOOD = {"schema": attested.SCHEMA, "run": "r1"}


@pytest.fixture
def folder(tmp_path):
    """Folder of a suite with one run, evidence, and files that no attestation covers."""
    run = tmp_path / "r1"
    for name in ("result.json", "report.md", "attestation.json", "attestation.json.sig", ".hidden", "evidence/a/b.txt"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(name)
    (run / "inner").mkdir()
    (run / "inner" / "journal.jsonl").write_text("{}\n")
    (run / "link").symlink_to("report.md")
    (run / "evidence" / "link").symlink_to("a/b.txt")
    return run


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"schema": "drillbook/attestation/2"}', b"[" * 100_000, b'{"schema"', b"\xff"],
    ids=["empty", "list", "no schema", "other", "deep", "cut", "binary"],
)
def test_what_is_no_attestation_is_none(tmp_path, data):
    assert attested.parsed(data) is None
    (tmp_path / attested.FILE).write_bytes(data)
    assert attested.load(tmp_path) is None


def test_an_attestation_is_read_without_its_signature(tmp_path):
    assert attested.load(tmp_path) is None
    (tmp_path / attested.FILE).write_text(json.dumps(GOOD))
    assert attested.load(tmp_path) == GOOD


def test_every_file_is_covered_but_the_attestation_links_and_runs_of_a_suite(folder):
    assert attested.names_in(folder) == {"result.json", "report.md", "evidence/a/b.txt"}


def test_a_file_is_the_same_only_with_its_digest_and_never_as_a_link(folder):
    known, state = f"sha256:{hashlib.sha256(b'report.md').hexdigest()}", RunState(folder)
    assert attested.file_digest(folder / "report.md") == known
    assert attested.same(state, "report.md", known)
    assert not attested.same(state, "link", known)
    assert not attested.same(state, "none.md", known)
    assert not attested.same(state, "evidence/a/b.txt", known)


def test_the_result_and_the_journal_are_compared_as_they_were_read(folder):
    (folder / "journal.jsonl").write_text("{}\n")
    state = RunState(folder)
    assert attested.digest_in(state, "journal.jsonl") == f"sha256:{hashlib.sha256(b'{}' + bytes([10])).hexdigest()}"
    assert attested.digest_in(state, "result.json") == f"sha256:{hashlib.sha256(b'result.json').hexdigest()}"
    (folder / "journal.jsonl").write_text("replaced\n")
    assert attested.digest_in(state, "journal.jsonl") == f"sha256:{hashlib.sha256(b'{}' + bytes([10])).hexdigest()}"
    with pytest.raises(OSError, match="No such file"):
        attested.digest_in(state, "none")


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ({"a": {"sha256": "x"}, "b": {"sha256": 1}, "c": "x"}, [("a", "x"), ("b", "1"), ("c", "")]),
        (["a"], []),
        (None, []),
    ],
)
def test_the_signed_files_are_read_whatever_somebody_wrote(files, names):
    assert attested.signed_names({"files": files}) == names


def test_what_the_journal_gives_again_is_not_kept():
    files = {
        name: {"sha256": "x"}
        for name in ("journal.jsonl", "report.md", "report.html", "result.json", "evidence/a", "torn-9")
    }
    kept = [name for name, _ in attested.kept_names({"files": files})]
    assert {"evidence/a", "torn-9"} <= set(kept)
    assert not set(kept) & {"journal.jsonl", *attested.RENDERED}


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ({"data": {"approval": {"key": "SHA256:x"}}}, "SHA256:x"),
        ({"data": {"approval": None}}, ""),
        ({"data": []}, ""),
        ({}, ""),
    ],
)
def test_the_key_of_an_approval_is_in_the_first_line(tmp_path, line, key):
    (tmp_path / "journal.jsonl").write_text(json.dumps(line) + "\n")
    assert attested.approved_with(RunState(tmp_path)) == key
