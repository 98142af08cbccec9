"""Running one of this package's programs on a host: the program and its input go in on standard input."""

from __future__ import annotations

import io
import json
from importlib.resources import files
from typing import Any

from drillbook.action import Context
from drillbook.errors import CouldNotVerify, NotReady

_PYTHON = "python3 -c 'import sys; sys.exit(sys.version_info < (3, 7))' 2>/dev/null"


def call(ctx: Context, program: str, *arguments: str) -> Any:
    """What ``main`` of ``program`` prints as JSON on the step's host. Raises HostError, CouldNotVerify."""
    source = files("drillbook.archive").joinpath(program).read_bytes()
    line = f"\nmain({', '.join(ascii(argument) for argument in arguments)})\n".encode("ascii")
    sink = io.BytesIO()
    ctx.run("python3", "-I", "-", stdin=source + line, sink=sink).check()
    try:
        return json.loads(sink.getvalue())
    except ValueError as error:
        raise CouldNotVerify(f"{ctx.host.name}: the answer of {program} cannot be read") from error


def has_python(ctx: Context) -> bool:
    """Does the step's host have a python3 that can run the programs?"""
    return ctx.run("sh", "-c", _PYTHON).ok


def need_python(ctx: Context) -> None:
    """Raise NotReady unless the step's host has python3."""
    if not has_python(ctx):
        raise NotReady(f"{ctx.host.name} has no python3 of 3.7 or later", hint="install python3 on the host")
