"""Messages after a mistake in the command line. They suggest the most similar task or option."""

from __future__ import annotations

import copy
import itertools
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from invoke.collection import Collection
from invoke.exceptions import ParseError
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext
from invoke.program import Program

from drillbook.cli import developer_tasks
from drillbook.cli.task_class import numbers
from drillbook.errors import DrillbookError
from drillbook.installation.program_name import program
from drillbook.project.project import Project

UNKNOWN = re.compile(r"No idea what '(.*)' is!", re.DOTALL)
"""Pattern of Invoke's message for an argument that is neither a task nor an option."""

VALUELESS = re.compile(r"Flag <\w+: ([^: >]+).*> needed value and was not given one!", re.DOTALL)
"""Pattern of Invoke's message for an option whose value is missing."""
FORMATS = ("flat", "nested", "json")
"""Values of Invoke's option ``--list-format``."""
NAMELESS = re.compile(r"'(.*)' did not receive required positional arguments: (.*)", re.DOTALL)
"""Pattern of Invoke's message for a task whose positional argument, such as the name of a drill, is missing."""


def contexts(root: Collection, words: Sequence[str]) -> dict[str, ParserContext]:
    """Return the tasks that ``words`` names, with their arguments. Each task is copied first, because ``get_arguments``
    removes the help texts from the task on which it is called.
    """
    names = {name for path, aliases in root.task_names.items() for name in (path, *aliases)}
    context_by_task = {}
    for word in sorted(names.intersection(words)):
        task = copy.copy(root[word])
        task.help = dict(task.help or {})
        context_by_task[word] = ParserContext(name=word, args=numbers(task.get_arguments(ignore_unknown_help=True)))
    return context_by_task


def explained(error: ParseError, known: Iterable[str], words: Sequence[str] = ()) -> str:
    """Return the message for ``error``. If the command line contains an unknown task or option, the message suggests
    the most similar task or option. ``known``: names of all tasks. ``words``: the command line.
    """
    if (valueless := VALUELESS.fullmatch(str(error))) and error.context is not None:
        own = error.context.args
        return no_value(error.context, own.get(valueless[1]) or Program().initial_context.args[valueless[1]])
    if nameless := NAMELESS.fullmatch(str(error)):
        task, needed = nameless[1], nameless[2].replace("'", "")
        return f"{task}: the {needed} is missing; see `{program()} --help {task}`"
    unknown = UNKNOWN.fullmatch(str(error))
    if not unknown:
        return str(error)
    if flag := next(
        (word.partition("=")[0] for word in words if re.fullmatch(rf"--?[\w-]+={re.escape(unknown[1])}", word)), ""
    ):
        return f"{flag} takes no value"
    if unknown[1].startswith("-") and error.context is not None:
        return no_option(unknown[1], error.context)
    return no_task(unknown[1], known, words)


def no_task(name: str, known: Iterable[str], words: Sequence[str]) -> str:
    """Return the message that there is no task ``name``, with a suggestion. If ``name`` is the last part of a task's
    name, the suggestion is the command with the whole name of this task. If ``name`` is a drill or a suite, the
    suggestion is the command that runs it. Otherwise the suggestion is the most similar task.
    """
    known = list(known)
    command = _command(name, known, words)
    if name in {task.name for task in developer_tasks.TASKS}:
        text = f"the task {name!r} is for developers of Drillbook: it runs only in a checkout of Drillbook"
        return f"{text}; did you mean `{command}`?" if command else text
    if command:
        return f"there is no task {name!r}: did you mean `{command}`?"
    near = get_close_matches(name, sorted(known, key=len), 1)
    hint = f"did you mean {near[0]!r}?" if near else "`--list` shows all tasks"
    return f"there is no task {name!r}: {hint}"


def _command(name: str, known: Sequence[str], words: Sequence[str]) -> str:
    """Return the command that was probably intended instead of the unknown task ``name``, or an empty text."""
    place = words.index(name) if name in words else 0
    after = words[place + 1 :]
    if name == "run":  # the task schedule.run would start everything that is due
        return shlex.join([program(), "drill", after[0] if after and after[0] in _drills() else "NAME"])
    if words[place - 1 : place] == ["catalog"]:
        return shlex.join([program(), "catalog", "--for", name])
    if task := next((path for path in sorted(known, key=len) if "." in path and path.rpartition(".")[2] == name), ""):
        following = [after[0]] if after and after[0] not in known and not after[0].startswith("-") else []
        return shlex.join([program(), task, *following])
    return shlex.join([program(), "drill", name]) if name in _drills() else ""


