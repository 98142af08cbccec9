"""Coordinator of a campaign. It asks the scheduler which sites may start. Before it starts a site, it records the intent to
start this site. It also records the end of each site.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from drillbook.campaign.attempt import Ending, Job
from drillbook.campaign.campaign_record import CampaignState, Intent, event_of
from drillbook.campaign.executor import Executor
from drillbook.campaign.scheduler import Scheduler, SiteState, worst
from drillbook.events.campaigns import CampaignFinished, CampaignStopped, SiteIntended
from drillbook.events.content import Content
from drillbook.events.event import Event
from drillbook.exits import Exit

EXITS = {
    SiteState.PASSED: Exit.OK,
    SiteState.FAILED: Exit.FAILED,
    SiteState.UNKNOWN: Exit.UNVERIFIED,
    SiteState.REFUSED: Exit.REFUSED,
}


class Journalled(Protocol):
    """Protocol for a journal. It contains only the method that the coordinator needs."""

    def append(self, what: Content, *, sync: bool = False) -> Event:
        """Write one event. When ``sync`` is true, the event is on disk when this method returns."""


@dataclass(slots=True)
class Stopping:
    """Requests of the operator to stop the campaign."""

    level: int = 0
    """Last request of the operator, as a level. 0: none. 1: start no further site, and wait for the running sites. 2: also stop
    the running sites.
    """


@dataclass(slots=True)
class Coordinator:
    """Runs one campaign from its present state to its end. It can also continue a campaign after the death of its
    controller.
    """

    state: CampaignState
    journal: Journalled
    executor: Executor
    job: Callable[[str, Intent], Job]
    """Function that makes the job of a site. Its arguments are the name of the site, and the intent to start the site, which
    the journal has already recorded.
    """
    new_run: Callable[[str], str]
    """Function that makes the name of a site's run from the name of the site."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    stopping: Stopping = field(default_factory=Stopping)
    saw: Callable[[Ending], None] = lambda _: None
    """Function that is called with the result of each site after the journal has recorded this result."""
    look_s: float = 1.0
    """Maximum time, in seconds, until a request of the operator is noticed."""
    _scheduler: Scheduler = field(init=False)
    _jobs: dict[str, Job] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=set)
    """Sites whose drill was asked to stop. If a drill could not be asked, its site is not in this set, and the drill is asked
    again in the next round.
    """
    _chosen: dict[str, Intent] = field(default_factory=dict)
    """Intents of the sites whose drills are about to start, by the name of the site. An intent contains the id of the run, and
    the place (a project folder on a machine) where the drill will run.
    """

    def run(self) -> CampaignFinished | None:
        """Drill every site that the rules permit to start. Return the event that ends the campaign.

        Return None when the operator stopped the campaign. A stopped campaign has not ended and can be resumed.
        """
        self._scheduler = self._restored()
        for site, intent in self.state.open.items():
            self._submit(replace(self.job(site, intent), resumed=True))
        while not self._over():
            self._start()
            if not self._over():
                self._wait()
        return None if self.stopping.level else self._finish()

    def _restored(self) -> Scheduler:
        file = self.state.file
        scheduler = Scheduler(file.rules(), file.scheduled(), self.state.began)
        for site, ending in self.state.ends.items():
            scheduler.restore(site, ending.state, residue=ending.residue > 0)
        for site in self.state.open:
            scheduler.restore(site, SiteState.RUNNING)
        if self.state.stopped:
            scheduler.stop(self.state.stopped)
        return scheduler

    def _over(self) -> bool:
        if self.stopping.level:
            return not self._scheduler.running
        return self._scheduler.over()

    def _start(self) -> None:
        if self.stopping.level:
            return
        now = self.now()
        if self._scheduler.expired(now):
            self._scheduler.stop(
                "the time within which each site must start is over; a site that still waits had no open window or no free "
                "place in time"
            )
        for site in self._scheduler.due(now, self._placed):
            intent = self._chosen.pop(site)
            event = self.journal.append(SiteIntended(site=site, run=intent.run, place=intent.place), sync=True)
            self.state.intents[site] = replace(intent, hash=event.hash)
            self._submit(self.job(site, self.state.intents[site]))
        self._told_stop()

    def _placed(self, site: str) -> bool:
        """Find a place for a site. Returns False when no place can take the site yet."""
        intent = Intent(self.new_run(site))
        place = self.executor.who(self.job(site, intent))
        if place is None:
            return False
        self._chosen[site] = Intent(intent.run, place)
        return True

    def _submit(self, job: Job) -> None:
        self._jobs[job.site] = job
        self.executor.submit(job)

    def _wait(self) -> None:
        timeout = (self._scheduler.wake() - self.now()).total_seconds()
        for ending in self.executor.wait(min(max(timeout, 0.01), self.look_s)):
            self._end(ending)
        if self.stopping.level > 1:
            for site in set(self._jobs) - self._asked:
                if self.executor.cancel(self._jobs[site]):
                    self._asked.add(site)

    def _end(self, ending: Ending) -> None:
        self._jobs.pop(ending.site, None)
        self._scheduler.ended(ending.site, ending.state, residue=ending.residue > 0)
        self._record(ending)
        self._told_stop()

    def _record(self, ending: Ending, *, sync: bool = True) -> None:
        self.journal.append(event_of(ending), sync=sync)
        self.state.ends[ending.site] = ending
        self.saw(ending)

    def _told_stop(self) -> None:
        if self._scheduler.stopped and not self.state.stopped:
            self.state.stopped = self._scheduler.stopped
            self.journal.append(CampaignStopped(why=self.state.stopped), sync=True)

    def _finish(self) -> CampaignFinished:
        """Record the end of the campaign. Before that, give the state `refused` to all sites that have not started."""
        self._told_stop()
        for site in self._scheduler.waiting():
            self._record(Ending(site, SiteState.REFUSED, message=f"not started: {self.state.stopped}"), sync=False)
        ends = self.state.ends.values()
        state = worst(end.state for end in ends)
        residue = any(end.residue for end in ends)
        finished = CampaignFinished(
            sites=dict(Counter(str(end.state) for end in ends)),
            state=str(state),
            exit=Exit.RESIDUE if residue else EXITS[state],
        )
        self.journal.append(finished, sync=True)
        self.state.finished = finished
        return finished
