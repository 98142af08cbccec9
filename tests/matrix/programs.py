"""Programs in separate processes that do not import everything again: each is a fork of a process that has.

The matrix starts about two hundred of them, and half of the time of each would be imports.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.forked import FORKING


@dataclass(frozen=True, slots=True)
class Ended:
    """Exit status and output of a process."""

    status: int
    output: str


class Program:
    """Run ``main`` with the arguments ``argv`` in ``folder``, in a parallel process.

    ``environment`` is added to that of this process.
    """

    def __init__(self, main: Callable[[], None], argv: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        """Start the process."""
        self._name = f"{main.__module__} {' '.join(argv)}"
        self._said = tempfile.NamedTemporaryFile("r", encoding="utf-8")  # noqa: SIM115  closed by ``ended``
        self._process = FORKING.Process(
            target=_program, args=(main, list(argv), folder, {**os.environ, **environment}, self._said.name)
        )
        self._process.start()

    @property
    def runs(self) -> bool:
        """True until the process has ended."""
        return self._process.exitcode is None

    def kill(self) -> None:
        """Kill the process with SIGKILL; without effect when it has ended."""
        self._process.kill()

    def ended(self, limit_s: float) -> Ended:
        """Wait for the end of the process.

        The status is negative when a signal ended it. Raises TimeoutError after ``limit_s`` seconds.
        """
        self._process.join(limit_s)
        with self._said:
            if self._process.exitcode is None:
                self._process.kill()
                self._process.join()
                raise TimeoutError(f"{self._name} did not end within {limit_s:g} s: {self._said.read()[-1500:]}")
            return Ended(self._process.exitcode, self._said.read())


def started(
    main: Callable[[], None], argv: Sequence[str], folder: Path, environment: Mapping[str, str], limit_s: float
) -> Ended:
    """Run a ``Program`` to its end. Raises TimeoutError after ``limit_s`` seconds."""
    return Program(main, argv, folder, environment).ended(limit_s)


def _program(
    main: Callable[[], None], argv: Sequence[str], folder: Path, environment: Mapping[str, str], output: str
) -> None:
    """Code of the new process."""
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
