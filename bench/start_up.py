"""Start-up time: CPU time of `invoke drill.list` with this checkout and with the source of an older commit.

`python -m bench.start_up COMMIT [ROUNDS]` runs both in turns, in a new project with all shipped drills, and prints the medians of both
and the median of the ratios of the pairs.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def cpu(source: Path, project: Path) -> float:
    """Return the CPU time in seconds of one `invoke drill.list` with the code in ``source``."""
    command = [sys.executable, "-P", "-m", "invoke", "drill.list"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)  # os.times counts in steps of 10 ms
    subprocess.run(
        command, cwd=project, env={**os.environ, "PYTHONPATH": str(source)}, stdout=subprocess.DEVNULL, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the ratio."""
    commit, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 9
    with tempfile.TemporaryDirectory() as name:
        old, project = Path(name, "old"), Path(name, "project")
        for folder in (old, project / "inventory"):
            folder.mkdir(parents=True)
        archive = subprocess.run(["git", "archive", commit, "src"], cwd=ROOT, capture_output=True, check=True).stdout
        subprocess.run(["tar", "x"], cwd=old, input=archive, check=True)
        shutil.copytree(ROOT / "drills", project / "drills")
        (project / "tasks.py").write_text("from drillbook import tasks\n\nnamespace = tasks.namespace()\n")
        sources = (old / "src", ROOT / "src")
        for source in sources:  # Invoke writes no byte code
            subprocess.run([sys.executable, "-m", "compileall", "-q", source], check=True)
        pairs = [(cpu(sources[0], project), cpu(sources[1], project)) for _ in range(rounds)]
    then, now = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(new / old for old, new in pairs)
    sys.stdout.write(f"invoke drill.list, CPU, {rounds} pairs: {commit} {then:.3f} s, now {now:.3f} s, ratio {ratio:.2f}\n")


if __name__ == "__main__":
    main()
