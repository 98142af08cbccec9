"""Comparing what was verified with anchors outside ``reports/``, which show a roll-back and the removal of newer runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from drillbook.attesting import anchors
from drillbook.attesting.anchors import Anchor
from drillbook.attesting.lines import walk
from drillbook.journal import FILE
from drillbook.report.figures import count
from drillbook.report.folders import drill_of
from drillbook.verifying import Check, Mark, Verified

WHAT = "anchor"


def compared(found: Verified, folder: Path, reports: Path, files: Sequence[Path], *, asked: str) -> Verified:
    """Add what the anchors in ``files`` say of a folder that was verified; ``asked`` is the name it was asked for by.

    Who asks for the newest run is told that a newer one is known, and not there. Nothing is added where no anchor knows it.
    """
    known = anchors.known(files)
    inner = tuple(replace(one, checks=(*one.checks, *_of_run(folder / one.name, known))) for one in found.inner)
    newer = _newer(folder, reports, known, asked)
    return replace(found, checks=(*found.checks, *_of_run(folder, known), *newer), inner=inner)


def _of_run(folder: Path, known: Mapping[str, Anchor]) -> list[Check]:
    anchor = known.get(folder.name)
    if anchor is None or not anchor.events:
        return []
    try:
        hashes = walk((folder / FILE).read_bytes()).hashes
    except OSError as error:
        return [Check(WHAT, Mark.UNKNOWN, f"{FILE} cannot be read: {error.strerror}")]
    if wrong := anchors.differs(anchor, hashes):
        return [Check(WHAT, Mark.WRONG, wrong)]
    return [Check(WHAT, Mark.GOOD, f"as {anchor.source} knows it, as of {anchor.at}")]


def _newer(folder: Path, reports: Path, known: Mapping[str, Anchor], asked: str) -> list[Check]:
    """Runs newer than ``folder`` that an anchor knows and that are not there, where the newest was asked for."""
    drill = drill_of(folder.name)
    if asked not in ("", "latest", drill):
        return []
    gone = sorted(run for run, one in known.items() if run > folder.name and not anchors.present(one, reports)
                  and asked in ("", "latest", drill_of(run)))
    if not gone:
        return []
    return [Check("newest", Mark.UNKNOWN, f"{known[gone[-1]].source} knows {count(len(gone), 'newer run')} that "
                  f"{'is' if len(gone) == 1 else 'are'} not there, the newest {gone[-1]}")]
