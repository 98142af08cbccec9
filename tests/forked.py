"""The program in a separate process that does not import everything again: a fork of a process that has.

Tests start it hundreds of times, and imports would take most of that time. Tests of the start itself, of terminals or
of pipes use a real start: ``tests.program.Folder.start``.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import drillbook

FORKING = multiprocessing.get_context("forkserver")
"""Server from which all processes of these tests are forked, with one list of imported modules."""
SOURCE = Path(drillbook.__file__).parent


def modules(folder: str) -> list[str]:
    """Names of modules in a source folder that a drill imports only when it needs them."""
    paths = [path.relative_to(SOURCE.parent).with_suffix("") for path in sorted((SOURCE / folder).rglob("*.py"))]
    return [".".join(path.parts).removesuffix(".__init__") for path in paths]


PRELOADED = (
    "drillbook.cli.program",
    "drillbook.cli.recover",
    "drillbook.cli.run",
    "drillbook.cli.host_examination",
    "drillbook.cli.run_output",
    "drillbook.cli.orchestration",
    "drillbook.cli.overview",
    "drillbook.report.publish",
    "drillbook.plan.schema",
    *modules("systems"),
    *modules("hosts/ssh"),
    "drillbook.cli.dry_run",
    "rich.console",
    "fabric",
    "boto3.s3.inject",
    "botocore.config",
    "psycopg",
    "redis",
)
FORKING.set_forkserver_preload(["tests.forked", "tests.matrix.dying", *PRELOADED])
BEFORE_IMPORT = ("PYTHON", "LC_", "LANG", "LD_", "COVERAGE")
"""Variables that have an effect only at the start of a process."""


def fits(environment: Mapping[str, str]) -> bool:
    """Return True when a fork may have this environment; some variables have an effect only at a start."""

    def heeded(values: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in values.items() if name.startswith(BEFORE_IMPORT) and name != "PYTHONWARNINGS"}

    return heeded(environment) == heeded(os.environ) and environment.get("PYTHONWARNINGS", "error") == "error"


def run(
    argv: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run ``drillbook`` with ``argv`` as `subprocess.run` does, with empty standard input. Raises TimeoutExpired."""
    with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
        process = FORKING.Process(target=_program, args=(list(argv), folder, dict(environment), out.name, err.name))
        process.start()
        process.join(timeout)
        status = process.exitcode
        if status is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(argv), timeout, out.read(), err.read())
        process.close()
        return subprocess.CompletedProcess(["drillbook", *argv], status, out.read().decode(), err.read().decode())


def _program(argv: Sequence[str], folder: Path, environment: Mapping[str, str], *outputs: str) -> None:
    opened = [os.open(os.devnull, os.O_RDONLY), *(os.open(path, os.O_WRONLY | os.O_APPEND) for path in outputs)]
    for number, descriptor in enumerate(opened):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, encoding="utf-8", closefd=False) for number, mode in enumerate(("r", "w", "w"))
    )
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    if environment.get("PYTHONWARNINGS") == "error":
        warnings.simplefilter("error")
    sys.argv = ["drillbook", *argv]
    from drillbook.cli.program import main

    main()
