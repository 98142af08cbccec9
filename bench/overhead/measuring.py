"""Interleaved pairs: the bare restore, and the same by a drill in a process of its own."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

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


@dataclass
class Pairs:
    """Results of one method, in seconds and KiB; element n of each list is of the same pair."""

    method: str
    tool: str
    measured_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    bare: list[float] = field(default_factory=list)
    restore: list[float] = field(default_factory=list)
    """The same by Drillbook: from the free space of the empty sandbox to the copy that can be used, with its checks."""
    step: list[float] = field(default_factory=list)
    """Duration of the step backup.restore, which first lists the backups, makes the sandbox and proves its isolation."""
    drill: list[float] = field(default_factory=list)
    """Wall time of the controller's process, from its start to its end: also the removal of the sandbox and the report."""
    peak_kib: list[int] = field(default_factory=list)
    """VmHWM of the controller's process."""
    stages: list[dict[str, float]] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Median of the ratios of the restores of the pairs."""
        return statistics.median(ours / bare for ours, bare in zip(self.restore, self.bare, strict=True))

    @property
    def step_ratio(self) -> float:
        """Median of the ratios of the whole steps to the bare restores."""
        return statistics.median(ours / bare for ours, bare in zip(self.step, self.bare, strict=True))

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "ratio": round(self.ratio, 3), "step_ratio": round(self.step_ratio, 3)}


def project(root: Path, method: Method, folder: Path) -> Path:
    """A project with the drill, and an inventory of this machine."""
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


def drilled(place: Path, pairs: Pairs) -> None:
    """Run the drill, and add its times and its peak."""
    environment = {**os.environ, "BENCH_PASSWORD": "bench", "XDG_STATE_HOME": str(place / "state")}
    begun, most = time.monotonic(), 0
    argv = [sys.executable, "-c", PROGRAM, "drill", "restore", "--quiet"]
    with (place / "said").open("w") as said:
        child = subprocess.Popen(argv, cwd=place, env=environment, stdout=said, stderr=said, stdin=subprocess.DEVNULL)
        while child.poll() is None:
            most = max(most, peak(child.pid))
            time.sleep(0.05)
    wall = time.monotonic() - begun
    assert child.returncode == 0, (place / "said").read_text()[-3000:]
    result = json.loads((place / "reports" / "latest" / "result.json").read_text())
    (step,) = (step for step in result["steps"] if step["action"] == "backup.restore")
    pairs.restore.append(step["facts"]["seconds"]["total"])
    pairs.step.append(round(step["seconds"], 3))
    pairs.drill.append(round(wall, 3))
    pairs.peak_kib.append(most)
    pairs.stages.append(step["facts"]["seconds"])


def bare(method: Method, folder: Path, target: Path, pairs: Pairs) -> None:
    target.mkdir(mode=0o700)
    try:
        begun = time.monotonic()
        method.bare(folder, target)
        pairs.bare.append(round(time.monotonic() - begun, 3))
    finally:
        removed(target)


def measure(method: Method, root: Path, megabytes: int, count: int, stop: float) -> Pairs:
    """Measure pairs, the first of each in turn; none is begun after ``stop`` by the monotonic clock.

    The backup is read before them, and one more pair that is not counted comes first, so that all others find the files and
    programs in the page cache.
    """
    folder = root / f"backup-{method.name}"
    if not folder.exists():
        made = folder.with_name(f"{folder.name}-unfinished")
        made.mkdir()
        method.make(made, megabytes)
        made.rename(folder)
    place, pairs = project(root, method, folder), Pairs(method.name, method.tool)
    subprocess.run(["sh", "-c", 'tar -cf - "$1" | cat >/dev/null', "sh", str(folder)], check=True, stderr=subprocess.DEVNULL)
    unwarmed = Pairs(method.name, method.tool)
    for number in range(-1 if count else 0, count):
        if time.monotonic() > stop:
            break
        kept = unwarmed if number < 0 else pairs
        both = [partial(bare, method, folder, root / "bare", kept), partial(drilled, place, kept)]
        for one in both if number % 2 == 0 else reversed(both):
            os.sync()
            one()
    return pairs
