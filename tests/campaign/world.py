"""Simulation for campaigns: sites are drilled in simulated time, and controllers die at any moment."""

import heapq
import itertools
import random
from collections import Counter
from datetime import UTC, datetime, timedelta

from drillbook.campaign.attempt import Ending, Job
from drillbook.campaign.campaign_record import fold
from drillbook.campaign.coordinator import Coordinator
from drillbook.campaign.scheduler import SiteState
from drillbook.events.campaigns import CampaignStarted, SiteIntended
from drillbook.events.event import Event

START = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday


class Killed(BaseException):
    """The controller is killed here."""


class World:
    """Machine of a campaign: a journal on disk, child processes that outlive their controller, and a clock."""

    def __init__(self, rules, sites, *, seed=0, deaths=(), fates=None):
        self.random = random.Random(seed)
        self.now = START
        self.events = []
        self.drilled = Counter()
        """Number of drills that began on each site."""
        self.children = []
        """Running child processes: moment of the end, number, and job."""
        self.runs = {}
        """Outcome of each run that began, as soon as it ended."""
        self.most, self.most_of = 0, Counter()
        self.deaths = iter(sorted(deaths))
        self.next_death = next(self.deaths, None)
        self.steps = itertools.count()
        self.fates = fates or (lambda site: SiteState.PASSED)
        self.numbers = itertools.count()
        self.groups = {site["name"]: site.get("groups", ()) for site in sites}
        start = CampaignStarted(
            campaign="c",
            drill="d",
            suite=False,
            rules=rules,
            sites=tuple({"path": "i", **site} for site in sites),
            operator="o",
        )
        self._store(start)

    def _store(self, what):
        data = what.model_dump(mode="json")
        at = self.now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self.events.append(
            Event(seq=len(self.events), at=at, clock=0.0, kind=what.kind_name(), data=data, prev=None, hash="h")
        )

    def may_die(self):
        """Raise Killed when the chosen moment has come; called before and after every act of a controller."""
        if self.next_death is not None and next(self.steps) >= self.next_death:
            self.next_death = next(self.deaths, None)
            raise Killed

    def append(self, what, *, sync=False):
        self.may_die()
        self._store(what)
        self.may_die()
        return self.events[-1]

    def who(self, job):
        self.may_die()
        return f"place-{hash(job.site) % 7}" if self.random.random() < 0.9 else None

    def submit(self, job):
        self.may_die()
        intended = {event.what.run for event in self.events if isinstance(event.what, SiteIntended)} if job.resumed else ()
        assert not job.resumed or job.run in intended
        if job.run not in self.runs and all(child.run != job.run for _, _, child in self.children):
            self.drilled[job.site] += 1
            end = self.now + timedelta(seconds=self.random.randint(1, 600))
            heapq.heappush(self.children, (end, next(self.numbers), job))
            running = Counter(group for _, _, child in self.children for group in self.groups[child.site])
            self.most = max(self.most, len(self.children))
            self.most_of |= running
        self.waited.append(job)
        self.may_die()

    def wait(self, timeout_s):
        self.may_die()
        found = [self.runs[job.run] for job in self.waited if job.run in self.runs]
        if not found and self.children and self.children[0][0] <= self.now + timedelta(seconds=timeout_s):
            self.now, _, job = heapq.heappop(self.children)
            found = [self._ended(job)]
        elif not found:
            self.now += timedelta(seconds=timeout_s)
        ended = {ending.run for ending in found}
        self.waited = [job for job in self.waited if job.run not in ended]
        self.may_die()
        return found

    def _ended(self, job):
        fate = self.fates(job.site)
        state, residue = fate if isinstance(fate, tuple) else (fate, 0)
        self.runs[job.run] = Ending(job.site, state, run=job.run, residue=residue)
        return self.runs[job.run]

    def cancel(self, job):
        self.children = [child for child in self.children if child[2] != job]
        heapq.heapify(self.children)
        self.runs[job.run] = Ending(job.site, SiteState.UNKNOWN, run=job.run, message="stopped")
        return True

    def controller(self, **more):
        self.waited = []

        def job(site, intent):
            return Job("c", site, intent.run, "d", suite=False, inventory="i", root="/", place=intent.place)

        run = lambda _: f"run-{next(self.numbers)}"  # noqa: E731
        return Coordinator(fold(self.events), self, self, job, run, now=lambda: self.now, look_s=600, **more)

    def finish(self):
        """Start controllers until one completes the campaign. Return the number of killed controllers."""
        killed = 0
        while True:
            try:
                self.controller().run()
                return killed
            except Killed:
                killed += 1

    def states(self):
        return {site: ending.state for site, ending in fold(self.events).ends.items()}


def sites(count, **more):
    return [{"name": f"s{number:05}", **more} for number in range(count)]
