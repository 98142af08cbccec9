"""Shows the result of a diagnosis on the terminal: the causes, the open questions, and what was not examined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType

from rich.console import Console
from rich.text import Text

from drillbook.cli.open_runs import Changed
from drillbook.cli.tables import print_json
from drillbook.diagnosis.ranking import HEALTHY, Suspect
from drillbook.diagnosis.run import UNSEEN, CheckResult, Diagnosis
from drillbook.inventory.inventory import Inventory
from drillbook.report.figures import count, one_line
from drillbook.report.terminal.prose import Prose


def show(
    diagnosis: Diagnosis,
    inventory: Inventory,
    out: Console,
    *,
    verbose: bool = False,
    beside: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Print the result of a diagnosis: the causes with their evidence, the open questions, and the contacts to call. The
    checks that were not needed are named only when ``verbose`` is true. ``beside``: services that were not examined, each
    with the reason.
    """
    numbers = Counter(check.status for check in diagnosis.checks)
    ran = f"{numbers['made']} of {len(diagnosis.checks)} checks ran in {diagnosis.seconds:.1f} s"
    words = {"left out": "not needed here", "not made": "could not be made"}
    rest = "".join(f", {numbers[status]} {said}" for status, said in words.items() if numbers[status])
    out.print(Text(f"examined: {', '.join(diagnosis.examined)}; {ran}{rest}", style="dim"))
    if diagnosis.found == HEALTHY:
        _healthy(diagnosis, out, verbose=verbose, whole=not beside)
        _unexamined(beside, out)
        return
    for number, suspect in enumerate(diagnosis.ranked, 1):
        _suspect(number, suspect, out)
    if not diagnosis.ranked:
        said = (
            "no cause was found, but some checks could not confirm that the services are healthy"
            if diagnosis.checks
            else "nothing was examined (see `Diagnosis` in the documentation)"
        )
        out.print(Prose(Text(f"? unknown: {said}", style="bold yellow"), 0))
    for doubt in [reason for reason in diagnosis.why if not diagnosis.ranked or UNSEEN in reason]:
        out.print(Prose(Text(f"? {one_line(doubt)}", style="yellow"), 2))
    _unexamined(beside, out)
    if verbose:
        _checks("skipped, not needed", _left_out(diagnosis), out)
    _contacts(diagnosis, inventory, out)


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


def _unexamined(beside: Mapping[str, str], out: Console) -> None:
    """Print the services that were not examined, grouped by the reason. Print nothing if there are none."""
    for reason in dict.fromkeys(beside.values()):
        names = ", ".join(name for name, said in beside.items() if said == reason)
        out.print(Prose(Text(f"? not examined: {one_line(names)} ({one_line(reason)})", style="yellow"), 2))


def _contacts(diagnosis: Diagnosis, inventory: Inventory, out: Console) -> None:
    """Print the contacts that the remedy of the likeliest cause names. If the remedy names no contacts, print all
    contacts of the inventory.
    """
    named = diagnosis.ranked[0].contacts if diagnosis.ranked else ()
    if inventory.contacts and not named:
        out.print(Text("contacts", style="bold"))
    for name in named or inventory.contacts:
        contact = inventory.contacts[name]
        words = [word for word in (contact.role, contact.duty, contact.email, contact.phone) if word]
        line = f"{name}: {one_line(', '.join(words))}"
        shown = Text(f"call: {line}", style="cyan") if named else Text(line)
        out.print(Prose(shown, 3 if named else 2))


def _healthy(diagnosis: Diagnosis, out: Console, *, verbose: bool, whole: bool) -> None:
    """Print that the services are healthy. List the checks that could not be made, and the checks with an unexpected answer.
    If ``verbose`` is true, name the checks that were not needed; otherwise only count them. ``whole``: False if the
    inventory has services that were not examined.
    """
    skipped = _left_out(diagnosis)
    not_made = [check for check in diagnosis.checks if check.status == "not made"]
    unexpected = [check for check in diagnosis.checks if check.status == "made" and not check.ok]
    word = "healthy" if whole else "the examined services are healthy"
    if not (skipped or not_made or unexpected):
        out.print(Text(f"✓ {word}: every check ran, and none found a problem", style="green"))
        return
    out.print(Text(f"✓ {word}: no check that ran found a problem", style="green"))
    if skipped and not verbose:
        number = count(len(skipped), "check")
        out.print(Prose(Text(f"skipped, not needed: {number}; --verbose names them", style="dim"), 2))
    _checks("skipped, not needed", skipped if verbose else [], out)
    _checks("not made", not_made, out)
    _checks("unexpected answer", unexpected, out)


def _left_out(diagnosis: Diagnosis) -> list[CheckResult]:
    return [check for check in diagnosis.checks if check.status == "left out"]


def _checks(word: str, checks: Sequence[CheckResult], out: Console) -> None:
    """Print the names of ``checks`` after ``word``. Print nothing if there are none."""
    if checks:
        named = ", ".join(f"{check.check} of {check.subject}" for check in checks)
        out.print(Prose(Text(f"{word}: {one_line(named)}", style="dim"), 2))


def _suspect(number: int, suspect: Suspect, out: Console) -> None:
    out.print(
        Text(f"{number}. {suspect.cause}: {one_line(suspect.title)}", style="bold red" if number == 1 else "bold")
        + Text(f"  ({suspect.impact}, {suspect.subject}, weight {suspect.score})", style="dim")
    )
    lines = [(f"+ {one_line(seen.says)}", "") for seen in suspect.supports]
    lines += [(f"- {one_line(seen.says)}", "dim") for seen in suspect.against]
    if number == 1:
        lines.append((f"remedy: {one_line(suspect.remedy)}", "cyan"))
    for line, style in lines:
        out.print(Prose(Text(line, style=style), 3))
