"""Rows of an audit about single runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from drillbook.audit.coverage import row_of
from drillbook.audit.records import Record, planned_services
from drillbook.installation.program_name import NEUTRAL, as_called
from drillbook.report import open_findings
from drillbook.report.figures import link
from drillbook.report.rows import findings_of, settled_rows, settled_sentence
from drillbook.report.wording import NOT_VERIFIED, without_body


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
    """Number of findings of medium severity or higher in a run that passed. It is empty when there are no such
    findings.
    """
    rpo_mark: str = ""
    """Mark beside an RPO with a reservation. The marks and their meanings are in ``report.remarks``."""
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

    @property
    def left(self) -> tuple[str, ...]:
        """Texts about the changes that the run did not undo.

        If a person stated that the changes need no undo, the statement is the last text.
        """
        return (*self.residue, *((self.closed,) if self.closed else ()))


def run_row(one: Record) -> RunRow:
    """Return the row of one run."""
    figures = {key: _figure(one, key) for key in ("rto", "rpo")}
    left = (
        tuple(f"{item.what} on {item.host}: {as_called(item.why, NEUTRAL)}" for item in one.result.residue)
        if one.result
        else ()
    )
    finished = (one.result.finished or "") if one.result else ""
    return RunRow(
        one.run,
        one.folder,
        one.started or "",
        finished,
        one.environment,
        one.service,
        one.drill,
        one.operator,
        one.verdict,
        left,
        without_body(as_called(one.reason, NEUTRAL)),
        closed=_closed(one),
        beside=open_findings.beside(one.verdict, findings_of(one.result)) if one.result else "",
        rpo_mark=row.mark if (row := row_of(one, "rpo")) else "",
        owner=str(one.plan.get("owner") or ""),
        owner_address=_owner_address(one),
        inventory=str((one.opening and one.opening.inventory) or ""),
        kind=_kind(one),
        routine=tuple((one.opening and one.opening.routine) or ()),
        **figures,
    )


def _kind(one: Record) -> str:
    written = planned_services(one).get(one.service)
    return str(written.get("kind") or "") if isinstance(written, dict) else ""


def _owner_address(one: Record) -> str:
    """Return the address of the owner's contact in the plan of the run."""
    inventory = one.plan.get("inventory")
    contacts = inventory.get("contacts") if isinstance(inventory, dict) else None
    contact = contacts.get(str(one.plan.get("owner"))) if isinstance(contacts, dict) else None
    return str(contact.get("email") or contact.get("phone") or "") if isinstance(contact, dict) else ""


def hrefs(rows: Iterable[RunRow], reports_path: str) -> dict[str, str]:
    """Return a link to the report of each run that ended. The key is the name of the run."""
    base = quote(reports_path)
    return {row.run: f"{base}/{folder}/report.html" for row in rows if row.finished and (folder := link(row.folder))}


def _closed(one: Record) -> str:
    """Return a person's statement that nothing is left to undo, and what the last check of each change found, as one text.

    The text is empty when nobody made a statement.
    """
    settled = one.result.settled if one.result else None
    return "; ".join((settled_sentence(settled), *settled_rows(settled))) if settled else ""


def _figure(one: Record, key: str) -> str:
    row = row_of(one, key)
    if row is None:
        return "not verified" if one.verdict == NOT_VERIFIED else "no objective"
    return row.listed
