"""Check a record against the signatures of its runs, and against the anchors outside ``reports/``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from drillbook.attestation import anchors, standing, timestamps
from drillbook.attestation.anchors import Known
from drillbook.attestation.places import Place
from drillbook.audit.chain import Problem
from drillbook.audit.period import Period
from drillbook.audit.records import Record
from drillbook.journal.damaged import RUN_ID
from drillbook.report.figures import count
from drillbook.report.folders import begun

WORKERS = 4


@dataclass(frozen=True, slots=True)
class Assurance:
    """Result of checking the signatures and the anchors of a record."""

    unvouched: tuple[str, ...] = ()
    """Runs of the period that nobody vouches for as they lie there, each with the reason."""
    compared: tuple[str, ...] = ()
    """Anchors that the record was compared with, each with the number of its runs."""
    problems: tuple[Problem, ...] = ()
    """What anchors know otherwise."""
    checked: bool = True
    """Were signatures and anchors looked at?"""


UNCHECKED = Assurance(checked=False)
"""For a record of which the chain alone was looked at."""


def assure(records: Sequence[Record], period: Period, reports: Path, root: Path, kept_in: Sequence[Place]) -> Assurance:
    """Check the signatures of all runs of ``period``, and compare the whole record with the anchors in ``kept_in``.

    Raises UsageError for root certificates of timestamps that cannot be read.
    """
    checker = timestamps.checker()
    inside = [reports / one.folder for one in records if not one.copy_of and period.holds(one.started)]
    suites = {folder.parent for folder in inside if folder.parent != reports and (folder.parent / "result.json").exists()}
    folders = sorted({*inside, *suites})
    with ThreadPoolExecutor(WORKERS) as pool:
        why = list(pool.map(lambda folder: standing.vouched(folder, root), folders))
    known = anchors.known(kept_in)
    unvouched = [f"{folder.name}: {said}" for folder, said in zip(folders, why, strict=True) if said]
    unvouched += [f"{folder.name}: {said}" for folder in folders for said in _doubts(folder.name, known, checker)]
    compared = (
        f"{source}: {count(number, 'run')}, the newest of {at}" for source, (number, at) in sorted(known.counts.items())
    )
    return Assurance((*unvouched, *known.unread), tuple(compared), tuple(_problems(records, known, reports)))


def _doubts(run: str, known: Known, checker: timestamps.Checker | None) -> Iterator[str]:
    """Why what anchors know of a run proves less than it should."""
    yield from known.doubts.get(run, ())
    if checker is not None:
        anchor = known.runs.get(run)
        yield from filter(None, [checker.doubt(anchor.content) if anchor else "no anchor, and so no timestamp, knows it"])


def _problems(records: Sequence[Record], known: Known, reports: Path) -> Iterator[Problem]:
    there = {one.run: one for one in records if not one.copy_of}
    for run, anchor in sorted(known.runs.items()):
        at = begun(run) if RUN_ID.fullmatch(run) else anchor.at
        record = there.get(run)
        if record is None:
            if anchor.events or not anchors.present(anchor, reports):
                text = f"{run} is not there; {anchor.source} knows it, as of {anchor.at}"
                yield Problem("anchor-missing", run, text, True, at, at)
        elif not record.damage and (wrong := anchors.differs(anchor, record.hashes)):
            yield Problem("anchor-differs", run, f"{run}: {wrong}", True, at, at)
