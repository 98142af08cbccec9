"""Rows of an audit, one for each run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from drillbook.audit import run_evidence
from drillbook.audit.coverage import row_of
from drillbook.audit.records import IN_PROGRESS, Record, planned_services
from drillbook.installation.program_name import NEUTRAL, as_called
from drillbook.journal.run_files import PAGE
from drillbook.judge.verdicts import CONTROLLER_DIED, MISSED, UNFINISHED, Verdict, shown
from drillbook.language.lists import listed
from drillbook.report import earlier_losses, next_steps, open_findings, rehearsal_results, remarks
from drillbook.report.figures import count, link, utc_minute
from drillbook.report.rows import findings_of, settled_rows, settled_sentence
from drillbook.report.stop_words import in_words
from drillbook.report.wording import NOT_VERIFIED, without_body

RECOVERED, CLOSED = "recovered since", "closed since"
"""Words for a run that a later recovery completed, and for a run whose remaining changes a person closed."""

MOST_LEFT = 2
"""Largest number of runs that the sentence about changes that are not undone names."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run of the period."""

    run: str
    folder: str
    started: str
    finished: str
    environment: str
    service: str
    drill: str
    operator: str
    verdict: str
    residue: tuple[str, ...]
    reason: str
    rto: str
    rpo: str
    closed: str = ""
    """Statement that the run's remaining changes (residue) need no undo: the person, the time and the reason.

    The text is empty when nobody made a statement.
    """
    beside: str = ""
    """Text with the number of findings of medium severity or higher in the run. It is empty when there are no such findings, and
    for a run that never began.
    """
    rpo_mark: str = ""
    """Sign, such as ``†``, beside an RPO with a reservation. The signs and their meanings are in ``report.remarks``."""
    rto_state: str = ""
    rpo_state: str = ""
    """States of the objectives, which reports show as symbols. A state is empty if the run has no trustworthy measurement
    of the objective, for example because its drill does not set the objective.
    """
    owner: str = ""
    """Contact of the drill's owner. It is empty when the drill has no owner."""
    owner_address: str = ""
    """Email address, or otherwise phone number, of the owner. It is empty when the plan has no address of the owner."""
    inventory: str = ""
    """Name of the inventory, as the journal records it. It is empty in older journals."""
    kind: str = ""
    """Kind of the service in the inventory, such as ``postgres``. It is empty when it is unknown."""
    routine: tuple[str, ...] = ()
    """Drills of the project that restore a routine backup of the service, the most suitable first. A routine backup is
    taken by the usual schedule, not by a drill."""
    restoring: str = ""
    """Action of the last step that restored a backup. It is empty if no step did."""
    without_routine: bool = False
    """True for a run in a lab that has no routine backups of the service."""
    recovered: str = ""
    """Time at which a recovery of the run ended after the run itself. It is empty without such a recovery, and if a person
    stated that the remaining changes need no undo.
    """
    lost: str = ""
    """Data of the service that did not come back in the run or its recoveries, such as ``at least 12 rows lost``. It is empty if no
    such loss is known."""
    beside_verdict: str = ""
    """Sign and words beside the verdict *passed* of a rehearsal that restored no routine backup. Otherwise empty."""

    @property
    def rpo_told(self) -> str:
        """RPO with its mark and its state. The words for an RPO that was met with a reservation also say why it is not proven."""
        if self.rpo_state != remarks.RESERVED:
            return self.rpo + self.rpo_mark
        figure, _, said = self.rpo.rpartition(": ")
        return f"{figure}{self.rpo_mark}: {remarks.not_proven(self.rpo_mark, said)}"

    @property
    def shown(self) -> str:
        """Word for the verdict, which is ``unfinished`` for a run that still needs a recovery because its controller died."""
        return shown(self.verdict, self.reason, self.finished)

    @property
    def ended(self) -> str:
        """Verb with the verdict, such as ``ended failed``. It is ``began`` for a run that was in progress, and ``was left unfinished``
        for one that still needs a recovery because its controller died.
        """
        if self.reason == IN_PROGRESS:
            return "began"
        if self.shown == UNFINISHED:
            return f"was left {UNFINISHED}"
        return "was not run here" if self.verdict == Verdict.NOT_RUN else f"ended {self.verdict}"

    @property
    def later(self) -> str:
        """Text about the run after its own end: the time of its recovery and what is left to undo, or the command that recovers
        a run which still needs it. It is empty for every other run.
        """
        if self.recovered:
            lost = f", but {self.lost}" if self.lost and self._to_undo else ""
            return f"{RECOVERED}, {utc_minute(self.recovered)} UTC{self._to_undo}{lost}"
        if self.shown == UNFINISHED:
            return f"{UNFINISHED}; recover it: {recover(self.run)}"
        return ""

    @property
    def loss(self) -> str:
        """Data of the service that did not come back, if ``later`` does not tell it."""
        return "" if self.lost in self.later else self.lost

    @property
    def summed_up(self) -> str:
        """Reason of the verdict. For a run that was recovered since, the text also has the day of the recovery. Lost data is left
        out."""
        if not self.recovered:
            return self.reason
        reason = self.reason.partition(", ")[0] if self.reason == CONTROLLER_DIED else self.reason
        return f"{reason}; {RECOVERED}, {self.recovered[:10]}{self._to_undo}"

    @property
    def missed(self) -> str:
        """Objectives that the run missed, such as ``RTO``. It is empty if the run has another verdict, or another reason."""
        before, lead, names = self.reason.partition(MISSED)
        return names if lead and not before and self.verdict == Verdict.FAILED else ""

    @property
    def not_undone(self) -> str:
        """Text with the changes that are not undone. It names the recovery that did not undo them either."""
        after = f", also not by the recovery of {self.recovered[:10]}" if self.recovered else ""
        return f"changes that are not undone{after}: {'; '.join(self.residue)}"

    @property
    def _to_undo(self) -> str:
        if self.verdict == NOT_VERIFIED:
            return ""
        number = len(self.residue)
        left = f"{count(number, 'change')} {'is' if number == 1 else 'are'}" if number else "nothing is"
        return f": {left} left to undo"

    @property
    def left(self) -> tuple[str, ...]:
        """Texts about the changes that the run did not undo.

        If a person stated that the changes need no undo, the statement is the last text.
        """
        return (*self.residue, *((self.closed,) if self.closed else ()))


