"""Interleaved pairs: the plain restore, and the same restore by a drill in a separate process."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from bench.overhead.methods import Method, removed

PROGRAM = "import sys; sys.argv[0] = 'drillbook'; from drillbook.cli.program import main; main()"
DRILL = """\
drill: restore
title: A restore alone
service: nightly
objectives: {}
restore:
  - backup.restore: {service: copy, from: nightly}
    timeout: 1h
verify:
  - backup.measure: {service: nightly}
"""


S = TypeVar("S", bound="Steps")


@dataclass(frozen=True)
class Drilled:
    """One drill by a separate process."""

    step: dict[str, Any]
    """The measured step from result.json."""
    wall: float
    """Seconds from the start of the process to its end."""
    peak_kib: int


@dataclass
class Steps:
    """Results of one method, in seconds and KiB; element n of each list is of the same pair."""

    method: str
    tool: str
    measured_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    bare: list[float] = field(default_factory=list)
    step: list[float] = field(default_factory=list)
    """Duration of the drill's step that does the same, including its checks before and after."""
    drill: list[float] = field(default_factory=list)
    """Wall time of the controller's process, from start to end, including the removal of the sandbox and the report."""
    peak_kib: list[int] = field(default_factory=list)
    """VmHWM of the controller's process."""
    stages: list[dict[str, float]] = field(default_factory=list)

    @property
    def step_ratio(self) -> float:
        """Median of the ratios of the whole steps to the bare tool."""
        return statistics.median(ours / bare for ours, bare in zip(self.step, self.bare, strict=True))

    def add(self, done: Drilled) -> None:
        """Add the times and the peak of a drill."""
        self.step.append(round(done.step["seconds"], 3))
        self.drill.append(round(done.wall, 3))
        self.peak_kib.append(done.peak_kib)
        seconds = done.step["facts"]["seconds"]
        self.stages.append(seconds if isinstance(seconds, dict) else {"total": seconds})

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "step_ratio": round(self.step_ratio, 3)}


@dataclass
class Pairs(Steps):
    """Results of the restores of one method."""

    restore: list[float] = field(default_factory=list)
    """The same by Drillbook: from the free space of the empty sandbox to the usable copy, with its checks.

    Before, the step backup.restore lists the backups, creates the sandbox and verifies its isolation.
    """

    @property
    def ratio(self) -> float:
        """Median of the ratios of the restores of the pairs."""
        return statistics.median(ours / bare for ours, bare in zip(self.restore, self.bare, strict=True))

    def add(self, done: Drilled) -> None:
        """Add the times and the peak of a drill."""
        super().add(done)
        seconds = done.step["facts"]["seconds"]
        self.restore.append(round(seconds["total"] - seconds["sandbox"], 3))

    def as_json(self) -> dict[str, object]:
        return {**super().as_json(), "ratio": round(self.ratio, 3)}


def project(root: Path, method: Method, folder: Path) -> Path:
    """Project with the drill, and an inventory of this machine."""
    place = root / f"project-{method.name}"
    for name in ("drills", "inventory"):
        (place / name).mkdir(parents=True, exist_ok=True)
    postgres = folder.parent / "postgres"
    words = {
        "FOLDER": folder,
        "FILES": folder.parent / "files",
        "BIN": postgres / "bin",
        "CONFIG": postgres / "repo.conf",
    }
    source = re.sub(r"\b(FOLDER|FILES|BIN|CONFIG)\b", lambda found: str(words[found[0]]), method.source)
    sandbox = re.sub(r"\b(FOLDER|FILES|BIN|CONFIG)\b", lambda found: str(words[found[0]]), method.sandbox)
    (place / "inventory" / "lab.yml").write_text(
        f"environment: lab\nhosts:\n  here: {{local: true, scratch: {place}/scratch, lease: {{boot: none}}}}\n"
        f"services:\n  copy: {{{sandbox}, host: here, sandbox: {{data_may_leave: true, folder: {root}/copy}}}}\n"
        f"backups:\n  nightly: {{{source}, host: here}}\n"
    )
    (place / "drills" / "restore.yml").write_text(DRILL)
    return place


def peak(pid: int) -> int:
    """VmHWM of a process in KiB; 0 when it has ended."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0


def drilled(place: Path, action: str, name: str = "restore") -> Drilled:
    """Run the drill ``name`` of the project ``place``. Return the times of its only step ``action``."""
    environment = {**os.environ, "BENCH_PASSWORD": "bench", "XDG_STATE_HOME": str(place / "state")}
    begun, most = time.monotonic(), 0
    argv = [sys.executable, "-c", PROGRAM, "drill", name, "--quiet"]
    with (place / "said").open("w") as said:
        child = subprocess.Popen(argv, cwd=place, env=environment, stdout=said, stderr=said, stdin=subprocess.DEVNULL)
        while child.poll() is None:
            most = max(most, peak(child.pid))
            time.sleep(0.05)
    wall = time.monotonic() - begun
    assert child.returncode == 0, (place / "said").read_text()[-3000:]
    result = json.loads((place / "reports" / "latest" / "result.json").read_text())
    (step,) = (step for step in result["steps"] if step["action"] == action)
    return Drilled(step, wall, most)


def bare(tool: Callable[[Path], object], target: Path, remove: Callable[[Path], object], found: Steps) -> None:
    """Run the plain ``tool`` with the empty folder ``target``, add its time, and ``remove`` the folder."""
    target.mkdir(mode=0o700)
    try:
        begun = time.monotonic()
        tool(target)
        found.bare.append(round(time.monotonic() - begun, 3))
    finally:
        remove(target)


def measure(method: Method, root: Path, megabytes: int, count: int, stop: float) -> Pairs:
    """Measure pairs, each side first in turn; no pair begins after ``stop`` on the monotonic clock.

    Before, the backup is read, and one pair runs that does not count, so that files and programs are in the page
    cache for all others.
    """
    folder = root / f"backup-{method.name}"
    if not folder.exists():
        made = folder.with_name(f"{folder.name}-unfinished")
        made.mkdir()
        method.make(made, megabytes)
        made.rename(folder)
    place = project(root, method, folder)
    subprocess.run(["sh", "-c", 'tar -cf - "$1" | cat >/dev/null', "sh", str(folder)], check=True, stderr=subprocess.DEVNULL)
    return interleaved(
        partial(Pairs, method.name, method.tool),
        partial(bare, partial(method.bare, folder), root / "bare", removed),
        lambda pairs: pairs.add(drilled(place, "backup.restore")),
        count,
        stop,
    )


def interleaved(empty: Callable[[], S], bare: Callable[[S], None], drill: Callable[[S], None], count: int, stop: float) -> S:
    """Measure pairs, each side first in turn, after one pair that does not count."""
    pairs, unwarmed = empty(), empty()
    for number in range(-1 if count else 0, count):
        if time.monotonic() > stop:
            break
        kept = unwarmed if number < 0 else pairs
        for one in (bare, drill) if number % 2 == 0 else (drill, bare):
            os.sync()
            one(kept)
    return pairs


def output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def described(folder: Path, megabytes: int, found: Sequence[Steps]) -> dict[str, object]:
    """Results with the machine and the file system."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "size_mb": megabytes,
        "file_system": output("stat", "-f", "-c", "%T", "--", str(folder)),
        "machine": {
            "processor": output("sh", "-c", "sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1"),
            "cores": os.cpu_count(),
            "memory_mb": memory >> 20,
            "kernel": platform.release(),
        },
        "methods": [pairs.as_json() for pairs in found],
    }
