"""Suggestions after a mistake in the command line of the program ``invoke``.

Invoke gives a program no way to replace its message about a mistake. But before Invoke parses the command line, it calls
``Task.get_arguments`` of each task. In this method, the tasks of Drillbook parse the command line with Invoke's own parser.
If they find a mistake, they raise Invoke's ``Exit`` with a message and, if possible, a suggestion. Invoke then prints this
message and exits with status 2, as ``drillbook`` does. If Invoke found the mistake itself, it would exit with status 1,
which is the status of a failed drill.

Before it asks the tasks, Invoke reads its own options and loads ``tasks.py``. A mistake in these options is left to Invoke. An
error in ``tasks.py`` reaches ``sys.excepthook``.
"""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path, PurePath
from types import TracebackType

from invoke.collection import Collection
from invoke.exceptions import Exit as InvokeExit
from invoke.exceptions import ParseError
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext
from invoke.parser.parser import Parser
from invoke.program import Program

from drillbook.cli import mistakes
from drillbook.cli.optional_names import NotAnOption
from drillbook.cli.task_class import numbers
from drillbook.errors import UsageError, escaped

LOADING = ("invoke.program", "load_collection")
"""Module and function of Invoke that loads ``tasks.py``."""
HINT = "hint: invoke --list, or invoke --help TASK"


def is_invoke() -> bool:
    """Return True when this process is the program ``invoke``, also when it was started with ``python -m invoke``."""
    path = PurePath(sys.argv[0] if sys.argv else "")
    return path.name in ("inv", "invoke") or (path.parent.name, path.name) == ("invoke", "__main__.py")


@functools.cache
def tell_broken_tasks() -> None:
    """Make the program exit with status 2 and a message when ``tasks.py`` raises an error while Invoke loads it."""
    shown = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        frames = [frame for frame, _ in traceback.walk_tb(trace)]
        loads = any((frame.f_globals.get("__name__"), frame.f_code.co_name) == LOADING for frame in frames)
        if not loads or not isinstance(error, Exception):
            shown(kind, error, trace)
            return
        sys.stderr.write(f"error: {_broken(error, trace)}\n  hint: `python tasks.py` shows the whole traceback\n")
        raise SystemExit(UsageError.exit_status)

    sys.excepthook = hook


def _broken(error: Exception, trace: TracebackType | None) -> str:
    """Return the message that the tasks cannot be loaded, with the place in the project and the reason."""
    here = Path.cwd()
    paths = [Path(each.filename) for each in traceback.extract_tb(trace)]
    lines = [each.lineno for each in traceback.extract_tb(trace)]
    places = [
        (path, line)
        for path, line in zip(paths, lines, strict=True)
        if path.is_relative_to(here) and "site-packages" not in path.parts
    ]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((Path(error.filename), error.lineno))
    path, line = places[-1] if places else (Path("tasks.py"), None)
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    reason = error.msg if isinstance(error, SyntaxError) else str(error)
    where = f"{shown}:{line}" if line else f"{shown}"
    return escaped(f"the tasks of this project cannot be loaded: {where}: {type(error).__name__}: {reason}")


def checked(root: Collection) -> Callable[[], None]:
    """Return a function that checks the command line of ``invoke``. The function raises Invoke's ``Exit`` when the command line
    contains a task or an option that ``root`` does not have. Only its first call checks; later calls do nothing.
    """
    done = False

    def check() -> None:
        nonlocal done
        if not done:
            done = True
            _check(root)

    return check


def _check(root: Collection) -> None:
    initial = ParserContext(args=numbers(Program().initial_context.args.values()))
    core = Parser(initial=initial, ignore_unknown=True).parse_argv(sys.argv[1:])
    args, words = core[0].args, core.unparsed
    if (
        args.complete.value
        or not (words or args.help.value or args.list.value)
        or not _is_loaded(root, args.collection.value)
    ):
        return
    names = {name for path, aliases in root.task_names.items() for name in (path, *aliases)}
    _check_tasks(root, words, initial, args, names)
    helped = args.help.value
    if isinstance(helped, str) and helped not in names:
        _tell(ParseError(f"No idea what '{helped}' is!"), names, ())
    if not helped and (said := mistakes.wrong_list(args, root)):
        raise _exit(said)


def _check_tasks(
    root: Collection, words: Sequence[str], initial: ParserContext, args: dict[str, Argument], names: Set[str]
) -> None:
    """Parse ``words``, the tasks with their options. Raises Invoke's ``Exit`` for a mistake. Options of Invoke that stand
    after a task are set in ``args``, as Invoke does."""
    contexts = mistakes.contexts(root, words)
    if said := mistakes.split_name(words, root) or mistakes.wrong_value(words, contexts):
        raise _exit(said)
    try:
        parsed = Parser(initial=initial, contexts=contexts.values()).parse_argv(list(words))
    except ParseError as error:
        _tell(error, names, words)
    except NotAnOption as error:
        if error.option not in initial.flags:
            _suggest_option(error, words, contexts)
    else:
        for key, argument in parsed[0].args.items():
            if argument.got_value:
                args[key] = argument


def _is_loaded(root: Collection, name: str | None) -> bool:
    """Return True when Invoke certainly knows the tasks in ``root`` and no others. The module with the tasks, which Invoke
    imported, must contain ``root``. No module that Python has imported may contain another namespace, because Invoke may then
    know tasks that ``root`` does not contain. ``name``: name of the module with the tasks; by default, `tasks`.
    """
    own = [namespace for module in list(sys.modules.values()) if (namespace := _namespace(module)) is not None]
    return all(namespace is root for namespace in own) and _namespace(sys.modules.get(name or "tasks")) is root


def _namespace(module: object) -> Collection | None:
    values = getattr(module, "__dict__", {})
    candidates = (values.get(name) for name in ("ns", "namespace"))
    return next((candidate for candidate in candidates if isinstance(candidate, Collection)), None)


def _tell(error: ParseError, names: Set[str], words: Sequence[str]) -> None:
    """Raise the error with which the command line is refused. Its message suggests the probably intended task or option."""
    unknown = mistakes.UNKNOWN.fullmatch(str(error))
    if not unknown or unknown[1].replace("_", "-") not in names:  # Invoke can be configured to keep underscores in names
        raise _exit(mistakes.explained(error, names, words)) from None


def _suggest_option(error: NotAnOption, words: Sequence[str], contexts: Mapping[str, ParserContext]) -> None:
    """Raise an error with a suggestion, if the task has an option similar to the unknown one of ``error``."""
    place = next((place for place, word in enumerate(words) if word.partition("=")[0] == error.option), 0)
    task = next((contexts[word] for word in reversed(words[:place]) if word in contexts), None)
    if task and mistakes.resembles_an_option(error.option, task):
        raise _exit(mistakes.no_option(error.option, task)) from None


def _exit(said: str) -> InvokeExit:
    """Make the error with the message ``said``. Invoke prints the message, and exits with the status of a wrong command line."""
    return InvokeExit(f"error: {said}\n  {HINT}", code=UsageError.exit_status)
