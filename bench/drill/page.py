"""The page docs/speed.md from the results in docs/speed.json."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.drill.measuring import BASE, Times, left_out, ratio
from bench.drill.ways import WAYS
from bench.drill.work import ALL

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
WORK, RECORDS = "work", "records"
"""Parts of the results: whole drills, and records that are read."""
BASES = {WORK: "ssh", RECORDS: "python"}
ABOVE_S = {"100x1-fault": 8.0}
"""Most seconds that a drill with faults may take above the faults' own time."""


def rows(found: dict[str, Times], base: str = BASE) -> list[dict[str, Any]]:
    """A row for each tool: medians over the rounds, and the ratio to ``base`` in the same rounds."""
    return [
        {
            "tool": name,
            "wall_s": round(statistics.median(times.wall_s), 2),
            "least_s": round(min(times.wall_s), 2),
            "most_s": round(max(times.wall_s), 2),
            "ratio": round(ratio(times, found[base]), 2) if base in found else None,
            "cpu_s": round(statistics.median(times.cpu_s), 2),
            "peak_mb": round(max(times.peak_kib) / 1024),
        }
        for name, times in found.items()
    ]


def table(found: list[dict[str, Any]], base: str = BASE) -> list[str]:
    return [
        f"| tool | wall, s | spread, s | x {base} | CPU of the tool, s | peak, MB |",
        "|---|---|---|---|---|---|",
        *(
            f"| {row['tool']} | {row['wall_s']:.2f} | {row['least_s']:.2f} to {row['most_s']:.2f} "
            f"| {'' if row['ratio'] is None else format(row['ratio'], '.2f')} | {row['cpu_s']:.2f} | {row['peak_mb']} |"
            for row in found
        ),
    ]


HEAD = """\
# Speed

Made by `invoke bench --write` from `speed.json` beside this page; no figure is typed by hand. Each table is
the same work by each tool, as a process of its own from its start to its end, in turn in the same rounds. Each host is an sshd
on the loopback of the same machine, so clients and servers share its cores. Behind the date stands the commit that was measured;
the load is that of the minute before the first round, to which starting the servers of many hosts adds.

- *ssh*: a shell script with a master connection for each host (`ControlMaster`), its hosts in parallel. Its writes and faults
  run the same commands, proofs and undos, without locks, leases, journal or reports.
- *drillbook*: the whole drill: plan, checks before the start, locks, leases, journal on disk, undo, and all reports. Its
  reads are commands of a program that only reads, which run one after another in a shell that stays open on each host.
- *fabric*, *pyinfra*, *ansible*: as a user would write it, with connections that are reused; ansible by its module `raw`. They
  have no undo, so they are measured with reads alone. Below each table stand the tools that are left out, with the reason. Limits of
  hosts and commands bound how long the measurement of all works takes; they do not say that a tool could not do more.
- *x ssh*: median of the ratios of the wall times of each round. *CPU*: of the tool, without the servers.
  *Peak*: resident memory of its largest process; below 60 MB it may be that of the measuring program, which starts it.
- *The fault's own time* is that of *ssh* in the same rounds: the same fault, proof and undo on the same hosts.
- A recovery is `drill.recover` after the controller of the drill was killed with all faults active; *ssh* then runs the undos.
- A round trip of 20 ms is made by a relay on loopback that passes data on after 10 ms each way.

Dumps and archives beside bare pipelines stand in [transfers](measurements/transfers.md), restores beside the bare tools in
[overhead](measurements/overhead.md): both move much data, and have pages with their methods.
"""
READERS = """\

# Reports and audits

Tasks that read journals, beside the least that any reader must do: *python* reads every line of the same journals by `json`, and
computes its SHA-256. Drillbook has no rival here. Each task verifies the chain of the journals that it uses.
"""
UNMEASURED = "\nNot measured yet for this version: `invoke bench --write`.\n"


def rendered(results: dict[str, Any]) -> str:
    """The page."""
    parts = [HEAD]
    for part, base in BASES.items():
        found = results.get(part, [])
        if part == RECORDS:
            parts.append(READERS)
        if not found:
            parts.append(UNMEASURED)
        parts += [_section(one, base) for one in found]
    return "".join(parts)


def _section(work: dict[str, Any], base: str) -> str:
    rounds = f"{work['rounds']} round{'' if work['rounds'] == 1 else 's'}"
    said = f"{rounds} on {work['measured_at']}, {work['commit']}, {work['cores']} cores, load {work['load']} before."
    return "\n".join(["", f"## {work['title']}", "", said, "", *table(work["rows"], base), *_remarks(work), ""])


def _remarks(work: dict[str, Any]) -> list[str]:
    """Lines below a table: the tools that are left out, and the time above the faults' own."""
    tools = {row["tool"] for row in work["rows"]}
    found = [*without(work), *([above(work)] if work["name"] in ABOVE_S and {BASE, "drillbook"} <= tools else [])]
    return ["", *(f"- {text}" for text in found)] if found else []


def without(work: dict[str, Any]) -> list[str]:
    """Tools that are not in the table of a work, each group with the reason."""
    known = {one.name: one for one in ALL}
    if work["name"] not in known:
        return []
    reasons: dict[str, list[str]] = {}
    for name in WAYS.keys() - {row["tool"] for row in work["rows"]}:
        reasons.setdefault(left_out(name, known[work["name"]]) or "not installed", []).append(name)
    return [f"Left out: {', '.join(sorted(names))} ({why})." for why, names in sorted(reasons.items())]


def above(work: dict[str, Any]) -> str:
    """The time of the drill above the faults' own time, beside its limit."""
    wall = {row["tool"]: row["wall_s"] for row in work["rows"]}
    more = wall["drillbook"] - wall[BASE]
    return (
        f"The drill takes {more:.2f} s more than the fault's own time, which is that of *{BASE}*; the limit is "
        f"{ABOVE_S[work['name']]:.0f} s."
    )


def circumstances() -> dict[str, Any]:
    """The moment, the commit and the machine of a measurement; to be taken before it begins."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
        "commit": _git("rev-parse", "--short=8", "HEAD")
        + (" with changes" if _git("status", "--porcelain", "src", "bench") else ""),
        "cores": os.cpu_count(),
        "load": f"{os.getloadavg()[0]:.1f}",
        "kernel": platform.release(),
    }


def _git(*words: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True).stdout.strip()


def keep(part: str, work: dict[str, Any]) -> None:
    """Store the results of one work in the place of its older ones, and write the page again.

    ``work``: name, title, rounds, rows, and the circumstances.
    """
    path = DOCS / "speed.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    stored = results.setdefault(part, [])
    names = [one["name"] for one in stored]
    if work["name"] in names:
        stored[names.index(work["name"])] = work
    else:
        stored.append(work)
    path.write_text(json.dumps(results, indent=2) + "\n")
    (DOCS / "speed.md").write_text(rendered(results))
