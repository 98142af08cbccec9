"""The folder of a lab: its owner, its mark and its secrets."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from drillbook.errors import LabError
from drillbook.lab import control, programs
from drillbook.lab.layout import HOSTS, SECRETS, Lab


def test_secrets_are_private(lab: Lab) -> None:
    files = [lab.folder / "id", *(lab.folder / "secrets" / name for name in SECRETS)]
    files += [lab.home(host) / "supervisord.conf" for host in HOSTS] + [lab.home("app-1") / "api.env"]
    assert [file for file in files if stat.S_IMODE(file.stat().st_mode) != 0o600] == []
    assert stat.S_IMODE((lab.folder / "secrets").stat().st_mode) == stat.S_IMODE(lab.folder.stat().st_mode) == 0o700
    assert len({lab.secret(name) for name in SECRETS}) == len(SECRETS)


def test_a_folder_that_is_not_a_lab_is_left_alone(tmp_path: Path) -> None:
    other = Path(f"/var/tmp/{tmp_path.parent.parent.name}-{os.getpid()}"[:60])
    other.mkdir()
    try:
        (other / "precious").write_text("mine")
        for action in (control.up, control.down):
            with pytest.raises(LabError, match="do not belong to a lab"):
                action(other)
        assert (other / "precious").read_text() == "mine"
    finally:
        (other / "precious").unlink()
        other.rmdir()


@pytest.mark.parametrize(("name", "wanted"), [("x" * 80, "too long"), ("with space", "character")])
def test_a_folder_that_cannot_work_is_refused(name: str, wanted: str) -> None:
    with pytest.raises(LabError, match=wanted):
        control.up(Path("/var/tmp") / name)
    assert not (Path("/var/tmp") / name).exists()


HIDE = """
import pathlib
exists = pathlib.Path.exists
pathlib.Path.exists = lambda path: path.name != "weed" and exists(path)
"""


def test_a_lab_that_cannot_start_shows_the_error_and_its_hint_without_log_lines(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = folder.with_name(f"{folder.name}-hide")
    hidden.mkdir()
    try:
        (hidden / "sitecustomize.py").write_text(HIDE)
        source = programs.source_path()["PYTHONPATH"]
        monkeypatch.setattr(programs, "source_path", lambda: {"PYTHONPATH": f"{hidden}:{source}"})
        with pytest.raises(LabError) as raised:
            control.up(folder)
    finally:
        shutil.rmtree(hidden)
    assert raised.value.message == "the lab could not be started: SeaweedFS is not installed"
    assert "lab" in raised.value.hint
    assert "ERROR" not in str(raised.value)
