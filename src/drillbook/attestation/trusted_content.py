"""Examination of a run's or suite's folder before this process changes it, to find the content that a trusted key signed.

Only this signed content may be signed again. Anybody may have written the other content. So the reports show it, but it is
not signed. A recovery signs only the events that it adds, and lists older unsigned content in the attestation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drillbook.attestation import signature_check
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
from drillbook.attestation.signature_check import State
from drillbook.events.event import readable
from drillbook.events.runs import Ended, RecoveryStarted
from drillbook.journal.journal import FILE as JOURNAL
from drillbook.journal.lines import Chain
from drillbook.journal.run_files import RESULT
from drillbook.journal.run_state import RunState
from drillbook.language import lists
from drillbook.report.figures import count

MOST_NAMES = 3
DIED = "the controller of the run died, so some of the run's events have no trusted signature"
RUNNING = "the run is in progress, and will be signed when it ends"
"""Reason why events of a recovered run have no trusted signature: its controller died, and nobody can sign the last events of
a dead controller.
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """State of a run's or suite's folder before this process changes it: the content signed by a trusted key, and doubts."""

    doubt: str = ""
    """Contradiction between the folder and the attestation. It is empty when there is no contradiction.

    A folder with a contradiction is neither rendered nor signed.
    """
    unvouched: str = ""
    """Reason why the signature does not cover the whole folder. The reason is empty when the signature covers everything."""
    sealed: Statement | None = None
    """Attestation that a trusted key signed. It is None when there is no such attestation."""
    events: int = 0
    """Number of events that the attestation covers."""
    lines: int = 0
    """Number of intact lines of the journal."""
    files: frozenset[str] = field(default_factory=frozenset)
    """Names of the files that exist in the folder."""
    said: str = ""
    """Sentence about the trusted key that signed. It is empty when no trusted key signed."""

    @property
    def gaps(self) -> list[list[int]]:
        """Ranges of events that the attestation lists as unsigned, in its key ``unvouched``."""
        ranges = self.sealed.get("unvouched") if self.sealed else None
        return [list(gap) for gap in ranges] if isinstance(ranges, list) else []


def of_run(state: RunState, root: Path) -> Standing:
    """Examine the folder of a run, using the trusted keys of the project in ``root``.

    ``state`` contains the events that the caller later renders or signs, or whose changes the caller undoes. The journal is
    read again only if more events were signed after ``state`` was read; see ``_grown``.
    """
    attested = signature_check.look(state, root)
    files = names_in(state.folder)
    state = _grown(state, attested.statement)
    if error := state.unreadable:
        return Standing(doubt=f"{JOURNAL} cannot be read: {error.strerror}", files=files)
    journal = state.chain
    lines = len(journal.hashes)
    if why := _contradicted(state.folder, attested) or _discontinued(state, attested.statement):
        return Standing(doubt=why, lines=lines, files=files)
    sealed = attested.vouched
    if sealed is None:
        return Standing(unvouched=attested.said, lines=lines, files=files)
    events = int(sealed["events"])
    why = _beyond(journal, events)
    return Standing(unvouched=why, sealed=sealed, events=events, lines=lines, files=files, said=attested.said)


def _grown(state: RunState, sealed: Statement | None) -> RunState:
    """Return ``state``. If its run has written and signed more events since its journal was read, read the journal again and
    return the new state.

    The second reading is needed when a run ends during an audit of hundreds of runs. The audit reads the journal of a run
    before its attestation. The attestation then covers events that the journal did not have yet. The new state is used only
    if it continues the journal that was read first.
    """
    events, known = sealed.get("events") if sealed else None, state.chain.hashes
    if state.unreadable or not isinstance(events, int) or events <= len(known) or not _changed(state):
        return state
    later = RunState(state.folder)
    return later if later.chain.hashes[: len(known)] == known else state


def _changed(state: RunState) -> bool:
    try:
        return (state.folder / JOURNAL).stat().st_size != state.size
    except OSError:
        return True


def of_suite(state: RunState, root: Path) -> Standing:
    """Examine the folder of a suite. The folder counts as signed if three parts of it match the suite's attestation: the
    result, the evidence files, and the attestations of the drills.
    """
    attested = signature_check.look(state, root)
    files = names_in(state.folder)
    sealed = attested.vouched
    if sealed is None:
        return Standing(unvouched=attested.said, files=files)
    known = [(RESULT, dict(_reports(sealed)).get(RESULT, "")), *kept_names(sealed)]
    known += [(f"{run.get('folder')}/{FILE}", str(run.get("attestation"))) for run in members(sealed)]
    other = [name for name, wanted in known if not same(state, name, wanted)]
    why = f"differs from the attestation: {names(other)}" if other else ""
    return Standing(unvouched=why, sealed=sealed, files=files, said=attested.said)


