"""Suggestions after a mistake in the command line of the program ``invoke``.

Invoke has no hook for its own message, but asks each task for its arguments (``Task.get_arguments``) before it parses the
command line. Then the tasks of Drillbook parse the command line first, with Invoke's own parser. If there is a mistake
for which a suggestion exists, they raise Invoke's ``Exit`` with this suggestion. Invoke prints the message and exits
with status 2, as ``drillbook`` does. After its own message it exits with status 1, which is that of a failed drill.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import PurePath

from invoke.collection import Collection
from invoke.exceptions import Exit as InvokeExit
from invoke.exceptions import ParseError
from invoke.parser.context import ParserContext
from invoke.parser.parser import Parser
from invoke.program import Program

from drillbook.cli import mistakes
from drillbook.cli.optional_names import NotAnOption
from drillbook.errors import UsageError

HINT = "hint: invoke --list, or invoke --help TASK"


def is_invoke() -> bool:
    """Return True when this process is the program ``invoke``, also when it was started with ``python -m invoke``."""
    path = PurePath(sys.argv[0] if sys.argv else "")
    return path.name in ("inv", "invoke") or (path.parent.name, path.name) == ("invoke", "__main__.py")


def checked(root: Collection) -> Callable[[], None]:
    """Return a function that checks the command line of ``invoke`` once. Raises Invoke's ``Exit`` when it contains an
    unknown task or option of ``root``. Later calls do nothing.
    """
    done = False

    def check() -> None:
        nonlocal done
        if not done:
            done = True
            _check(root)

    return check


def _check(root: Collection) -> None:
    initial = Program().initial_context
    core = Parser(initial=initial, ignore_unknown=True).parse_argv(sys.argv[1:])
    args, words = core[0].args, core.unparsed
    helped = args.help.value if isinstance(args.help.value, str) else ""
    if args.complete.value or not (words or helped) or not _is_loaded(root, args.collection.value):
        return
    names = {name for path, aliases in root.task_names.items() for name in (path, *aliases)}
    contexts = mistakes.contexts(root, words)
    if said := mistakes.without_value(words, contexts):
        raise _exit(said)
    try:
        Parser(initial=initial, contexts=contexts.values()).parse_argv(words)
    except ParseError as error:
        _suggest(error, names, words)
    except NotAnOption as error:
        if error.option not in initial.flags:
            _suggest_option(error, words, contexts)
    if helped and helped not in names:
        _suggest(ParseError(f"No idea what '{helped}' is!"), names, ())


def _is_loaded(root: Collection, name: str | None) -> bool:
    """Return True when Invoke uses exactly ``root``: the module that it loaded has this namespace, and no other loaded
    module has another one. Otherwise, there may be tasks that ``root`` does not contain.
    """
    own = [one for module in list(sys.modules.values()) if (one := _namespace(module)) is not None]
    return all(one is root for one in own) and _namespace(sys.modules.get(name or "tasks")) is root


def _namespace(module: object) -> Collection | None:
    values = getattr(module, "__dict__", {})
    found = (values.get(name) for name in ("ns", "namespace"))
    return next((one for one in found if isinstance(one, Collection)), None)


def _suggest(error: ParseError, names: Set[str], words: Sequence[str]) -> None:
    """Raise an error with a suggestion, if ``error`` is about an unknown task or option."""
    unknown = mistakes.UNKNOWN.fullmatch(str(error))
    if unknown and unknown[1].replace("_", "-") not in names:  # Invoke can be configured to keep underscores in names
        raise _exit(mistakes.explained(error, names, words)) from None


def _suggest_option(error: NotAnOption, words: Sequence[str], contexts: Mapping[str, ParserContext]) -> None:
    """Raise an error with a suggestion, if the task has an option similar to the unknown one of ``error``."""
    place = next((place for place, word in enumerate(words) if word.partition("=")[0] == error.option), 0)
    task = next((contexts[word] for word in reversed(words[:place]) if word in contexts), None)
    if task and mistakes.resembles_an_option(error.option, task):
        raise _exit(mistakes.no_option(error.option, task)) from None


def _exit(said: str) -> InvokeExit:
    """Return the error after which Invoke prints ``said`` and exits with the status of a wrong command line."""
    return InvokeExit(f"error: {said}\n  {HINT}", code=UsageError.exit_status)
