"""Shows the result of a diagnosis on the terminal: the causes, the open questions, and what was not examined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType

from rich.console import Console
from rich.text import Text

from drillbook.cli.console import print_json
from drillbook.cli.fitting_parts import Part, counted, fitting
from drillbook.cli.open_runs import Changed
from drillbook.diagnosis.ranking import HEALTHY, Suspect
from drillbook.diagnosis.run import UNSEEN, CheckResult, Diagnosis
from drillbook.inventory.inventory import Inventory
from drillbook.language.lists import listed
from drillbook.report.figures import count, one_line
from drillbook.report.terminal.prose import Prose

MOST_NAMES = 6
"""Largest number of examined services that are named in the first line."""
MOST_SUBJECTS = 3
"""Largest number of services in the line that counts checks that did not run."""
MORE_LINES = 3
"""Number of lines that are kept free: for the last line, which counts what was left out, and for the line that the command printed
before the diagnosis.
"""


def show(
    diagnosis: Diagnosis,
    inventory: Inventory,
    out: Console,
    *,
    verbose: bool = False,
    beside: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Print the result of a diagnosis: the likeliest cause with its remedy and the contacts to call, then the other causes, the
    open questions and the contacts. ``beside``: services that were not examined, each with the reason.

    Unless ``verbose`` is true, the output fits the terminal. Observations about the other causes, checks that did not run and
    services that were not examined are then only counted.
    """
    if diagnosis.found == HEALTHY:
        out.print(_head(diagnosis, verbose=verbose))
        _healthy(diagnosis, out, verbose=verbose, whole=not beside)
        for line in _unexamined(beside):
            out.print(line)
        return
    parts = _parts(diagnosis, inventory, beside, verbose=verbose)
    kept, left = (parts, []) if verbose else fitting(parts, out, below=MORE_LINES)
    for part in kept:
        out.print(part.shown)
    if more := counted(left, {} if verbose else _summed_up(diagnosis, beside)):
        out.print(Prose(Text(f"-v also shows: {more}", style="dim"), 2))


def _summed_up(diagnosis: Diagnosis, beside: Mapping[str, str]) -> dict[str, int]:
    """Return what only the verbose output names: how many observations about other causes, checks and services."""
    others = sum(len(suspect.supports) + len(suspect.against) for suspect in diagnosis.ranked[1:])
    checks = len(_not_made(diagnosis)) if diagnosis.ranked else 0
    return {"observation": others, "check": checks, "service": len(beside)}


def _parts(diagnosis: Diagnosis, inventory: Inventory, beside: Mapping[str, str], *, verbose: bool) -> list[Part]:
    """Return the parts of the output about services that are not healthy, in the order in which they are printed."""
    parts = [Part(_head(diagnosis, verbose=verbose))]
    for number, suspect in enumerate(diagnosis.ranked, 1):
        parts += _suspect(number, suspect, inventory, verbose=verbose)
    if not diagnosis.ranked:
        said = (
            "no cause was found, but some checks could not confirm that the services are healthy"
            if diagnosis.checks
            else "nothing was examined (see `Diagnosis` in the documentation)"
        )
        parts.append(Part(Prose(Text(f"? unknown: {said}", style="bold yellow"), 0)))
    parts += _doubts(diagnosis, verbose=verbose)
    if verbose:
        parts += [Part(line) for line in _unexamined(beside)]
        parts += map(Part, _checks("skipped, not needed", _left_out(diagnosis)))
        parts += map(Part, _checks("not made", _not_made(diagnosis)))
    elif beside:
        parts.append(Part(_doubt(f"not examined: {count(len(beside), 'service')}"), 3))
    return parts + _contacts(diagnosis, inventory)


def _doubts(diagnosis: Diagnosis, *, verbose: bool) -> list[Part]:
    """Return the parts about open questions. If a cause was found, these are only checks and commands that did not run.

    Unless ``verbose`` is true, checks that did not run are counted by service when a cause was found. Otherwise, checks of a
    service that did not run for the same reason share one part.
    """
    doubts = [doubt for doubt in diagnosis.why if not diagnosis.ranked or UNSEEN in doubt]
    if verbose:
        return [Part(_doubt(doubt)) for doubt in doubts]
    checks_by_reason: dict[tuple[str, str], list[str]] = {}
    parts: list[Part] = []
    for doubt in doubts:
        check, unseen, reason = doubt.partition(f" {UNSEEN}: ")
        subject, colon, name = check.partition(": ")
        if unseen and colon:
            checks_by_reason.setdefault((subject, reason), []).append(name)
        else:
            parts.append(Part(_doubt(doubt), 2, "open question"))
    if diagnosis.ranked:
        numbers = Counter(check.subject for check in _not_made(diagnosis))
        told = [f"{count(number, 'check')} of {subject}" for subject, number in numbers.items()]
        return [*parts, *([Part(_doubt(f"{listed(told, MOST_SUBJECTS)} could not be made"), 3)] if told else [])]
    return parts + [
        Part(_doubt(f"{subject}: {listed(names, 1)} {UNSEEN}: {reason}"), 1, "open question")
        for (subject, reason), names in checks_by_reason.items()
    ]


def _doubt(text: str) -> Prose:
    return Prose(Text(f"? {one_line(text)}", style="yellow"), 2)