def recover(run: str) -> str:
    """Return the command that recovers ``run``, between backticks."""
    return f"`{NEUTRAL} drill.recover {run}`"


def run_row(record: Record, runs: Sequence[Record] = ()) -> RunRow:
    """Return the row of one run. ``runs``: all runs of the period, which tell whether a drill ran when a backup was taken."""
    figures = {key: _figure(record, key) for key in ("rto", "rpo")}
    left = (
        tuple(f"{item.what} on {item.host}: {as_called(item.why, NEUTRAL)}" for item in record.result.residue)
        if record.result
        else ()
    )
    finished = (record.result.finished or "") if record.result else ""
    restoring = next_steps.restoring(record.result.steps) if record.result else ""
    return RunRow(
        record.run,
        record.folder,
        record.started or "",
        finished,
        record.environment,
        record.service,
        record.drill,
        record.operator,
        record.verdict,
        left,
        without_body(as_called(in_words(record.reason), NEUTRAL)),
        closed=_closed(record),
        beside=open_findings.in_list(record.verdict, findings_of(record.result)) if record.result else "",
        rpo_mark=row.mark if (row := row_of(record, "rpo")) else "",
        owner=str(record.plan.get("owner") or ""),
        owner_address=_owner_address(record),
        inventory=str((record.opening and record.opening.inventory) or ""),
        kind=_kind(record),
        routine=tuple((record.opening and record.opening.routine) or ()),
        restoring=restoring,
        without_routine=next_steps.without_routine(record.plan, restoring),
        rto_state=_state(record, "rto"),
        rpo_state=_state(record, "rpo"),
        recovered="" if record.result and record.result.settled else record.recovered,
        lost=earlier_losses.of_result(record.result) if record.result else "",
        beside_verdict=_not_routine(record, runs),
        **figures,
    )


def _not_routine(record: Record, runs: Sequence[Record]) -> str:
    result = record.result
    if result is None or record.verdict != Verdict.PASSED:
        return ""
    during = not result.faults and run_evidence.taken_during_drill(record, runs)
    return remarks.AT_VERDICT if during else rehearsal_results.beside_verdict(result)


def _kind(record: Record) -> str:
    written = planned_services(record).get(record.service)
    return str(written.get("kind") or "") if isinstance(written, dict) else ""


def _owner_address(record: Record) -> str:
    """Return the address of the owner's contact in the plan of the run."""
    inventory = record.plan.get("inventory")
    contacts = inventory.get("contacts") if isinstance(inventory, dict) else None
    contact = contacts.get(str(record.plan.get("owner"))) if isinstance(contacts, dict) else None
    return str(contact.get("email") or contact.get("phone") or "") if isinstance(contact, dict) else ""


def hrefs(rows: Iterable[RunRow], reports_path: str) -> dict[str, str]:
    """Return a link to the report of each run that ended. The key of each entry is the name of the run."""
    base = quote(reports_path)
    return {row.run: f"{base}/{folder}/{PAGE}" for row in rows if row.finished and (folder := link(row.folder))}


def _closed(record: Record) -> str:
    """Return one text with a person's statement that nothing is left to undo. The text also contains the result of the last
    check of each change, and the locks and leases that remain.

    The text is empty when nobody made a statement.
    """
    settled = record.result.settled if record.result else None
    return "; ".join((settled_sentence(settled), *settled_rows(settled))) if settled else ""


def _figure(record: Record, key: str) -> str:
    """Return one text with the measured figure and the state of the objective ``key``.

    A rehearsal has no objectives. For a rehearsal, return the duration of the restore (``rto``) or the data that would be
    lost (``rpo``).
    """
    row = row_of(record, key)
    if row is not None:
        return row.listed
    if record.verdict == NOT_VERIFIED:
        return "not verified"
    result = record.result
    told = rehearsal_results.brief(result.steps, result.started, broken=bool(result.faults)) if result else None
    return told.listed(key) if told else "no objective"


def _state(record: Record, key: str) -> str:
    """Return the state of the objective ``key``, which reports show as a symbol. The state is ``NOT_VERIFIED`` if there is a
    figure that does not count, for example because the run did not pass. It is empty if there is no figure.
    """
    row = row_of(record, key)
    return "" if row is None else NOT_VERIFIED if row.uncounted else row.state


def counted(rows: Iterable[RunRow], order: Iterable[str]) -> str:
    """Return the number of runs with each verdict, such as ``6 passed, 1 unfinished``. ``order``: order of the words."""
    numbers = Counter(row.shown for row in rows)
    return ", ".join(f"{numbers[word]} {word}" for word in order if numbers[word])


def changes_left(rows: Sequence[RunRow]) -> str:
    """Return a sentence with the number and the names of the runs whose changes are not recorded as undone. It is empty if there
    are none.
    """
    left, closed = [row.run for row in rows if row.residue], sum(bool(row.closed) for row in rows)
    if not left:
        return ""
    by_person = f"; {closed} of them {'was' if closed == 1 else 'were'} closed by a named person" if closed else ""
    return f"{count(len(left), 'run')} left changes that are not recorded as undone ({listed(left, MOST_LEFT)}){by_person}."
