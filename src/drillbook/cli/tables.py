"""Tables for the terminal. They show actions with their parameters, and components of the lab. No host is contacted."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from drillbook.catalog import shipped_files
from drillbook.cli.console import console, print_json
from drillbook.cli.narrow_yaml import narrowed
from drillbook.cli.undo_words import effect_line
from drillbook.errors import UnknownName
from drillbook.exits import Exit
from drillbook.installation.program_name import as_called, program
from drillbook.language.strict import did_you_mean
from drillbook.report.terminal.prose import Cell, Prose
from drillbook.sdk import discovery, examples
from drillbook.sdk.action import Action, find, known_names
from drillbook.sdk.examples import Example
from drillbook.sdk.probe import Probe

SPARE = ("db-2", "spare")
"""Hosts of a lab on which no service runs at first. A drill can restore a service there."""


def actions(name: str, *, as_json: bool = False) -> int:
    """Show one action or probe with its parameters, or list all actions and probes. The output is a table or JSON.

    A name can belong to both an action and a probe. Both are shown then; in JSON, the probe is the value of the key `probe` in
    the object of the action.
    """
    kinds: list[type[Any]] = [Action, Probe]
    out = console()
    if name:
        first, *others = _named(name, kinds)
        if as_json:
            print_json(_described(first) | ({"probe": _described(others[0])} if others else {}))
            return Exit.OK
        for shown in (first, *others):
            if others:
                out.print(Text(f"As {'an action' if issubclass(shown, Action) else 'a probe'}:"))
            _action(shown, out)
            if shown is first and others:
                out.print()
        return Exit.OK
    if as_json:
        print_json([_described(find(known, kind)) for kind in kinds for known in known_names(kind)])
        return Exit.OK
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("name", "kind", "what it does"):
        table.add_column(column, no_wrap=column != "what it does")
    for kind in kinds:
        for known in known_names(kind):
            shown = find(known, kind)
            effect = shown.EFFECT if kind is Action else "probe"
            table.add_row(known, effect, Text((shown.__doc__ or "").strip().splitlines()[0]))
    _print(table, out)
    return Exit.OK


def _print(table: Table, out: Console) -> None:
    """Print a table that breaks no word, also on a narrow terminal."""
    from drillbook.report.terminal.whole_words import WholeWords  # noqa: PLC0415  keeps start-up fast

    out.print(WholeWords(table))


def _named(name: str, kinds: Sequence[type[Any]]) -> list[type[Any]]:
    """Return the action and the probe with the name ``name``. Raises UnknownName when there is neither."""
    classes: list[type[Any]] = []
    for kind in kinds:
        with suppress(UnknownName):
            classes.append(find(name, kind))
    if classes:
        return classes
    every = [known for kind in kinds for known in known_names(kind)]
    raise UnknownName(
        f"there is no action or probe {name!r}", hint=discovery.hint(f"{did_you_mean(name, every)}see `invoke actions`")
    )


def _described(cls: type[Any]) -> dict[str, Any]:
    """Return the name, effect, documentation and parameters of an action or probe."""
    parameters = [
        {"name": info.alias or key, "required": info.is_required(), "meaning": as_called(info.description or "")}
        for key, info in cls.model_fields.items()
    ]
    effect = str(cls.EFFECT) if issubclass(cls, Action) else "probe"
    doc = as_called(inspect.cleandoc(cls.__doc__ or ""))
    shown = _example(cls)
    described = {"name": cls.name(), "effect": effect, "does": doc, "parameters": parameters}
    return described | ({"example": shown.text} if shown else {})


def _example(cls: type[Any]) -> Example | None:
    """Return an example of an action or probe."""
    return examples.of(cls.name(), shipped_files.root() / "drills", Action if issubclass(cls, Action) else Probe)


def _action(cls: type[Any], out: Console) -> None:
    out.print(Text(cls.name(), style="bold"))
    for paragraph in _paragraphs(as_called(inspect.cleandoc(cls.__doc__ or ""))):
        out.print(Prose(Text(paragraph)))
    if issubclass(cls, Action):
        out.print(Prose(Text(effect_line(cls), style="dim")))
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("parameter", "default", "meaning"):
        table.add_column(column)
    for key, info in cls.model_fields.items():
        default = "required" if info.is_required() else _in_yaml(info.get_default(call_default_factory=True))
        table.add_row(Text(info.alias or key), Cell(Text(default)), Cell(Text(as_called(info.description or ""))))
    _print(table, out)
    if shown := _example(cls):
        origin = f", of the drill {shown.drill}" if shown.drill else ""
        out.print(Prose(Text(f"\nExample{origin}:\n\n{narrowed(shown.text, out.width)}"), verbatim=True))


def _paragraphs(doc: str) -> list[str]:
    """Return the paragraphs of a docstring, each on one line, with empty texts between them. The lines of a list or of a
    block stay as they are.
    """
    parts = [
        part if re.search(r"^(\s|[-*] )", part, re.MULTILINE) else " ".join(part.split())
        for part in re.split(r"\n\s*\n", doc.strip())
    ]
    return [text for part in parts for text in ("", part)][1:]


def _in_yaml(value: Any) -> str:
    """Return the default ``value`` of a parameter as it is written in a drill."""
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)


def lab(status: Any, out: Console, *, as_json: bool = False) -> int:
    """Show the components of the lab, host by host."""
    if as_json:
        keys = ("host", "name", "up", "port", "pid")
        print_json([{key: getattr(part, key, None) for key in keys} for part in status.components])
        return Exit.OK
    kind = " --kind docker" if status.folder.name.endswith("-docker") else ""
    if not status.components:
        out.print(Text(f"the lab in {status.folder} is down; start it with `{program()} lab.up{kind}`"), soft_wrap=True)
        return Exit.OK
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("host", "part", "state", "port", "pid"):
        table.add_column(column)
    for part in sorted(status.components, key=lambda part: part.host):
        spare = getattr(part, "standby", False) or (part.host in SPARE and part.name not in ("ssh", "machine"))
        state = ("up", "green") if part.up else ("off: a drill starts it", "dim") if spare else ("down", "red")
        table.add_row(part.host, part.name, Text(*state), str(part.port or "-"), str(part.pid or "-"))
    _print(table, out)
    return Exit.OK
