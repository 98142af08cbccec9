"""Diagnosing in a real incident: without a drill, on any inventory, in seconds; changes nothing unless it is told to."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from drillbook.cli import conduct
from drillbook.cli.console import console, stdout
from drillbook.cli.views import Manner, Teller, program, tell_missed
from drillbook.diagnosis import scope
from drillbook.diagnosis import trees as source
from drillbook.diagnosis.ranking import HEALTHY, UNKNOWN, Suspect
from drillbook.diagnosis.run import Book, Diagnosis, examine
from drillbook.diagnosis.tree import Tree
from drillbook.engine.open_hosts import Hosts
from drillbook.errors import SecretError, UsageError
from drillbook.exits import Exit
from drillbook.inventory.inventory import CONTROLLER, Inventory, read_secret
from drillbook.plan import needed, spec
from drillbook.project.project import Project
from drillbook.redact import Redactor
from drillbook.report.figures import one_line
from drillbook.sdk.action import Context
from drillbook.sdk.host import Deadline
from drillbook.trust.items import SILENCING, Item
from drillbook.trust.standing import Trust
from drillbook.values import PATIENCE_S, Duration, Secret

EXIT = {HEALTHY: Exit.OK, UNKNOWN: Exit.UNVERIFIED}
"""Exit statuses; 1 when a cause was found."""
CLOSE_S = 1.0
KILL_S = 5.0
"""Seconds after the deadline in which the command of a secret is ended, on a machine that is busy: no orphan stays."""
Look = Callable[[Sequence[str], float], Diagnosis]


def diagnose(
    project: Project,
    service: str,
    inventory_name: str,
    within: str,
    *,
    as_json: bool = False,
    apply: bool = False,
    confirm: str = "",
) -> int:
    """Diagnose a service, or all that are meant to run, and show the causes: 0 healthy, 1 a cause was found, 3 unknown.

    All of it, secrets and connections too, ends after the duration ``within``, whatever hangs. With ``apply``
    the remedy of the likeliest cause is carried out once somebody has agreed, and the status is that of its run.
    """
    begun, deadline = time.monotonic(), Deadline.after(_seconds(within))
    inventory = project.inventory(inventory_name)
    book = Book(trees(project), inventory)
    names = scope.around(inventory.services, service) if service else scope.everything(inventory.services)
    if not names:
        raise UsageError(
            f"the inventory {inventory_name} has no service that could be examined",
            hint=f"describe your services in inventory/{inventory_name}.yml; see docs/inventories.md",
        )
    applied = {case.tree.tree: case.tree for case in scope.cases(book.trees, inventory.services, names)}
    used = needed.of_trees(applied.values(), inventory, names)
    trust = Trust(project, inventory_name)
    left = trust.of_diagnosis(inventory, applied.values(), used)
    barred = [one.where for one in left if one.kind in SILENCING]
    late = _unread(inventory.secrets_of(used), deadline) if not barred else []
    trust.bar(inventory)
    book = replace(book, barred={one.key[1:]: trust.doubt for one in left})
    with looking(book, used, redacted=not (late or barred)) as look:
        found = look(names, 0.0 if late or barred else deadline.remaining())
    found = _unsure(found, [*_said(left, trust.doubt), *late], round(time.monotonic() - begun, 3))
    if apply:
        return _apply(project, found, project.inventory(inventory_name), confirm)
    if as_json:
        stdout().write(json.dumps(found.model_dump(mode="json"), indent=2) + "\n")
    else:
        show(found, inventory, console())
    return EXIT.get(found.found, Exit.FAILED)


def _said(left: Sequence[Item], why: str) -> list[str]:
    """Messages about the items that were left out."""
    return [
        f"{one.where}: {one.kind} could not be looked at and was left out, since {why}: {one.text}; see `{program()} trust`"
        for one in left
    ]


def _unsure(found: Diagnosis, doubts: Sequence[str], seconds: float) -> Diagnosis:
    """``found`` with ``doubts`` about it: where there is one, nothing is called healthy."""
    name = UNKNOWN if doubts and found.found == HEALTHY else found.found
    return found.model_copy(update={"found": name, "why": (*doubts, *found.why), "seconds": seconds})


def trees(project: Project) -> tuple[Tree, ...]:
    """The trees of the project. Raises UsageError when it has none, SpecError for one that is wrong."""
    folder = project.root / "drills" / source.FOLDER
    found = source.load_all(folder)
    if not found:
        raise UsageError(f"there are no diagnosis trees in {folder}", hint="see docs/diagnosis.md")
    return found


def _seconds(within: str) -> float:
    try:
        seconds = float(Duration.parse(within))
    except ValueError as error:
        raise UsageError(f"--within: {error}", hint="write a duration, such as 20s") from None
    if not 0 < seconds <= 600:
        raise UsageError(f"--within is more than 0 and at most 10m, not {within}")
    return seconds


def _unread(secrets: Mapping[str, Secret], deadline: Deadline) -> list[str]:
    """Read all ``secrets`` at once; what is to be said of those that hang until the deadline. Raises SecretError."""
    read: list[str] = []
    failed: list[SecretError] = []

    def reveal(place: str, secret: Secret) -> None:
        try:
            read_secret(place, secret, min(PATIENCE_S, deadline.remaining()))
            read.append(place)
        except SecretError as error:
            if deadline.remaining():
                failed.append(error)

    threads = [threading.Thread(target=reveal, args=pair, name="secret", daemon=True) for pair in secrets.items()]
    for thread in threads:
        thread.start()
    for secret, thread in zip(secrets.values(), threads, strict=True):  # a command that hangs is ended at the deadline
        thread.join(max(0.0, deadline.at + (KILL_S if secret.source == "command" else 0.0) - time.monotonic()))
    if failed:
        raise failed[0]
    return [
        f"the secret {one.of} could not be read in time; nothing was asked, since nothing could be redacted"
        for place, one in secrets.items()
        if place not in read
    ]


@contextmanager
def looking(book: Book, used: Collection[str] | None = None, *, redacted: bool = True) -> Iterator[Look]:
    """What diagnoses services within so many seconds, over connections that end with it. Raises SecretError.

    The secrets of the services ``used`` are read, ``None``: of all. Unless ``redacted``, none is, and nothing may be asked.
    """
    redactor = Redactor(())
    if redacted:
        known = book.inventory.services if used is None else used
        redactor.learn(*book.inventory.revealed(known, redactor.learn))
    hosts = Hosts(lambda name: conduct.connect(book.inventory, name))
    with tempfile.TemporaryDirectory(prefix="drillbook-diagnose-") as folder:

        def look(names: Sequence[str], within_s: float) -> Diagnosis:
            ctx = Context(
                run_id=conduct.new_run_id("diagnosis"),
                step="diagnose",
                host=hosts.get(CONTROLLER),
                services=book.inventory.services,
                host_named=hosts.get,
                deadline=Deadline.after(within_s),
                folder=Path(folder),
                redactor=redactor,
                book=book,
            )
            return examine(ctx, book, names, within_s)

        try:
            yield look
        finally:
            # A host that hangs may hang in its goodbye too.
            closing = threading.Thread(target=hosts.close, daemon=True)
            closing.start()
            closing.join(CLOSE_S)


def _apply(project: Project, found: Diagnosis, inventory: Inventory, confirm: str) -> int:
    """Carry out the remedy of the likeliest cause as a run of its own: journalled, locked, guarded, and verified."""
    out = console()
    show(found, inventory, out)
    step = found.ranked[0].step if found.ranked else None
    if step is None:
        out.print(
            Text(
                "nothing was applied: "
                + ("no cause was found" if not found.ranked else f"the remedy of {found.ranked[0].cause} is for a person")
            )
        )
        return EXIT.get(found.found, Exit.FAILED)
    if not _agreed(step):
        out.print(Text("nothing was applied"))
        return 1
    with tempfile.TemporaryDirectory(prefix="drillbook-remedy-") as folder:
        path = Path(folder) / f"remedy-{found.ranked[0].cause}.yml"
        path.write_text(_written(path.stem, found.ranked[0], step, inventory), encoding="utf-8")
        drill = spec.load(path, project.root / "drills" / source.FOLDER)
    teller = Teller(Manner.FULL)
    with teller.watching() as observer:
        conductor = conduct.Conductor(project, inventory, observer, confirm)
        run, view = conductor.run(conductor.plans(drill)[0])
    teller.end(view, str(run / "report.html"), newest=True)
    tell_missed(conductor.missed)
    return view.result.exit


def _agreed(step: dict[str, Any]) -> bool:
    """Has somebody agreed to carry out ``step``? Raises UsageError where nobody can be asked."""
    assumed = os.environ.get("DRILLBOOK_ASSUME", "")
    if assumed:
        return assumed == "yes"
    if not sys.stdin.isatty():
        raise UsageError("nobody can be asked whether to apply the remedy", hint="add `--assume yes`")
    stdout().write(f"carry out {json.dumps(step, ensure_ascii=False)}? [y/N] ")
    stdout().flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _written(name: str, suspect: Suspect, step: dict[str, Any], inventory: Inventory) -> str:
    """The drill that carries out a remedy and then looks whether all is well; JSON is YAML without surprises."""
    healthy = {"diagnosis.finds": {"service": suspect.service, "cause": HEALTHY}, "every": "2s", "timeout": "60s"}
    return json.dumps(
        {
            "drill": name,
            "title": f"Remedy of {suspect.cause}: {one_line(suspect.title)}"[:200],
            "service": suspect.service,
            "guard": {"environments": [inventory.environment]},
            "restore": [step],
            "verify": [healthy],
        },
        ensure_ascii=False,
    )


def show(found: Diagnosis, inventory: Inventory, out: Console) -> None:
    """Print a diagnosis for a person."""
    made = sum(check.status == "made" for check in found.checks)
    out.print(
        Text(
            f"examined: {', '.join(found.examined)}; {made} of {len(found.checks)} checks were made "
            f"in {found.seconds:.1f} s",
            style="dim",
        )
    )
    if found.found == HEALTHY:
        _healthy(found, out)
        return
    for number, suspect in enumerate(found.ranked, 1):
        _suspect(number, suspect, out)
    if not found.ranked:
        out.print(Text("? unknown: no cause was found, and it cannot be said that all is well", style="bold yellow"))
    for doubt in [one for one in found.why if not found.ranked or "could not be looked at" in one]:
        out.print(Padding(Text(f"? {one_line(doubt)}", style="yellow"), (0, 0, 0, 2), expand=False))
    _contacts(found, inventory, out)


def _contacts(found: Diagnosis, inventory: Inventory, out: Console) -> None:
    """Whom the likeliest cause's remedy names; where it names nobody, all contacts of the inventory."""
    named = found.ranked[0].contacts if found.ranked else ()
    if inventory.contacts and not named:
        out.print(Text("contacts", style="bold"))
    for name in named or inventory.contacts:
        contact = inventory.contacts[name]
        words = [word for word in (contact.role, contact.duty, contact.email, contact.phone) if word]
        line = f"{name}: {one_line(', '.join(words))}"
        shown = Text(f"call: {line}", style="cyan") if named else Text(line)
        out.print(Padding(shown, (0, 0, 0, 3 if named else 2), expand=False))


