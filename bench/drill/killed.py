"""A drill whose controller is killed as soon as every host has its fault, so that there is something to recover."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PATIENCE_S = 600.0
"""Seconds within which every host must have its fault."""


def interrupt(argv: Sequence[str], folder: Path, environment: Mapping[str, str], marks: Sequence[Path]) -> None:
    """Start the drill ``argv`` in ``folder``, and kill it when all files ``marks`` exist.

    Raises RuntimeError when the drill ends before.
    """
    with (folder / "killed").open("wb") as said:
        drill = subprocess.Popen(
            argv, cwd=folder, env=os.environ | environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        until = time.monotonic() + PATIENCE_S
        try:
            while not all(mark.exists() for mark in marks):
                if drill.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"not every host has its fault:\n{(folder / 'killed').read_text()[-3000:]}")
                time.sleep(0.1)
        finally:
            drill.kill()
            drill.wait()
