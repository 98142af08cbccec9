"""Whose signature lies beside an attestation: the bytes are read once, and what was checked is what is then believed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from drillbook.attestation.format import FILE, SIGNATURE, Statement, approved_with, parsed
from drillbook.signing import keys
from drillbook.signing.keys import KeyProblem


class State(StrEnum):
    """Outcome of a look at a signature."""

    VOUCHED = "vouched"
    ABSENT = "absent"
    """There is no attestation."""
    UNREADABLE = "unreadable"
    UNSIGNED = "unsigned"
    UNFIT = "unfit"
    UNTRIED = "untried"
    STRANGE = "strange"
    """Signed by a key that nobody vouched for."""
    APPROVER = "approver"
    """Signed with the key that approved the run."""
    FORBIDDEN = "forbidden"
    """Signed by a key that the list of signers does not allow."""


@dataclass(frozen=True, slots=True)
class Attested:
    """The attestation of a folder, and what is to be said of its signature."""

    state: State
    said: str
    statement: Statement | None = None

    @property
    def vouched(self) -> Statement | None:
        """The statement, when a key that is vouched for signed it."""
        return self.statement if self.state is State.VOUCHED else None


def look(folder: Path, root: Path) -> Attested:
    """Read and check the attestation in ``folder``, by the keys that count in the project ``root``."""
    try:
        data = (folder / FILE).read_bytes()
    except FileNotFoundError:
        return Attested(
            State.ABSENT,
            f"there is no {FILE}: nobody vouches for this run, and lines may have been cut from the end of its journal",
        )
    except OSError as error:
        return Attested(State.UNTRIED, f"{FILE} cannot be read: {error.strerror}")
    statement = parsed(data)
    if statement is None:
        return Attested(State.UNREADABLE, f"{FILE} cannot be read: it was changed")
    return Attested(*_signature(folder / SIGNATURE, data, statement, root), statement)


def _signature(path: Path, data: bytes, statement: dict[str, Any], root: Path) -> tuple[State, str]:
    if not path.exists():
        why = "it was removed" if statement.get("key") else f"{statement.get('unsigned') or 'no reason is given'}"
        return State.UNSIGNED, f"the attestation is not signed: {why}"
    try:
        made_by = keys.signer(data, path)
        if not made_by:
            return State.UNFIT, "it does not fit: the attestation was changed after it was signed"
        if made_by == approved_with(path.parent):
            return State.APPROVER, f"signed with the key that approved the run, {made_by}: nobody else vouches for it"
        return who(data, path, root, made_by, str(statement.get("at")))
    except KeyProblem as problem:
        return State.UNTRIED, f"it could not be checked: {problem}"
    except OSError as error:
        return State.UNTRIED, f"it cannot be read: {error.strerror}"


def who(data: bytes, signature: Path, root: Path, made_by: str, at: str) -> tuple[State, str]:
    """Tell whose key made a signature that fits."""
    allowed = root / keys.ALLOWED
    if allowed.is_file() and (name := keys.principal(data, signature, allowed, at)):
        return State.VOUCHED, f"signed by {name}, whom {keys.ALLOWED} names ({made_by})"
    try:
        own = keys.chosen(root)
        if own.exists() and keys.fingerprint(keys.public_of(own)) == made_by:
            return State.VOUCHED, f"signed with this machine's own key {own} ({made_by})"
    except KeyProblem:
        pass
    if allowed.is_file() and keys.names_signers(allowed):
        return State.FORBIDDEN, f"signed by a key that {keys.ALLOWED} does not allow: {made_by}"
    return State.STRANGE, (f"signed by a key that nobody vouched for: {made_by}; if you know it, put it into {keys.ALLOWED}")
