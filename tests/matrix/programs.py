"""Programs in processes of their own that need not import everything again: each is a fork of one that has.

The matrix starts some two hundred of them, and half of what one computes would be importing.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload([
    "tests.matrix.dying", "drillbook.tasks", "drillbook.report.publish", "boto3", "botocore.config", "fabric", "psycopg", "redis"])


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended, and what it said."""

    status: int
    output: str


def started(main: Callable[[], None], argv: Sequence[str], folder: Path, environment: Mapping[str, str], limit_s: float) -> Ended:
    """Run ``main`` with the words ``argv`` in ``folder``, to its end. Raises TimeoutError after ``limit_s`` seconds.

    ``environment`` is added to this process's own. The status is negative when a signal ended it.
    """
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as said:
        process = _FORKING.Process(target=_program, args=(main, list(argv), folder, {**os.environ, **environment}, said.name))
        process.start()
        process.join(limit_s)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(f"{main.__module__} {' '.join(argv)} did not end within {limit_s:g} s")
        return Ended(process.exitcode, said.read())


def _program(main: Callable[[], None], argv: Sequence[str], folder: Path, environment: Mapping[str, str], output: str) -> None:
    """What the new process does."""
    for number, opened in ((0, os.open(os.devnull, os.O_RDONLY)), (1, os.open(output, os.O_WRONLY | os.O_APPEND))):
        os.dup2(opened, number)
        os.close(opened)
    os.dup2(1, 2)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["drillbook", *argv]
    main()
