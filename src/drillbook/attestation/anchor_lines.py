"""Anchors: for each run, the number of its events and the last hash of its journal, stored outside of ``reports/``.

Anchors reveal removed or changed journals. An anchor is one line of JSON, written with each attestation to one or
several places; see ``anchor_places``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drillbook.attestation import timestamps
from drillbook.attestation.anchor_places import places
from drillbook.attestation.format import CHECKPOINTS, FILE
from drillbook.attestation.place_contract import AnchorProblem, Place
from drillbook.errors import UsageError
from drillbook.journal.journal import FILE as JOURNAL
from drillbook.values import canonical, digest

SCHEMA = "drillbook/anchor/1"


@dataclass(frozen=True, slots=True)
class Anchor:
    """Number of events and last hash of a run's journal when the attestation of the run was written.

    A suite has no journal. Its anchor has 0 events, and shows only that the suite existed.
    """

    run: str
    folder: str
    """Folder of the run, relative to the folder of reports."""
    events: int
    """Number of events in the run's journal when the attestation was written. It is 0 for a suite."""
    head: str
    at: str
    source: str
    """Name of the place that stores the anchor."""
    content: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Parsed content of the anchor's line."""

    @property
    def of_suite(self) -> bool:
        """True for the anchor of a suite, whose folder has no journal of its own."""
        return not self.events

    @property
    def rank(self) -> tuple[int, bool, str]:
        """Sort key for the anchors of one run.

        The key has three items: the number of events, whether the anchor has a timestamp, and the anchor's time.
        """
        return self.events, timestamps.FIELD in self.content, self.at


@dataclass(frozen=True, slots=True)
class Known:
    """Anchors of all runs whose reports are in the project. They were read from all places that store anchors."""

    runs: Mapping[str, Anchor] = field(default_factory=dict)
    """Newest anchor of each run and suite. The key of each anchor is the name of the run."""
    counts: Mapping[str, tuple[int, int, str]] = field(default_factory=dict)
    """Counts for each place that stores anchors; the key of each entry is the name of the place. Each value has three items:
    the number of drill runs with an anchor there, the number of suite runs, and the time of the newest anchor there.
    """
    unread: tuple[str, ...] = ()
    """Messages about places that could not be read. Each message has the reason."""
    doubts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Reasons why an anchor is weak evidence, for example an object of a bucket without a lock. The key of
    each entry is the name of the anchor's run.
    """


def note(folder: Path, reports: Path, content: Mapping[str, Any]) -> list[str]:
    """Write an anchor, which contains the digest of a new attestation, to every place for anchors. Return messages about
    failures. ``folder``: folder of the run with the attestation."""
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
    """Return the path of a run's folder relative to ``reports``.

    If the folder is outside of ``reports``, return only its name.
    """
    whole, outer = folder.resolve(), reports.resolve()
    return whole.relative_to(outer).as_posix() if whole.is_relative_to(outer) else folder.name


def told(run: str, folder: str, events: int, head: str, at: str) -> str:
    """Format the fields of an anchor as one line of text. The line is added to a message to a contact, so that the
    contact also has a copy of the anchor."""
    return (
        "anchor: "
        + canonical({"schema": SCHEMA, "run": run, "folder": folder, "events": events, "head": head, "at": at}).decode()
    )


def known(kept_in: Iterable[Place]) -> Known:
    """Read the anchors in all places of ``kept_in``. Invalid lines, such as incomplete ones, are skipped."""
    runs: dict[str, Anchor] = {}
    counts: dict[str, tuple[int, int, str]] = {}
    unread: list[str] = []
    doubts: dict[str, list[str]] = {}
    for place in kept_in:
        try:
            held = place.read()
        except AnchorProblem as problem:
            unread.append(str(problem))
            continue
        mine = _newest(anchor for line in held.lines if (anchor := _anchor(line, place.source)))
        if mine:
            drills = sum(not anchor.of_suite for anchor in mine.values())
            counts[place.source] = (drills, len(mine) - drills, max(anchor.at for anchor in mine.values()))
        runs = _newest([*runs.values(), *mine.values()])
        for run, why in held.doubts.items():
            doubts.setdefault(run, []).append(why)
    return Known(runs, counts, tuple(unread), {run: tuple(why) for run, why in doubts.items()})


def _newest(anchors: Iterable[Anchor]) -> dict[str, Anchor]:
    """Select the anchor with the highest ``rank`` for each run. The keys of the result are the names of the runs.

    When several anchors of a run have the highest rank, the last of these in ``anchors`` is selected.
    """
    newest: dict[str, Anchor] = {}
    for anchor in anchors:
        if anchor.run not in newest or anchor.rank >= newest[anchor.run].rank:
            newest[anchor.run] = anchor
    return newest


def _anchor(line: bytes, source: str) -> Anchor | None:
    """Parse the anchor in ``line``. Return None if the line has no anchor.

    The line may contain other text before the anchor, such as a message.
    """
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
    """Return True when the folder of the anchor's run or suite still exists. A symbolic link does not count as a folder."""
    place = reports / anchor.folder
    if place.is_symlink() or place.parent.is_symlink():
        return False
    return (place / JOURNAL).is_file() if anchor.events else place.is_dir()


def differs(anchor: Anchor, hashes: Sequence[str]) -> str:
    """Return the reason why a journal contradicts the anchor. ``hashes``: hashes of the journal's events, in order.

    The result is empty if the journal contains the anchor's hash at the anchor's position.
    """
    if not anchor.events:
        return ""
    if len(hashes) < anchor.events:
        return (
            f"the anchor made at {anchor.at}, from {anchor.source}, records {anchor.events} events, but the journal has "
            f"{len(hashes)}: the end of the journal was cut off, or an older copy replaced the journal"
        )
    if hashes[anchor.events - 1] != anchor.head:
        return (
            f"the anchor made at {anchor.at}, from {anchor.source}, records line {anchor.events} of {len(hashes)} with another "
            "hash: the journal was rewritten"
        )
    return ""
