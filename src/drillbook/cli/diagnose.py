"""Diagnoses a real incident within seconds, without a drill. Nothing is changed unless `apply` is given."""

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
from functools import partial
from pathlib import Path
from typing import Any

from rich.text import Text

from drillbook.cli import access, labs, open_runs, orchestration, run_identity, show_diagnosis
from drillbook.cli.console import console, stdout
from drillbook.cli.run_output import Manner, Teller, tell_missed
from drillbook.diagnosis import FOLDER, scope
from drillbook.diagnosis.ranking import HEALTHY, UNKNOWN, Suspect
from drillbook.diagnosis.run import UNSEEN, Book, Diagnosis, examine
from drillbook.diagnosis.tree import Tree
from drillbook.diagnosis.trees import load_all
from drillbook.engine.open_hosts import Hosts
from drillbook.errors import DrillbookError, SecretError, UsageError
from drillbook.exits import Exit
from drillbook.hosts.privileged import privileged
from drillbook.installation.program_name import program
from drillbook.inventory.inventory import CONTROLLER, Inventory, read_secret
from drillbook.journal.run_files import PAGE
from drillbook.plan import needed_services, privilege, spec
from drillbook.project.project import Project
from drillbook.redact import Redactor
from drillbook.report.figures import count, one_line
from drillbook.sdk.action import Context
from drillbook.sdk.host import Deadline, Host
from drillbook.trust.items import SILENCING, Item
from drillbook.trust.trust_state import Trust
from drillbook.values import PATIENCE_S, Duration, Secret

EXIT = {HEALTHY: Exit.OK, UNKNOWN: Exit.UNVERIFIED}
"""Exit statuses of the two results that name no cause. Any other result is the name of a cause, and its exit status is 1."""
CLOSE_S = 1.0
KILL_S = 5.0
"""Maximum time, in seconds, to wait after the deadline while hanging commands that print secrets are killed. Without this
wait, Drillbook could exit while such a command is still running.
"""
Look = Callable[[Sequence[str], float], Diagnosis]


def diagnose(
    project: Project,
    service: str,
    inventory_name: str,
    within: str,
    *,
    as_json: bool = False,
    verbose: bool = False,
    apply: bool = False,
    confirm: str = "",
) -> int:
    """Name the unfinished runs. Then diagnose one service, or all that should be running, and show the causes.

    Returns 0 when all services are healthy, 1 when a cause was found, and 3 when the result is unknown. All work, including
    reading secrets and connecting to hosts, ends after the duration ``within``. ``apply``: execute the remedy of the likeliest
    cause as a run, after a confirmation, and return the exit status of this run. ``verbose``: name skipped checks too.
    """
    begun, deadline = time.monotonic(), Deadline.after(_seconds(within))
    unfinished = _unfinished(project, as_json=as_json and not apply)
    inventory = project.inventory(inventory_name)
    book = Book(trees(project), inventory)
    names = _announced(_names(inventory, service, inventory_name), quiet=as_json and not apply)
    applied = {case.tree.tree: case.tree for case in scope.cases(book.trees, inventory.services, names)}
    used = needed_services.of_trees(applied.values(), inventory, names)
    trust = Trust(project, inventory_name)
    left = trust.of_diagnosis(inventory, applied.values(), used)
    barred = [item.where for item in left if item.kind in SILENCING]
    with labs.start_hinted(project, inventory.lab):
        late = [] if barred else _unread(inventory.secrets_of(used), deadline)
    trust.bar(inventory)
    book = replace(book, barred={item.key[1:]: trust.doubt for item in left})
    with looking(book, used, redacted=not (late or barred)) as look:
        diagnosis = look(names, 0.0 if late or barred else deadline.remaining())
    diagnosis = _unsure(diagnosis, [*_said(left, trust.doubt), *late], round(time.monotonic() - begun, 3))
    if apply:
        return _apply(project, diagnosis, project.inventory(inventory_name), confirm)
    as_data = partial(show_diagnosis.as_json, unfinished=unfinished)
    tell = as_data if as_json else partial(show_diagnosis.show, verbose=verbose)
    tell(diagnosis, inventory, console(), beside={} if service else scope.unexamined(book.trees, inventory.services, names))
    return EXIT.get(diagnosis.found, Exit.FAILED)


