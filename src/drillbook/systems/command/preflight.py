"""Checks before a drill that a host has what a command of the team needs: programs, a working directory, an interpreter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from drillbook.errors import NotReady
from drillbook.sdk.action import Context
from drillbook.systems.command import wrappers

FIRST_LINE = 256
"""Maximum number of bytes of a script's first line that the kernel reads."""


def programs(folder: str | None, argv: Sequence[str], *, anywhere: bool = True) -> tuple[str, ...]:
    """Return the programs that ``argv`` starts in ``folder``.

    ``anywhere``: False when ``folder`` is not known yet. Programs named relative to the folder are then left out.
    """
    started = wrappers.started(argv)
    return tuple(
        _started_in(folder, program) for program in started if anywhere or program.startswith("/") or "/" not in program
    )


def _started_in(folder: str | None, program: str) -> str:
    """Return the path of a program started in ``folder``. A name without a slash is returned
    unchanged, because the host looks it up in PATH."""
    beside = folder is not None and "/" in program and not program.startswith("/")
    return f"{folder}/{program}" if beside else program


def need(ctx: Context, commands: Mapping[str, Sequence[str]]) -> None:
    """Raise NotReady when the host lacks one of the programs in ``commands``.

    ``commands``: each key is a field of the step, and each value lists the programs in this field. Every program must exist,
    with one exception: in the fields `argv` and `interpreter`, the first program may start further programs, as `env` does. A
    further program may be missing if an earlier step of the drill could install it.
    """
    for field, names in commands.items():
        place = field if " " in field else f"`{field}`"
        for at, program in enumerate(names):
            if ctx.missing(program):
                refusal = NotReady(
                    f"{ctx.host.name}: the program {program!r} is not installed",
                    hint=f"install the program, or correct {place}",
                )
                if not at or field not in ("argv", "interpreter"):
                    raise refusal
                ctx.lacking(refusal)


def need_folder(ctx: Context, folder: str | None) -> None:
    """Raise NotReady when commands cannot work in ``folder``, the value of `cwd`. None means the home folder.

    A folder that does not exist is accepted if an earlier step of the drill could still create it.
    """
    if folder is None or ctx.run("sh", "-c", 'cd -- "$1"', "sh", folder).ok:
        return
    if not ctx.changed or ctx.run("test", "-e", folder).ok:
        raise NotReady(
            f"{ctx.host.name}: the working directory {folder} does not exist, or this user may not enter it",
            hint="correct `cwd`, or run as a user who may enter the folder",
        )


def need_script(ctx: Context, path: str) -> None:
    """Raise NotReady when the script ``path`` cannot be read."""
    if not ctx.run("test", "-r", path).ok:
        raise NotReady(
            f"{ctx.host.name}: the script {path} cannot be read", hint="correct `path`, or copy the script to that path"
        )


def need_executable(ctx: Context, path: str) -> None:
    """Raise NotReady when the script ``path`` cannot be executed, or when the host lacks the interpreter in its first line."""
    if not ctx.run("test", "-x", path).ok:
        raise NotReady(
            f"{ctx.host.name}: the script {path} cannot be executed by this user",
            hint="set `interpreter`, such as `[sh]`, or make the script executable: chmod +x",
        )
    line = ctx.run("head", "-c", str(FIRST_LINE), "--", path).stdout.split(b"\n")[0]
    for program in wrappers.of_first_line(line):
        if ctx.missing(program):
            ctx.lacking(
                NotReady(
                    f"{ctx.host.name}: the first line of the script {path} names {program!r}, which is not installed",
                    hint="install the program, correct the first line of the script, or set `interpreter`",
                )
            )
