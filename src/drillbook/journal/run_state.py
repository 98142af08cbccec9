"""State of a run, derived from the files in its folder, above all from its journal. The journal is read and verified only
once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from drillbook.errors import JournalError
from drillbook.events.event import Event, last
from drillbook.journal import damaged, journal
from drillbook.journal.journal import FILE, History


def needs_recovery(history: History) -> bool:
    """Return True for a run that did not end, and for a run that ended with changes that were not undone."""
    from drillbook.events.runs import Ended  # noqa: PLC0415  slow to load

    end = last(history.events, Ended)
    return end is None or bool(end[1].residue)


@dataclass(frozen=True)
class RunState:
    """State of the run in ``folder``.

    Each property is computed at its first use and then cached. So make a new object after the run has changed.
    """

    folder: Path

    @cached_property
    def alive(self) -> bool:
        """True while a process of this machine writes the journal."""
        return journal.alive(self.folder)

    @cached_property
    def settled(self) -> bool:
        """True when the run's result file says one of two things: no changes remain, or a person declared that the remaining
        changes need no undo.
        """
        return damaged.settled(self.folder)

    @cached_property
    def lost(self) -> str:
        """Text that tells how the journal was lost (emptied or removed). Empty when the journal has a complete first line."""
        return damaged.lost(self.folder)

    @cached_property
    def data(self) -> bytes:
        """Bytes of the journal. Raises JournalError when the journal cannot be read."""
        _ = self.alive  # tested before reading: if the run has ended, the journal read afterwards is complete
        return journal.content_of(self.folder / FILE)

    @cached_property
    def _read(self) -> tuple[History, str]:
        """Return the intact part of the journal, and the damage of the journal."""
        if self.lost:
            return History((), torn=False), self.lost
        try:
            return journal.parse(self.folder / FILE, self.data)
        except JournalError as error:
            return History((), torn=False), error.message

    @property
    def damage(self) -> str:
        """Text that describes a broken line, or an empty or missing journal. When every line is intact, the text is empty."""
        return self._read[1]

    @property
    def events(self) -> tuple[Event, ...]:
        """All events of the journal. In a damaged journal, only the events before the damage."""
        return self._read[0].events

    @property
    def history(self) -> History:
        """The whole journal. Raises JournalError when the journal is damaged."""
        if self.damage:
            raise JournalError(self.damage)
        return self._read[0]

    @property
    def first(self) -> Mapping[str, Any]:
        """First event of the journal as a mapping. Empty when its line is damaged or missing."""
        return self.events[0].model_dump() if self.events else {}

    @property
    def needs_recovery(self) -> bool:
        """True when the run did not end, or did not undo all its changes.

        Only the intact part of its journal is considered.
        """
        return needs_recovery(self._read[0])

    @property
    def open(self) -> bool:
        """True when the run needs a recovery. Normally the journal shows this; see ``needs_recovery``.

        A damaged journal does not show how the run ended. The value is then True, unless ``settled`` is true.
        """
        return not self.settled if self.damage else self.needs_recovery