def names(listed: Sequence[str]) -> str:
    """Return a text with the names at the beginning of ``listed``, and the number of the other names."""
    return lists.listed(listed, MOST_NAMES)


def members(sealed: Statement) -> list[dict[str, Any]]:
    """Return the entries for the drills in a suite's attestation."""
    return [run for run in sealed.get("runs") or () if isinstance(run, dict)]


def _reports(sealed: Statement) -> list[tuple[str, str]]:
    return [(name, known) for name, known in signed_names(sealed) if name in RENDERED]


def _contradicted(folder: Path, attested: signature_check.Attested) -> str:
    """Return a sign of tampering with the attestation itself, such as a removed signature. The result is empty if there
    is no such sign.
    """
    if attested.state is State.ABSENT:
        return "the attestation was removed" if (folder / SIGNATURE).exists() else ""
    if attested.state is State.UNREADABLE:
        return f"{FILE} cannot be read"
    if attested.state is State.UNFIT:
        return "the signature of the attestation does not match"
    sealed = attested.statement or {}
    if attested.state is State.UNSIGNED and sealed.get("key") and sealed.get("occasion") not in CHECKPOINTS:
        # If the writer died at a checkpoint, it perhaps died before it wrote the signature.
        return "the signature of the attestation was removed"
    return ""


def _discontinued(state: RunState, sealed: Statement | None) -> str:
    """Return the reason why the journal or an evidence file contradicts an attestation. ``sealed``: content of the
    attestation. The result is empty when there is no contradiction.
    """
    if sealed is None:
        return ""
    events, head, hashes = sealed.get("events"), sealed.get("head"), state.chain.hashes
    if not isinstance(events, int) or not 0 < events <= len(hashes) or hashes[events - 1] != head:
        return "the journal does not continue the attested journal"
    return next(
        (f"{name} differs from the attested file" for name, known in kept_names(sealed) if not same(state, name, known)),
        "",
    )


def _beyond(journal: Chain, events: int) -> str:
    """Describe the journal lines after the signed events. ``events``: number of signed events.

    The description gives the number of these lines, or says that the last line is damaged. It is empty if the journal
    ends with the last signed event.
    """
    if len(journal.hashes) > events:
        return f"{count(len(journal.hashes) - events, 'event')} after the signed events, from line {events + 1} on"
    if not journal.intact:
        return "the last line of the journal is torn or damaged"
    return ""


def died_before_it_signed(state: RunState, standing: Standing) -> str:
    """Return a sentence about the last events of a run whose controller died before it signed them. The sentence is empty in every
    other case: if the run is in progress, has ended or was recovered, and if it had signed nothing while it was in progress.
    """
    sealed, events = standing.sealed or {}, state.events
    beyond = _beyond(state.chain, standing.events)
    if state.alive or sealed.get("occasion") not in CHECKPOINTS or not beyond or standing.unvouched != beyond:
        return ""
    if any(isinstance(readable(event), (Ended, RecoveryStarted)) for event in events) or len(events) <= standing.events:
        return ""
    last = len(events) - standing.events
    told = (
        f"the last {last} events (from line {standing.events + 1} on), so they stay"
        if last > 1
        else "the last event, so it stays"
    )
    return f"the controller of this run died before it signed {told} unsigned"


def vouched_by(state: RunState, root: Path) -> tuple[str, str]:
    """Return two texts about the folder of a run or suite. One of them is empty.

    The first text is the reason why a trusted key did not sign the whole content of the folder. The second text is a sentence
    about the trusted key that signed the whole content.
    """
    standing = of_run(state, root) if (state.folder / JOURNAL).exists() else of_suite(state, root)
    if why := standing.doubt or standing.unvouched:
        return why, ""
    if standing.gaps:
        return RUNNING if state.alive else DIED, ""
    sealed = standing.sealed or {}
    other = [name for name, wanted in _reports(sealed) if not same(state, name, wanted)]
    other += sorted(standing.files - {name for name, _ in signed_names(sealed)})
    return (f"differs from the attestation: {names(other)}", "") if other else ("", standing.said)
