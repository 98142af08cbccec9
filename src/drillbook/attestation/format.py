"""The format of an attestation: its file, its signature, and the files of a run's folder that it covers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drillbook.journal.journal import FILE as JOURNAL
from drillbook.journal.run_files import ATTESTATION, RESULT
from drillbook.journal.run_state import RunState
from drillbook.language.lists import ranged
from drillbook.report import formats
from drillbook.values import digest

SCHEMA = "drillbook/attestation/1"
FILE = ATTESTATION
SIGNATURE = f"{ATTESTATION}.sig"
BEGIN, INJECT = "begin", "inject"
CHECKPOINTS = (BEGIN, INJECT)
"""Moments at which the journal of a run is signed before the run ends. Each signature covers all events that the
journal contains at that moment.
"""
RENDERED = formats.FILES
"""Names of the report files that are rendered from the journal alone."""
Statement = dict[str, Any]


def parsed(data: bytes) -> Statement | None:
    """Parse an attestation's JSON ``data``. Return None when the data is invalid."""
    try:
        statement = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return statement if isinstance(statement, dict) and statement.get("schema") == SCHEMA else None


def load(folder: Path) -> Statement | None:
    """Read the attestation in ``folder`` without checking its signature. Return None when the file is missing or unreadable."""
    try:
        return parsed((folder / FILE).read_bytes())
    except OSError:
        return None


def files_in(folder: Path) -> Iterator[Path]:
    """Yield the files of a run's folder that an attestation covers.

    Runs in a suite's folder are left out, because each has an attestation of its own.
    """
    for path in sorted(folder.iterdir()):
        if path.name in (FILE, SIGNATURE) or path.name.startswith(".") or path.is_symlink():
            continue
        if path.is_file():
            yield path
        elif path.is_dir() and not (path / JOURNAL).exists():
            yield from (file for file in sorted(path.rglob("*")) if file.is_file() and not file.is_symlink())


def names_in(folder: Path) -> frozenset[str]:
    """Return the names of the files from ``files_in``, relative to the folder."""
    return frozenset(path.relative_to(folder).as_posix() for path in files_in(folder))


def approved_with(state: RunState) -> str:
    """Return the fingerprint of the key that approved a run.

    The result is empty for a run without an approval, and for a suite.
    """
    data = state.first_line.get("data")
    approval = data.get("approval") if isinstance(data, dict) else None
    return str(approval.get("key", "")) if isinstance(approval, dict) else ""


def file_digest(path: Path) -> str:
    """Return the digest of a file, as ``sha256:`` and hexadecimal digits. Raises OSError when the file cannot be read."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def digest_in(state: RunState, name: str) -> str:
    """Return the digest of the file ``name`` in the folder of a run or suite. Raises OSError when the file cannot be read.

    This process has read the journal already, and shows what it has read. Therefore the digest of the journal is computed
    from the bytes that were read. The same applies to the result file, unless this file has changed since. In this case, it
    is read again.
    """
    if name == JOURNAL:
        if state.unreadable:
            raise state.unreadable
        return state.digest
    return digest(state.result.current().data) if name == RESULT else file_digest(state.folder / name)


def same(state: RunState, name: str, known: str) -> bool:
    """Return True when ``name`` is a file in the folder with the digest ``known``. A link does not count as a file."""
    try:
        return not (state.folder / name).is_symlink() and digest_in(state, name) == known
    except OSError:
        return False


def signed_names(statement: Statement) -> list[tuple[str, str]]:
    """Return the name and the digest of each file that ``statement`` covers."""
    files = statement.get("files")
    return (
        [(str(name), str(known.get("sha256")) if isinstance(known, dict) else "") for name, known in files.items()]
        if isinstance(files, dict)
        else []
    )


def kept_names(statement: Statement) -> list[tuple[str, str]]:
    """Return the name and the digest of each signed file that cannot be rendered again from the journal.

    Such a file is an evidence file, or holds an incomplete line of the journal.
    """
    return [(name, known) for name, known in signed_names(statement) if name not in (JOURNAL, *RENDERED)]


def line_ranges(gaps: Any) -> str:
    """Return text with the numbers of the journal lines for which an attestation does not vouch, such as ``4 to 6, 9``.
    ``gaps``: content of ``unvouched`` in the attestation, a list of pairs of event numbers. The first event has the number 0, and
    its line has the number 1. The result is empty if ``gaps`` has another form.
    """
    try:
        return ", ".join(ranged(first + 1, last + 1) for first, last in gaps)
    except (TypeError, ValueError):
        return ""
