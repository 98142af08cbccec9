"""What a run says as it goes: one line an event that matters, readable without colour and in a log."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rich.cells import set_cell_size
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text

from drillbook import notes
from drillbook.events.event import Event
from drillbook.report.figures import one_line, seconds, shown, size
from drillbook.report.wording import STEP_SHAPES
from drillbook.result import Verdict

COLOURS = {"done": "green", "failed": "red", "unverified": "yellow", "error": "red", "cancelled": "yellow",
           "allowed": "yellow"}
MARKS = {**{outcome: (STEP_SHAPES[outcome], colour) for outcome, colour in COLOURS.items()}, "": (" ", "")}
ASIDE = 42
"""Columns of a step's line beside its name."""


@dataclass(slots=True)
class Progress:
    """An observer of the journal that prints as events come; with ``sink`` each line goes there instead.

    Where a closing summary follows (``closing``), what it says at once is not said here before it.
    """

    console: Console
    sink: Callable[[RenderableType], None] | None = None
    closing: bool = False
    _begun: bool = False
    _phase: str = ""
    _held: dict[tuple[str | None, str | None], tuple[str, str]] = field(default_factory=dict)
    _names: dict[str | None, str] = field(default_factory=dict)
    _moved: dict[tuple[str | None, str | None], tuple[float, Event]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, event: Event) -> None:
        """Say what ``event`` tells a person, if anything."""
        show = getattr(self, "_on_" + event.kind.replace(".", "_"), None)
        with self._lock:
            if show is not None:
                show(event)
            elif noted := notes.told(event):
                where = f" on {event.host}" if event.host else ""
                self._line(f"! {one_line(noted)}{where}" if notes.loud(event) else one_line(noted) + where,
                           "bold yellow" if notes.loud(event) else "dim", 6 if event.step else 4 if self._phase else 2)

    def _say(self, line: RenderableType) -> None:
        (self.sink or self.console.print)(line)

    def _line(self, text: str, style: str = "", indent: int = 2) -> None:
        self._say(Padding(Text(shown(text), style=style), (0, 0, 0, indent), expand=False))

    def _on_run_started(self, event: Event) -> None:
        plan = event.data["plan"]
        if self._begun:
            self._say(Text())
        self._begun, self._phase = True, ""
        self._line(f"{plan['drill']}: {one_line(plan['title'])}", "bold", 0)
        self._line(f"on {plan['inventory']['environment']}, plan {event.data['plan_digest'][7:19]}", "dim")
        self._line(f"run {event.data['run']}", "dim")

    def _on_phase_started(self, event: Event) -> None:
        self._phase = event.data["phase"]
        self._line(self._phase, "bold cyan")

    def _on_step_started(self, event: Event) -> None:
        self._names[event.step] = str(event.data.get("name") or event.data.get("action") or event.step)

    def _on_progress(self, event: Event) -> None:
        begun = self._moved.get((event.step, event.host), (event.clock, event))[0]
        self._moved[event.step, event.host] = (begun, event)

    def _on_done(self, event: Event) -> None:
        self._step(event, "done", "")

    def _on_failed(self, event: Event) -> None:
        self._step(event, "allowed" if event.data["allowed"] else event.data["outcome"], event.data["message"])
        if self.closing and self._phase == "ready":
            return  # the run is refused for it, and the summary says so at once
        for one in event.data["findings"]:
            self._finding(one, 8)

    def _finding(self, one: dict[str, Any], indent: int) -> None:
        self._line(f"{one['severity']}: {one_line(one['title'])}", "yellow", indent)
        if one["wanted"] or one["measured"]:
            text = f"wanted {one_line(one['wanted'] or '-')}, measured {one_line(one['measured'] or '-')}"
            self._line(text, "", indent + 2)

    def _step(self, event: Event, outcome: str, message: str) -> None:
        mark, colour = MARKS[outcome]
        name = one_line(self._names.get(event.step, str(event.step)))
        line = Text(f"    {mark} ", style=colour, no_wrap=True, overflow="ellipsis")
        line.append(set_cell_size(name, max(16, min(44, self.console.width - ASIDE))), style="default")
        line.append(f" {set_cell_size(event.host or '', 12)} {event.data['seconds']:8.2f} s", style="dim")
        if event.data["attempts"] > 1:
            line.append(f"  attempt {event.data['attempts']}", style="dim")
        self._say(line)
        begun, moved = self._moved.pop((event.step, event.host), (0.0, None))
        if moved is not None and moved.data["bytes"]:
            span = moved.clock - begun
            rate = f" in {seconds(span, 1)}, {size(int(moved.data['bytes'] / span))}/s" if span > 0 else ""
            self._line(f"{size(moved.data['bytes'])} {moved.data['what']}{rate}", "dim", 6)
        if message:
            first, *more = message.splitlines()[:4]
            self._line(first[:300], colour, 6)
            for one in more:
                self._line(one[:300], "dim", 8)
        if held := self._held.pop((event.step, event.host), None):
            self._line(*held, 6)

    def _on_skipped(self, event: Event) -> None:
        self._line(f"{STEP_SHAPES['skipped']} {event.step} skipped: {one_line(event.data['why'])}", "dim", 4)

    def _on_fault_active(self, event: Event) -> None:
        proven = event.data["active"] is True  # said below its step's line, which comes when the step has ended
        said = f"the fault is {'' if proven else 'NOT '}proven active on {event.host}"
        self._held[event.step, event.host] = (said, "" if proven else "yellow")

    def _on_undo(self, event: Event) -> None:
        self._line(f"undoing {event.step} on {event.host}", "", 2)

    def _on_undo_failed(self, event: Event) -> None:
        said = f"{event.step} on {event.host} could not be put back: {event.data['message']}"
        self._line(f"{STEP_SHAPES['failed']} {said}", "bold red", 2)

    def _on_ended_early(self, event: Event) -> None:
        if self.closing and event.data["why"] in ("refused", Verdict.NOT_RUN):
            return  # nothing comes between this and the summary
        self._line(f"{event.data['why']}: {event.data['message']}", "yellow")
        if self.closing:
            return
        for one in event.data["findings"]:
            if one["measured"] not in event.data["message"]:
                self._line(f"{one_line(one['title'])}: {one_line(one['measured'])}", "yellow", 4)

    def _on_signal(self, event: Event) -> None:
        again = "what can wait is left out; what was changed is being put back" if event.data["again"] else (
            "stopping; what was changed is put back first")
        self._line(f"{event.data['name']}: {again}", "yellow")

    def _on_settle_started(self, event: Event) -> None:
        if event.data["after"] == "early end":
            self._line("looking whether the service is good again; a second Ctrl-C leaves that out", "", 2)

    def _on_recovery_started(self, event: Event) -> None:
        del event
        self._line("recovering", "bold cyan")

    def _on_undone(self, event: Event) -> None:
        if event.data["message"] == "undone":
            self._line(f"{STEP_SHAPES['done']} {event.step} on {event.host} is put back", "green", 4)
