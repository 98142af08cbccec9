"""Measure, and write the results: `python -m bench.overhead --size 2000 --pairs 5`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import time
from pathlib import Path

from bench.overhead import page
from bench.overhead.measuring import Pairs, measure
from bench.overhead.methods import METHODS


def main() -> None:
    parser = argparse.ArgumentParser(prog="invoke bench.overhead", description=__doc__)
    parser.add_argument("--size", type=int, default=2000, help="MB of data")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--methods", default=",".join(method.name for method in METHODS))
    parser.add_argument(
        "--folder", type=Path, required=True, help="where data, backups and copies lie; about four times the size"
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="no pair begins after so many")
    parser.add_argument("--make", action="store_true", help="make the backups alone, and measure nothing")
    parser.add_argument("--write", action="store_true", help="write docs/measurements/overhead.json and its page")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    stop, found = time.monotonic() + given.minutes * 60, []
    for method in METHODS:
        if method.name in given.methods.split(","):
            pairs = measure(method, given.folder.resolve(), given.size, 0 if given.make else given.pairs, stop)
            if not pairs.step:
                print(f"{method.name}: made", flush=True)
                continue
            found.append(pairs)
            print(page.line(pairs.as_json()), flush=True)
            results = described(given.size, found)
            (given.folder / "overhead.json").write_text(json.dumps(results, indent=2) + "\n")
            if given.write:
                page.write(results)


def described(megabytes: int, found: list[Pairs]) -> dict[str, object]:
    """The results with the machine that they are of."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    model = subprocess.run(
        ["sh", "-c", "sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1"], capture_output=True, text=True, check=True
    )
    return {
        "size_mb": megabytes,
        "machine": {
            "processor": model.stdout.strip(),
            "cores": os.cpu_count(),
            "memory_mb": memory >> 20,
            "kernel": platform.release(),
        },
        "methods": [pairs.as_json() for pairs in found],
    }


if __name__ == "__main__":
    main()
