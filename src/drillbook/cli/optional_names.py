"""Optional positional arguments of tasks, as in ``drill.recover`` and ``drill.recover RUN``.

Invoke requires a value for every positional argument, and would even accept an option as this value. Therefore a task has its
positional argument only if the user typed a name. If the name stands after options, the program ``drillbook`` moves the name
in front of these options.
"""

from __future__ import annotations

import copy
import functools
import sys
from collections.abc import Collection as Group
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from invoke.collection import Collection
from invoke.exceptions import Exit as InvokeExit
from invoke.parser.argument import Argument
from invoke.program import Program

from drillbook.cli.task_class import ShortFlags
from drillbook.errors import UsageError

_WORDS: ContextVar[Sequence[str] | None] = ContextVar("words", default=None)
"""Arguments of the command line that is being parsed. None means the arguments in ``sys.argv``."""


class NotAnOption(InvokeExit):
    """Raised when Invoke passes an option as the name of a drill or run. This happens when the task does not have this option.

    ``option``: the option, as typed.
    """

    def __init__(self, option: str, message: str) -> None:
        """Create the error with the message that Invoke prints."""
        super().__init__(message, code=UsageError.exit_status)
        self.option = option


class Name(Argument):
    """Positional argument for the name of a drill or run. A value that begins with a dash is refused."""

    def set_value(self, value: Any, cast: bool = True) -> None:
        """Set the name to ``value``. Ends the program with status 2 when Invoke passes an option as the name."""
        if str(value).startswith("-"):
            text = (
                f"error: {value} is not an option of this task; an option of invoke, such as --dry, must stand before the name of "
                f"the task, or after the {self.name}"
            )
            raise NotAnOption(str(value), text)
        super().set_value(value, cast)


class OptionalNameTask(ShortFlags):
    """A task with an optional positional name. When the name is missing, the task uses its own default."""

    paths: tuple[str, ...] = ()
    """Full names of the task in the namespace, such as ``drill.check``."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the arguments of the task. The name is a positional argument only when the command line contains a name."""
        arguments = super().get_arguments(ignore_unknown_help)
        named = self._is_named(arguments)
        return [_name(argument, positional=named) if argument.positional else argument for argument in arguments]

    def _is_named(self, arguments: Iterable[Argument]) -> bool:
        words = _words()
        behind = next((words[place:] for place, word in enumerate(words, 1) if self._is(word)), [])
        return leading_options(behind, options_with_a_value(arguments)) < len(behind)

    def _is(self, word: str) -> bool:
        return any(word == path or word.endswith(f".{path}") for path in self.paths)


def _name(argument: Argument, *, positional: bool) -> Name:
    return Name(names=argument.names, help=argument.help, positional=positional, attr_name=argument.attr_name)


def _words() -> Sequence[str]:
    words = _WORDS.get()
    if words is None:
        words = sys.argv[1:]
    return words[: words.index("--")] if "--" in words else words


@contextmanager
def reading(words: Sequence[str]) -> Iterator[None]:
    """Use ``words`` as the command line during the ``with`` block. Tasks take the name of their drill or run from this
    command line.
    """
    before = _WORDS.set(words)
    try:
        yield
    finally:
        _WORDS.reset(before)


def leading_options(words: Sequence[str], valued: Group[str]) -> int:
    """Count the options at the beginning of ``words``, together with their values. ``valued``: options that have a value."""
    count = 0
    while count < len(words) and words[count].startswith("-"):
        count += 2 if words[count] in valued else 1
    return min(count, len(words))


def options_with_a_value(arguments: Iterable[Argument]) -> set[str]:
    """Return the flags that take the next argument as their value. These are flags of the options in ``arguments``, and
    of Invoke's own options.
    """
    return {*_flags(arguments), *_flags_of_invoke()}


@functools.cache
def _flags_of_invoke() -> set[str]:
    program = Program()
    return _flags([*program.core_args(), *program.task_args()])


def _flags(arguments: Iterable[Argument]) -> set[str]:
    return {
        f"--{name}" if len(name) > 1 else f"-{name}"
        for argument in arguments
        if argument.takes_value and not argument.optional
        for name in argument.names
    }


def names_first(words: Sequence[str], tasks: Collection) -> list[str]:
    """Return the words of the command line in a new order: each task, then its name argument, then its options."""
    known = {name: tasks[path] for path, aliases in tasks.task_names.items() for name in (path, *aliases)}
    result, rest = [], list(words)
    while rest:
        word = rest.pop(0)
        result.append(word)
        if task := known.get(word):
            valued = options_with_a_value(
                copy.deepcopy(task).get_arguments()
            )  # a copy, since get_arguments() removes the help texts from the task
            place = leading_options(rest, valued)
            if isinstance(task, OptionalNameTask) and place < len(rest):
                result.append(rest.pop(place))
            count = leading_options(rest, valued)
            result += rest[:count]
            del rest[:count]
    return result
