"""Scheduler of a campaign. It is a state machine that decides which sites start next. It reads no clock, and does not
start sites itself.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import count

from drillbook.plan.window import HORIZON_DAYS, Window, is_open, next_opening


class SiteState(StrEnum):
    """State of a site in a campaign. In each of the last four states, the campaign's work at the site has ended."""

    WAITING = "waiting"
    RUNNING = "running"
    """The intent to start the drill of the site is recorded, and no end of this drill."""
    PASSED = "passed"
    FAILED = "failed"
    REFUSED = "refused"
    """The site was not drilled as planned. There are four reasons: the guard refused the drill, the inventory of the site is
    wrong, the campaign was stopped before the start, or the run carried out another plan than that of the campaign.
    """
    UNKNOWN = "unknown"
    """The drill was interrupted, or could not verify the recovery."""


ENDS = (SiteState.FAILED, SiteState.UNKNOWN, SiteState.REFUSED, SiteState.PASSED)
"""States in which a site has ended, from the worst to the best."""


@dataclass(frozen=True, slots=True)
class Site:
    """The facts about a site that the scheduler needs. Each item of ``windows`` is a list of maintenance windows: one list for
    the site, and one for each of its groups. An empty list permits every time. The site may start while each of the other lists
    has an open window.
    """

    name: str
    groups: tuple[str, ...] = ()
    windows: tuple[tuple[Window, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """Limits of a campaign."""

    at_most: int = 20
    """Maximum number of sites that are drilled at the same time."""
    groups: Mapping[str, int] = field(default_factory=dict)
    """Maximum number of sites of a group that are drilled at the same time. The key of each entry is the name of the group.
    Only groups with a limit are listed.
    """
    canary: tuple[str, ...] = ()
    """Sites of the first wave. The campaign stops unless all of them pass."""
    waves: tuple[float, ...] = ()
    """Ends of the waves. Each is a share of all sites, from 0 to 1, and the shares ascend. For example, (0.1, 0.5): the first
    of these waves ends when 10 % of all sites have been drilled, and the second when 50 % have been drilled. The canary sites
    form an earlier wave of their own, but are counted in the shares. The last wave drills the remaining sites. A wave begins
    only after the previous wave has ended.
    """
    failed_share: float = 0.1
    """Permitted share of sites that failed or ended as unknown, from 0 to 1. The campaign stops when the share is larger.
    Only the sites of the waves that have begun are counted.
    """
    stop_on_residue: bool = True
    """True when the campaign stops after a site was left with changes that could not be undone."""
    patience_s: float = 86400.0
    """Time limit for the start of every site, in seconds from the start of the campaign. A site that has not started by then is
    refused.
    """


Kind = tuple[tuple[str, ...], tuple[tuple[Window, ...], ...]]
"""Groups of a site, and its lists of maintenance windows. Sites with the same groups and windows are of the same kind, so the
same rules decide when they may start.
"""


def waves(rules: Rules, sites: Sequence[Site]) -> list[list[str]]:
    """Divide the names of ``sites`` into waves. The first wave contains the canary sites. The next waves follow the
    shares in ``rules``. The last wave contains the remaining sites.
    """
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
    """Holds the state of all sites, and decides which sites start. Sites with the same groups and windows are of one kind, and
    are handled together. So a decision takes longer with more kinds of sites, but not with more sites of the same kind.
    """

    def __init__(self, rules: Rules, sites: Sequence[Site], began: datetime) -> None:
        """Begin with the state `waiting` for all ``sites``. ``began``: start of the campaign. The deadline for starting
        sites is ``patience_s`` seconds later.
        """
        self.states = {site.name: SiteState.WAITING for site in sites}
        self.stopped = ""
        """Reason why no further site may start. The text is empty while sites may start."""
        self._rules = rules
        self._sites = {site.name: site for site in sites}
        self._deadline = began + timedelta(seconds=rules.patience_s)
        self._waves = deque(waves(rules, sites))
        self._wave: set[str] = set()
        self._queues: dict[Kind, deque[str]] = {}
        """Waiting sites, with their kind as the key. When a kind was last examined, its maintenance windows were open."""
        self._closed: dict[Kind, deque[str]] = {}
        """Waiting sites that may not start now, because their windows are closed. The key is the kind of the sites."""
        self._openings: list[tuple[datetime, int, Kind]] = []
        """Heap with one entry for each kind of sites (see ``Kind``), while the windows of this kind are closed. Each entry has
        three values: the time at which the windows open next, a number, and the kind. The number only decides the order of
        entries with the same time.
        """
        self._number = count()
        self._running: Counter[str] = Counter()
        self._active = self._begun = self._bad = 0

    @property
    def running(self) -> int:
        """Number of sites that are running."""
        return self._active

    def restore(self, name: str, state: SiteState, *, residue: bool = False) -> None:
        """Set the state of a site to ``state``, which was read from the journal. Call this method only before the first call
        of ``due``.
        """
        if state is SiteState.RUNNING:
            self._begin(name)
        elif state is not SiteState.WAITING:
            self.states[name] = state
            self._judge(name, state, residue=residue)

    def due(self, now: datetime, taken: Callable[[str], bool] = lambda _: True) -> list[str]:
        """Return the sites to start at ``now``, and count them as running. ``taken``: function that assigns a site to a
        worker or another place. It returns True when a place takes the site, and False when no place can take the site now.
        """
        self._advance()
        while self._openings and self._openings[0][0] <= now:
            kind = heapq.heappop(self._openings)[2]
            self._queues.setdefault(kind, deque()).extend(self._closed.pop(kind))
        chosen: list[str] = []
        full: set[tuple[str, ...]] = set()  # groups of sites that no place can take now
        for kind in list(self._queues):
            if self.stopped or self._active >= self._rules.at_most:
                break
            if kind[0] not in full:
                self._start(kind, now, taken, chosen, full)
        return chosen

    def _start(
        self, kind: Kind, now: datetime, taken: Callable[[str], bool], chosen: list[str], full: set[tuple[str, ...]]
    ) -> None:
        """Start waiting sites of the kind ``kind``, and add their names to ``chosen``. If the windows of this kind are closed,
        start no site, and note when the windows open again.

        ``taken``: see ``due``. When ``taken`` returns False for a site, no place can take the site now. Its groups are then
        added to ``full``, so that ``due`` starts no other site with these groups.
        """
        queue = self._queues[kind]
        if not self._free(kind):
            return
        if not _open(kind, now):
            self._closed.setdefault(kind, deque()).extend(self._queues.pop(kind))
            heapq.heappush(self._openings, (_opening(kind, now), next(self._number), kind))
            return
        while queue and not self.stopped and self._free(kind):
            if not taken(queue[0]):
                full.add(kind[0])
                return
            name = queue.popleft()
            self._begin(name)
            chosen.append(name)
        if not queue:
            del self._queues[kind]

    def ended(self, name: str, state: SiteState, *, residue: bool = False) -> None:
        """Record the end of a running site. Raises ValueError when the site is not running."""
        if self.states[name] is not SiteState.RUNNING:
            raise ValueError(f"the site {name!r} is {self.states[name]}, not running")
        self._active -= 1
        self._running.subtract(self._sites[name].groups)
        self.states[name] = state
        self._wave.discard(name)
        self._judge(name, state, residue=residue)
        self._advance()

    def stop(self, why: str) -> None:
        """Let no further site start. ``why``: the reason. When this method is called again, the first reason is kept."""
        self.stopped = self.stopped or why

    def expired(self, now: datetime) -> bool:
        """Return True when the deadline for starting sites has passed at ``now``. Sites that are still waiting are then
        refused.
        """
        return now >= self._deadline

    def over(self) -> bool:
        """Return True when no site is running, and no further site will start."""
        return not self._active and (
            bool(self.stopped) or all(state is not SiteState.WAITING for state in self.states.values())
        )

    def waiting(self) -> list[str]:
        """Return the names of sites that have not started."""
        return [name for name, state in self.states.items() if state is SiteState.WAITING]

    def wake(self) -> datetime:
        """Return the latest time for the next call of ``due``. The caller must call ``due`` at this time even if no running
        site has ended.

        At this time, the first maintenance window opens for which sites are waiting, or the deadline for starting sites passes.
        """
        return min([self._deadline, *(opening for opening, _, _ in self._openings[:1])])

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
        """Begin the next wave when every site of the present wave has ended."""
        opened = False
        while not self._wave and self._waves and not self.stopped:
            wave = self._waves.popleft()
            self._begun += len(wave)
            self._wave = {name for name in wave if self.states[name] in (SiteState.WAITING, SiteState.RUNNING)}
            for name in wave:
                if self.states[name] is SiteState.WAITING:
                    site = self._sites[name]
                    kind = (site.groups, site.windows)
                    queues = self._closed if kind in self._closed else self._queues
                    queues.setdefault(kind, deque()).append(name)
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
                f"{self._bad} of {self._begun} sites in the waves so far have failed or are unknown; the "
                f"limit is {self._rules.failed_share:.0%}"
            )


def _open(kind: Kind, now: datetime) -> bool:
    return all(any(is_open(window, now) for window in windows) for windows in kind[1] if windows)


def _opening(kind: Kind, now: datetime) -> datetime:
    """Return the first moment, from ``now`` on, at which the sites of ``kind`` may start. At this moment, a window is open in
    each list of maintenance windows that applies to these sites. If there is no such moment in the next HORIZON_DAYS days,
    return the end of this period.
    """
    last = now + timedelta(days=HORIZON_DAYS)
    moment = now
    while moment < last:
        closed = [windows for windows in kind[1] if windows and not any(is_open(window, moment) for window in windows)]
        if not closed:
            return moment
        opening = next_opening(closed[0], moment)
        if opening is None:
            return last
        moment = opening[0].astimezone(UTC)
    return last


def worst(states: Iterable[SiteState]) -> SiteState:
    """Return the worst state in ``states``. Returns UNKNOWN when a site has not ended, or when there are no sites."""
    distinct = set(states)
    if not distinct or distinct - set(ENDS):
        return SiteState.UNKNOWN
    return next(state for state in ENDS if state in distinct)
