"""Rows of the audit's list of evidence: the journal of each run and the run that confirms it."""

from __future__ import annotations

from dataclasses import dataclass

from drillbook.audit.chain import Chain
from drillbook.audit.records import Record
from drillbook.audit.run_rows import CLOSED, RECOVERED, recover
from drillbook.judge.verdicts import UNFINISHED
from drillbook.report.figures import utc_minute

NO_END = "chain intact, but without the end of the run"
"""State of the journal of a run that has no event for its end, for example because its controller died."""


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
    recovered: str = ""
    """Time at which the newest recovery ended, which continued the journal. It is empty if there is none."""

    @property
    def told(self) -> str:
        """State with the time of the recovery, or with the command that recovers an unfinished run."""
        if self.recovered:
            return self.state.replace(" since", f" since, {utc_minute(self.recovered)} UTC", 1)
        return f"{self.state}; recover it: {recover(self.run)}" if UNFINISHED in self.state else self.state


def evidence_row(record: Record, followed: Chain) -> EvidenceRow:
    """Return the row of one run in the audit's list of evidence. ``followed``: chain of all runs. For each run, it names
    the previous run. It also names the later run whose journal contains a hash of the run, and so confirms the run.
    """
    link = followed.links[record.folder]
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
        _state(record),
        0 if record.damage else len(record.hashes),
        head,
        record.sha256,
        record.size,
        link.before,
        anchor,
        record.recovered,
    )


def _state(record: Record) -> str:
    words = ["damaged" if record.damage else "whole" if record.finished or record.in_progress else NO_END]
    if record.recovered:
        words.append(CLOSED if record.result and record.result.settled else RECOVERED)
    elif not record.finished and not record.damage:
        words.append("in progress" if record.in_progress else UNFINISHED)
    return ", ".join([*words, *(["last line torn"] if record.torn else [])])
