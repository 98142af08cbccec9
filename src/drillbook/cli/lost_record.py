"""Errors about runs whose journal or reports were lost. The message of such an error lists the changes that are still
in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from drillbook.errors import Unreported
from drillbook.judge.result import Residue


def unreported(folder: Path, error: OSError, residue: Sequence[Residue]) -> Unreported:
    """Return the error for a run whose reports cannot be written. ``residue``: changes that were not undone."""
    return Unreported(
        f"the report of {folder.name} cannot be written: {error.strerror or error}; {_state(residue)}",
        hint=f"make {folder.parent} writable again (if the disk is full, free some space), then: invoke drill.recover {folder.name}",
    )


def unrecorded(folder: Path, why: str, residue: Sequence[Residue]) -> Unreported:
    """Return the error for a run whose journal was removed or changed. ``residue``: changes that were not undone. The
    message of this error is the only record of these changes.
    """
    hint = (
        "no command can undo these changes any more: follow the instructions above by hand"
        if residue
        else "find out which files were changed and by whom"
    ) + f"; then move the remaining files of {folder} out of reports/"
    return Unreported(
        (f"the record of {folder.name} is lost: {why}; the actions of the run can no longer be verified; {_state(residue)}"),
        hint=hint,
    )


def _state(residue: Sequence[Residue]) -> str:
    left = "".join(f"\n{change.host}: {change.what}: {change.why}\n{change.by_hand}" for change in residue)
    return f"some changes could not be undone:{left}" if residue else "all changes were undone"
