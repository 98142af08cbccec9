"""Verification of an attestation's signature.

The file of the attestation is read once, so the verified bytes are the bytes that are used. The journal is read once, too,
because `RunState` keeps its content.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from drillbook.attestation.format import FILE, SIGNATURE, Statement, approved_with, parsed
from drillbook.journal.run_state import RunState
from drillbook.signing import keys
from drillbook.signing.keys import KeyProblem

FORBIDDEN_KEY = f"signed by a key that {keys.ALLOWED} does not allow"
UNKNOWN_KEY = "signed by an unknown key"
"""Beginnings of the sentences about a valid signature by a key that is not trusted."""


class State(StrEnum):
    """Result of examining the signature of an attestation."""

    VOUCHED = "vouched"
    ABSENT = "absent"
    """The folder has no attestation."""
    UNREADABLE = "unreadable"
    UNSIGNED = "unsigned"
    UNFIT = "unfit"
    UNTRIED = "untried"
    STRANGE = "strange"
    """The attestation is signed by a key that is not this machine's own, and the project has no list of allowed signers."""
    APPROVER = "approver"
    """The attestation is signed with the same key as the approval of the run."""
    FORBIDDEN = "forbidden"
    """The attestation is signed by a key that the project's list of allowed signers does not allow."""


@dataclass(frozen=True, slots=True)
class Attested:
    """Attestation of a folder, the state of its signature, and a sentence about the signature."""

    state: State
    said: str
    statement: Statement | None = None

    @property
    def vouched(self) -> Statement | None:
        """Content of the attestation if a trusted key signed it, otherwise None."""
        return self.statement if self.state is State.VOUCHED else None


def look(state: RunState, root: Path) -> Attested:
    """Read and verify the attestation of a run or suite. The trusted keys are those of the project ``root``.

    If the journal was not read yet, it is read after the attestation. So the bytes that are read contain all events that the
    attestation covers.
    """
    try:
        data = (state.folder / FILE).read_bytes()
    except FileNotFoundError:
        return Attested(
            State.ABSENT,
            (
                f"there is no {FILE}: this run has no trusted signature, and lines may have been cut from the end of its "
                "journal"
            ),
        )
    except OSError as error:
        return Attested(State.UNTRIED, f"{FILE} cannot be read: {error.strerror}")
    statement = parsed(data)
    if statement is None:
        return Attested(
            State.UNREADABLE, f"{FILE} is not a valid attestation: the file was changed, or has an unknown format"
        )
    _ = state.unreadable  # reads the whole journal, so that its first line need not be read twice
    return Attested(*_signature(state, data, statement, root), statement)


def _signature(state: RunState, data: bytes, statement: dict[str, Any], root: Path) -> tuple[State, str]:
    path = state.folder / SIGNATURE
    if not path.exists():
        why = "the signature was removed" if statement.get("key") else f"{statement.get('unsigned') or 'no reason is given'}"
        return State.UNSIGNED, f"the attestation is not signed: {why}"
    try:
        fingerprint = keys.signer(data, path)
        if not fingerprint:
            return State.UNFIT, "the signature does not match: the attestation was changed after it was signed"
        if fingerprint == approved_with(state):
            return (
                State.APPROVER,
                f"signed only with the key that approved the run, {fingerprint}; this is no independent signature",
            )
        return who(data, path, root, fingerprint, str(statement.get("at")))
    except KeyProblem as problem:
        return State.UNTRIED, f"the signature could not be checked: {problem}"
    except OSError as error:
        return State.UNTRIED, f"the signature cannot be read: {error.strerror}"


def who(data: bytes, signature: Path, root: Path, fingerprint: str, at: str) -> tuple[State, str]:
    """Decide if the key with this ``fingerprint``, which made a valid signature, is trusted. Return the state, and a sentence
    about the key.
    """
    allowed = root / keys.ALLOWED
    if allowed.is_file() and (name := keys.principal(data, signature, allowed, at)):
        return State.VOUCHED, f"signed by {name}, who is listed in {keys.ALLOWED} ({fingerprint})"
    try:
        own = keys.chosen(root)
        if own.exists() and keys.fingerprint(keys.public_of(own)) == fingerprint:
            return State.VOUCHED, f"signed with this machine's own key {own} ({fingerprint})"
    except KeyProblem:
        pass
    if allowed.is_file() and keys.names_signers(allowed):
        return State.FORBIDDEN, f"{FORBIDDEN_KEY}: {fingerprint}"
    return State.STRANGE, (f"{UNKNOWN_KEY}: {fingerprint}; if you trust this key, add the key to {keys.ALLOWED}")
