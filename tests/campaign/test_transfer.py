"""Runs transferred in pieces arrive complete or not at all."""

import hashlib

import pytest

from drillbook.campaign import transfer, worker
from drillbook.campaign.place import PROJECT_VARIABLE
from drillbook.campaign.transfer import TransferError
from drillbook.campaign.worker import PIECE, Piece

FILES = {"journal.jsonl": b"a\n" * 50, "evidence/big": bytes(range(256)) * (PIECE // 128), "evidence/empty": b""}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The project of a worker with one run."""
    monkeypatch.setenv(PROJECT_VARIABLE, str(tmp_path / "there"))
    (tmp_path / "there" / "drills").mkdir(parents=True)
    for name, data in FILES.items():
        path = tmp_path / "there" / "reports" / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path


def test_a_run_arrives_as_it_is_there(project):
    (project / "there" / "reports" / "run" / "link").symlink_to("/etc/passwd")
    asked = []

    def pieces(wanted):
        asked.append(wanted)
        return worker.pieces("run", wanted)

    transfer.fetch(project / "run", worker.manifest("run"), pieces)
    found = {str(path.relative_to(project / "run")): path for path in (project / "run").rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == FILES
    assert {path.stat().st_mode & 0o777 for path in found.values()} == {0o600}
    assert len(asked) == 3, "a piece of a large file travels alone, small ones together"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda piece: Piece(piece.data[:-1], piece.sha256),
        lambda piece: Piece(piece.data[:-1], hashlib.sha256(piece.data[:-1]).hexdigest()),
        lambda piece: Piece(b"", hashlib.sha256(b"").hexdigest()),
    ],
)
def test_a_damaged_run_does_not_arrive(project, wrong):
    with pytest.raises(TransferError, match="differs from its digest"):
        transfer.fetch(
            project / "run", worker.manifest("run"), lambda wanted: [wrong(one) for one in worker.pieces("run", wanted)]
        )
    assert sorted(path.name for path in project.iterdir()) == ["there"]


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x"])
def test_paths_stay_in_the_folder_of_the_run(project, name):
    with pytest.raises(TransferError, match="is not the path of a file"):
        transfer.fetch(project / "run", {name: (1, "0")}, lambda wanted: [Piece(b"x", "0")])
    with pytest.raises(OSError, match=r"not a file of the run|No such file|Not a directory"):
        worker.pieces("run", [(name, 0)])
