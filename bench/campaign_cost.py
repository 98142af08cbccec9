"""Cost of a campaign without its drills, with a real journal: `python -m bench.campaign_cost`.

The drills of the simulated sites end at once. With windows, each site has another maintenance window in the next week, in
simulated time. Planning is that of a drill with two steps on sites with values of their own. CPU time is that of all
processes (controller, scheduler and workers), by getrusage(2); memory is the peak of the controller.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from drillbook.campaign import connecting, record, scorecard
from drillbook.campaign import sites as sites_of
from drillbook.campaign.attempt import Ending, Job
from drillbook.campaign.coordinator import Coordinator
from drillbook.campaign.executor import Executor
from drillbook.campaign.record import Intent
from drillbook.campaign.scheduler import SiteState
from drillbook.cli import site_plans
from drillbook.events.campaigns import CampaignStarted
from drillbook.project.project import Project

FILES = {
    "drills/sample.yml": (
        "drill: sample\ntitle: A sample\nservice: app\nready:\n"
        "  - command.run: {argv: ['true'], effect: read}\n    hosts: web\n"
        "verify:\n  - command.run: {argv: ['true'], effect: read}\n    hosts: web\n"
    ),
    "inventory/lab.yml": (
        "environment: lab\nhosts: {web: {address: 10.0.0.1}}\nservices: {app: {kind: process, host: web}}\n"
    ),
}
OBJECTIVES = {"rto": {"target_s": 60.0, "measured_s": 12.5, "error_s": 0.1, "met": True}}


def simulated(job: Job) -> dict[str, Any]:
    """End a job at once, as a worker would after its drill."""
    return ended(job).as_data()


def ended(job: Job) -> Ending:
    """End of a drill that passed."""
    return Ending(
        job.site, SiteState.PASSED, run=job.run, verdict="passed", head="sha256:" + "0" * 64, objectives=OBJECTIVES
    )


class AtOnce:
    """Executor whose jobs end at once, in this process."""

    name = "simulation"

    def __init__(self) -> None:
        """Start without jobs."""
        self._ended: list[Ending] = []
        self.time = datetime.now(UTC)

    def who(self, job: Job) -> str:
        """Name this machine."""
        return f"{job.campaign}@simulation"

    def submit(self, job: Job) -> None:
        """End ``job``."""
        self._ended.append(ended(job))

    def wait(self, timeout_s: float) -> list[Ending]:
        """Return the jobs that ended. If there are none, the simulated time passes."""
        found, self._ended = self._ended, []
        self.time += timedelta(seconds=0 if found else timeout_s)
        return found

    def cancel(self, job: Job) -> bool:
        """Do nothing, because no job is running."""
        del job
        return True

    def told(self) -> list[str]:
        """Return nothing."""
        return []

    def close(self) -> None:
        """Do nothing."""


def window(number: int) -> dict[str, Any]:
    """Window of a site. No two of the first 10,000 sites have the same one."""
    start = number // 7 % 1439
    days = [("mon", "tue", "wed", "thu", "fri", "sat", "sun")[number % 7]]
    return {"days": days, "from": f"{start // 60:02}:{start % 60:02}", "to": "24:00", "zone": "Europe/Berlin"}


def run(count: int, root: Path, executor: Executor, *, windows: bool = False) -> tuple[float, float]:
    """Run a campaign of ``count`` sites with journal, fsync and report; returns the CPU time and the duration in seconds."""
    folder = record.folder_of(root / "reports", f"c{count}-{time.monotonic_ns()}")
    (folder / "sites").mkdir(parents=True)
    began, used = time.monotonic(), cpu()
    journal = record.create(folder)
    sites = tuple(
        {"name": f"s{number:05}", "path": "i", "inventory": "i", "windows": [window(number)] if windows and number else []}
        for number in range(count)
    )
    rules = {"at_most": 50, "within": "8d"}
    journal.append(
        CampaignStarted(campaign=folder.name, drill="d", suite=False, rules=rules, sites=sites, operator="o"), sync=True
    )
    state = record.fold(record.read(folder))

    def job(site: str, intent: Intent) -> Job:
        return Job(folder.name, site, intent.run, "d", suite=False, inventory="i", root=str(root), place=intent.place)

    simulates = isinstance(executor, AtOnce)
    now = (lambda: executor.time) if simulates else (lambda: datetime.now(UTC))
    look = 86400.0 if simulates else 1.0
    finished = Coordinator(state, journal, executor, job, lambda site: f"run-{site}", now=now, look_s=look).run()
    if finished is None or finished.sites != {"passed": count}:
        raise SystemExit(f"the simulation is wrong: {finished}")
    executor.close()
    journal.close()
    scorecard.write(folder, record.fold(record.read(folder)))
    return cpu() - used, time.monotonic() - began


def plan(count: int, root: Path) -> tuple[float, float]:
    """Plan a drill on ``count`` sites; returns the CPU time and the duration in seconds."""
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    lines = (
        f"  s{number:05}: {{inventory: lab, set: {{hosts: {{web: {{scratch: /tmp/s{number}}}}}}}}}\n"
        for number in range(count)
    )
    (root / "sites.yml").write_text("sites:\n" + "".join(lines))
    began, used = time.monotonic(), cpu()
    file = sites_of.load(root, str(root / "sites.yml"))
    site_plans.made(Project(root), "sample", file, root / "planned")
    return cpu() - used, time.monotonic() - began


def cpu() -> float:
    """CPU time in seconds of this process and of its ended children."""
    found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in found)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", default="500,2000,10000", help="numbers of sites of the simulation")
    parser.add_argument("--plan", type=int, default=500, help="number of sites to plan")
    parser.add_argument("--dask", type=int, default=500, help="number of sites on a cluster of Dask; 0: none")
    chosen = parser.parse_args()
    sys.stdout.write("| executor | sites | CPU ms a site | wall ms a site | peak MB |\n|---|---|---|---|---|\n")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "drills").mkdir()
        for count in map(int, chosen.sites.split(",")):
            _tell("simulation", count, run(count, root, AtOnce()))
            _tell("simulation, each site with another window", count, run(count, root, AtOnce(), windows=True))
        _tell("planning", chosen.plan, plan(chosen.plan, root))
        if chosen.dask:
            fleet = connecting.fleet_of("local", root, 20, carry_out=simulated)
            _tell("dask on this machine", chosen.dask, run(chosen.dask, root, fleet))


def _tell(name: str, count: int, found: tuple[float, float]) -> None:
    used, wall = (value / count * 1000 for value in found)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(f"| {name} | {count} | {used:.1f} | {wall:.1f} | {peak:.0f} |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    from bench import campaign_cost  # workers find `simulated` by the name of this module

    campaign_cost.main()