def _unfinished(project: Project, *, as_json: bool) -> list[open_runs.Changed]:
    """Return the unfinished runs of the project. Unless ``as_json`` is true, print them at once, because their changes may be
    the cause of the trouble. If the runs cannot be read, print only this fact, and raise no error, so that the diagnosis can
    continue.
    """
    try:
        changed = open_runs.changes(project)
    except DrillbookError as error:
        console(aside=as_json).print(Text(f"? unfinished runs are unknown: {error.message}", style="yellow"), soft_wrap=True)
        return []
    if not as_json:
        open_runs.show_changes(changed, console())
    return changed


def _names(inventory: Inventory, service: str, inventory_name: str) -> tuple[str, ...]:
    """Return the services to examine: ``service`` and the services on which it depends. If ``service`` is empty, return all
    services that should be running. Raises UsageError if there is no service to examine.
    """
    names = scope.around(inventory.services, service) if service else scope.everything(inventory.services)
    if not names:
        raise UsageError(
            f"the inventory {inventory_name} has no service that can be examined",
            hint=f"describe your services in inventory/{inventory_name}.yml; see `Writing an inventory` in the documentation",
        )
    return names


def _announced(names: tuple[str, ...], *, quiet: bool) -> tuple[str, ...]:
    """Return ``names``, the services to examine. Unless ``quiet`` is true, a terminal first shows their number, because the result
    takes some seconds.
    """
    if not quiet and (out := console()).is_terminal:
        out.print(Text(f"examining {count(len(names), 'service')} …", style="dim"))
    return names


def _said(left: Sequence[Item], why: str) -> list[str]:
    """Return a message for each untrusted command or secret that was left out of the diagnosis. ``why``: reason
    why these items are not trusted.
    """
    return [
        f"{item.where}: {item.kind} {UNSEEN} and was left out, since {why}: {item.text}; see `{program()} trust`"
        for item in left
    ]


def _unsure(diagnosis: Diagnosis, doubts: Sequence[str], seconds: float) -> Diagnosis:
    """Add ``doubts`` to a diagnosis. If there are any doubts, the result `healthy` is replaced by `unknown`."""
    name = UNKNOWN if doubts and diagnosis.found == HEALTHY else diagnosis.found
    return diagnosis.model_copy(update={"found": name, "why": (*doubts, *diagnosis.why), "seconds": seconds})


def trees(project: Project) -> tuple[Tree, ...]:
    """Load the project's diagnosis trees. Raises UsageError when the project has no trees, and SpecError when a tree is
    invalid.
    """
    folder = project.root / "drills" / FOLDER
    loaded = load_all(folder)
    if not loaded:
        raise UsageError(f"{folder} contains no diagnosis trees", hint="see `Diagnosis` in the documentation")
    return loaded


def _seconds(within: str) -> float:
    try:
        seconds = float(Duration.parse(within))
    except ValueError as error:
        raise UsageError(f"--within: {error}", hint="write a duration, such as 20s") from None
    if not 0 < seconds <= 600:
        raise UsageError(f"--within must be more than 0 and at most 10m, not {within}")
    return seconds


def _unread(secrets: Mapping[str, Secret], deadline: Deadline) -> list[str]:
    """Read all ``secrets`` in parallel. Returns a message for each secret whose reading was not complete at the deadline.
    Raises SecretError when reading a secret fails before the deadline.
    """
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
    for secret, thread in zip(secrets.values(), threads, strict=True):  # a command that hangs is killed at the deadline
        thread.join(max(0.0, deadline.at + (KILL_S if secret.source == "command" else 0.0) - time.monotonic()))
    if failed:
        raise failed[0]
    return [
        (
            f"the secret {unread.of} could not be read in time; no host was contacted, because the secret could not have "
            "been redacted"
        )
        for place, unread in secrets.items()
        if place not in read
    ]


