"""Base of canaries of records, such as `http.canary`. The drill declares how a record is written, read and removed.

Every record contains a mark of the form ``drillbook-RUN-NUMBER``. The canary recognises its records by this mark. In a drill,
the placeholder ``${record}`` stands for the mark. Before the drill begins, the canary writes the record 0, reads it, removes
it, and reads again. This tries everything that the canary needs.
"""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Collection, Iterable
from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, DrillbookError, NotReady
from drillbook.language import placeholders
from drillbook.sdk.action import Context
from drillbook.sdk.probe import Canary
from drillbook.values import Duration

Every = Annotated[
    Duration, Field(gt=0, description="Time between two writes. The RPO cannot be measured more precisely than this.")
]
Timeout = Annotated[
    Duration,
    Field(gt=0, description="Time limit of a write. A record that was not acknowledged by then may or may not be stored."),
]
NAMES = ("record", "number", "run")
"""Names of the placeholders that a drill may write as ``${name}``: the mark of a record, its number, and the id of the run.
"""
OF_ONE = frozenset({"record", "number"})
UNRECORDED_S = 30.0
"""After a crash of the controller, the journal may lack the records that a canary wrote in the last seconds before the crash.
This is the largest number of these seconds. The journal contains all earlier records.
"""


def mark(run_id: str, number: int | str) -> str:
    """Return the mark of the record ``number``: the text by which it is recognised as a record of the run ``run_id``."""
    return f"drillbook-{run_id}-{number}"


def values(run_id: str, number: int | None) -> dict[str, str]:
    """Return the value of each placeholder in ``NAMES``. When ``number`` is None, return only the value of the placeholder `run`."""
    own = {} if number is None else {"record": mark(run_id, number), "number": str(number)}
    return {"run": run_id, **own}


def numbers_in(text: str, run_id: str) -> set[int]:
    """Return the numbers of all records of the run ``run_id`` whose marks (see ``mark``) are in ``text``."""
    return {int(digits) for digits in re.findall(rf"{re.escape(mark(run_id, ''))}(\d+)", text)}


def check_names(declared: object, what: str, *, also: Collection[str] = ()) -> None:
    """Raise ValueError when ``declared`` contains an unknown placeholder.

    ``what``: name of the parameter that holds ``declared``.
    """
    if unknown := sorted(placeholders.names(declared) - {*NAMES, *also}):
        known = ", ".join(f"${{{name}}}" for name in (*NAMES, *sorted(also)))
        raise ValueError(
            f"`{what}` contains ${{{unknown[0]}}}, which is not a known placeholder; the known ones are {known}"
        )


def of_one(declared: object) -> bool:
    """Return True when ``declared`` is about a single record, because it contains ``${record}`` or ``${number}``."""
    return bool(placeholders.names(declared) & OF_ONE)


class RecordCanary(Canary):
    """Base of canaries of numbered records. A subclass implements ``look``, ``erase``, and the properties below."""

    @property
    @abstractmethod
    def reads_each(self) -> bool:
        """True when each read finds a single record by its number. False when one read returns all records of the run."""

    @property
    @abstractmethod
    def erases_each(self) -> bool:
        """True when each removal removes a single record by its number. False when one removal removes all records of the
        run.
        """

    @abstractmethod
    def look(self, ctx: Context, number: int | None) -> set[int]:
        """Return the numbers of the records that are stored.

        When ``number`` is given, look only for this record. Raises CouldNotVerify when the records cannot be read.
        """

    @abstractmethod
    def erase(self, ctx: Context, number: int | None) -> None:
        """Remove the record ``number``. When ``number`` is None, remove all records of the run.

        Raises CouldNotVerify when the removal fails.
        """

    def prepare(self, ctx: Context) -> None:
        """Write, read and remove the record 0. Raises NotReady when one of these fails."""
        writer = self.writer(ctx)
        try:
            lost = writer.write(0)
        finally:
            writer.close()
        if lost:
            raise NotReady(
                f"{self.name()} cannot write: {lost.reason}", hint="check `write` of the probe, and that the service works"
            )
        if 0 not in self._tried(ctx):
            raise NotReady(
                f"{self.name()} wrote the record {mark(ctx.run_id, 0)}, but reading it back does not show it",
                hint="`read` must show every record that exists, with the text of ${record} that `write` stored",
            )
        try:
            self._erase(ctx, {0})
        except DrillbookError as error:
            hint = error.hint or "check `remove` of the probe, and that the service works"
            raise NotReady(f"{self.name()} cannot remove: {error.message}", hint=hint) from error
        if 0 in self._tried(ctx):
            raise NotReady(
                f"{self.name()} removed the record {mark(ctx.run_id, 0)}, but reading still shows it",
                hint="`remove` must remove what `write` stored, and `read` must not show removed records",
            )

    def _tried(self, ctx: Context) -> set[int]:
        try:
            return self._stored(ctx, [0])
        except CouldNotVerify as error:
            hint = error.hint or "check `read` of the probe, and that the service works"
            raise NotReady(f"{self.name()} cannot read: {error.message}", hint=hint) from error

    def survivors(self, ctx: Context) -> Iterable[int]:
        """Return the numbers of the records that exist now. Raises CouldNotVerify when the records cannot be read."""
        return sorted(self._stored(ctx, range(1, ctx.written + 1)) - {0})

    def _stored(self, ctx: Context, numbers: Iterable[int]) -> set[int]:
        """Return the numbers of the records that exist.

        If each read can look for a single record only, this method looks for the records in ``numbers``. Otherwise it reads
        all records of the run.
        """
        if not self.reads_each:
            return self.look(ctx, None)
        stored: set[int] = set()
        for number in numbers:
            ctx.deadline.check(f"reading the records of {self.name()}")
            stored |= self.look(ctx, number)
        return stored

    def _erase(self, ctx: Context, numbers: Iterable[int]) -> None:
        if not self.erases_each:
            self.erase(ctx, None)
            return
        for number in sorted(numbers):
            ctx.deadline.check(f"removing the records of {self.name()}")
            self.erase(ctx, number)

    def clean(self, ctx: Context) -> None:
        """Remove the records of this run, and check that none of them is left. Raises CouldNotVerify when some remain.

        A controller that crashed may have written more records than its journal shows. So this method also finds records
        that were written up to ``UNRECORDED_S`` seconds after the last record in the journal.
        """
        possible = range(ctx.written + math.ceil(UNRECORDED_S / self.every) + 1)
        if stored := self._stored(ctx, possible):
            self._erase(ctx, stored)
            if left := self._stored(ctx, sorted(stored)):
                raise CouldNotVerify(
                    f"{self.name()} removed its records, but {len(left)} are still there, such as {mark(ctx.run_id, min(left))}"
                )
