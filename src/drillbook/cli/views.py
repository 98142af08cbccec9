"""The ways in which a run is told: live on a terminal, as plain lines, quietly, or as one JSON object a line."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import IO, Any

from rich.console import Console, RenderableType
from rich.text import Text

from drillbook.cli.console import console, stdout
from drillbook.events.event import Event
from drillbook.journal.journal import Observer
from drillbook.judge.result import RunView, SuiteResult
from drillbook.report.figures import one_line
from drillbook.report.terminal import next_steps, summary
from drillbook.report.terminal.live import LiveView
from drillbook.report.terminal.progress import Progress


class Manner(Enum):
    """How a person or a program wants to be told."""

    FULL = "full"
    QUIET = "quiet"
    JSON = "json"


def program() -> str:
    """What to type to get this program again: ``drillbook``, or ``invoke``."""
    name = sys.argv[0].rpartition("/")[2] if sys.argv else ""
    return "invoke" if name.startswith(("invoke", "inv")) else "drillbook"


def ignore(event: Event) -> None:
    """An observer that says nothing."""
    del event


def tell_missed(missed: Sequence[str]) -> None:
    """Say on standard error which anchors and timestamps of what was signed could not be had."""
    for text in missed:
        sys.stderr.write(f"! {one_line(text)}\n")


@dataclass(slots=True)
class JsonLines:
    """An observer that writes every event as one line of JSON."""

    out: IO[str] = field(default_factory=stdout)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, event: Event) -> None:
        """Write ``event`` as it stands in the journal."""
        line = event.model_dump(mode="json")
        self.write({key: value for key, value in line.items() if value is not None or key not in ("step", "host")})

    def write(self, value: dict[str, Any]) -> None:
        """Write one line."""
        with self._lock:
            self.out.write(json.dumps(value, ensure_ascii=True) + "\n")
            self.out.flush()


class Teller:
    """Tells one drill or suite in one manner, from its first event to its closing summary."""

    def __init__(self, manner: Manner, inventory: str = "") -> None:
        """``inventory`` is named in the commands of the closing summary."""
        self.manner, self.inventory = manner, inventory
        self.console: Console = console()
        self._lines = JsonLines()
        self._live: LiveView | None = None

    @contextmanager
    def watching(self) -> Iterator[Observer]:
        """An observer for the runs that go on inside the ``with``."""
        if self.manner is Manner.JSON:
            yield self._lines
        elif self.manner is Manner.QUIET:
            yield ignore
        elif not self.console.is_terminal or self.console.is_dumb_terminal:
            yield Progress(self.console, closing=True)
        else:
            with LiveView(self.console) as live:
                self._live = live
                yield live
            self._live = None

    def note(self, text: str) -> None:
        """A line on what comes before a run; standard error when standard output is for a program."""
        if self.manner is Manner.FULL:
            self.say(Text(text, style="dim"))
        elif self.manner is Manner.JSON:
            sys.stderr.write(text + "\n")

    def say(self, what: RenderableType) -> None:
        """Print above what is going on."""
        (self._live.say if self._live is not None else self.console.print)(what)

    def between(self, view: RunView) -> None:
        """The end of one drill of a suite."""
        if self.manner is Manner.JSON:
            self._lines.write({"kind": "result", "data": view.result.model_dump(mode="json", by_alias=True)})
        else:
            self.say(summary.short_summary(view) if self.manner is Manner.QUIET else summary.summary(view))

    def end(self, view: RunView, report: str, *, newest: bool = False) -> None:
        """The end of a run; the newest needs no name in commands."""
        if self.manner is not Manner.FULL:
            self.between(view)
            return
        result = view.result
        self.say(summary.summary(view, report))
        steps = next_steps.next_steps(
            program(),
            result.drill,
            result.run,
            result.verdict,
            self.inventory,
            newest=newest,
            residue=bool(result.open_residue),
        )
        self.say(next_steps.shown_steps(steps))

    def end_suite(self, suite: SuiteResult, views: list[RunView], report: str) -> None:
        """The end of a suite."""
        if self.manner is Manner.JSON:
            self._lines.write({"kind": "result", "data": suite.model_dump(mode="json", by_alias=True)})
            return
        if self.manner is Manner.QUIET:
            self.say(summary.short_suite_summary(suite))
            return
        self.say(summary.suite_summary(suite, views, report))
        steps = [
            ("put back what is left", f"{program()} drill.recover {view.result.run}")
            for view in views
            if view.result.open_residue
        ]
        steps += [
            step
            for step in next_steps.next_steps(program(), suite.suite, suite.run, suite.verdict, self.inventory, newest=True)
            if "drill.check" not in step[1]
        ]
        self.say(next_steps.shown_steps(steps))
