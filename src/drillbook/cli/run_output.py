"""Output of a run in one of four forms: a live view in a terminal, plain lines, only the verdict and the findings, or
lines of JSON.
"""

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
from drillbook.cli.task_exit import fitted
from drillbook.events.event import Event
from drillbook.installation.program_name import program
from drillbook.journal.journal import Observer
from drillbook.judge.result import RunView, SuiteResult
from drillbook.report.figures import one_line
from drillbook.report.next_steps import (
    age_of_routine,
    in_permitted,
    next_steps,
    on_terminal,
    other_inventory,
    other_runs,
    with_remedy,
)
from drillbook.report.suite_steps import after_suite
from drillbook.report.terminal import recovery_summary, summary
from drillbook.report.terminal.event_lines import Progress
from drillbook.report.terminal.finding_room import FindingRoom
from drillbook.report.terminal.live_view import LastTimes, LiveView
from drillbook.report.terminal.next_steps import shown_steps


class Manner(Enum):
    """Amount and format of a run's output. Options of the task select it."""

    BRIEF = "brief"
    FULL = "full"
    QUIET = "quiet"
    JSON = "json"


def ignore(event: Event) -> None:
    """Observer that ignores every event. It is used when nothing is to be printed."""
    del event


def tell_missed(missed: Sequence[str]) -> None:
    """Print, on standard error, messages about anchors (copies of hashes) and timestamps that could not be obtained."""
    for text in missed:
        sys.stderr.write(fitted(f"! {one_line(text)}") + "\n")


def tell_held(text: str) -> None:
    """Print, on standard error, a message about a signal that takes effect later."""
    sys.stderr.write(fitted(text) + "\n")


@dataclass(slots=True)
class JsonLines:
    """Observer that writes every event as one line of JSON."""

    out: IO[str] = field(default_factory=stdout)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, event: Event) -> None:
        """Write ``event`` in the same form as a line of the journal."""
        line = event.model_dump(mode="json")
        self.write({key: value for key, value in line.items() if value is not None or key not in ("step", "host")})

    def write(self, value: dict[str, Any]) -> None:
        """Write ``value`` as one line of JSON."""
        with self._lock:
            self.out.write(json.dumps(value, ensure_ascii=True) + "\n")
            self.out.flush()


class Teller:
    """Output of one drill or suite. It prints the progress and the summary in the selected form."""

    def __init__(self, manner: Manner, inventory: str = "") -> None:
        """Create the output. ``inventory``: inventory to name in the commands that the summary suggests."""
        self.manner, self.inventory = manner, inventory
        self.console: Console = console()
        self.talks = manner in (Manner.BRIEF, Manner.FULL)
        self._lines = JsonLines()
        self._live: LiveView | None = None
        self._room: FindingRoom | None = None
        self._noted = False
        """True when the last output was a message before a run, and nothing of the run itself has been printed yet."""

    @contextmanager
    def watching(self, *, suite: bool = False, last_s: LastTimes | None = None) -> Iterator[Observer]:
        """Provide an observer that shows the events of runs. It can be used within the ``with`` block.

        When ``suite`` is true and the output is brief, the phases of drills are not shown. ``last_s``: returns the durations of
        the phases in the last passed run of a drill.
        """
        brief = self.manner is Manner.BRIEF
        if self._noted:
            self.say(Text())
        if self.manner is Manner.JSON:
            yield self._lines
        elif self.manner is Manner.QUIET:
            yield ignore
        elif not self.console.is_terminal or self.console.is_dumb_terminal:
            yield Progress(self.console, closing=True, brief=brief, phases=not suite)
        else:
            with LiveView(self.console, brief=brief, phases=not suite, last_s=last_s) as live:
                self._live = live
                yield live
            self._live = None

    def note(self, text: str) -> None:
        """Print a message before a run. If the output is JSON, the message goes to standard error. If the output is
        quiet, the message is not printed.
        """
        if self.talks:
            self.say(Text(text, style="dim"))
            self._noted = True
        elif self.manner is Manner.JSON:
            sys.stderr.write(text + "\n")

    def say(self, what: RenderableType) -> None:
        """Print ``what``. If a live view is shown, ``what`` is printed above it."""
        (self._live.say if self._live is not None else self.console.print)(what)

    def _finish(self) -> None:
        """Remove the live view, so that the summary of the run ends on the last line of the terminal."""
        if self._live is not None:
            self._live.finish()
            self._live = None

    def expect(self, drills: int) -> None:
        """Prepare for a suite of ``drills`` drills. On a terminal, all of them together have little room for their findings."""
        self._room = FindingRoom(drills) if self.console.is_terminal else None

    def between(self, view: RunView) -> None:
        """Show the result of one drill of a suite."""
        if self.manner is Manner.JSON:
            self._lines.write({"kind": "result", "data": view.result.model_dump(mode="json", by_alias=True)})
        elif self.manner is Manner.BRIEF:
            room = self._room
            self.say(summary.line(view, room.lines(view, self.console), self.console.width) if room else summary.line(view))
        else:
            self.say(summary.short_summary(view) if self.manner is Manner.QUIET else summary.summary(view))

    def end(self, view: RunView, report: str, *, newest: bool = False) -> None:
        """Show the result of a run, and suggest commands for the user. ``newest``: True for the newest run; commands
        for the newest run need no name.
        """
        if not self.talks:
            self.between(view)
            return
        self._finish()
        self.say(summary.details(view, report, brief=self.manner is Manner.BRIEF))
        self.say(shown_steps(on_terminal(view, self._next(view, newest=newest))))
        self.say(Text())
        self.say(summary.ending(view))

    def end_recovery(self, view: RunView, report: str) -> None:
        """Show the result of a recovery: briefly, or with the whole result of the run."""
        if self.manner is not Manner.BRIEF:
            self.end(view, report)
            return
        self.say(recovery_summary.recovery_summary(view, report))
        self.say(shown_steps(with_remedy(view, self._next(view))))
        self.say(Text())
        self.say(recovery_summary.state_of_run(view))

    def _next(self, view: RunView, *, newest: bool = False) -> list[tuple[str, str]]:
        """Return the suggestions of what to do after a run."""
        result = view.result
        steps = next_steps(
            program(),
            result.drill,
            result.run,
            result.verdict,
            self.inventory,
            newest=newest,
            residue=bool(result.open_residue),
            other=other_inventory(view),
            recover=other_runs(program(), [result]),
            permitted=in_permitted(program(), result.findings),
        )
        return [*steps, *filter(None, [age_of_routine(view)])]

    def end_suite(self, suite: SuiteResult, views: list[RunView], report: str) -> None:
        """Show the result of a suite."""
        if self.manner is Manner.JSON:
            self._lines.write({"kind": "result", "data": suite.model_dump(mode="json", by_alias=True)})
            return
        if self.manner is Manner.QUIET:
            self.say(summary.short_suite_summary(suite))
            return
        self._finish()
        steps = after_suite(program(), suite, views, self.inventory)
        self.say(
            summary.suite_summary(suite, views, report, steps, short=self._room is not None and self.manner is Manner.BRIEF)
        )
