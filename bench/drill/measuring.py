"""Interleaved rounds of all tools, with wall time, processor time of the tool and peak memory."""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.drill.fleet import fleet
from bench.drill.ways import READ_ONLY, WAYS, Call, installed
from bench.drill.work import Work

BASE = "ssh"
SLOW = {"ansible": 400, "pyinfra": 2000, "fabric": 2000}
"""Most commands on all hosts together with which a tool is measured, so that the measurement of all works ends in time."""
MOST_HOSTS = 100
"""Most hosts with which the tools in ``SLOW`` are measured."""


@dataclass
class Times:
    """Results of one tool; element n of each list is of the same round."""

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    """Processor time of the tool and its children, without the servers."""
    peak_kib: list[int] = field(default_factory=list)


def run(call: Call, times: Times) -> None:
    """Run one program to its end, and add its times. Raises RuntimeError when it fails."""
    call.clean()
    said = call.cwd / "said"
    begun = time.monotonic()
    pid = os.posix_spawnp(
        "env",
        ["env", "-C", str(call.cwd), *(f"{key}={value}" for key, value in call.environment.items()), *call.argv],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(said), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )
    _, status, used = os.wait4(pid, 0)
    wall = time.monotonic() - begun
    ended = os.waitstatus_to_exitcode(status)
    if ended not in call.statuses:
        raise RuntimeError(f"{call.argv[:4]}: status {ended}\n{said.read_text()[-3000:]}")
    times.wall_s.append(round(wall, 3))
    times.cpu_s.append(round(used.ru_utime + used.ru_stime, 3))
    times.peak_kib.append(used.ru_maxrss)


def left_out(name: str, work: Work) -> str:
    """Return the reason why a tool is not measured with this work. It is empty for a tool that is measured."""
    if work.effect != "read" and name in READ_ONLY:
        return "without an undo"
    if name not in SLOW:
        return ""
    if work.hosts > MOST_HOSTS:
        return f"measured with at most {MOST_HOSTS} hosts"
    if work.hosts * work.steps > SLOW[name]:
        return f"measured with at most {SLOW[name]:,} commands in all"
    return "measured only without a delay of the line" if name == "ansible" and work.delay_s else ""


def measure(work: Work, folder: Path, rounds: int, tools: list[str]) -> dict[str, Times]:
    """Measure all installed ``tools`` in turn, ``rounds`` times after a first round that does not count."""
    found: dict[str, Times] = {}
    with fleet(work.hosts, folder / "fleet", work.delay_s) as hosts:
        calls = {
            name: WAYS[name](hosts, work, folder / name) for name in tools if installed(name) and not left_out(name, work)
        }
        for name, call in calls.items():
            run(call, Times())
            found[name] = Times()
        for _ in range(rounds):
            for name, call in calls.items():
                run(call, found[name])
    return found


def ratio(times: Times, base: Times) -> float:
    """Median of the ratios of the wall times of each round."""
    return statistics.median(one / other for one, other in zip(times.wall_s, base.wall_s, strict=True))
