"""Find which part of a run's or a suite's folder a vouched key has signed, before anything is written there anew.

Only that may be signed again. What it does not cover was written by somebody, nobody can tell who: it is rendered, never
signed, and a recovery that signs its own events names it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drillbook.attestation import vouching
from drillbook.attestation.format import (
    CHECKPOINTS,
    FILE,
    RENDERED,
    SIGNATURE,
    Statement,
    kept_names,
    names_in,
    same,
    signed_names,
)
from drillbook.attestation.lines import Walk, walk
from drillbook.attestation.vouching import State
from drillbook.journal.journal import FILE as JOURNAL
from drillbook.report.figures import count

MOST_NAMES = 3


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of a folder before it is changed."""

    doubt: str = ""
    """Contradiction to its attestation: then it is neither rendered nor signed anew. Empty: there is none."""
    unvouched: str = ""
    """Why not all of it is covered; empty when it is."""
    sealed: Statement | None = None
    """The attestation that a vouched key signed."""
    events: int = 0
    """Number of events that it covers."""
    lines: int = 0
    """Number of lines of the journal."""
    files: frozenset[str] = field(default_factory=frozenset)
    """Names of the files that are there."""

    @property
    def gaps(self) -> list[list[int]]:
        """First and last number of events that the attestation itself says nobody vouches for."""
        found = self.sealed.get("unvouched") if self.sealed else None
        return [list(gap) for gap in found] if isinstance(found, list) else []


def of_run(folder: Path, root: Path) -> Standing:
    """The standing of the run in ``folder``."""
    attested = vouching.look(folder, root)
    files = names_in(folder)
    try:
        found = walk((folder / JOURNAL).read_bytes())
    except OSError as error:
        return Standing(doubt=f"{JOURNAL} cannot be read: {error.strerror}", files=files)
    lines = len(found.events)
    if why := _contradicted(folder, attested) or _discontinued(folder, attested.statement, found):
        return Standing(doubt=why, lines=lines, files=files)
    sealed = attested.vouched
    if sealed is None:
        return Standing(unvouched=attested.said, lines=lines, files=files)
    events = int(sealed["events"])
    return Standing(unvouched=_beyond(found, events), sealed=sealed, events=events, lines=lines, files=files)


def of_suite(folder: Path, root: Path) -> Standing:
    """The standing of the suite in ``folder``: covered only with its result and each of its drills as they were attested."""
    attested = vouching.look(folder, root)
    files = names_in(folder)
    sealed = attested.vouched
    if sealed is None:
        return Standing(unvouched=attested.said, files=files)
    known = [("result.json", dict(_reports(sealed)).get("result.json", "")), *kept_names(sealed)]
    known += [(f"{run.get('folder')}/{FILE}", str(run.get("attestation"))) for run in members(sealed)]
    other = [name for name, wanted in known if not same(folder / name, wanted)]
    why = f"{', '.join(other[:MOST_NAMES])}: not what was attested" if other else ""
    return Standing(unvouched=why, sealed=sealed, files=files)


def members(sealed: Statement) -> list[dict[str, Any]]:
    """Entries for the drills in the attestation of a suite."""
    return [run for run in sealed.get("runs") or () if isinstance(run, dict)]


def _reports(sealed: Statement) -> list[tuple[str, str]]:
    return [(name, known) for name, known in signed_names(sealed) if name in RENDERED]


def _contradicted(folder: Path, attested: vouching.Attested) -> str:
    """Why the attestation itself was tampered with; empty when it was not."""
    if attested.state is State.ABSENT:
        return "its attestation was removed" if (folder / SIGNATURE).exists() else ""
    if attested.state is State.UNREADABLE:
        return f"{FILE} cannot be read"
    if attested.state is State.UNFIT:
        return "the signature of its attestation does not fit"
    sealed = attested.statement or {}
    if attested.state is State.UNSIGNED and sealed.get("key") and sealed.get("occasion") not in CHECKPOINTS:
        return "the signature of its attestation was removed"  # of a checkpoint it may be missing: its writer died
    return ""


def _discontinued(folder: Path, sealed: Statement | None, found: Walk) -> str:
    """Why journal and evidence are not those that ``sealed`` tells of, or their continuation; or empty."""
    if sealed is None:
        return ""
    events, head = sealed.get("events"), sealed.get("head")
    if not isinstance(events, int) or not 0 < events <= len(found.hashes) or found.hashes[events - 1] != head:
        return "its journal does not continue the one that was attested"
    return next(
        (
            f"{name} is not the file that was attested"
            for name, known in kept_names(sealed)
            if not same(folder / name, known)
        ),
        "",
    )


def _beyond(found: Walk, events: int) -> str:
    """Why the journal holds more than the ``events`` that were signed; empty when it does not."""
    if len(found.events) > events:
        return f"{count(len(found.events) - events, 'event')} behind the signed ones, from event {events} on"
    if found.line or found.torn:
        return "its last line is torn or damaged"
    return ""


def vouched(folder: Path, root: Path) -> str:
    """Why nobody vouches for the run or suite in ``folder`` as it lies there; empty when a vouched key signed all of it."""
    standing = of_run(folder, root) if (folder / JOURNAL).exists() else of_suite(folder, root)
    if why := standing.doubt or standing.unvouched:
        return why
    if standing.gaps:
        return "nobody vouches for some of its events: its controller died"
    sealed = standing.sealed or {}
    other = [name for name, wanted in _reports(sealed) if not same(folder / name, wanted)]
    other += sorted(standing.files - {name for name, _ in signed_names(sealed)})
    return f"{', '.join(other[:MOST_NAMES])}: not what was attested" if other else ""