@contextmanager
def looking(book: Book, used: Collection[str] | None = None, *, redacted: bool = True) -> Iterator[Look]:
    """Provide a function that diagnoses services within a time limit. All calls of this function share the connections
    to the hosts.

    ``used``: services whose secrets are read, so that they can be hidden in the output. None means all services. Without
    ``redacted``, no secret is read; use this only if no host will be contacted. Raises SecretError when a secret cannot be
    read.
    """
    redactor = Redactor(())
    if redacted:
        known = book.inventory.services if used is None else used
        redactor.learn(*book.inventory.revealed(known, redactor.learn))
    hosts = Hosts(lambda name: access.connect(book.inventory, name))
    named, as_service = _with_privilege(book.inventory, hosts)
    asked = replace(book, as_service=as_service)

    with tempfile.TemporaryDirectory(prefix="drillbook-diagnose-") as folder:

        def look(names: Sequence[str], within_s: float) -> Diagnosis:
            ctx = Context(
                run_id=run_identity.new_run_id("diagnosis"),
                step="diagnose",
                host=named(CONTROLLER),
                services=book.inventory.services,
                host_named=named,
                deadline=Deadline.after(within_s),
                folder=Path(folder),
                redactor=redactor,
                book=asked,
            )
            return examine(ctx, asked, names, within_s)

        try:
            yield look
        finally:
            # A hanging host may also block the closing of its connection.
            closing = threading.Thread(target=hosts.close, daemon=True)
            closing.start()
            closing.join(CLOSE_S)


def _with_privilege(inventory: Inventory, hosts: Hosts) -> tuple[Callable[[str], Host], Callable[[str, str], Host]]:
    """Return two functions that find a host by its name and return the host. They differ in the account that runs the
    commands on the host.

    The first function takes only the name of a host, and uses the account of the host's ``become``. The second function
    takes the name of a service and the name of a host, and uses the account of the service.
    """

    def named(name: str) -> Host:
        return privileged(hosts.get(name), privilege.of_step(inventory, None, name))

    def as_service(service: str, name: str) -> Host:
        return privileged(hosts.get(name), privilege.of_service(inventory, service, name))

    return named, as_service


def _apply(project: Project, diagnosis: Diagnosis, inventory: Inventory, confirm: str) -> int:
    """Execute the remedy of the likeliest cause, after the user has agreed. The remedy is executed as a run of its own,
    which has a journal, takes locks, obeys a guard, and is verified. Nothing is executed in three cases: no cause was found,
    a person must carry out the remedy, or the user does not agree.
    """
    out = console()
    show_diagnosis.show(diagnosis, inventory, out)
    step = diagnosis.ranked[0].step if diagnosis.ranked else None
    if step is None:
        out.print(
            Text(
                "no remedy was applied: "
                + (
                    f"the remedy of {diagnosis.ranked[0].cause} must be carried out by a person"
                    if diagnosis.ranked
                    else "no cause was found"
                )
            )
        )
        return EXIT.get(diagnosis.found, Exit.FAILED)
    if not _agreed(step):
        out.print(Text("no remedy was applied"))
        return Exit.FAILED
    with tempfile.TemporaryDirectory(prefix="drillbook-remedy-") as folder:
        path = Path(folder) / f"remedy-{diagnosis.ranked[0].cause}.yml"
        path.write_text(_written(path.stem, diagnosis.ranked[0], step, inventory), encoding="utf-8")
        drill = spec.load(path, project.root / "drills" / FOLDER)
    teller = Teller(Manner.FULL)
    with teller.watching() as observer:
        orchestrator = orchestration.Orchestrator(project, inventory, observer, confirm)
        run, view = orchestrator.run(orchestrator.plans(drill)[0])
    teller.end(view, str(run / PAGE), newest=True)
    tell_missed(orchestrator.missed)
    return view.result.exit


def _agreed(step: dict[str, Any]) -> bool:
    """Ask the user whether to execute ``step``. Return True when the user agrees. The option `--assume` answers without a
    question. Raises UsageError when there is neither this option nor a terminal to ask at."""
    assumed = os.environ.get("DRILLBOOK_ASSUME", "")
    if assumed:
        return assumed == "yes"
    if not sys.stdin.isatty():
        raise UsageError("the remedy needs a confirmation, but there is no terminal to ask at", hint="add `--assume yes`")
    stdout().write(f"run {json.dumps(step, ensure_ascii=False)}? [y/N] ")
    stdout().flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _written(name: str, suspect: Suspect, step: dict[str, Any], inventory: Inventory) -> str:
    """Return the text of a drill that executes the remedy and then verifies the result. The text is JSON, and so it is also
    valid YAML.
    """
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
