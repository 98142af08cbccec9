"""Comparison of a run's folder with anchors, to reveal removed events or runs.

An anchor is a copy of a journal's hashes outside of ``reports/``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from drillbook.attestation import anchor_lines, timestamps
from drillbook.attestation.anchor_lines import Anchor, Known
from drillbook.attestation.place_contract import Place
from drillbook.attestation.run_verification import Check, Mark, Verified
from drillbook.journal.journal import FILE
from drillbook.journal.run_state import RunState, RunStates
from drillbook.report.figures import count
from drillbook.sdk.run_names import drill_of

WHAT = "anchor"


def compared(
    verified: Verified, folder: Path, reports: Path, kept_in: Sequence[Place], runs: RunStates, *, asked: str
) -> Verified:
    """Compare the folder of a run or suite with the anchors in the places ``kept_in``. Return ``verified`` with the checks of
    this comparison added at the end.

    A journal is compared only if its run has an anchor. ``runs``: contains the journals, which were verified before.
    ``asked``: run that the user named on the command line. If the user asked for the newest run, newer runs that have an
    anchor but no folder are reported as missing. Raises UsageError when the root certificates of timestamps cannot be read.
    """
    known = anchor_lines.known(kept_in)
    inner = tuple(replace(run, checks=(*run.checks, *_of_run(runs.of(folder / run.name), known))) for run in verified.inner)
    newer = _newer(folder, reports, known, asked)
    unread = [Check(WHAT, Mark.UNKNOWN, doubt) for doubt in known.unread]
    return replace(verified, checks=(*verified.checks, *unread, *_of_run(runs.of(folder), known), *newer), inner=inner)


def _of_run(state: RunState, known: Known) -> list[Check]:
    run = state.folder.name
    anchor = known.runs.get(run)
    if anchor is None:
        return []
    return [
        *_of_journal(state, anchor),
        *(Check(WHAT, Mark.UNKNOWN, doubt) for doubt in known.doubts.get(run, ())),
        *_of_time(anchor),
    ]


def _of_time(anchor: Anchor) -> list[Check]:
    checker = timestamps.checker()
    if checker is None:
        return []
    doubt = checker.doubt(anchor.content)
    return [
        Check(
            "timestamp",
            Mark.UNKNOWN if doubt else Mark.GOOD,
            doubt or f"a time-stamp authority confirms that the anchor was made at {anchor.at}",
        )
    ]


def _of_journal(state: RunState, anchor: Anchor) -> list[Check]:
    if not anchor.events:
        return []
    if error := state.unreadable:
        return [Check(WHAT, Mark.UNKNOWN, f"{FILE} cannot be read: {error.strerror}")]
    if wrong := anchor_lines.differs(anchor, state.chain.hashes):
        return [Check(WHAT, Mark.WRONG, wrong)]
    return [Check(WHAT, Mark.GOOD, f"the journal matches the anchor made at {anchor.at}, from {anchor.source}")]


def _newer(folder: Path, reports: Path, known: Known, asked: str) -> list[Check]:
    """Report runs that are newer than the run in ``folder``, and that were deleted.

    A run was deleted if it has an anchor, but no folder. Newer runs matter only to a user who asks for the newest run. If
    the user asked for a certain run, the result is empty.
    """
    drill = drill_of(folder.name)
    if asked not in ("", "latest", drill):
        return []
    gone = sorted(
        run
        for run, anchor in known.runs.items()
        if run > folder.name and not anchor_lines.present(anchor, reports) and asked in ("", "latest", drill_of(run))
    )
    if not gone:
        return []
    return [
        Check(
            "newest",
            Mark.UNKNOWN,
            f"{known.runs[gone[-1]].source} has anchors of {count(len(gone), 'newer run')} that "
            f"{'is' if len(gone) == 1 else 'are'} missing here; the newest of them is {gone[-1]}",
        )
    ]
