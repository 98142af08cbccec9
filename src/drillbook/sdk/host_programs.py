"""Running a program of a system on a host: the program and its input go in on standard input."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from drillbook.errors import NotReady
from drillbook.sdk.action import Context
from drillbook.sdk.answers import Answer
from drillbook.sdk.nofollow import inside, refuse

_MAKE = 'rm -rf -- "$1" && mkdir -m 700 -- "$1" && stat -c %d:%i -- "$1"'
_PYTHON = "python3 -c 'import sys; sys.exit(sys.version_info < (3, 7))' 2>/dev/null"


def made_in(ctx: Context, folder: str, name: str) -> str:
    """Make the folder ``name`` in ``folder`` anew, for this user alone; its identity. Raises StepFailed, HostError."""
    output = ctx.run(*inside(folder), "sh", "-c", _MAKE, "sh", f"./{name}")
    refuse(ctx, output)
    return output.check().text.strip()


def call(ctx: Context, program: str, *arguments: str, prefix: tuple[str, ...] = ()) -> Any:
    """JSON that ``main`` of ``program`` prints on the step's host. Raises HostError, CouldNotVerify.

    ``program`` is the dotted name of its module. ``prefix`` is what its command line begins with, such as ``nofollow.inside``.
    """
    package, _, name = program.rpartition(".")
    source = files(package).joinpath(f"{name}.py").read_bytes()
    line = f"\nmain({', '.join(ascii(argument) for argument in arguments)})\n".encode("ascii")
    sink = Answer(f"{ctx.host.name}: the answer of {name}.py")
    output = ctx.run(*prefix, "python3", "-I", "-", stdin=source + line, sink=sink)
    refuse(ctx, output)
    output.check()
    return sink.json()


def has_python(ctx: Context) -> bool:
    """Does the step's host have a python3 that can run the programs?"""
    return ctx.run("sh", "-c", _PYTHON).ok


def need_python(ctx: Context) -> None:
    """Raise NotReady unless the step's host has python3."""
    if not has_python(ctx):
        raise NotReady(f"{ctx.host.name} has no python3 of 3.7 or later", hint="install python3 on the host")
