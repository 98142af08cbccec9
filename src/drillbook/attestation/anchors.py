"""Anchors: what was signed, noted outside ``reports/``, so that a roll-back or a removal of runs shows.

One line of JSON for each attestation, kept in one place or in several; see ``places``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drillbook.attestation import timestamps
from drillbook.attestation.format import CHECKPOINTS, FILE
from drillbook.attestation.places import AnchorProblem, Place, places
from drillbook.errors import UsageError
from drillbook.journal.journal import FILE as JOURNAL
from drillbook.values import canonical, digest

SCHEMA = "drillbook/anchor/1"


@dataclass(frozen=True, slots=True)
class Anchor:
    """State of one run or suite when it was attested."""

    run: str
    folder: str
    """Its folder, relative to the folder of reports."""
    events: int
    """Number of events of its journal; 0 for a suite."""
    head: str
    at: str
    source: str
    """The place that holds it."""
    content: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """All that its line says."""

    @property
    def rank(self) -> tuple[int, bool, str]:
        """Order among the anchors of one run: the one that says most is the last."""
        return self.events, timestamps.FIELD in self.content, self.at


@dataclass(frozen=True, slots=True)
class Known:
    """All that the anchors of a folder of reports know."""

    runs: Mapping[str, Anchor] = field(default_factory=dict)
    """The newest anchor of each run and suite."""
    counts: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """Number of runs that each place knows, and the time of its newest anchor."""
    unread: tuple[str, ...] = ()
    """Places that could not be read, each with the reason."""
    doubts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Why the anchor of a run proves less than it should, by run."""


def note(folder: Path, reports: Path, content: Mapping[str, Any]) -> list[str]:
    """Note the attestation that was just written in ``folder`` in every place; returns what could not be done."""
    said: dict[str, Any] = {
        "schema": SCHEMA,
        "run": content["run"],
        "folder": relative(folder, reports),
        "events": content.get("events") or 0,
        "head": content.get("head") or "",
        "occasion": content["occasion"],
        "at": content["at"],
        "attestation": digest((folder / FILE).read_bytes()),
    }
    failed: list[str] = []
    if content["occasion"] not in CHECKPOINTS and (url := timestamps.authority()):
        try:
            said[timestamps.FIELD] = timestamps.ask(url, canonical(said))
        except timestamps.NoTimestamp as problem:
            failed.append(str(problem))
    try:
        kept_in = places(reports)
    except UsageError as error:
        return [*failed, error.message]
    for place in kept_in:
        try:
            place.add(said["run"], said["events"], canonical(said) + b"\n")
        except AnchorProblem as problem:
            failed.append(str(problem))
    return failed


def relative(folder: Path, reports: Path) -> str:
    """The folder of a run, relative to the folder of reports."""
    whole, outer = folder.resolve(), reports.resolve()
    return whole.relative_to(outer).as_posix() if whole.is_relative_to(outer) else folder.name


def told(run: str, folder: str, events: int, head: str, at: str) -> str:
    """A line of a message that is an anchor wherever that message is kept."""
    return (
        "anchor: "
        + canonical({"schema": SCHEMA, "run": run, "folder": folder, "events": events, "head": head, "at": at}).decode()
    )


def known(kept_in: Iterable[Place]) -> Known:
    """All that the anchors in ``kept_in`` know; lines that cannot be read, as of a torn write, are left out."""
    runs: dict[str, Anchor] = {}
    counts: dict[str, tuple[int, str]] = {}
    unread: list[str] = []
    doubts: dict[str, list[str]] = {}
    for place in kept_in:
        try:
            held = place.read()
        except AnchorProblem as problem:
            unread.append(str(problem))
            continue
        mine = _newest(one for line in held.lines if (one := _anchor(line, place.source)))
        if mine:
            counts[place.source] = (len(mine), max(one.at for one in mine.values()))
        runs = _newest([*runs.values(), *mine.values()])
        for run, why in held.doubts.items():
            doubts.setdefault(run, []).append(why)
    return Known(runs, counts, tuple(unread), {run: tuple(why) for run, why in doubts.items()})


def _newest(anchors: Iterable[Anchor]) -> dict[str, Anchor]:
    """The newest anchor of each run; of equal ones the last."""
    found: dict[str, Anchor] = {}
    for one in anchors:
        if one.run not in found or one.rank >= found[one.run].rank:
            found[one.run] = one
    return found


def _anchor(line: bytes, source: str) -> Anchor | None:
    """The anchor that a line holds, also behind other text, as in a message that was kept."""
    try:
        text = line.decode()
        content, _ = json.JSONDecoder().raw_decode(text, text.index("{"))
        if content["schema"] != SCHEMA:
            return None
        return Anchor(
            str(content["run"]),
            str(content["folder"]),
            int(content["events"]),
            str(content["head"]),
            str(content["at"]),
            source,
            content,
        )
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def present(anchor: Anchor, reports: Path) -> bool:
    """Does something lie where the run or suite was, and no link to something else?"""
    place = reports / anchor.folder
    if place.is_symlink() or place.parent.is_symlink():
        return False
    return (place / JOURNAL).is_file() if anchor.events else place.is_dir()


def differs(anchor: Anchor, hashes: Sequence[str]) -> str:
    """Say why a journal, by the hashes of its events, is not the anchored one; empty when it is, or continues it."""
    if not anchor.events:
        return ""
    if len(hashes) < anchor.events:
        return (
            f"{anchor.source} knows {anchor.events} events of it, as of {anchor.at}, and {len(hashes)} are there: its "
            "end was cut off, or an older copy was put in its place"
        )
    if hashes[anchor.events - 1] != anchor.head:
        return (
            f"{anchor.source} knows event {anchor.events - 1} of it, as of {anchor.at}, with another hash: the "
            "journal was written anew"
        )
    return ""