def _head(diagnosis: Diagnosis, *, verbose: bool) -> Prose:
    """Return the line about the examined services and the number of checks. Many services are only counted, unless ``verbose`` is
    true.
    """
    numbers = Counter(check.status for check in diagnosis.checks)
    names = diagnosis.examined
    examined = ", ".join(names) if verbose or len(names) <= MOST_NAMES else count(len(names), "service")
    ran = f"{numbers['made']} of {len(diagnosis.checks)} checks ran in {diagnosis.seconds:.1f} s"
    words = {"left out": "not needed here", "not made": "could not be made"}
    rest = "".join(f", {numbers[status]} {said}" for status, said in words.items() if numbers[status])
    return Prose(Text(f"examined: {examined}; {ran}{rest}", style="dim"))


def as_json(
    diagnosis: Diagnosis,
    _inventory: Inventory,
    _out: Console,
    *,
    beside: Mapping[str, str],
    unfinished: Sequence[Changed] = (),
) -> None:
    """Print the result of a diagnosis as JSON, with the services that were not examined, and the ``unfinished`` runs."""
    more = {"not_examined": dict(beside), "unfinished": [asdict(run) for run in unfinished]}
    print_json(diagnosis.model_dump(mode="json") | more)


def _unexamined(beside: Mapping[str, str]) -> list[Prose]:
    """Return lines about the services that were not examined, grouped by the reason."""
    return [
        _doubt(f"not examined: {', '.join(name for name, said in beside.items() if said == reason)} ({reason})")
        for reason in dict.fromkeys(beside.values())
    ]


def _contacts(diagnosis: Diagnosis, inventory: Inventory) -> list[Part]:
    """Return the parts about all contacts of the inventory. The list is empty if the remedy of the likeliest cause names
    contacts.
    """
    if not inventory.contacts or (diagnosis.ranked and diagnosis.ranked[0].contacts):
        return []
    lines = [Part(Prose(Text(_contact(name, inventory)), 2), 4, "contact") for name in inventory.contacts]
    return [Part(Text("contacts", style="bold")), *lines]


def _contact(name: str, inventory: Inventory) -> str:
    contact = inventory.contacts[name]
    words = [word for word in (contact.role, contact.duty, contact.email, contact.phone) if word]
    return f"{name}: {one_line(', '.join(words))}"


def _healthy(diagnosis: Diagnosis, out: Console, *, verbose: bool, whole: bool) -> None:
    """Print that the services are healthy. Count the checks that were not needed, that could not be made, and that had an
    unexpected answer. If ``verbose`` is true, name them. ``whole``: False if the inventory has services that were not
    examined.
    """
    lists = {
        "skipped, not needed": _left_out(diagnosis),
        "not made": _not_made(diagnosis),
        "unexpected answer": [check for check in diagnosis.checks if check.status == "made" and not check.ok],
    }
    word = "healthy" if whole else "the examined services are healthy"
    if not any(lists.values()):
        out.print(Text(f"✓ {word}: every check ran, and none found a problem", style="green"))
        return
    out.print(Text(f"✓ {word}: no check that ran found a problem", style="green"))
    if verbose:
        for said, checks in lists.items():
            for line in _checks(said, checks):
                out.print(line)
    else:
        told = "; ".join(f"{said}: {count(len(checks), 'check')}" for said, checks in lists.items() if checks)
        out.print(Prose(Text(f"{told}; -v names them", style="dim"), 2))


def _left_out(diagnosis: Diagnosis) -> list[CheckResult]:
    return [check for check in diagnosis.checks if check.status == "left out"]


def _not_made(diagnosis: Diagnosis) -> list[CheckResult]:
    """Return all checks that could not be made, also those that a diagnosis tree marks as optional."""
    return [check for check in diagnosis.checks if check.status == "not made"]


def _checks(word: str, checks: Sequence[CheckResult]) -> list[Prose]:
    """Return a line with the names of ``checks`` after ``word``. The list is empty if there are no checks."""
    named = ", ".join(f"{check.check} of {check.subject}" for check in checks)
    return [Prose(Text(f"{word}: {one_line(named)}", style="dim"), 2)] if checks else []


def _suspect(number: int, suspect: Suspect, inventory: Inventory, *, verbose: bool) -> list[Part]:
    """Return the parts about a cause. The likeliest cause has its remedy and the contacts to call. Unless ``verbose`` is true, the
    observations are shown only for the likeliest cause.
    """
    head = Text(f"{number}. {suspect.cause}: {one_line(suspect.title)}", style="bold red" if number == 1 else "bold")
    head += Text(f"  ({suspect.impact}, {suspect.subject}, weight {suspect.score})", style="dim")
    parts = [Part(Prose(head), 0 if number == 1 else 2, "cause")]
    if number == 1 or verbose:
        seen = [(f"+ {one_line(seen.says)}", "") for seen in suspect.supports]
        seen += [(f"- {one_line(seen.says)}", "dim") for seen in suspect.against]
        parts += [Part(Prose(Text(line, style=style), 3), 1, "observation") for line, style in seen]
    if number == 1:
        said = [f"remedy: {one_line(suspect.remedy)}", *(f"call: {_contact(name, inventory)}" for name in suspect.contacts)]
        parts += [Part(Prose(Text(line, style="cyan"), 3)) for line in said]
    return parts
