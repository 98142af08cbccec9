"""Two things that invoke lacks: positional arguments that may be left out, and status 2 for a command that is wrong.

Both belong to its parser, which the programs ``invoke`` and ``drillbook`` share; so the parser is amended here, once.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from invoke.exceptions import Exit, ParseError
from invoke.parser.argument import Argument
from invoke.parser.parser import ParseMachine
from invoke.program import Program
from invoke.tasks import Task

from drillbook.errors import UsageError


class Misused(ParseError, Exit):
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
        near = get_close_matches(name, [str(known) for known in program.parser.contexts], 1)
        hint = f"did you mean {near[0]!r}?" if near else "`--list` shows all"
        raise Misused(f"there is no task {name!r}: {hint}")
    _cleanup(program)


def _error(machine: ParseMachine, message: str) -> None:
    raise Misused(message, machine.context)
