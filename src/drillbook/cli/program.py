"""The program ``drillbook``. Its subcommands are the tasks. After a mistake in the command line, it suggests the most
similar task or option, and exits with status 2.

The program ``invoke`` runs the same tasks with Invoke's own command line. The file docs/decisions/0007 lists the
differences.
"""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator

from invoke.exceptions import Exit as InvokeExit
from invoke.exceptions import ParseError
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext
from invoke.program import Program

from drillbook import __version__
from drillbook.cli import start_screen
from drillbook.cli.current_project import here
from drillbook.cli.mistakes import UNKNOWN, VALUELESS, contexts, explained, split_name, wrong_list, wrong_value
from drillbook.cli.optional_names import names_first, reading
from drillbook.cli.task_class import numbers
from drillbook.cli.task_exit import shows_when_dry
from drillbook.cli.tasks import namespace
from drillbook.errors import DrillbookError, UsageError

OFFERED = ("complete", "dry", "help", "list", "list-depth", "list-format", "print-completion-script", "version")
"""Options of Invoke that also have an effect in this program."""
DRY_HELP = "Show what a task would do, and do nothing."
DRILL_TASKS = ("drill", "drill.drill", "drill.plan", "drill.check", "drill.approve", "drill.sudoers")
"""Tasks that take the name of a drill. After such a task, the completion offers drill names."""
HINT = "hint: drillbook --list, or drillbook --help TASK"


class Drillbook(Program):
    """Invoke's program class with the tasks of Drillbook. It offers only those options of Invoke that have an effect in
    this program.
    """

    _all = False
    """True while the program also parses those options of Invoke that have no effect in this program. It parses them so
    that it can refuse them with a message.
    """

    def core_args(self) -> list[Argument]:
        """Return the options of Invoke itself. The help text of ``--dry`` describes the meaning of this option in
        Drillbook.
        """
        options = numbers(super().core_args())
        next(option for option in options if option.name == "dry").help = DRY_HELP
        return options

    @property
    def initial_context(self) -> ParserContext:
        """Parser context with the options that are allowed before the first task. These options print help, lists and
        completions, and ``--dry`` requests a dry run.
        """
        options = [*super().initial_context.args.values(), *(self.task_args() if self._all else [])]
        return ParserContext(args=[option for option in options if self._all or option.name in OFFERED])

    def parse_core_args(self) -> None:
        """Parse the options before the first task. Raises ParseError for an option of Invoke that has no effect in this
        program.
        """
        self._all = True  # they are read to be refused by name
        given = None
        try:
            super().parse_core_args()
            given = next(
                (argument for argument in self.core[0].args.values() if argument.got_value and argument.name not in OFFERED),
                None,
            )
        except ParseError as error:
            valueless = VALUELESS.fullmatch(str(error))
            if not valueless or not error.context or valueless[1] in OFFERED:
                raise
            given = error.context.args[valueless[1]]
        finally:
            self._all = False
        if given is not None:
            option = next((flag for flag in _flags(given) if flag in self.argv), _flags(given)[0])
            raise ParseError(f"the program does not support invoke's option {option}")

    def parse_core(self, argv: list[str] | None) -> None:
        """Parse the command line in the same way as Invoke. After a mistake in the command line, the program exits with
        status 2.
        """
        with self._mistakes_told():
            super().parse_core(argv)

    def parse_tasks(self) -> None:
        """Parse the tasks in the same way as Invoke, but allow options before the name of a drill or run. After a
        mistake in the command line, the program exits with status 2.
        """
        words = self.core.unparsed
        if any(word.startswith("-") for word in words):
            words[:] = names_first(words, self.collection)
        with self._mistakes_told(), reading(words):
            if said := split_name(words, self.collection) or wrong_value(words, contexts(self.collection, words)):
                raise ParseError(said)
            super().parse_tasks()

    def parse_cleanup(self) -> None:
        """Print help, lists and completions in the same way as Invoke. Among completions, the names of drills come
        before the names of tasks.
        """
        if self.args.complete.value:
            self._complete_drills()
        with self._mistakes_told():
            if not self.args.help.value and (said := wrong_list(self.args, self.collection)):
                raise ParseError(said)
            super().parse_cleanup()

    def print_task_help(self, name: str) -> None:
        """Print the help of the task ``name`` in the same way as Invoke. The option ``--dry`` is among the options of a task that
        shows what it would do, although Invoke lists it among the options of the program only.
        """
        if shows_when_dry(self.collection[name].body):
            dry = next(option for option in self.core_args() if option.name == "dry")
            self.parser.contexts[name].add_arg(dry)
        super().print_task_help(name)

    def no_tasks_given(self) -> None:
        """Print where to begin, and end with the exit status 0. Invoke calls this method when the command line names no task. The
        method of Invoke itself prints the list of all tasks.
        """
        sys.stdout.write(f"{start_screen.text()}\n")
        raise InvokeExit

    def _complete_drills(self) -> None:
        words = self.core.remainder.split()[1:]
        if words and (words[-1] in DRILL_TASKS or (len(words) > 1 and words[-2] in DRILL_TASKS)):
            with contextlib.suppress(DrillbookError):
                sys.stdout.writelines(f"{name}\n" for name in here().drill_names())

    @contextlib.contextmanager
    def _mistakes_told(self) -> Iterator[None]:
        try:
            yield
        except ParseError as error:
            known = [*self.parser.contexts, *self.parser.contexts.aliases] if UNKNOWN.fullmatch(str(error)) else []
            raise InvokeExit(
                f"error: {explained(error, known, self.argv[1:])}\n  {HINT}", code=UsageError.exit_status
            ) from None


def _flags(option: Argument) -> list[str]:
    return [f"--{name}" if len(name) > 1 else f"-{name}" for name in option.names]


def program() -> Drillbook:
    """Create the program ``drillbook``. It can run tasks in any folder that contains ``drills/`` and ``inventory/``."""
    return Drillbook(name="drillbook", binary="drillbook", version=__version__, namespace=namespace())


def main() -> None:
    """Run the program ``drillbook``."""
    gc.freeze()  # the modules are no garbage, so the collector need not search them
    program().run()
