"""Measure tasks that read records beside a plain reader of the same journals: `python -m bench.records --rounds 5`.

The records are one run of 10,000 steps, made by a real drill on 20 hosts, and 1,000 runs of a small drill, written by the real
journal on a clock that is set by hand.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.drill import page
from bench.drill.fleet import fleet
from bench.drill.measuring import Times, run
from bench.drill.ways import PROGRAM, Call, compiled, drillbook
from bench.drill.work import Work
from tests.audit.stories import Book

from drillbook.exits import Exit
from drillbook.journal.journal import read

PLAIN = """\
import hashlib, json, pathlib
for path in pathlib.Path("reports").rglob("journal.jsonl"):
    for line in path.open("rb"):
        json.loads(line), hashlib.sha256(line).hexdigest()
"""
PERIOD = ("--since", "2000-01-01", "--until", "2099-12-31")
TASKS = {
    "report": ("report",),
    "report.verify": ("report.verify",),
    "drill.list": ("drill.list",),
    "audit": ("audit", *PERIOD, "--out", "audit"),
}
BEGAN = datetime(2024, 1, 1, tzinfo=UTC)


def steps(folder: Path, count: int) -> Path:
    """Run a drill of ``count`` steps on 20 hosts. Return its project."""
    with fleet(20, folder / "fleet") as hosts:
        run(drillbook(hosts, Work(20, count // 20), folder / "project"), Times())
    return folder / "project"


def runs(folder: Path, count: int) -> Path:
    """Write ``count`` runs that passed, one every six hours. Return their project."""
    book = Book(folder)
    before = None
    for number in range(count):
        begun = BEGAN + timedelta(hours=6 * number)
        made = book.run(f"{begun:%Y-%m-%dT%H:%M:%S}", prev=before).good().close()
        before = read(made.path).head
        book.runs.clear()
    (folder / "drills" / "sample.yml").write_text((folder / "sample.yml").read_text())
    (folder / "inventory").mkdir()
    (folder / "inventory" / "lab.yml").write_text((folder / "hosts.yml").read_text())
    return folder


def calls(project: Path) -> Iterator[tuple[str, Call]]:
    """The plain reader, and each task of Drillbook."""
    environment = {"XDG_STATE_HOME": str(project / "state"), **compiled(project)}
    yield page.BASES[page.RECORDS], Call([sys.executable, "-c", PLAIN], project, environment)
    statuses = (Exit.OK, Exit.UNVERIFIED)  # runs that are written for this have no signature
    for name, words in TASKS.items():
        yield name, Call([sys.executable, "-c", PROGRAM, *words], project, environment, statuses=statuses)


def measure(project: Path, rounds: int) -> dict[str, Times]:
    """Measure all readers in turn, ``rounds`` times after one that is not counted."""
    readers = dict(calls(project))
    found = {name: Times() for name in readers}
    for number in range(rounds + 1):
        for name, call in readers.items():
            run(call, found[name] if number else Times())
    return found


def main() -> None:
    """Measure, and print a table for each record."""
    parser = argparse.ArgumentParser(prog="invoke bench.records", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--write", action="store_true", help="write docs/speed.json and its page")
    given = parser.parse_args()
    for name, make, count in (("steps", steps, given.steps), ("runs", runs, given.runs)):
        title = f"One run of {count:,} steps" if name == "steps" else f"{count:,} runs"
        with tempfile.TemporaryDirectory(prefix="drillbook-bench-") as folder:
            project = make(Path(folder), count)
            before = page.circumstances()
            rows = page.rows(measure(project, given.rounds), page.BASES[page.RECORDS])
        sys.stdout.write("\n".join([title, *page.table(rows, page.BASES[page.RECORDS]), ""]))
        sys.stdout.flush()
        if given.write:
            page.keep(page.RECORDS, {"name": name, "title": title, "rounds": given.rounds, **before, "rows": rows})


if __name__ == "__main__":
    main()
