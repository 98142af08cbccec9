"""Measure complete drills and other tools: `python -m bench.drill --work 20x20-read --rounds 5`."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench.drill import page
from bench.drill.measuring import measure
from bench.drill.ways import WAYS
from bench.drill.work import ALL

USUAL = "20x20-read,20x100-read,20x20-read-20ms,20x20-write,20x20-fault"


def main() -> None:
    parser = argparse.ArgumentParser(prog="invoke bench.drill", description=__doc__)
    parser.add_argument(
        "--work", default=USUAL, help=f"`all`, or names with commas between them, of {', '.join(w.name for w in ALL)}"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tools", default=",".join(WAYS))
    parser.add_argument("--write", action="store_true", help="write docs/speed.json and its page")
    given = parser.parse_args()
    for work in ALL:
        if given.work == "all" or work.name in given.work.split(","):
            before = page.circumstances()
            with tempfile.TemporaryDirectory(prefix="drillbook-bench-") as folder:
                found = measure(work, Path(folder), given.rounds, given.tools.split(","))
            rows = page.rows(found)
            print("\n".join([work.title, *page.table(rows)]), flush=True)
            if given.write:
                page.keep(
                    page.WORK, {"name": work.name, "title": work.title, "rounds": given.rounds, **before, "rows": rows}
                )


if __name__ == "__main__":
    main()
