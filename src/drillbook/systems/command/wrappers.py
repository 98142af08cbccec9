"""Programs that start the program named among their own arguments, such as `env` and `timeout`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True)
class _Wrapper:
    """Options of a program that starts another program. ``flags``: options without a value; ``values``: options
    followed by a value; ``words``: number of further arguments before the inner program."""

    flags: frozenset[str] = frozenset()
    values: frozenset[str] = frozenset()
    words: int = 0


_WRAPPERS = {
    "env": _Wrapper(frozenset({"-v", "--debug"}), frozenset({"-u", "--unset"})),
    "nice": _Wrapper(values=frozenset({"-n", "--adjustment"})),
    "nohup": _Wrapper(),
    "setsid": _Wrapper(frozenset({"-c", "--ctty", "-f", "--fork", "-w", "--wait"})),
    "timeout": _Wrapper(
        frozenset({"--preserve-status", "--foreground", "-v", "--verbose"}),
        frozenset({"-k", "--kill-after", "-s", "--signal"}),
        words=1,
    ),
}
"""Programs that start another program, and look for it as the shell does. `sudo` is not one of them: it looks in other
folders, and as another user."""
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")


def started(argv: Sequence[str]) -> tuple[str, ...]:
    """Return the programs that ``argv`` starts one after another, such as `env`, `timeout` and `pg_dump`.

    The result ends where the next program cannot be determined, for example after an unknown option, or where `env`
    sets PATH.
    """
    programs: list[str] = []
    left = tuple(argv)
    while left:
        programs.append(left[0])
        left = _inner(left)
    return tuple(programs)


def _inner(argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command line that the program of ``argv`` starts. For example, `env A=1 pg_dump x` starts `pg_dump x`. The
    result is empty when the program starts no other program, or when the command line cannot be determined.
    """
    name = PurePosixPath(argv[0]).name
    if (wrapper := _WRAPPERS.get(name)) is None:
        return ()
    left = list(argv[1:])
    while left and left[0].startswith("-") and len(left[0]) > 1:
        option, joined, _ = left.pop(0).partition("=")
        if option == "--":
            break
        if option in wrapper.values:
            del left[: 0 if joined else 1]
        elif option not in wrapper.flags and not (option[:2] in wrapper.values and not option.startswith("--")):
            return ()
    while name == "env" and left and (variable := _VARIABLE.match(left[0])):
        if variable[1] == "PATH":
            return ()
        del left[0]
    return tuple(left[wrapper.words :])


def of_first_line(line: bytes) -> tuple[str, ...]:
    """Return the programs that the first line of a script names after `#!`. The result is empty if there is no such line."""
    if not line.startswith(b"#!"):
        return ()
    interpreter, _, argument = line[2:].decode("utf-8", "replace").strip(" \t\n").partition(" ")
    words = argument.split()
    if PurePosixPath(interpreter).name == "env" and words[:1] == ["-S"]:
        return started((interpreter, *words[1:]))
    return started((interpreter, argument.strip())) if argument.strip() else (interpreter,)
