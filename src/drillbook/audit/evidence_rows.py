"""Rows of the audit's list of evidence: the journal of each run and the run that confirms it."""

from __future__ import annotations

from dataclasses import dataclass

from drillbook.audit.chain import Chain
from drillbook.audit.records import Record


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """One journal: its digests, and its position in the chain of all runs."""

    run: str
    folder: str
    state: str
    events: int
    head: str
    sha256: str
    size: int
    before: str
    anchor: str


def evidence_row(record: Record, followed: Chain) -> EvidenceRow:
    """Return the row of one run in the audit's list of evidence. ``followed``: chain of all runs. For each run, it names
    the previous run. It also names the later run whose journal contains a hash of the run, and so confirms the run.
    """
    link = followed.links[record.folder]
    state = "damaged" if record.damage else "whole, unfinished" if not record.finished else "whole"
    state += ", last line torn" if record.torn else ""
    if record.damage:
        anchor = "cannot be checked: the journal is damaged"
    elif not link.anchored_events:
        anchor = "no later run"
    elif link.anchored_events == len(record.hashes):
        anchor = link.anchored_by
    else:
        anchor = f"{link.anchored_by}, up to line {link.anchored_events} of {len(record.hashes)}"
    head = record.hashes[-1] if record.hashes and not record.damage else "no trustworthy run"
    return EvidenceRow(
        record.run,
        record.folder,
        state,
        0 if record.damage else len(record.hashes),
        head,
        record.sha256,
        record.size,
        link.before,
        anchor,
    )
