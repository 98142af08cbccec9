"""Runs Python programs of a system on a host. The program is sent through standard input."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from drillbook.errors import NotReady
from drillbook.sdk import random_names, sent_program
from drillbook.sdk.action import Context
from drillbook.sdk.answer_limits import Answer
from drillbook.sdk.nofollow import inside, refuse

_MAKE = 'rm -rf -- "$1" && mkdir -m 700 -- "$1" && stat -c %d:%i -- "$1"'
_PYTHON = "python3 -c 'import sys; sys.exit(sys.version_info < (3, 7))' 2>/dev/null"


def made_in(ctx: Context, folder: str, name: str) -> str:
    """Create the private folder ``name`` in ``folder``. An existing entry of that name is replaced. Returns the device
    number and the inode number of the new folder as text. They identify this folder.

    Each number has 20 digits after the character ``random_names.MARK``, so that one rule of sudo matches the numbers of
    every run. Raises StepFailed when another user could have replaced a part of the path. Raises HostError when the command
    fails.
    """
    output = ctx.run(*inside(folder), "sh", "-c", _MAKE, "sh", f"./{name}")
    refuse(ctx, output)
    device, _, inode = output.check().text.strip().partition(":")
    return f"{random_names.MARK}{device:0>20}:{random_names.MARK}{inode:0>20}"


def call(ctx: Context, program: str, *arguments: str, prefix: tuple[str, ...] = (), private: str | None = None) -> Any:
    """Run the function ``main`` of ``program`` on the step's host, and return the JSON value that it prints.

    ``program``: dotted name of a module. ``prefix``: words in front of the command line, such as the result of
    ``nofollow.inside``. ``private``: last argument of ``main``. It is sent through standard input, because other users can
    see the command line. Raises HostError when the program fails, and CouldNotVerify when its output is not JSON.
    """
    package, _, name = program.rpartition(".")
    source = files(package).joinpath(f"{name}.py").read_bytes()
    source += b"\nmain(*sys.argv[1:])\n" if private is None else b"\nmain(*sys.argv[1:], sys.stdin.buffer.read().decode())\n"
    sink = Answer(f"{ctx.host.name}: the answer of {name}.py")
    output = ctx.run(*prefix, *sent_program.python(source), *arguments, stdin=source + (private or "").encode(), sink=sink)
    refuse(ctx, output)
    output.check()
    return sink.json()


def has_python(ctx: Context) -> bool:
    """Return True when the step's host has python3 of version 3.7 or later."""
    return ctx.run("sh", "-c", _PYTHON).ok


def need_python(ctx: Context) -> None:
    """Raise NotReady unless the step's host has python3 of version 3.7 or later."""
    if not has_python(ctx):
        raise NotReady(f"{ctx.host.name} has no python3 (3.7 or later)", hint="install python3 on the host")
