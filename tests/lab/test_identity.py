"""Identities of a lab: it needs no rights of root."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from drillbook.lab import control, identity


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another identity")
def test_as_an_ordinary_user(folder: Path) -> None:
    folder.mkdir()
    here = Path(__file__).parent
    source = Path(control.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "drillbook.lab.identity", "ambient", str(folder), "run", "ordinary_user", str(folder)],
        env=os.environ | {"PYTHONPATH": f"{source}:{here}", identity.CHOICE: "auto"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["65534", "same", "True"]), done
