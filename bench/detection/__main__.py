"""Check the whole corpus, and write docs/detection.json and the page generated from it: `invoke bench.detection`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.detection import firedrill, page
from bench.detection.asking import TOOLS, asked
from bench.versions import versions
from tests.artefacts import Corpus, corpora

PROCESSES = 3
"""Number of parts of the corpus that are checked in parallel, because most of the time is spent waiting for other
programs.
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="invoke bench.detection", description=__doc__)
    parser.add_argument("--drivers", default=",".join(TOOLS))
    parser.add_argument(
        "--results", type=Path, help="folder for the results of each artefact, with which a later run goes on"
    )
    parser.add_argument("--write", action="store_true", help="write docs/detection.json and docs/detection.md")
    parser.add_argument("--part", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    folder = given.results or Path(tempfile.mkdtemp(prefix="drillbook-detection-"))
    folder.mkdir(exist_ok=True)
    drivers = given.drivers.split(",")
    if given.part is not None:
        ask(folder, drivers, given.part)
        return 0
    argv = [sys.executable, "-m", "bench.detection", "--drivers", given.drivers, "--results", str(folder), "--part"]
    parts = [subprocess.Popen([*argv, str(part)]) for part in range(PROCESSES)]
    statuses = [part.wait() for part in parts]
    return told(folder, drivers, write=given.write) or max(statuses)


def ask(folder: Path, drivers: list[str], part: int) -> None:
    """Check the artefacts of a part that have no result yet."""
    for number, corpus in enumerate(corpora()):
        if corpus.driver in drivers:
            lacking = [one.name for one in corpus.artefacts if one.name not in kept(folder, number)]
            own = [one.name for one in corpus.artefacts[part::PROCESSES] if one.name in lacking]
            rows: list[dict[str, Any]] = []
            for row in asked(corpus.only(*own)) if own else ():
                rows.append(row)
                (folder / f"{number}-{corpus.driver}-{part}-{os.getpid()}.json").write_text(
                    json.dumps(rows, indent=1) + "\n"
                )


def kept(folder: Path, number: int) -> dict[str, dict[str, Any]]:
    """Results of a corpus by the names of the artefacts."""
    rows = (row for path in sorted(folder.glob(f"{number}-*.json")) for row in json.loads(path.read_text()))
    return {row["name"]: row for row in rows}


def in_order(folder: Path, number: int, corpus: Corpus) -> list[dict[str, Any]]:
    """Results of a corpus in its order. Raises KeyError when one is missing."""
    found = kept(folder, number)
    return [found[one.name] for one in corpus.artefacts]


def told(folder: Path, drivers: list[str], *, write: bool) -> int:
    """Print the page, and write it if requested.

    Return 1 when the findings of an artefact differ from the expected ones.
    """
    chosen = [(number, corpus) for number, corpus in enumerate(corpora()) if corpus.driver in drivers]
    rows = [row for number, corpus in chosen for row in in_order(folder, number, corpus)]
    results = {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "firedrill": {"asked": bool(shutil.which("firedrill")), "image": os.environ.get(firedrill.IMAGE, "")},
        "artefacts": rows,
    }
    print(page.rendered(results))
    if write:
        page.write(results)
    wrong = [
        f"not exact: {row['driver']}: {row['name']}: {row['check']} {row['rehearsal']}" for row in rows if not row["exact"]
    ]
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
