"""Cost of a campaign without its drills, with a real journal: `python -m bench.campaign_cost`.

The drills of the simulated sites end at once. Each row of the table is measured in a process of its own, so that its peak of
memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench import campaign_page
from bench.drill.page import circumstances

from drillbook.campaign import campaign_record, connecting, scorecard
from drillbook.campaign import sites as sites_of
from drillbook.campaign.attempt import Ending, Job
from drillbook.campaign.campaign_record import Intent
from drillbook.campaign.coordinator import Coordinator
from drillbook.campaign.executor import Executor
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
    folder = campaign_record.folder_of(root / "reports", f"c{count}-{time.monotonic_ns()}")
    (folder / "sites").mkdir(parents=True)
    began, used = time.monotonic(), cpu()
    journal = campaign_record.create(folder)
    sites = tuple(
        {"name": f"s{number:05}", "path": "i", "inventory": "i", "windows": [window(number)] if windows and number else []}
        for number in range(count)
    )
    rules = {"at_most": 50, "within": "8d"}
    journal.append(
        CampaignStarted(campaign=folder.name, drill="d", suite=False, rules=rules, sites=sites, operator="o"), sync=True
    )
    state = campaign_record.fold(campaign_record.read(folder))

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
    scorecard.write(folder, campaign_record.fold(campaign_record.read(folder)))
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


SIMULATION, WINDOWS, PLANNING = "simulation", "simulation, each site with another window", "planning"
DASK = "Dask on this machine, TLS"


def single(name: str, count: int) -> None:
    """Measure one row in this process, and print its figures as JSON."""
    with tempfile.TemporaryDirectory(prefix="drillbook-bench-") as folder:
        root = Path(folder)
        (root / "drills").mkdir()
        if name == PLANNING:
            used, wall = plan(count, root)
        elif name == DASK:
            used, wall = run(count, root, connecting.fleet_of("local", root, 20, carry_out=simulated))
        else:
            used, wall = run(count, root, AtOnce(), windows=name == WINDOWS)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"cpu": used / count * 1000, "wall": wall / count * 1000, "peak": peak}) + "\n")


def measured(name: str, count: int, rounds: int) -> dict[str, Any]:
    """Measure one row ``rounds`` times, each in a new process."""
    argv = [sys.executable, "-m", "bench.campaign_cost", "--one", name, "--sites", str(count)]
    found = [
        json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
        for _ in range(rounds)
    ]
    cpu_ms, wall, peak = ([one[key] for one in found] for key in ("cpu", "wall", "peak"))
    return {
        "executor": name,
        "sites": count,
        "rounds": rounds,
        "cpu_ms": round(statistics.median(cpu_ms), 1),
        "wall_ms": round(statistics.median(wall), 1),
        "least_ms": round(min(wall), 1),
        "most_ms": round(max(wall), 1),
        "peak_mb": round(max(peak)),
    }


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="invoke bench.campaigns", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="of each row with few sites; one of the others")
    parser.add_argument("--sites", default="500,2000,10000", help="numbers of sites of the simulation, with commas between")
    parser.add_argument("--few", type=int, default=campaign_page.SITES, help="number of sites to plan, and of Dask")
    parser.add_argument("--one", default="", help="name of the only row to measure, in this process")
    parser.add_argument("--write", action="store_true", help="write docs/measurements/campaigns.json and its page")
    chosen = parser.parse_args()
    if chosen.one:
        single(chosen.one, int(chosen.sites))
        return
    before, rows = circumstances(), []
    wanted = [(name, count) for count in map(int, chosen.sites.split(",")) for name in (SIMULATION, WINDOWS)]
    for name, count in [*wanted, (PLANNING, chosen.few), (DASK, chosen.few)]:
        rows.append(measured(name, count, chosen.rounds if count <= campaign_page.SITES else 1))
        sys.stdout.write(f"{campaign_page.line(rows[-1])}\n")
        sys.stdout.flush()
    if chosen.write:
        campaign_page.write({**before, "rows": rows})


if __name__ == "__main__":
    from bench import campaign_cost  # workers find `simulated` by the name of this module

    campaign_cost.main()
