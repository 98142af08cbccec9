"""Running one of this package's programs on a host: the program and its input go in on standard input."""

from __future__ import annotations

import functools
from importlib.resources import files
from typing import Any

from drillbook.action import Context
from drillbook.answers import Answer
from drillbook.archive.enter import REFUSED
from drillbook.errors import NotReady, StepFailed
from drillbook.host import Output, printable

_MAKE = 'rm -rf -- "$1" && mkdir -m 700 -- "$1" && stat -c %d:%i -- "$1"'
_PYTHON = "python3 -c 'import sys; sys.exit(sys.version_info < (3, 7))' 2>/dev/null"


def inside(folder: str, identity: str = "") -> tuple[str, ...]:
    """Beginning of a command line whose command runs in ``folder``, even if somebody changes the path meanwhile.

    With ``identity``, as ``made_in`` gives it, it runs in exactly that folder or not at all.
    """
    return ("python3", "-I", "-c", _enter(), folder, identity)


@functools.cache
def _enter() -> str:
    return files("drillbook.archive").joinpath("enter.py").read_text(encoding="utf-8")


def refuse(ctx: Context, output: Output) -> None:
    """Raise StepFailed when a command did not run because somebody else could have led it elsewhere."""
    if output.exit == REFUSED:
        raise StepFailed(f"{ctx.host.name}: {printable(output.stderr).strip()}; nothing was changed there. Name the path "
                         "that the link leads to, or connect as the owner of these files")


def made_in(ctx: Context, folder: str, name: str) -> str:
    """Make the folder ``name`` in ``folder`` anew, for this user alone; its identity. Raises StepFailed, HostError."""
    output = ctx.run(*inside(folder), "sh", "-c", _MAKE, "sh", f"./{name}")
    refuse(ctx, output)
    return output.check().text.strip()


def call(ctx: Context, program: str, *arguments: str, prefix: tuple[str, ...] = ()) -> Any:
    """JSON that ``main`` of ``program`` prints on the step's host. Raises HostError, CouldNotVerify.

    ``prefix`` is what its command line begins with, such as ``inside``.
    """
    source = files("drillbook.archive").joinpath(program).read_bytes()
    line = f"\nmain({', '.join(ascii(argument) for argument in arguments)})\n".encode("ascii")
    sink = Answer(f"{ctx.host.name}: the answer of {program}")
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
