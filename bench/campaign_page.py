"""The page docs/measurements/campaigns.md, generated from the results in docs/measurements/campaigns.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "docs" / "measurements"
SITES, LIMIT_MS, LIMIT_MB = 500, 50.0, 500
"""Number of sites for which the limits hold; most CPU time and most duration a site, and largest peak of the controller."""
GROWTH = 1.5
"""Largest ratio of the CPU time a site of a simulation of 10,000 sites to that of 500."""
TITLE = "# Cost of a campaign itself\n\n"
HEAD = """\
Made by `invoke bench.campaigns --options=--write` from `campaigns.json` beside this page; no figure is typed by hand. Each row is a
process of its own: a campaign of simulated sites, whose drills end at once, with the real journal (two fsyncs a site) and the report.
Measured on {measured_at}, {commit}, {cores} cores, load {load} before; each figure is the median of its rounds.

| executor | sites | rounds | CPU, ms a site | duration, ms a site | spread, ms | peak, MB |
|---|---|---|---|---|---|---|
"""
TAIL = """
- *CPU*: of all processes (controller, scheduler, workers), by getrusage(2). The CPU time of a drill's own process is not in it.
- *Duration*: by the monotonic clock, so it contains the waits for the disk, and for other work on the same cores.
- *Peak*: largest resident memory of the controller.
- *Each site with another window*: each site has another maintenance window in the next week, in simulated time.
- *Planning*: the plans of a drill with two steps, on sites with values of their own.
- *Dask on this machine*: a LocalCluster with TLS. The CPU time contains the start of its scheduler and workers, the duration does not;
  both contain their end.

A test compares the table with the limits. For {sites} sites these are {ms:.0f} ms a site, both of CPU time and of duration, and
{mb} MB. For 10,000 sites, the CPU time a site of a simulation is at most {growth} times that for {sites}.
"""
UNMEASURED = "Not measured yet for this version: `invoke bench.campaigns --options=--write` writes this page.\n"


def line(row: dict[str, Any]) -> str:
    """One row of the table."""
    return (
        f"| {row['executor']} | {row['sites']:,} | {row['rounds']} | {row['cpu_ms']:.1f} | {row['wall_ms']:.1f} "
        f"| {row['least_ms']:.1f} to {row['most_ms']:.1f} | {row['peak_mb']} |"
    )


def rendered(results: dict[str, Any]) -> str:
    """Format the page."""
    if not results["rows"]:
        return TITLE + UNMEASURED
    tail = TAIL.format(sites=SITES, ms=LIMIT_MS, mb=LIMIT_MB, growth=GROWTH)
    return TITLE + HEAD.format(**results) + "".join(f"{line(row)}\n" for row in results["rows"]) + tail


def write(results: dict[str, Any]) -> None:
    """Replace the older results and the page."""
    (FOLDER / "campaigns.json").write_text(json.dumps(results, indent=2) + "\n")
    (FOLDER / "campaigns.md").write_text(rendered(results))
