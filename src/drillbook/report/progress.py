"""What a terminal shows while a drill runs: one line an event that matters, readable without colour and in a log."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.text import Text

from drillbook.journal import Event

MARKS = {"done": ("✓", "green"), "failed": ("✗", "red"), "unverified": ("?", "yellow"), "error": ("✗", "red"),
         "cancelled": ("■", "yellow"), "allowed": ("~", "yellow")}


@dataclass(slots=True)
class Progress:
    """An observer of the journal that prints as events come."""

    console: Console
    _actions: dict[tuple[str | None, str | None], dict[str, Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, event: Event) -> None:
        """Print what ``event`` tells a person, if anything."""
        show = getattr(self, "_" + event.kind.replace(".", "_"), None)
        if show is not None:
            with self._lock:
                show(event)

    def _line(self, text: str, style: str = "", indent: int = 2) -> None:
        self.console.print(Text(" " * indent + text, style=style), soft_wrap=False)

    def _run_started(self, event: Event) -> None:
        plan = event.data["plan"]
        self._line(f"{plan['drill']}: {plan['title']}", "bold", 0)
        where = f"run {event.data['run']} on {plan['inventory']['environment']}, plan {event.data['plan_digest'][7:19]}"
        self._line(where, "dim")

    def _phase_started(self, event: Event) -> None:
        self._line(event.data["phase"], "bold cyan")

    def _step_started(self, event: Event) -> None:
        self._actions[event.step, event.host] = event.data

    def _done(self, event: Event) -> None:
        self._step(event, "done", "")

    def _failed(self, event: Event) -> None:
        outcome = "allowed" if event.data["allowed"] else event.data["outcome"]
        self._step(event, outcome, event.data["message"])
        for one in event.data["findings"]:
            self._line(f"{one['severity']}: {one['title']}", "yellow", 8)
            if one["wanted"] or one["measured"]:
                self._line(f"wanted {one['wanted'] or '-'}, measured {one['measured'] or '-'}", "", 10)

    def _step(self, event: Event, outcome: str, message: str) -> None:
        mark, colour = MARKS[outcome]
        started = self._actions.get((event.step, event.host), {})
        what = str(started.get("name") or started.get("action") or event.step)
        line = Text(f"    {mark} ", style=colour)
        line.append(f"{what[:44]:44} ", style="")
        line.append(f"{(event.host or '')[:12]:12} {event.data['seconds']:7.2f} s", style="dim")
        if event.data["attempts"] > 1:
            line.append(f"  attempt {event.data['attempts']}", style="dim")
        self.console.print(line)
        if message:
            self._line(message.splitlines()[0][:200], colour, 6)

    def _skipped(self, event: Event) -> None:
        self._line(f"- {event.step} skipped: {event.data['why']}", "dim", 4)

    def _fault_active(self, event: Event) -> None:
        proven = event.data["active"] is True
        self._line(f"the fault is {'' if proven else 'NOT '}proven active", "" if proven else "yellow", 6)

    def _undo(self, event: Event) -> None:
        self._line(f"undoing {event.step} on {event.host}", "", 2)

    def _undo_failed(self, event: Event) -> None:
        self._line(f"✗ {event.step} on {event.host} could not be put back: {event.data['message']}", "bold red", 2)

    def _ended_early(self, event: Event) -> None:
        self._line(f"{event.data['why']}: {event.data['message']}", "yellow")
        for one in event.data["findings"]:
            self._line(f"{one['title']}: {one['measured']}", "yellow", 4)

    def _signal(self, event: Event) -> None:
        self._line(f"{event.data['name']}: stopping; what was changed is put back first", "yellow")

    def _recovery_started(self, event: Event) -> None:
        self._line("recovering", "bold cyan")

    def _undone(self, event: Event) -> None:
        if event.data["message"] == "undone":
            self._line(f"✓ {event.step} on {event.host} is put back", "green", 4)
