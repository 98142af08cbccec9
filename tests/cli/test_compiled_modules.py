"""Compiled files of the modules that tasks import."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("forbidden", ["", "1"])
def test_modules_that_a_task_imports_are_compiled_once_unless_that_is_forbidden(tmp_path, forbidden):
    """Invoke switches compiled files off after it has read the command line; most modules are imported later."""
    compiled, place = tmp_path / "compiled", tmp_path / "place"
    place.mkdir()
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(compiled), "PYTHONDONTWRITEBYTECODE": forbidden}
    done = subprocess.run(
        [sys.executable, "-m", "drillbook.cli", "actions"],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    late = list(compiled.rglob("drillbook/systems/postgres/actions/*.pyc"))
    assert bool(late) is (not forbidden), "modules that the task `actions` imports, and the program does not"
