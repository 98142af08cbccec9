"""Output of a running campaign. A terminal shows a line for each ended site, and a live view below these lines. Any
other output has only lines.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from drillbook.campaign.attempt import Ending
from drillbook.campaign.campaign_record import CampaignState
from drillbook.campaign.progress import FEWEST, Progress, clock
from drillbook.campaign.scheduler import SiteState, waves
from drillbook.report.figures import one_line
from drillbook.report.folders import begun
from drillbook.report.terminal.drawing import Drawing, elapsed, two_ends

TELL_S = 10.0
"""Shortest time, in seconds, between two lines about the progress. These lines are printed only when there is no live
view.
"""
FRAME_S = 0.5
BAR = 24
SHAPES = {SiteState.PASSED: "✓", SiteState.FAILED: "✗", SiteState.REFUSED: "⊘", SiteState.UNKNOWN: "?"}
COLOURS = {SiteState.PASSED: "green", SiteState.FAILED: "red", SiteState.REFUSED: "dim", SiteState.UNKNOWN: "yellow"}
Clock = Callable[[], datetime]


def line_of(ending: Ending, done: int, total: int) -> Text:
    """Return the line to print about a site at which the drill has ended."""
    why = f": {one_line(ending.message)}" if ending.message else ""
    return Text(f"{SHAPES[ending.state]} {ending.site} {ending.state} ({done} of {total}){why}", style=COLOURS[ending.state])


class Lines:
    """Output of a campaign as lines of text: one line for each site at which the drill ended, and from time to time one
    line about the progress of the campaign.
    """

    def __init__(self, out: Console, state: CampaignState, now: Clock) -> None:
        """Prepare the output to ``out``. ``state``: state of the campaign."""
        self.out, self.state, self.now = out, state, now
        self.progress = Progress(len(state.start.sites), len(state.ends))
        self._told_at = time.monotonic()

    def saw(self, ending: Ending) -> None:
        """Count and print the end of a site."""
        self.progress.saw(self.now(), drilled=ending.state is not SiteState.REFUSED)
        self.out.print(line_of(ending, len(self.state.ends), self.progress.total), soft_wrap=True)
        if time.monotonic() - self._told_at >= TELL_S:
            self._told_at = time.monotonic()
            self.out.print(Text(self.progress.text(self.now()), style="dim"), soft_wrap=True)


class LiveLines(Drawing):
    """Output to a terminal. A thread draws the present state of the campaign. The lines of ended sites scroll up above
    this state.
    """

    SOFT_WRAP = True

    def __init__(self, out: Console, state: CampaignState, now: Clock) -> None:
        """Prepare the view on ``out``, which must be a terminal."""
        super().__init__(out, FRAME_S, "campaign-view")
        self.state, self.now = state, now
        self.progress = Progress(len(state.start.sites), len(state.ends))
        self.waves = waves(state.file.rules(), state.file.scheduled())
        self._live = Live(console=out, auto_refresh=False, transient=True, redirect_stdout=False)

    def saw(self, ending: Ending) -> None:
        """Count the end of a site, and queue its line; never waits for the terminal."""
        self.progress.saw(self.now(), drilled=ending.state is not SiteState.REFUSED)
        self.say(line_of(ending, len(self.state.ends), self.progress.total))

    def start(self) -> None:
        """Begin to draw."""
        self._live.start()
        self._thread.start()

    def stop(self) -> None:
        """Remove the live view from the terminal, and print the lines of ended sites that are still queued."""
        self._halt.set()
        self._thread.join()
        self._live.update(Text(""))
        self._live.stop()
        self._drain()

    def _draw(self) -> None:
        self._drain()
        size = self.console.size
        self._live.update(render(self.state, self.progress, self.waves, self.now(), (size.width, size.height)), refresh=True)


@contextmanager
def watching(out: Console, state: CampaignState, now: Clock = lambda: datetime.now(UTC)) -> Iterator[Lines | LiveLines]:
    """Provide an object that prints the progress of a campaign. It can be used within the ``with`` block."""
    if not out.is_terminal or out.is_dumb_terminal:
        yield Lines(out, state, now)
        return
    view = LiveLines(out, state, now)
    view.start()
    try:
        yield view
    finally:
        view.stop()


def render(state: CampaignState, progress: Progress, parts: list[list[str]], now: datetime, size: tuple[int, int]) -> Group:
    """Render the present state of the campaign in a size that fits into the terminal. ``size``: columns and rows of the
    terminal. ``parts``: names of the sites in each wave.
    """
    width, height = size
    ends, intents = dict(state.ends), dict(state.intents)
    running = {site: intent.run for site, intent in intents.items() if site not in ends}
    lines = [
        two_ends(state.start.campaign, elapsed((now - state.began).total_seconds()), width, "bold"),
        _bar(len(ends), progress.total, _wave(parts, ends)),
        _counts(Counter(end.state for end in ends.values()), len(running)),
        *_forecast(progress, now, stopped=state.stopped),
    ]
    room = max(height - len(lines) - 2, 1)
    lines += _running(running, now, room)
    for line in lines:
        line.no_wrap = True
        line.truncate(width - 1, overflow="ellipsis")
    return Group(*lines[: height - 1])


def _bar(done: int, total: int, wave: str) -> Text:
    full = done * BAR // total
    return Text.assemble("  ", ("█" * full, "green"), ("░" * (BAR - full), "dim"), f"  {done} of {total} sites{wave}")


def _wave(parts: list[list[str]], ends: dict[str, Ending]) -> str:
    """Return a text with the number of the present wave. The text is empty for a campaign of one wave."""
    number = next((number for number, part in enumerate(parts, 1) if any(site not in ends for site in part)), len(parts))
    return f", wave {number} of {len(parts)}" if len(parts) > 1 else ""


def _counts(counts: Counter[SiteState], running: int) -> Text:
    parts = [(f"{SHAPES[state]} {counts[state]} {state}  ", COLOURS[state] if counts[state] else "dim") for state in SHAPES]
    return Text.assemble("  ", *parts, f"{running} running")


def _forecast(progress: Progress, now: datetime, *, stopped: str) -> list[Text]:
    """Return lines about the drills per minute and the expected end of the campaign. If the end cannot be estimated,
    return a line with the reason.
    """
    if stopped:
        return [Text(f"  no further site starts: {stopped}", style="red")]
    estimate = progress.estimate(now)
    if estimate is None:
        return [Text(f"  no estimate of the campaign's end before {FEWEST} drills have ended", style="dim")]
    return [
        Text(
            f"  {estimate.a_minute:.1f} drills a minute, the last {estimate.drills}; end between "
            f"{clock(estimate.first, now)} and {clock(estimate.last, now)} UTC"
        ),
        Text("  if this rate stays the same (not counting windows, waves and stops)", style="dim"),
    ]


def _running(running: dict[str, str], now: datetime, room: int) -> list[Text]:
    """Return one line for each running site, at most ``room`` lines. The site that has run for the longest time comes
    first.
    """
    if not running:
        return [
            Text(
                "  no site is running: waiting for a window, a worker or the next wave",
                style="dim",
            )
        ]
    ages = sorted(((_age(run, now), site) for site, run in running.items()), reverse=True)
    shown = ages if len(ages) <= room else ages[: room - 1]
    lines = [Text(f"    {site}  {elapsed(age)}") for age, site in shown]
    if len(ages) > len(shown):
        lines.append(Text(f"    and {len(ages) - len(shown)} more", style="dim"))
    return lines


def _age(run: str, now: datetime) -> float:
    """Return the seconds since the run named ``run`` began. The time of its start is read from this name. Returns 0 if the
    name contains no time.
    """
    at = begun(run)
    return max((now - datetime.fromisoformat(at)).total_seconds(), 0.0) if at else 0.0
