"""Comparing what was verified with anchors outside ``reports/``, which show a roll-back and the removal of newer runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from drillbook.attestation import anchors, timestamps
from drillbook.attestation.anchors import Anchor, Known
from drillbook.attestation.lines import walk
from drillbook.attestation.places import Place
from drillbook.attestation.verifying import Check, Mark, Verified
from drillbook.journal.journal import FILE
from drillbook.report.figures import count
from drillbook.report.folders import drill_of

WHAT = "anchor"


def compared(found: Verified, folder: Path, reports: Path, kept_in: Sequence[Place], *, asked: str) -> Verified:
    """Add what the anchors in ``kept_in`` say of a folder that was verified; ``asked`` is the name it was asked for by.

    Who asks for the newest run is told that a newer one is known, and not there. Nothing is added where no anchor knows it.
    Raises UsageError for root certificates of timestamps that cannot be read.
    """
    known = anchors.known(kept_in)
    inner = tuple(replace(one, checks=(*one.checks, *_of_run(folder / one.name, known))) for one in found.inner)
    newer = _newer(folder, reports, known, asked)
    unread = [Check(WHAT, Mark.UNKNOWN, one) for one in known.unread]
    return replace(found, checks=(*found.checks, *unread, *_of_run(folder, known), *newer), inner=inner)


def _of_run(folder: Path, known: Known) -> list[Check]:
    anchor = known.runs.get(folder.name)
    if anchor is None:
        return []
    return [
        *_of_journal(folder, anchor),
        *(Check(WHAT, Mark.UNKNOWN, one) for one in known.doubts.get(folder.name, ())),
        *_of_time(anchor),
    ]


def _of_time(anchor: Anchor) -> list[Check]:
    checker = timestamps.checker()
    if checker is None:
        return []
    doubt = checker.doubt(anchor.content)
    return [Check("timestamp", Mark.UNKNOWN if doubt else Mark.GOOD, doubt or f"an authority vouches for {anchor.at}")]


def _of_journal(folder: Path, anchor: Anchor) -> list[Check]:
    if not anchor.events:
        return []
    try:
        hashes = walk((folder / FILE).read_bytes()).hashes
    except OSError as error:
        return [Check(WHAT, Mark.UNKNOWN, f"{FILE} cannot be read: {error.strerror}")]
    if wrong := anchors.differs(anchor, hashes):
        return [Check(WHAT, Mark.WRONG, wrong)]
    return [Check(WHAT, Mark.GOOD, f"as {anchor.source} knows it, as of {anchor.at}")]


def _newer(folder: Path, reports: Path, known: Known, asked: str) -> list[Check]:
    """Runs newer than ``folder`` that an anchor knows and that are not there, where the newest was asked for."""
    drill = drill_of(folder.name)
    if asked not in ("", "latest", drill):
        return []
    gone = sorted(
        run
        for run, one in known.runs.items()
        if run > folder.name and not anchors.present(one, reports) and asked in ("", "latest", drill_of(run))
    )
    if not gone:
        return []
    return [
        Check(
            "newest",
            Mark.UNKNOWN,
            f"{known.runs[gone[-1]].source} knows {count(len(gone), 'newer run')} that "
            f"{'is' if len(gone) == 1 else 'are'} not there, the newest {gone[-1]}",
        )
    ]
