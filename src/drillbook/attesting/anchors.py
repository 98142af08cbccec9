"""Anchors: what was signed, noted outside ``reports/``, so that a roll-back or a removal of runs shows.

One line of JSON for each attestation. By default they lie in the user's state folder; DRILLBOOK_ANCHOR names a second file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drillbook.attesting.format import FILE
from drillbook.journal import FILE as JOURNAL
from drillbook.values import canonical, digest

CHOICE = "DRILLBOOK_ANCHOR"
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
    """The file that holds it."""


def default(reports: Path) -> Path | None:
    """The anchor file of a folder of reports in the user's state folder; None where this user has none."""
    state = os.environ.get("XDG_STATE_HOME", "")
    try:
        folder = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    except RuntimeError:
        return None
    whole = reports.resolve()
    name = re.sub(r"[^A-Za-z0-9._-]", "-", whole.parent.name)[:40]
    return folder / "drillbook" / "anchors" / f"{name}-{hashlib.sha256(str(whole).encode()).hexdigest()[:16]}.jsonl"


def files(reports: Path) -> list[Path]:
    """The anchor files of a folder of reports: in the state folder, and the one that DRILLBOOK_ANCHOR names."""
    own, named = default(reports), os.environ.get(CHOICE, "")
    return [*([own] if own else []), *([Path(named).expanduser()] if named else [])]


def note(folder: Path, reports: Path, content: Mapping[str, Any]) -> str:
    """Note the attestation that was just written in ``folder``; returns what could not be written, or an empty text."""
    line = canonical({
        "schema": SCHEMA, "run": content["run"], "folder": _relative(folder, reports), "events": content.get("events") or 0,
        "head": content.get("head") or "", "occasion": content["occasion"], "at": content["at"],
        "attestation": digest((folder / FILE).read_bytes())}) + b"\n"
    failed = [f"the anchor {path} cannot be written: {error}" for path in files(reports) if (error := _append(path, line))]
    return "; ".join(failed)


def _relative(folder: Path, reports: Path) -> str:
    whole, outer = folder.resolve(), reports.resolve()
    return whole.relative_to(outer).as_posix() if whole.is_relative_to(outer) else folder.name


def _append(path: Path, line: bytes) -> str:
    """Append ``line`` to ``path``, on the disk when this returns; returns the reason when it could not."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        return str(error.strerror)
    return ""


def known(paths: Iterable[Path]) -> dict[str, Anchor]:
    """The newest anchor of each run in the files ``paths``; lines that cannot be read, as of a torn write, are left out."""
    found: dict[str, Anchor] = {}
    for path in paths:
        with suppress(OSError):
            for line in path.read_bytes().splitlines():
                one = _anchor(line, str(path))
                if one and (one.run not in found or one.events >= found[one.run].events):
                    found[one.run] = one
    return found


def _anchor(line: bytes, source: str) -> Anchor | None:
    try:
        content = json.loads(line)
        if content["schema"] != SCHEMA:
            return None
        return Anchor(str(content["run"]), str(content["folder"]), int(content["events"]), str(content["head"]),
                      str(content["at"]), source)
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
        return (f"{anchor.source} knows {anchor.events} events of it, as of {anchor.at}, and {len(hashes)} are there: its "
                "end was cut off, or an older copy was put in its place")
    if hashes[anchor.events - 1] != anchor.head:
        return (f"{anchor.source} knows event {anchor.events - 1} of it, as of {anchor.at}, with another hash: the "
                "journal was written anew")
    return ""
