"""The page docs/speed.md from the results in docs/speed.json."""

from __future__ import annotations

import json
import os
import platform
import statistics
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.drill.measuring import BASE, Times, ratio
from bench.drill.work import Work

DOCS = Path(__file__).parents[2] / "docs"
HEADER = ["| tool | wall, s | spread, s | x ssh | CPU of the tool, s | peak, MB |", "|---|---|---|---|---|---|"]


def rows(found: dict[str, Times]) -> list[dict[str, Any]]:
    """A row for each tool: medians over the rounds, and the ratio to multiplexed ssh in the same rounds."""
    return [
        {
            "tool": name,
            "wall_s": round(statistics.median(times.wall_s), 2),
            "least_s": round(min(times.wall_s), 2),
            "most_s": round(max(times.wall_s), 2),
            "ratio": round(ratio(times, found[BASE]), 2) if BASE in found else None,
            "cpu_s": round(statistics.median(times.cpu_s), 2),
            "peak_mb": round(max(times.peak_kib) / 1024),
        }
        for name, times in found.items()
    ]


def table(found: list[dict[str, Any]]) -> list[str]:
    return [
        *HEADER,
        *(
            f"| {row['tool']} | {row['wall_s']:.2f} | {row['least_s']:.2f} to {row['most_s']:.2f} "
            f"| {'' if row['ratio'] is None else format(row['ratio'], '.2f')} | {row['cpu_s']:.2f} | {row['peak_mb']} |"
            for row in found
        ),
    ]


HEAD = """\
# Speed

Made by `invoke bench.drill --options=--write` from `speed.json` beside this page; no figure is typed by hand. Each table is
the same work by each tool, as a process of its own from its start to its end, in turn in the same rounds. Each host is an sshd
on the loopback of the same machine, so clients and servers share its cores.

- *ssh*: a shell script with a master connection for each host (`ControlMaster`), its hosts in parallel. Its writes and faults
  run the same commands, proofs and undos, without locks, leases, journal or reports.
- *drillbook*: the whole drill: plan, checks before the start, locks, leases, journal on disk, undo, and all reports. Its
  reads are commands of a program that only reads, which run one after another in a shell that stays open on each host.
- *fabric*, *pyinfra*, *ansible*: as a user would write it, with connections that are reused; ansible by its module `raw`.
- *x ssh*: median of the ratios of the wall times of each round. *CPU*: of the tool, without the servers.
- A recovery is `drill.recover` after the controller of the drill was killed with all faults active; *ssh* then runs the undos.
- A round trip of 20 ms is made by a relay on loopback that passes data on after 10 ms each way.
"""
UNMEASURED = "\nNot measured yet for this version: `invoke bench.drill --options=--write`.\n"


def rendered(results: dict[str, Any]) -> str:
    """The page."""
    parts = [HEAD]
    for work in results["work"]:
        said = f"{work['rounds']} rounds on {work['measured_at']}, {work['cores']} cores, load {work['load']} before it."
        parts.append("\n".join(["", f"## {work['title']}", "", said, "", *table(work["rows"]), ""]))
    return "".join(parts) if results["work"] else HEAD + UNMEASURED


def keep(work: Work, rounds: int, found: list[dict[str, Any]]) -> None:
    """Store the results of one work in the place of its older ones, and write the page again."""
    path = DOCS / "speed.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"work": []}
    new = {
        "name": work.name,
        "title": work.title,
        "rounds": rounds,
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
        "cores": os.cpu_count(),
        "load": f"{os.getloadavg()[2]:.1f}",
        "kernel": platform.release(),
        "rows": found,
    }
    names = [one["name"] for one in results["work"]]
    if work.name in names:
        results["work"][names.index(work.name)] = new
    else:
        results["work"].append(new)
    path.write_text(json.dumps(results, indent=2) + "\n")
    (DOCS / "speed.md").write_text(rendered(results))
