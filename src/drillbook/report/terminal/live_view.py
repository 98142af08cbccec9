"""Live view in a terminal: finished lines scroll up above the present state of the run.

An event only updates the state and a queue. A separate thread draws the view, so that a slow or blocked terminal never
delays the run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from drillbook.events.event import Event
from drillbook.events.runs import RunEndedEarly
from drillbook.events.steps import Done, Failed, StepStarted
from drillbook.language.lists import leading
from drillbook.report.figures import count, one_line, seconds, size, took
from drillbook.report.terminal.board import Board, OnHost, RunningStep
from drillbook.report.terminal.drawing import Drawing, elapsed, two_ends
from drillbook.report.terminal.event_lines import HOST, MARKS, Progress, fitted, room_for_name

FRAME_S = 0.125
SPIN = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
LastTimes = Callable[[str], Mapping[str, float]]
"""Function that returns the durations of the phases in the last passed run of a drill, in seconds."""
MOST_STEPS = 8
BAR = 12


class LiveView(Drawing):
    """Observer of the journal that draws the live view while its ``with`` block runs."""

    def __init__(
        self, console: Console, *, brief: bool = False, phases: bool = True, last_s: LastTimes | None = None
    ) -> None:
        """Prepare a live view on ``console``. The console must be a terminal.

        ``brief`` and ``phases`` have the same meaning as in ``Progress``. ``last_s``: returns the durations of the phases in
        the last passed run of a drill.
        """
        super().__init__(console, FRAME_S, "live-view")
        self.board = Board()
        self.progress = Progress(console, self.say, closing=True, brief=brief, phases=phases)
        self._state, self._screen = threading.Lock(), threading.Lock()
        self._live: Live | None = None
        self._asked: set[tuple[str | None, str | None]] = set()
        self._last_s = last_s

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.finish()

    def finish(self) -> None:
        """Remove the live view. The removed lines do not stay empty, because the text that is printed next takes their place.
        A second call does nothing.
        """
        self._halt.set()
        self._thread.join()
        with self._screen:
            self._close()
            self._drain()

    def __call__(self, event: Event) -> None:
        """Update the state from an event, without drawing.

        While a manual step asks a person a question, the live view leaves the screen free.
        """
        undoes = isinstance(event.what, RunEndedEarly)
        last_s = self._last_s(self.board.drill) if undoes and self._last_s else None
        with self._state:
            self.board.see(event)
            if last_s is not None:
                self.board.last_s = last_s
        self.progress(event)
        who = (event.step, event.host)
        match event.what:
            case StepStarted(action=action) if action.startswith("manual."):
                self._asked.add(who)
                with self._screen:
                    self._close()
                    self._drain()
            case Done() | Failed():
                self._asked.discard(who)

    def _draw(self) -> None:
        with self._screen:
            if self._asked:
                self._drain()
                return
            with self._state:
                picture = render(self.board, self.console.width)
            if self._live is None:
                self._live = Live(
                    console=self.console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
                )
                self._live.start()
            self._drain()
            self._live.update(picture, refresh=True)

    def _close(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.update(Text(""))
            live.stop()


def render(board: Board, width: int) -> RenderableType:
    """Render ``board`` in lines of less than ``width`` columns."""
    now = board.now()
    lines: list[Text] = []
    if board.phase:
        about = "" if board.about_s is None else f" (took {took(board.about_s)} last time)"
        phase = f"  {board.phase} {took(max(0.0, now - board.phase_started))}{about}"
        lines.append(two_ends(phase, f"{board.drill}  {elapsed(now)}", width, "bold cyan"))
    steps = [step for step in board.steps.values() if not step.over()]
    shown, others = leading(steps, MOST_STEPS)
    for step in shown:
        lines += _step(step, now, width)
    if not steps and board.waits_for:
        lines.append(Text.assemble(("    " + _spin(), "cyan"), f" {board.waits_for}"))
    if others:
        lines.append(Text(f"    and {others} more steps", style="dim"))
    lines += [*_probes(board, width), *_outage(board)]
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
        line.truncate(width - 1, overflow="ellipsis")
    return Group(*lines)


def _spin() -> str:
    return SPIN[int(time.monotonic() / FRAME_S) % len(SPIN)]


def _step(step: RunningStep, now: float, width: int) -> list[Text]:
    """Return the lines of a running step. Several hosts are shown side by side below its name."""
    if len(step.hosts) == 1:
        host = step.hosts[0]
        tail = f" {host.ljust(HOST)} {_lasted(step.on.get(host), now):>10}"
        name = fitted(one_line(step.name), room_for_name(width + 3, host))  # no text about attempts is beside the name
        line = Text.assemble(("    " + _spin(), "cyan"), f" {name}", (tail, "dim"))
        return [line, *_moving(step.on.get(host))]
    ended = sum(progress.ended is not None for progress in step.on.values())
    done = f"  {ended} of {len(step.hosts)} hosts"
    title = Text(one_line(step.name))
    title.truncate(max(16, width - 7 - len(done)), overflow="ellipsis")
    lines = [Text.assemble(("    " + _spin(), "cyan"), " ", title, (done, "dim"))]
    cells = [_host(host, step.on.get(host), now) for host in step.hosts]
    cell = max(text.cell_len for text in cells) + 3
    row = max(1, (width - 7) // cell)
    fit = row * (MOST_STEPS - 1)
    shown = cells if len(cells) <= fit else cells[: fit - row]
    for start in range(0, len(shown), row):
        line = Text(" " * 6)
        for text in shown[start : start + row]:
            line.append_text(text).append(" " * (cell - text.cell_len))
        lines.append(line)
    if more := len(cells) - len(shown):
        lines.append(Text(f"      and {count(more, 'more host')}", style="dim"))
    return lines


def _lasted(host: OnHost | None, now: float) -> str:
    return took(max(0.0, (host.ended or now) - host.started)) if host else "waiting"


def _host(host: str, progress: OnHost | None, now: float) -> Text:
    mark, style = (
        MARKS[progress.outcome] if progress and progress.ended is not None else (_spin() if progress else " ", "cyan")
    )
    return Text.assemble((mark, style), f" {host} ", (_lasted(progress, now), "dim"))


def _moving(progress: OnHost | None) -> list[Text]:
    if progress is None or not progress.total:
        return []
    if progress.moved >= progress.total:
        return [Text(f"      {size(progress.total)} are transferred; the step goes on", style="dim")]
    rate = progress.rate()
    of = f"{size(progress.moved)} of {size(progress.total)}" + (f"  {size(int(rate))}/s" if rate else "")
    return [Text.assemble("      ", _bar(progress.moved / progress.total, "cyan"), f"  {of}")]


def _bar(part: float, style: str) -> Text:
    full = min(BAR, max(0, round(part * BAR)))
    return Text.assemble(("━" * full, style), ("─" * (BAR - full), "dim"))


def _probes(board: Board, width: int) -> list[Text]:
    """Return the newest state of each probe, with as many probes on a line as fit."""
    words = {True: ("● good", "green"), False: ("● BAD", "bold red"), None: ("○ no answer yet", "dim")}
    lines: list[Text] = []
    for probe in board.probes.values():
        part = Text.assemble(f"{probe.name} ", words[probe.good])
        if probe.kind == "canary" and probe.good is not None:
            part = Text.assemble(
                f"{probe.name} ",
                ("● writes" if probe.good else "● REFUSED", words[probe.good][1]),
                (f" {probe.writes()}", "dim"),
            )
        if lines and lines[-1].cell_len + part.cell_len + 4 < width:
            lines[-1].append("   ").append_text(part)
        else:
            lines.append(Text.assemble("  ", part))
    return lines


def _outage(board: Board) -> list[Text]:
    """Return a line about the outage so far, compared with the RTO objective. It is empty before the disruption."""
    if board.disruption is None:
        return []
    seen, target = board.down(), board.targets.get("rto")
    if seen is None:
        ago = took(max(0.0, board.now() - board.disruption))
        return [Text(f"  the fault was injected {ago} ago; no probe has seen an outage yet", "yellow")]
    value, down = seen
    late = target is not None and value > target
    style = "bold red" if late else "yellow" if down else "green"
    text = Text.assemble("  ", (f"DOWN {seconds(value, 1)}" if down else f"serving again after {seconds(value, 1)}", style))
    if target is None:
        return [text.append("  no objective", style="dim")]
    text.append("  ").append_text(_bar(value / target, style)).append(f"  {'RTO ' * down}objective {seconds(target)}")
    text.append(": MISSED" if late else "" if down else ", not verified yet", style=style)
    return [text]
