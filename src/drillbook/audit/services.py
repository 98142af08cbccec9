"""Services of an audit: their names, and those that are exempt from drills."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from drillbook.audit.coverage import CoverageRow
from drillbook.report import open_findings
from drillbook.report.figures import count

EXEMPT_LEAD = (
    "No run drilled these services in the period. For each of them, the author of the inventory states why no drill is "
    "expected. Drillbook checks this statement only if the service is a backup: a run that passed must have restored the "
    "backup, and not one that a drill took."
)
ITS = ("its", "their")
"""Words for one backup, and for several."""


class Place(Protocol):
    """Protocol of a row that is about one service in one environment."""

    @property
    def service(self) -> str:
        """Name of the service."""

    @property
    def environment(self) -> str:
        """Name of the environment."""


def named(row: Place, rows: Sequence[Place]) -> str:
    """Return the name of a service, with its environment if ``rows`` have several environments."""
    return f"{row.service} in {row.environment}" if len({place.environment for place in rows}) > 1 else row.service


def exempt(covered: Sequence[CoverageRow]) -> list[tuple[str, list[str]]]:
    """Return the services that are exempt from drills and that no run drilled, as one list for each reason.

    The inventory states the reason for the exemption.
    """
    names_by_reason: dict[str, list[str]] = {}
    for row in covered:
        if row.left_out and not row.runs:
            names_by_reason.setdefault(row.left_out, []).append(named(row, covered))
    return sorted(names_by_reason.items())


def by_evidence(covered: Sequence[CoverageRow], names: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Group the services ``names``, which are exempt from drills, by the text that ``evidence_of`` returns for each.

    A backup can be such a service, too. Its text tells whether a run restored the backup and passed. The text of any other
    service is empty.
    """
    texts = {named(row, covered): evidence_of(row) for row in covered}
    names_by_text: dict[str, list[str]] = {}
    for name in names:
        names_by_text.setdefault(texts.get(name, ""), []).append(name)
    return sorted(names_by_text.items())


def evidence_of(row: CoverageRow) -> str:
    """Return a text that tells whether a run restored a backup and passed. It is for a backup that the inventory exempts from
    drills, because the drill of another service restores it. The result is empty for any other service, and for a backup
    of which the audit knows runs.
    """
    if not row.left_out or not row.backup_of or row.runs:
        return ""
    if row.by_drill:
        return (
            f"NOT confirmed (a run that began on {row.restored[:10]} restored the backup and passed, but with {row.taken}, "
            "so no routine backup was proven)"
        )
    if row.restored:
        taken = f", with {row.taken}" if row.taken else ""
        return f"confirmed (a run that began on {row.restored[:10]} restored the backup and passed{taken})"
    return "NOT confirmed (no run of the period restored the backup and passed, or a later run failed)"


def rehearsal(doubtful: Sequence[CoverageRow], catalog: str) -> str:
    """Return the next step for backups whose restore no run confirms: plan rehearsals, and repeat those that restored a backup of a
    drill. ``catalog``: command that lists shipped drills.
    """
    repeated = [row.service for row in doubtful if row.by_drill]
    again = "after the next routine backup"
    if len(repeated) == len(doubtful):
        return f"rehearse {open_findings.named(repeated)} again {again}"
    each = "each of these backups" if len(doubtful) > 1 else "this backup"
    step = f"plan a rehearsal that restores {each} (`{catalog}` lists shipped drills)"
    return step + (f"; for {open_findings.named(repeated)}, repeat it {again}" if repeated else "")


def exempt_sentence(covered: Sequence[CoverageRow]) -> str:
    """Return a sentence with the number of services that are exempt from drills and that no run drilled. The result is empty
    if there are none.
    """
    number = sum(bool(row.left_out) and not row.runs for row in covered)
    why = "a statement in the inventory" + (" or a retirement" if any(row.retired for row in covered) else "")
    return f"{count(number, 'service')} {'is' if number == 1 else 'are'} exempt from drills by {why}." if number else ""


def total(covered: Sequence[CoverageRow]) -> str:
    """Return a sentence that adds up the services: those to be drilled, and those that are exempt from drills. The sentence also
    tells of how many of the exempt services no run restored a routine backup. It is empty if no service is exempt.
    """
    exempt_rows = [row for row in covered if row.left_out and not row.runs]
    if not exempt_rows:
        return ""
    number, wanted = len(exempt_rows), len(covered) - len(exempt_rows)
    why = "a statement in the inventory" + (" or a retirement" if any(row.retired for row in covered) else "")
    text = (
        f"Of {count(len(covered), 'service')}, {_are(wanted)} to be drilled, and {_are(number)} exempt from drills by {why}"
    )
    if doubtful := sum(row.doubtful for row in covered):
        kind = "is a backup of another service" if doubtful == 1 else "are backups of other services"
        text += f"; {doubtful} of these {number} {kind}, and no run of the period confirms {ITS[doubtful > 1]} restore"
    return f"{text}."


def _are(number: int) -> str:
    return f"{number} {'is' if number == 1 else 'are'}"