def split_name(words: Sequence[str], root: Collection) -> str:
    """Find a task in the command line ``words`` whose name was typed as two words, such as `drill list` for
    `drill.list`. Return a message about this mistake, or an empty text if there is none. ``root``: the namespace of the
    tasks.

    Invoke would use the second word, such as `list`, as the name of a drill or run. If the second word is the name of a drill
    of the project, the words are no mistake, and the result is empty.
    """
    path_by_pair = {tuple(path.split(".")): path for path in root.task_names if path.count(".") == 1}
    before = ""
    for pair in itertools.pairwise(words):
        path = path_by_pair.get(pair)
        if path and pair[0] != pair[1] and not before.startswith("-") and pair[1] not in _drills():
            return f"there is no task {' '.join(pair)!r}: did you mean `{program()} {path}`?"
        before = pair[0]
    return ""


def _drills() -> set[str]:
    """Return the names of the drills and suites of the project in the current folder. Plugins are not loaded."""
    try:
        return set(Project.here().drill_names())
    except DrillbookError:
        return set()


def no_value(context: ParserContext, argument: Argument) -> str:
    """Return the message that the value of the option ``argument`` of the task ``context`` is missing."""
    task = f"{_typed(context)}: " if context.name else ""
    flag = next(f"--{name}" for name in argument.names if len(name) > 1)
    return f"{task}{flag} needs a value{f': {argument.help}' if argument.help else ''}"


def wrong_value(words: Sequence[str], contexts: Mapping[str, ParserContext]) -> str:
    """Find the first wrong option in the command line ``words``. An option is wrong if its value is missing, or if it takes
    only one value but is given twice. Return a message about this mistake, or an empty text if there is none. ``contexts``:
    the tasks, by their names.

    Invoke itself does not report these mistakes in every case. It ignores the missing value of an option that may be
    repeated. If an option that takes one value is given twice, Invoke uses the second value as the name of a drill or
    run.
    """
    task: ParserContext | None = None
    given: set[str] = set()
    place = 0
    while place < len(words):
        flag, _, attached = words[place].partition("=")
        argument = task.flags[flag] if task and flag in task.flags else None
        if task and argument and argument.takes_value and not argument.optional:
            place += flag == words[place]
            if not attached and (place == len(words) or words[place] in (f"{flag}=", *task.flags, *task.inverse_flags)):
                return no_value(task, argument)
            if argument.names[0] in given and argument.kind is not list:
                return f"{_typed(task)}: {flag} is given twice"
            given.add(argument.names[0])
        elif not argument and words[place] in contexts:
            task, given = contexts[words[place]], set()
        place += 1
    return ""


def wrong_list(args: Mapping[str, Argument], root: Collection) -> str:
    """Return the message about a wrong value of ``--list``, or of an option about its format. The result is empty if no
    value is wrong. ``args``: options of Invoke. ``root``: the namespace of the tasks.
    """
    name, form = args["list"].value, args["list-format"].value
    if not name:
        return ""
    if form not in FORMATS:
        return f"--list-format must be {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, not {form!r}"
    if form == "json" and args["list-depth"].value:
        return "--list-depth and --list-format json exclude each other"
    try:
        if isinstance(name, str):
            root.subcollection_from_path(name)
    except KeyError:
        groups = sorted(root.collections)
        near = get_close_matches(name.partition(".")[0], groups, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"the groups: {', '.join(groups)}"
        return f"there is no group of tasks {name!r}: {hint}"
    return ""


def no_option(option: str, context: ParserContext) -> str:
    """Return the message that the task of ``context`` has no option ``option``. The message suggests the most similar
    option. If no option is similar, it lists all options of the task.
    """
    known = _options(context)
    near = get_close_matches(option, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"its options: {', '.join(known)}"
    return f"{_typed(context) or 'the program'} has no option {option}: {hint}"


def _typed(context: ParserContext) -> str:
    """Return the name of a task as a person types it: `drill`, not `drill.drill`."""
    group, _, name = (context.name or "").rpartition(".")
    return name if group == name else context.name or ""


def resembles_an_option(option: str, context: ParserContext) -> bool:
    """Return True when the task of ``context`` has an option similar to ``option``."""
    return bool(get_close_matches(option, _options(context), 1))


def _options(context: ParserContext) -> list[str]:
    return [flag for flag in context.flag_names() if flag.startswith("--")]
