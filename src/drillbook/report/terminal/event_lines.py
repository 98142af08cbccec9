"""Progress of a run on the terminal.

It prints one line for each important event. The lines are readable without colour and in a log.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text

from drillbook.events.event import Event
from drillbook.events.probes import SettleStarted
from drillbook.events.runs import (
    PhaseEnded,
    PhaseStarted,
    RecoveryStarted,
    RunEndedEarly,
    RunFinished,
    RunStarted,
    SignalReceived,
)
from drillbook.events.steps import (
    Done,
    Failed,
    FaultActive,
    Skipped,
    StepStarted,
    TransferProgress,
    UndoFailed,
    Undone,
    UndoStarted,
)
from drillbook.findings import CATALOGUE
from drillbook.installation.program_name import as_called
from drillbook.judge import notes
from drillbook.judge.verdicts import Verdict
from drillbook.report import step_texts
from drillbook.report.figures import count, one_line, seconds, shown, size, took
from drillbook.report.stop_words import in_words
from drillbook.report.terminal.prose import Prose
from drillbook.report.wording import NO_STEPS, PHASES, STEP_SHAPES, STOPPED

_GENERAL = {"", CATALOGUE["not-ready"].remedy}
"""Remedies that are not printed, because they say no more than the printed line of the finding."""
COLOURS = {
    "done": "green",
    "failed": "red",
    "unverified": "yellow",
    "error": "red",
    "cancelled": "magenta",
    "allowed": "yellow",
    STOPPED: "magenta",
    NO_STEPS: "dim",
}
MARKS = {**{outcome: (STEP_SHAPES[outcome], colour) for outcome, colour in COLOURS.items()}, "": (" ", "")}
ASIDE, HOST = 45, 12
"""Number of columns in the line of a step that are kept free for text beside the step's name, and how many of them are for the
name of the host."""


MOST_LINES, MOST_LETTERS = 4, 300
"""Limits for the printed message of a step: number of lines, and number of letters in a line."""


def _cut(line: str) -> str:
    return line if len(line) <= MOST_LETTERS else line[:MOST_LETTERS] + "…"


def stopped(what: Failed) -> str:
    """Return the message of a failed step. If the step was stopped, the message does not name the command, which the report shows."""
    return step_texts.message(what.message, what.outcome)


def room_for_name(width: int, host: str) -> int:
    """Return the number of columns for the name of a step, in a line of ``width`` columns that also names ``host``."""
    return max(16, min(44, width - ASIDE - max(0, cell_len(host) - HOST)))


def fitted(text: str, width: int) -> str:
    """Return ``text`` in exactly ``width`` columns: padded with blanks, or cut with an ellipsis at its end."""
    return set_cell_size(text, width) if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


STOPPING = "stopping; all changes are undone first"
UNDOING = "undoing the changes of the drill"
"""Heading of the phases that run after the early end of a run."""
CTRL_C = {"SIGINT": "Ctrl-C (SIGINT)"}
"""Names of signals as people know them."""
AGAIN = "measurements are skipped; the changes are being undone"
ENDED = "the run has ended; the program ends when its record is complete"
LOOKING = "checking if the service is good again; a second Ctrl-C skips this"


@dataclass(frozen=True, slots=True)
class _Moved:
    """State of a transfer: the times of its first and its newest progress event, and the newest event itself."""

    begun: float
    clock: float
    what: TransferProgress


@dataclass(slots=True)
class Progress:
    """Observer of the journal that prints a line for each important event. If ``sink`` is given, the lines are not printed but
    passed to ``sink``.

    ``closing``: True when a summary follows the run. Lines that the summary would repeat are then not printed. ``brief``:
    True to leave out steps that went well, and notes that need no attention. ``phases``: True to show every phase, even
    if ``brief`` is True. A phase whose steps are printed gets a heading. Any other phase gets one line with its
    duration.
    """

    console: Console
    sink: Callable[[RenderableType], None] | None = None
    closing: bool = False
    brief: bool = False
    phases: bool = True
    _begun: bool = False
    _ended: bool = False
    _phase: str = ""
    _phase_begun: float = 0.0
    _broken: bool = False
    """True when a step of the current phase failed by itself. If a phase ends without success and this is False, a
    signal or an abort condition stopped the phase."""
    _over: str = ""
    """Heading to print before the next phase. It is set when the run ends early; otherwise it is empty."""
    _empty: frozenset[str] = frozenset()
    """Phases without steps in the plan."""
    _heading: str = ""
    """Name of the current phase in brief output, until the first line of the phase is printed. It is empty afterwards."""
    _held: dict[tuple[str | None, str | None], tuple[str, str]] = field(default_factory=dict)
    _names: dict[str | None, str] = field(default_factory=dict)
    _moved: dict[tuple[str | None, str | None], _Moved] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, event: Event) -> None:
        """Print a line about ``event`` if it is important."""
        with self._lock:
            if self._is_left_out(event):
                return
            if not self._run(event) and not self._on_host(event) and (noted := notes.told(event)):
                where = f" on {event.host}" if event.host else ""
                self._line(
                    f"! {one_line(noted)}{where}" if notes.loud(event) else one_line(noted) + where,
                    "bold yellow" if notes.loud(event) else "dim",
                    6 if event.step else 4 if self._phase else 2,
                )

    def _is_left_out(self, event: Event) -> bool:
        """Return True for an event that has no line in brief output."""
        match event.what:
            case _ if not self.brief:
                return False
            case Skipped() | UndoStarted() | Undone():
                return True
            case Done():
                self._moved.pop((event.step, event.host), None)
                if (held := self._held.pop((event.step, event.host), None)) and held[1]:
                    self._line(f"{event.step}: {held[0]}", held[1], 4)
                return True
            case PhaseStarted(phase=phase):
                self._begin_phase(phase)
                self._phase_begun = event.clock
                self._heading = phase if self.phases else ""
                return True
            case PhaseEnded() as what:
                self._on_phase_ended(what, event.clock)
                return True
        return bool(notes.told(event)) and not notes.loud(event)

    def _run(self, event: Event) -> bool:
        """Print a line about an event of the whole run. Return False for any other event."""
        match event.what:
            case RunStarted() as what:
                self._on_run_started(what)
            case PhaseStarted(phase=phase):
                self._begin_phase(phase)
                self._line(f"{phase}: {NO_STEPS}" if phase in self._empty else phase, "bold cyan")
            case Skipped(why=why):
                self._line(f"{STEP_SHAPES['skipped']} {event.step} skipped: {one_line(why)}", "dim", 4)
            case RunEndedEarly() as what:
                self._on_ended_early(what)
            case SignalReceived(name=name, again=again):
                self._line(f"{CTRL_C.get(name, name)}: {ENDED if self._ended else AGAIN if again else STOPPING}", "yellow")
            case RunFinished():
                self._ended = True
            case SettleStarted(after="early end"):
                self._line(LOOKING)
            case RecoveryStarted():
                self._line("recovering", "bold cyan")
            case _:
                return False
        return True

    def _on_host(self, event: Event) -> bool:
        """Print a line about an event of a step on a host. Return False for any other event."""
        place = (event.step, event.host)
        match event.what:
            case StepStarted(name=name, action=action):
                self._names[event.step] = name or action
            case TransferProgress() as what:
                begun = self._moved[place].begun if place in self._moved else event.clock
                self._moved[place] = _Moved(begun, event.clock, what)
            case Done() as what:
                self._step(event, what, "done", "")
            case Failed() as what:
                self._on_failed(event, what)
            case FaultActive(active=active):
                proven = active is True  # printed below the line of the step, which appears when the step ends
                said = f"the fault is {'' if proven else 'NOT '}proven active on {event.host}"
                self._held[place] = (said, "" if proven else "yellow")
            case UndoStarted():
                self._line(f"undoing {event.step} on {event.host}", "", 2)
            case Undone(message=message):
                if message == "undone":
                    self._line(f"{STEP_SHAPES['done']} {event.step} on {event.host} is undone", "green", 4)
            case UndoFailed(message=message):
                said = f"{event.step} on {event.host} could not be undone: {message}"
                self._line(f"{STEP_SHAPES['failed']} {said}", "bold red", 2)
            case _:
                return False
        return True

    def _begin_phase(self, phase: str) -> None:
        """Store the name of the phase that begins. If the run ended early, print a heading before the first phase that runs
        after this end, to undo changes.
        """
        self._phase, self._broken = phase, False
        if self._over:
            self._line(self._over, "bold cyan")
            self._over = ""

    def _on_phase_ended(self, what: PhaseEnded, clock: float) -> None:
        """Print the duration of a phase in brief output. If a line of the phase was printed before, print nothing."""
        if self._heading:
            self._heading = ""
            state, time = what.status, took(clock - self._phase_begun)
            if state in ("failed", "interrupted") and not self._broken:
                state = STOPPED
            if state == "done" and what.phase in self._empty:
                state, time = NO_STEPS, "" if time == took(0.0) else time
            line = Text(f"{STEP_SHAPES.get(state, '?')} {what.phase:<10}", style=COLOURS.get(state, "yellow"))
            line.append(f"{time:>8}" + (f"  {NO_STEPS}" if state == NO_STEPS else ""), style="dim")
            self._say(Padding(line, (0, 0, 0, 2), expand=False))

    def _say(self, line: RenderableType) -> None:
        say = self.sink or self.console.print
        if self._heading:
            say(Padding(Text(self._heading, style="bold cyan"), (0, 0, 0, 2), expand=False))
            self._heading = ""
        say(line)

    def _line(self, text: str, style: str = "", indent: int = 2) -> None:
        self._say(Prose(Text(shown(as_called(text)), style=style), indent))

    def _on_run_started(self, what: RunStarted) -> None:
        plan = what.plan
        if self._begun and (self.phases or not self.brief):
            self._say(Text())
        self._begun, self._ended, self._phase, self._over = True, False, "", ""
        steps = plan.get("steps") or ()
        self._empty = frozenset(PHASES) - {str(step["id"]).partition(".")[0] for step in steps} if steps else frozenset()
        if self.brief:
            line = Text(shown(f"{plan['drill']}: {one_line(plan['title'])}"), style="bold")
            line.truncate(self.console.width - 1, overflow="ellipsis")
            self._say(line)
            return
        self._line(f"{plan['drill']}: {one_line(plan['title'])}", "bold", 0)
        self._line(f"on {plan['inventory']['environment']}, plan {what.plan_digest[7:19]}", "dim")
        self._line(f"run {what.run}", "dim")

    def _on_failed(self, event: Event, what: Failed) -> None:
        self._broken = self._broken or (what.outcome != "cancelled" and not what.allowed)
        self._step(event, what, "allowed" if what.allowed else what.outcome, stopped(what))
        if self.closing and (self._phase == "ready" or not what.allowed):
            return  # the summary shows these findings with their remedies
        for finding in what.findings:
            self._finding(finding, 8, what.message)

    def _finding(self, finding: dict[str, Any], indent: int, said: str = "") -> None:
        """Print a finding. Its measured value is left out if the line above, ``said``, already contains it."""
        self._line(f"{finding['severity']}: {one_line(finding['title'])}", "yellow", indent)
        if finding["wanted"] and finding["measured"] and finding["measured"] in said:
            self._line(f"wanted {one_line(finding['wanted'])}", "", indent + 2)
        elif finding["wanted"] or finding["measured"]:
            text = f"wanted {one_line(finding['wanted'] or '-')}, measured {one_line(finding['measured'] or '-')}"
            self._line(text, "", indent + 2)

    def _step(self, event: Event, what: Done | Failed, outcome: str, message: str) -> None:
        mark, colour = MARKS[outcome]
        name = one_line(self._names.get(event.step, str(event.step)))
        head, host = Text(f"    {mark} ", style=colour), one_line(event.host or "")
        again = f"  attempt {what.attempts}" if what.attempts > 1 else ""
        beside = Text(f"{host.ljust(HOST)} {what.seconds:8.2f} s{again}", style="dim")
        room = room_for_name(self.console.width, host)
        told = fitted(name, room) if " " in name or cell_len(name) <= room else name
        if (line := Text.assemble(head, told, " ", beside)).cell_len <= self.console.width:
            self._say(line)
        else:
            self._say(Prose(Text(name), label=head))
            self._say(Prose(beside, 6))
        moved = self._moved.pop((event.step, event.host), None)
        if moved is not None and moved.what.bytes:
            span = moved.clock - moved.begun
            rate = f" in {seconds(span, 1)}, {size(int(moved.what.bytes / span))}/s" if span > 0 else ""
            self._line(f"{size(moved.what.bytes)} {moved.what.what}{rate}", "dim", 6)
        if message:
            lines = message.splitlines()
            first, *more = map(_cut, lines[:MOST_LINES])
            self._line(first, colour, 6)
            for detail in more:
                self._line(detail, "dim", 8)
            if (left := len(lines) - MOST_LINES) > 0:
                self._line(f"… and {count(left, 'more line')}, in the report", "dim", 8)
        if held := self._held.pop((event.step, event.host), None):
            self._line(*held, 6)

    def _on_ended_early(self, what: RunEndedEarly) -> None:
        self._over = UNDOING
        if self.closing and what.why in ("refused", Verdict.NOT_RUN):
            return  # the summary that follows contains the same message
        self._line(f"{what.why}: {in_words(what.message)}", "magenta" if what.why == "aborted" else "yellow")
        if self.closing or what.why == Verdict.NOT_RUN:
            return  # the message about services that are not installed names all of them, and what to install
        for finding in what.findings:
            if not (finding["measured"] in what.message and finding["title"] in what.message):
                self._line(f"{one_line(finding['title'])}: {one_line(finding['measured'])}", "yellow", 4)
            if (remedy := one_line(finding["remedy"])) not in _GENERAL and remedy not in what.message:
                self._line(remedy, "dim", 6)
