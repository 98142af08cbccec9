"""Renders the suggested next commands at the end of a run's output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.text import Text

from drillbook.report.suite_steps import grouped
from drillbook.report.terminal.prose import Prose

INDENT, GAP = 4, 2


@dataclass(frozen=True, slots=True)
class _Steps:
    """Descriptions of steps, and beside them the commands. If a command does not fit beside its description, all
    commands are on lines of their own, so that each can be copied. A description of several commands is shown once.
    """

    steps: Sequence[tuple[str, str]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render each step on one line if all commands fit beside their descriptions. Otherwise, render two lines for each
        step.
        """
        room = max((cell_len(what) for what, _ in self.steps), default=0) + GAP
        beside = all(INDENT + room + cell_len(command) <= options.max_width for _, command in self.steps)
        for what, commands in grouped(self.steps):
            if beside:
                told = Text("\n".join(commands))
                yield Prose(told, INDENT, label=Text(what + " " * (room - cell_len(what)), style="dim"), verbatim=True)
            else:
                yield Prose(Text(what, style="dim"), INDENT)
                yield Prose(Text("\n".join(commands)), INDENT + GAP, verbatim=True)


def shown_steps(steps: Sequence[tuple[str, str]], *, above: int = 1) -> RenderableType:
    """Render ``steps`` under a heading. ``above``: number of empty lines above the heading."""
    return Group(Padding(Text("Next", style="bold"), (above, 0, 0, 2), expand=False), _Steps(steps))
