"""Information about a run from other files in its folder, when its journal is damaged, empty or missing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drillbook.journal.journal import FILE
from drillbook.journal.json_values import json_object
from drillbook.journal.run_files import ATTESTATION, RESULT
from drillbook.language.lists import listed
from drillbook.sdk.run_names import RUN_ID

MOST_NAMES = 3


def lost(folder: Path) -> str:
    """Return a text that tells how a journal was lost (emptied or removed).

    The text is empty when the journal has a complete first line.

    A run's folder is created only after the first event is in its journal. So if a folder has no event, its journal was lost.
    """
    return "" if _begun(folder) else how_lost(folder)


def how_lost(folder: Path) -> str:
    """Return a text that tells how the journal was lost. Call this function only when the journal has no complete first line:
    unlike ``lost``, it does not check this.
    """
    path = folder / FILE
    state = "is gone" if not path.exists() else "contains no line" if path.stat().st_size else "is empty"
    if signed := signed_events(folder):
        return f"{signed} events were signed, but the journal {state}"
    beside = _beside(folder)
    if not beside:
        return f"the journal {state}, and the folder has no other files, so the actions of the run are unknown"
    return f"the journal {state}, but other files show that the run had begun: {listed(beside, MOST_NAMES)}"


def signed_events(folder: Path) -> int:
    """Return the number of events that the attestation of a run covers. Returns 0 if there is no valid attestation
    file.
    """
    events = _object(folder / ATTESTATION).get("events")
    return events if isinstance(events, int) and events > 0 else 0


def settled(content: Mapping[str, Any]) -> bool:
    """Return True when the run's result file says one of two things: no changes remain, or a person declared that the
    remaining changes need no undo. ``content``: content of the file, empty when it cannot be read.
    """
    return content.get("residue") == [] or bool(content.get("settled"))


def is_suite(folder: Path) -> bool:
    """Return True when a folder without a journal belongs to a suite. The attestation or the result in the folder shows this."""
    return any("suite" in _object(folder / name) for name in (ATTESTATION, RESULT))


def drills_in(folder: Path) -> list[Path]:
    """Return the folders of the runs inside the folder of a suite, oldest first.

    Runs whose journal was removed are included.
    """
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_dir()
        and not path.is_symlink()
        and not path.name.startswith(".")
        and ((path / FILE).exists() or (RUN_ID.fullmatch(path.name) and lost(path)))
    )


def _begun(folder: Path) -> bool:
    """Return True when the journal has a complete first line, or when the journal cannot be read."""
    try:
        with (folder / FILE).open("rb") as file:
            return file.readline().endswith(b"\n")
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _beside(folder: Path) -> list[str]:
    """Return the names of the files in the folder.

    The journal and hidden files are left out. The stop file is left out because it does not prove that a run existed.
    """
    try:
        return sorted(
            path.name for path in folder.iterdir() if path.name not in (FILE, "stop") and not path.name.startswith(".")
        )
    except OSError:
        return []


def _object(path: Path) -> dict[str, Any]:
    try:
        return json_object(path.read_bytes())
    except OSError:
        return {}
