"""Scheduler of a campaign: a state machine that decides which sites start next. It reads no clock and starts nothing."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from drillbook.plan.window import HORIZON_DAYS, Window, is_open, next_opening


class SiteState(StrEnum):
    """State of a site in a campaign; the last four end it."""

    WAITING = "waiting"
    RUNNING = "running"
    """An intent to start the site is recorded; its end is not."""
    PASSED = "passed"
    FAILED = "failed"
    REFUSED = "refused"
    """The site was not drilled: the guard refused it, its inventory is wrong, or the campaign stopped before."""
    UNKNOWN = "unknown"
    """The drill was interrupted or could not verify the recovery."""


ENDS = (SiteState.FAILED, SiteState.UNKNOWN, SiteState.REFUSED, SiteState.PASSED)
"""States that end a site, the worst first."""


@dataclass(frozen=True, slots=True)
class Site:
    """A site as the scheduler knows it: a drill may start when each group of ``windows`` has an open window."""

    name: str
    groups: tuple[str, ...] = ()
    windows: tuple[tuple[Window, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """Limits of a campaign."""

    at_most: int = 20
    """Number of sites that are drilled at once."""
    groups: Mapping[str, int] = field(default_factory=dict)
    """Number of sites of a group that are drilled at once."""
    canary: tuple[str, ...] = ()
    """Sites of the first wave, all of which must pass."""
    waves: tuple[float, ...] = ()
    """Cumulative shares of all sites, ascending: the campaign waits for the end of each wave before the next one."""
    failed_share: float = 0.1
    """The campaign stops when more than this share of the sites in the waves so far failed or ended as unknown."""
    stop_on_residue: bool = True
    """Stop when a site is left with changes that could not be undone."""
    patience_s: float = 86400.0
    """Sites that could not start within this time are refused."""


Kind = tuple[tuple[str, ...], tuple[tuple[Window, ...], ...]]
"""Groups and windows of a site: sites of the same kind may start at the same moments."""


def waves(rules: Rules, sites: Sequence[Site]) -> list[list[str]]:
    """Divide the names of ``sites`` into waves: the canary, then the shares of the rules, then the rest."""
    first = list(rules.canary)
    rest = [site.name for site in sites if site.name not in set(first)]
    parts, done = [first] if first else [], 0
    for share in (*rules.waves, 1.0):
        end = len(rest) if share >= 1 else max(done, round(share * len(sites)) - len(first))
        if part := rest[done:end]:
            parts.append(part)
        done = max(done, end)
    return parts


class Scheduler:
    """State of all sites. The cost of each call does not grow with the number of sites, only with that of their kinds."""

    def __init__(self, rules: Rules, sites: Sequence[Site], began: datetime) -> None:
        """Begin with all ``sites`` waiting; ``began`` is the start of the campaign, from which its patience counts."""
        self.states = {site.name: SiteState.WAITING for site in sites}
        self.stopped = ""
        """Reason why no further site starts; empty while sites may start."""
        self._rules = rules
        self._sites = {site.name: site for site in sites}
        self._deadline = began + timedelta(seconds=rules.patience_s)
        self._waves = deque(waves(rules, sites))
        self._wave: set[str] = set()
        self._queues: dict[Kind, deque[str]] = {}
        self._running: Counter[str] = Counter()
        self._active = self._begun = self._bad = 0
        self._openings: dict[Kind, datetime] = {}

    @property
    def running(self) -> int:
        """Number of sites that are running."""
        return self._active

    def restore(self, name: str, state: SiteState, *, residue: bool = False) -> None:
        """Set the state of a site from the journal, before the first call of ``due``."""
        if state is SiteState.RUNNING:
            self._begin(name)
        elif state is not SiteState.WAITING:
            self.states[name] = state
            self._judge(name, state, residue=residue)

    def due(self, now: datetime, taken: Callable[[str], bool] = lambda _: True) -> list[str]:
        """Return the sites that start at ``now``, and count them as running; ``taken`` finds a place for a site, if it can."""
        self._advance()
        chosen: list[str] = []
        for kind, queue in self._queues.items():
            while queue and not self.stopped and self._free(kind) and _open(kind, now) and taken(queue[0]):
                name = queue.popleft()
                self._begin(name)
                chosen.append(name)
        return chosen

    def ended(self, name: str, state: SiteState, *, residue: bool = False) -> None:
        """Record the end of a running site. Raises ValueError for a site that is not running."""
        if self.states[name] is not SiteState.RUNNING:
            raise ValueError(f"the site {name!r} is {self.states[name]}, not running")
        self._active -= 1
        self._running.subtract(self._sites[name].groups)
        self.states[name] = state
        self._wave.discard(name)
        self._judge(name, state, residue=residue)
        self._advance()

    def stop(self, why: str) -> None:
        """Start no further site; the first reason is kept."""
        self.stopped = self.stopped or why

    def expired(self, now: datetime) -> bool:
        """Return True when the patience of the campaign is over: sites that still wait are refused."""
        return now >= self._deadline

    def over(self) -> bool:
        """Return True when nothing is running, and nothing will start any more."""
        return not self._active and (bool(self.stopped) or not self.waiting())

    def waiting(self) -> list[str]:
        """Return the names of sites that have not started."""
        return [name for name, state in self.states.items() if state is SiteState.WAITING]

    def wake(self, now: datetime) -> datetime:
        """Return the time at which a site may start although no other site ended: an opening window, or the deadline."""
        times = [self._deadline]
        for kind, queue in self._queues.items():
            if queue and not _open(kind, now):
                if self._openings.get(kind, now) <= now:
                    self._openings[kind] = _opening(kind, now)
                times.append(self._openings[kind])
        return min(times)

    def _begin(self, name: str) -> None:
        self.states[name] = SiteState.RUNNING
        self._active += 1
        self._running.update(self._sites[name].groups)

    def _free(self, kind: Kind) -> bool:
        limits = self._rules.groups
        return self._active < self._rules.at_most and all(
            self._running[group] < limits[group] for group in kind[0] if group in limits
        )

    def _advance(self) -> None:
        """Open the next wave once every site of the present one has ended."""
        opened = False
        while not self._wave and self._waves and not self.stopped:
            wave = self._waves.popleft()
            self._begun += len(wave)
            self._wave = {name for name in wave if self.states[name] in (SiteState.WAITING, SiteState.RUNNING)}
            for name in wave:
                if self.states[name] is SiteState.WAITING:
                    site = self._sites[name]
                    self._queues.setdefault((site.groups, site.windows), deque()).append(name)
            opened = True
        if opened:
            self._check_share()

    def _judge(self, name: str, state: SiteState, *, residue: bool) -> None:
        self._bad += state in (SiteState.FAILED, SiteState.UNKNOWN)
        if name in self._rules.canary and state is not SiteState.PASSED:
            self.stop(f"the canary site {name} ended as {state}")
        if residue and self._rules.stop_on_residue:
            self.stop(f"the site {name} was left with changes that could not be undone")
        self._check_share()

    def _check_share(self) -> None:
        if self._begun and self._bad > self._rules.failed_share * self._begun:
            self.stop(
                f"{self._bad} of {self._begun} sites in the waves so far failed or are unknown, "
                f"more than {self._rules.failed_share:.0%}"
            )


def _open(kind: Kind, now: datetime) -> bool:
    return all(any(is_open(window, now) for window in windows) for windows in kind[1] if windows)


def _opening(kind: Kind, now: datetime) -> datetime:
    """Next moment after ``now`` at which every group of windows is open; HORIZON_DAYS later when there is none."""
    last = now + timedelta(days=HORIZON_DAYS)
    moment = now
    while moment < last:
        closed = [windows for windows in kind[1] if windows and not any(is_open(one, moment) for one in windows)]
        if not closed:
            return moment
        found = next_opening(closed[0], moment)
        if found is None:
            return last
        moment = found[0].astimezone(UTC)
    return last


def worst(states: Iterable[SiteState]) -> SiteState:
    """Return the worst of the states that ended sites; UNKNOWN when a site has not ended, or there is none."""
    found = set(states)
    if not found or found - set(ENDS):
        return SiteState.UNKNOWN
    return next(state for state in ENDS if state in found)
