"""Decorator of tasks. It sets the exit status, prints the user's mistakes without a traceback, and handles ``--dry``."""

from __future__ import annotations

import functools
import shutil
import sys
from collections.abc import Callable
from enum import Enum
from typing import ParamSpec

from invoke.context import Context
from invoke.exceptions import Exit as InvokeExit

from drillbook.errors import DrillbookError, UsageError, escaped
from drillbook.exits import Exit
from drillbook.installation import extras
from drillbook.installation.program_name import as_called

P = ParamSpec("P")
INDENT = 8
"""Indentation, in columns, of the continued lines of a message."""
_DRY = "drillbook_dry"
"""Attribute of a task's body that keeps how the task treats ``--dry``."""


class Dry(Enum):
    """Ways in which a task can react to the option ``--dry``."""

    REFUSED = "the task does not support --dry; with --dry, the task ends with an error"
    READS = "the task is read-only, so --dry has no effect"
    TELLS = "with --dry, the task only shows what it would do"


def told(dry: Dry) -> Callable[[Callable[P, int | None]], Callable[P, None]]:
    """Return a decorator that makes a task exit with the status that its body returns.

    A user's mistake ends the task with a message, without a traceback. ``dry`` selects how the task treats ``--dry``.
    """

    def wrap(body: Callable[P, int | None]) -> Callable[P, None]:
        @functools.wraps(body)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            # Invoke forbids compiled files. Without them, each command compiles the modules that are imported from here on.
            sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)
            try:
                context = args[0]
                if dry is Dry.REFUSED and isinstance(context, Context) and is_dry(context):
                    raise UsageError("this task does not support --dry; nothing was touched", hint="omit --dry")
                status = body(*args, **kwargs) or 0
            except DrillbookError as error:
                closing = "".join(f"\n{line}" for line in (getattr(error, "later", ""), error.closing) if line)
                raise InvokeExit(
                    fitted(f"error: {as_called(escaped(str(error)))}{closing}"), code=error.exit_status
                ) from None
            except ModuleNotFoundError as error:
                extra = extras.extra_of(error.name or "")
                if not extra:
                    raise
                raise InvokeExit(f"error: {extras.missing(extra, str(error.name))}", code=Exit.USAGE) from None
            except KeyboardInterrupt:
                raise InvokeExit("stopped", code=Exit.REFUSED) from None
            except BrokenPipeError:
                raise InvokeExit(code=Exit.BROKEN_PIPE) from None
            if status:
                raise InvokeExit(code=status)

        run.__dict__[_DRY] = dry
        return run

    return wrap


def fitted(text: str) -> str:
    """Return ``text`` with its long lines broken at blanks, so that a terminal breaks neither words nor commands that
    people copy. A continued line is indented, but less if a path then fits. If standard error is not a terminal, return
    ``text`` as it is.
    """
    if not sys.stderr.isatty():
        return text
    from drillbook.report.terminal.prose import parts, reduced  # noqa: PLC0415  slow to load

    width = shutil.get_terminal_size().columns - 1
    lines: list[str] = []
    for line in text.splitlines():
        if len(line) <= width or line.startswith("  | "):
            lines.append(line)
            continue
        broken = [line[begin:end] for begin, end in parts(line, width, width - INDENT)]
        lines += [" " * (reduced(INDENT, part, width) if number else 0) + part for number, part in enumerate(broken)]
    return "\n".join(lines)


def shows_when_dry(body: object) -> bool:
    """Return True when the task with ``body`` shows what it would do if ``--dry`` is given."""
    return getattr(body, _DRY, None) is Dry.TELLS


def is_dry(context: Context) -> bool:
    """Return True when ``--dry`` was given to the program ``drillbook`` or to ``invoke``."""
    return bool(context.config.run.dry)