def _healthy(found: Diagnosis, out: Console) -> None:
    """Say that all is well, and on what that does not rest."""
    groups = {
        "not called for": [one for one in found.checks if one.status == "left out"],
        "not made": [one for one in found.checks if one.status == "not made"],
        "without the wanted answer": [one for one in found.checks if one.status == "made" and not one.ok],
    }
    if not any(groups.values()):
        out.print(Text("✓ healthy: every check was made, and none found anything wrong", style="green"))
        return
    out.print(Text("✓ healthy: no check that was made found anything wrong", style="green"))
    for word, checks in groups.items():
        if checks:
            named = ", ".join(f"{one.check} of {one.subject}" for one in checks)
            out.print(Padding(Text(f"{word}: {one_line(named)}", style="dim"), (0, 0, 0, 2), expand=False))


def _suspect(number: int, suspect: Suspect, out: Console) -> None:
    out.print(
        Text(f"{number}. {suspect.cause}: {one_line(suspect.title)}", style="bold red" if number == 1 else "bold")
        + Text(f"  ({suspect.impact}, {suspect.subject}, weight {suspect.score})", style="dim")
    )
    lines = [(f"+ {one_line(one.says)}", "") for one in suspect.supports]
    lines += [(f"- {one_line(one.says)}", "dim") for one in suspect.against]
    if number == 1:
        lines.append((f"remedy: {one_line(suspect.remedy)}", "cyan"))
    for line, style in lines:
        out.print(Padding(Text(line, style=style), (0, 0, 0, 3), expand=False))
