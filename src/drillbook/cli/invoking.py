"""Things that invoke lacks: positional arguments that may be left out, status 2 for a wrong command, names that are meant.

They belong to its parser, which the programs ``invoke`` and ``drillbook`` share; so the parser is amended here, once.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from difflib import get_close_matches
from enum import Enum
from typing import Any, ParamSpec

from invoke.context import Context
from invoke.exceptions import Exit as InvokeExit
from invoke.exceptions import ParseError
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext
from invoke.parser.parser import ParseMachine, Parser
from invoke.program import Program
from invoke.tasks import Task

from drillbook.errors import DrillbookError, UsageError
from drillbook.exits import Exit

P = ParamSpec("P")

DEVELOPERS = ("check", "docs", "test")
"""Tasks for people who work on Drillbook itself; offered in its checkout alone."""
OFFERED = ("complete", "dry", "help", "list", "list-depth", "list-format", "print-completion-script", "version")
"""Options of invoke that do something in the program ``drillbook``."""
DRY_HELP = "Show what a task would do, as `drill.plan` shows a drill, and do nothing."
UNKNOWN = re.compile(r"No idea what '(.*)' is!", re.DOTALL)
"""Invoke's message for a word that is neither a task nor an option."""


class Misused(ParseError, InvokeExit):
    """The command line is wrong: invoke prints the message and ends with this status."""

    def __init__(self, message: str, context: Any = None) -> None:
        """``context`` is the task whose arguments were being read."""
        ParseError.__init__(self, message, context)
        self.args = (message,)
        self.message = None
        self._code = UsageError.exit_status


class FreeTask(Task[Any]):
    """A task whose positional arguments may be left out; what it does without them is its own matter."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Its arguments, the positional ones marked."""
        found = super().get_arguments(ignore_unknown_help)
        for one in found:
            one.may_lack = one.positional  # type: ignore[attr-defined]
        return found


class Offering(Program):
    """A program that offers of invoke's own options those that do something in it, and refuses the others."""

    def core_args(self) -> list[Argument]:
        """Invoke's own options, with what ``--dry`` means here."""
        options = super().core_args()
        next(one for one in options if one.name == "dry").help = DRY_HELP
        return options

    @property
    def initial_context(self) -> ParserContext:
        """The options that help, completion and tasks see."""
        return ParserContext(args=[one for one in self.core_args() if one.name in OFFERED])

    def parse_core_args(self) -> None:
        """Parse the options before the first task. Raises Misused for one that does nothing here."""
        every = [*self.core_args(), *self.task_args()]
        self.core = Parser(initial=ParserContext(args=every), ignore_unknown=True).parse_argv(self.argv[1:])
        given = next((one for one in self.core[0].args.values() if one.got_value and one.name not in OFFERED), None)
        if given is not None:
            raise Misused(f"the program has no option {self._as_typed(given)}: that one of invoke's would do nothing here")

    def _as_typed(self, option: Argument) -> str:
        flags = [f"--{name}" if len(name) > 1 else f"-{name}" for name in option.names]
        return next((flag for flag in flags if flag in self.argv), flags[0])


def visible(text: str) -> str:
    """``text`` with what a terminal would obey written as escapes."""
    return "".join(c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Dry(Enum):
    """The way in which a task honours ``--dry``."""

    REFUSED = "it does not: with --dry it is refused"
    READS = "it reads only, so it does what it always does"
    TELLS = "it tells what it would do"


def told(dry: Dry) -> Callable[[Callable[P, int | None]], Callable[P, None]]:
    """End a task with the exit status that its body returns; a person's mistake gives its message, no traceback."""

    def wrap(body: Callable[P, int | None]) -> Callable[P, None]:
        @functools.wraps(body)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                context = args[0]
                if dry is Dry.REFUSED and isinstance(context, Context) and is_dry(context):
                    raise UsageError("this task does not know --dry; nothing was touched", hint="leave --dry out")
                status = body(*args, **kwargs) or 0
            except DrillbookError as error:
                raise InvokeExit(f"error: {visible(str(error))}", code=error.exit_status) from None
            except KeyboardInterrupt:
                raise InvokeExit("stopped", code=Exit.REFUSED) from None
            except BrokenPipeError:
                raise InvokeExit(code=Exit.BROKEN_PIPE) from None
            if status:
                raise InvokeExit(code=status)

        return run

    return wrap


def is_dry(context: Context) -> bool:
    """Was ``--dry`` given, to this program or to ``invoke``?"""
    return bool(context.config.run.dry)


def amend() -> None:
    """Amend invoke's parser; safe to call twice."""
    ParseMachine.complete_context = _complete_context  # type: ignore[method-assign, assignment]
    ParseMachine.see_positional_arg = _see_positional  # type: ignore[method-assign, assignment]
    ParseMachine.error = _error  # type: ignore[method-assign, assignment]
    Program.parse_cleanup = _known_help  # type: ignore[method-assign, assignment]


def _complete_context(machine: ParseMachine) -> None:
    context = machine.context
    missing = [one.name for one in context.missing_positional_args if not getattr(one, "may_lack", False)]
    if missing:
        machine.error(f"{context.name} lacks {', '.join(map(str, missing))}")
    if context not in machine.result:
        machine.result.append(context)


def _see_positional(machine: ParseMachine, value: str) -> None:
    """Take ``value`` as the next positional argument, unless it is meant as a flag."""
    if value == "--help":
        machine.initial.flags[value].value = machine.context.name
    elif value in machine.initial.flags:
        machine.switch_to_flag(value)
    elif value.startswith("-"):
        known = ", ".join(one for one in machine.context.flag_names() if one.startswith("--"))
        machine.error(f"{machine.context.name} has no flag {value}; it has {known}")
    else:
        next(one for one in machine.context.positional_args if one.value is None).value = value


_cleanup = Program.parse_cleanup


def _known_help(program: Program) -> None:
    """As invoke does, but help for a task that is not there is a mistake like any other."""
    name = program.args.help.value
    if isinstance(name, str) and name and name not in program.parser.contexts:
        raise Misused(_no_task(name, program.parser.contexts))
    _cleanup(program)


def _no_task(name: str, known: Any) -> str:
    if name in DEVELOPERS:
        return f"the task {name!r} is for people who work on Drillbook itself: it runs in a checkout of Drillbook alone"
    near = get_close_matches(name, sorted(map(str, {*known, *known.aliases}), key=len), 1)
    hint = f"did you mean {near[0]!r}?" if near else "`--list` shows all"
    return f"there is no task {name!r}: {hint}"


def _error(machine: ParseMachine, message: str) -> None:
    if not (unknown := UNKNOWN.fullmatch(message)):
        raise Misused(message, machine.context)
    token = unknown[1]
    if not token.startswith("-"):
        raise Misused(_no_task(token, machine.contexts), machine.context)
    task = machine.context.name
    raise Misused(f"{task or 'the program'} has no option {token}; see --help {task or ''}".rstrip(), machine.context)
