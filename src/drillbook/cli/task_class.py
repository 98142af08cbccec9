"""Base class of the tasks. A short flag has the same meaning in every task, and the output of ``--help`` ends with
examples.
"""

from __future__ import annotations

import functools
import sys
import textwrap
from collections.abc import Callable, Iterable
from typing import Any

from invoke.exceptions import Exit as InvokeExit
from invoke.parser.argument import Argument
from invoke.tasks import Task
from invoke.tasks import task as invoke_task

from drillbook.errors import UsageError

SHORT = {"inventory": "i", "json": "j", "quiet": "q", "verbose": "v"}
"""Short flags of options. The key of a flag is the name of its option. Options that are not listed have no short flag.
Without this list, Invoke would use the first letters of options, and a letter would have different meanings in
different tasks.
"""


HELP_WIDTH = 78
"""Width of a help text, so that it fits into 80 columns with Invoke's indent of two."""
NUMBERS = {int: "a whole number", float: "a number"}
"""Types of options whose value is a number, with their names in messages."""


class Number(Argument):
    """Option whose value is a number."""

    def set_value(self, value: Any, cast: bool = True) -> None:
        """Set the number to ``value``. Ends the program with status 2 when ``value`` is not a number of this type."""
        try:
            super().set_value(value, cast)
        except ValueError:
            name = self.names[0] if self.positional else f"--{self.names[0]}"
            text = f"error: {name} needs {NUMBERS[self.kind]}, not {value!r}"
            raise InvokeExit(text, code=UsageError.exit_status) from None


class ShortFlags(Task[Any]):
    """A task whose options have a short flag only if ``SHORT`` lists it."""

    before_parsing: Callable[[], None] | None = None
    """Function that is called when Invoke asks for the arguments of the task, before Invoke parses the command line."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Call ``before_parsing``, and return the arguments of the task. Raises the errors of ``before_parsing``."""
        if self.before_parsing:
            self.before_parsing()
        arguments: list[Argument] = super().get_arguments(ignore_unknown_help)
        return numbers(arguments)

    def arg_opts(self, name: str, default: Any, taken_names: set[str]) -> dict[str, Any]:
        """Return the properties of the option ``name``, including its short flag."""
        properties: dict[str, Any] = super().arg_opts(name, default, taken_names)
        long = tuple(flag for flag in properties["names"] if len(flag) > 1)
        return {**properties, "names": (*long, SHORT[name]) if name in SHORT else long}


def numbers(arguments: Iterable[Argument]) -> list[Argument]:
    """Return ``arguments`` with a change: an option for a number refuses, with a message, a value that is not a number."""
    return [
        _number(argument) if argument.kind in NUMBERS and not argument.incrementable else argument for argument in arguments
    ]


def _number(argument: Argument) -> Number:
    return Number(
        names=argument.names,
        kind=argument.kind,
        default=argument.default,
        help=argument.help,
        positional=argument.positional,
        optional=argument.optional,
        attr_name=argument.attr_name,
    )


task = functools.partial(invoke_task, klass=ShortFlags)
"""Decorator that makes a task, like Invoke's ``task``."""
EXAMPLES = {
    "actions": ("actions postgres.dump", "actions --json"),
    "audit": (
        "audit",
        "audit --since 2026-01-01 --until 2026-12-31",
    ),
    "campaign": (
        "campaign quarterly --sites sites.yml",
        "campaign quarterly --resume",
        "campaign quarterly --sites sites.yml --on local",
        "campaign quarterly --sites sites.yml --matrix github",
    ),
    "campaign.approve": ("campaign.approve quarterly --sites sites.yml --until 24h",),
    "campaign.collect": ("campaign.collect quarterly --sites sites.yml --artefacts artefacts",),
    "catalog": ("catalog --for postgres", "catalog --json"),
    "diagnose": ("diagnose api", "diagnose --inventory staging --within 20s --json"),
    "drill": (
        "drill quarterly",
        "drill api-restart --inventory staging --verbose",
        "drill pre-release --assume no --json",
    ),
    "drill.approve": ("drill.approve postgres-lost --inventory production --until 24h",),
    "drill.sudoers": ("drill.sudoers site-broken --inventory staging --host web-1",),
    "drill.check": ("drill.check postgres-lost --inventory staging", "drill.check quarterly --json"),
    "drill.due": ("drill.due", "drill.due --all", "drill.due --environment staging --json"),
    "drill.list": ("drill.list", "drill.list --all", "drill.list --json"),
    "drill.plan": ("drill.plan postgres-lost --inventory staging", "drill.plan quarterly --json"),
    "drill.recover": ("drill.recover", "drill.recover RUN --settled --reason 'the host was replaced'"),
    "drill.stop": ("drill.stop", "drill.stop RUN --inventory staging"),
    "init": ("init project", "init project --rehearse postgres", "init --with quarterly"),
    "lab.down": ("lab.down", "lab.down --kind docker --images"),
    "lab.status": ("lab.status", "lab.status --json"),
    "lab.up": ("lab.up", "lab.up --kind docker"),
    "metrics.files": ("metrics.files monitoring",),
    "metrics.write": ("metrics.write /var/lib/prometheus/node-exporter/drillbook.prom", "metrics.write --stdout"),
    "report": ("report", "report postgres-lost"),
    "report.list": ("report.list --all", "report.list --json"),
    "report.open": ("report.open", "report.open postgres-lost"),
    "report.verify": ("report.verify", "report.verify RUN --json"),
    "runbook": ("runbook postgres-lost --inventory staging --out runbook.md",),
    "schedule.install": ("schedule.install --systemd --inventory staging", "schedule.install --cron"),
    "schedule.remove": ("schedule.remove", "schedule.remove --inventory staging"),
    "schedule.retire": (
        "schedule.retire --environment staging --reason 'ticket 4711'",
        "schedule.retire old-drill --reason 'replaced by new-drill'",
    ),
    "schedule.run": ("schedule.run --inventory staging",),
    "schema": ("schema drill", "schema inventory"),
    "trust": ("trust --show", "trust --yes"),
}
"""Examples for each task, without the name of the program. RUN stands for the name of a run."""


def with_examples(doc: str, path: str, program: str) -> str:
    """Return the help text ``doc`` of the task ``path``, followed by its examples. Each example calls ``program``.

    If the user asks for help about a task, the lines of ``doc`` are broken between words, because Invoke does not break them
    and a terminal would break within words. Otherwise ``doc`` stays as it is, because the list of all tasks shows its whole
    first line.
    """
    words = sys.argv[1:]
    asked = {"--help", "-h"} & set(words) and any(not word.startswith("-") for word in words)
    text = "\n\n".join(_filled(part) for part in doc.split("\n\n")) if asked else doc
    shown = "".join(f"\n  {program} {example}" for example in EXAMPLES.get(path, ()))
    return f"{text}\n\nExamples:{shown}" if shown else text


def _filled(paragraph: str) -> str:
    return textwrap.fill(paragraph, HELP_WIDTH, break_long_words=False, break_on_hyphens=False)
