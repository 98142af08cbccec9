"""One lab for the whole matrix, on which controllers die."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from drillbook.lab import control
from tests.matrix.ground import Ground


@pytest.fixture(scope="package")
def matrix_lab():
    folder = Path(f"/var/tmp/drillbook-matrix-{os.getpid()}")
    control.up(folder)
    yield folder
    control.down(folder)


@pytest.fixture
def ground(matrix_lab, tmp_path, monkeypatch):
    monkeypatch.setenv("DRILLBOOK_LAB", str(matrix_lab))
    made = Ground(tmp_path, matrix_lab)
    yield made
    made.close()
