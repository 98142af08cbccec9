"""What the tasks do, in a terminal: run, recover, render. Returns exit statuses."""

from __future__ import annotations

import os
import signal
import sys
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from drillbook.attestation import anchor_check, anchors, places, standing, statement, verifying
from drillbook.attestation.manifests import ManifestKeys
from drillbook.attestation.standing import Standing
from drillbook.attestation.statement import Sealer
from drillbook.cli import check as checking
from drillbook.cli import conduct, labs
from drillbook.cli import trust as trusting
from drillbook.cli.conduct import Conductor
from drillbook.cli.console import console
from drillbook.cli.views import Manner, Teller, ignore, tell_missed
from drillbook.engine import lab_gone, manual_cleanup
from drillbook.engine.recovery import Recovery, needs_recovery
from drillbook.errors import DrillbookError, JournalError, UnknownName, UsageError
from drillbook.events.holds import ContactMissed, OfContact
from drillbook.exits import Exit
from drillbook.inventory.inventory import Inventory
from drillbook.journal import damaged
from drillbook.journal.journal import FILE, read
from drillbook.journal.own_writes import Written
from drillbook.judge import notes
from drillbook.judge.result import Result, RunView
from drillbook.notify.messenger import Messenger
from drillbook.plan import needed
from drillbook.plan.planner import Plan, checked
from drillbook.plan.spec import Drill, Suite
from drillbook.project.project import Project
from drillbook.report import folders, publish
from drillbook.report.figures import count, one_line, shown
from drillbook.report.terminal.progress import Progress
from drillbook.sdk.action import find
from drillbook.sdk.free import Free
from drillbook.trust.standing import Trust


def drill(project: Project, name: str, inventory_name: str, manner: Manner = Manner.FULL, confirm: str = "") -> int:
    """Run a drill or a suite and tell it; returns the exit status."""
    found = project.drill(name)
    teller = Teller(manner, inventory_name)
    inventory = _inventory(project, inventory_name, teller.note)
    with teller.watching() as observer:
        conductor = Conductor(project, inventory, observer, confirm)
        plans = conductor.plans(found)
        if isinstance(found, Drill):
            folder, view = conductor.run(plans[0])
        else:
            return _suite(conductor, found, plans, teller)
    teller.end(view, shown_path(folder / "report.html"), newest=True)
    tell_missed(conductor.missed)
    return view.result.exit


def _suite(conductor: Conductor, suite: Suite, plans: Sequence[Plan], teller: Teller) -> int:
    views: list[RunView] = []

    def between(view: RunView) -> None:
        views.append(view)
        teller.between(view)

    folder, result = conductor.run_suite(suite, plans, between)
    teller.end_suite(result, views, shown_path(folder / "report.html"))
    tell_missed(conductor.missed)
    return result.exit


def check(project: Project, name: str, inventory_name: str) -> int:
    """Check whether a drill, or every drill of a suite, could begin now; 0, 4, or 3 where that is not known."""
    found, out, trust = project.drill(name), console(), Trust(project, inventory_name)
    inventory = project.inventory(inventory_name)
    if inventory.lab == "docker" and not labs.docker_stands(project) and (items := trust.of_lab(inventory)):
        trusting.left_out(items, trust.doubt, out)
        return Exit.UNVERIFIED
    inventory = _inventory(project, inventory_name, lambda text: out.print(Text(text, style="dim")))
    trust.bar(inventory)
    status = 0
    conductor = Conductor(project, inventory, ignore, confirm=None)
    for one in conductor.plans(found):
        out.print(Text(f"{one.drill}: {shown(one.title)}", style="bold"))
        items = trust.of_plan(one)
        checked = checking.check(one, Progress(out), conductor.allowed(one)[0], items)
        status = max(status, checked.exit)
        if checked.ready:
            hosts = ", ".join(one.hosts())
            text = (
                f"✓ it could begin now: {len(one.hosts())} hosts ({hosts}), {len(one.probes)} probes and "
                f"{len(one.steps)} steps were looked at; {_told_commands(one)}"
            )
            out.print(Padding(Text(text, style="green"), (0, 0, 0, 2), expand=False))
            continue
        if items:
            trusting.left_out(items, trust.doubt, out)
            for line in checked.beside:
                out.print(Text(f"    {line}: left out too, since it sees what one of these finds"), soft_wrap=True)
        said = _unready(refused=checked.exit == Exit.REFUSED, left=bool(items))
        out.print(Padding(said, (0, 0, 0, 2), expand=False))
    return status


def _unready(*, refused: bool, left: bool) -> Text:
    if refused:
        return Text("✗ it would be refused", style="bold red")
    return (
        Text("? it is not known whether it could begin now", style="bold yellow")
        if left
        else Text("✗ it would not be run here", style="bold red")
    )


def _told_commands(one: Plan) -> str:
    """Say that a check changed nothing, or which commands of the project it ran, of which nobody knows that."""
    looked = [*one.phase("ready"), *(condition.step for condition in one.guard.conditions if condition.step)]
    ran = [f"{step.action} ({step.id})" for step in looked if issubclass(find(step.action), Free)]
    ran += [secret.of for secret in one.inventory.secrets_of(needed.of_plan(one)).values() if secret.source == "command"]
    return f"Drillbook changed nothing, but ran commands of the project: {', '.join(ran)}" if ran else "nothing was changed"


def _inventory(project: Project, name: str, note: Callable[[str], None]) -> Inventory:
    """The inventory; the lab that it belongs to is started first when it is down."""
    inventory = project.inventory(name)
    if not inventory.lab:
        return inventory
    labs.started(project, inventory.lab, lambda text: note(f"lab: {text}"))
    return project.inventory(name)


def shown_path(path: Path) -> str:
    """``path`` as short as it can be said from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def recover(project: Project, run: str, *, from_backup: bool = False) -> int:
    """Recover one run, or every unfinished one; one that cannot be recovered does not keep the others waiting.

    ``from_backup`` is for one run: it is restored from the backup that it proved, not as its drill says. Raises UsageError.
    """
    out = console()
    if from_backup:
        return _recover(project, single(project, run, "--from-backup"), out, from_backup=True)
    if run and len(found := project.runs_of(run, lost=True)) == 1:
        return _recover(project, found[0], out)
    statuses = []
    for folder in reversed(found if run else sorted([*project.runs(), *project.lost()], key=lambda one: one.name)):
        try:
            if not damaged.settled(folder) if damaged.damage(folder) else needs_recovery(read(folder / FILE)):
                statuses.append(_recover(project, folder, out))
        except DrillbookError as error:
            out.print(Text(f"{folder.name}: {shown(error)}", style="bold red"))
            statuses.append(Exit.RESIDUE)
    if not statuses:
        recorded = next(iter(project.runs()), None) is not None
        out.print(
            "nothing to recover: every run ended and put everything back"
            if recorded
            else f"no run is recorded in {project.reports}; if runs were moved away or deleted, bring them back"
        )
    return max(statuses, default=0)


def single(project: Project, run: str, flag: str) -> Path:
    """The one run that ``run`` means and that left something; of a suite the one of its drills. Raises UsageError."""
    if not run:
        raise UsageError(f"{flag} is for one run: its name is missing", hint="see `invoke drill.list`")
    found = project.runs_of(run, lost=True)
    broken = [folder for folder in found if damaged.damage(folder) or needs_recovery(read(folder / FILE))]
    if len(found) > 1 and len(broken) != 1:
        names = ", ".join(folder.name for folder in broken) or "none"
        raise UsageError(
            f"{flag} is for one run; of the drills in {run} these left something: {names}", hint="name one of them"
        )
    return broken[0] if len(broken) == 1 else found[0]


def _recover(project: Project, folder: Path, out: Console, *, from_backup: bool = False) -> int:
    out.print(f"{folder.name}", style="bold")
    if (wrong := damaged.damage(folder)) and not folders.alive(folder):
        out.print(Text(f"✗ {manual_cleanup.TITLE}", style="bold red"))
        for line in manual_cleanup.steps(folder, wrong):
            out.print(Text(shown(f"  {line}")), soft_wrap=True)
        return Exit.RESIDUE
    before, written = standing.of_run(folder, project.root), Written()
    gone = lab_gone.lab_gone(folders.first_event(folder))
    if gone and needs_recovery(read(folder / FILE)):
        lab_gone.settle(folder, gone, conduct.header(conduct.operator()), Progress(out), written)
        out.print(Padding(Text(f"{gone}; nothing is left to put back, and the journal says so"), (0, 0, 0, 2), expand=False))
        told_render(project, folder, before, written, out)
        return 0
    recovery = recovery_of(project, folder, out, from_backup=from_backup)
    with patient():
        residue = recovery.run(conduct.header(conduct.operator()))
    try:
        told_render(project, folder, before, recovery.written, out)
    except OSError as error:
        raise conduct.unreported(folder, error, residue) from None
    except JournalError as error:
        raise conduct.unrecorded(folder, error.message, residue) from None
    tell_contacts(project, folder, out)
    result = conduct.judged(folder).result
    style = "bold red" if result.open_residue else "green"
    out.print(Padding(Text(recovered(result), style=style), (1, 0, 0, 2), expand=False))
    return Exit.RESIDUE if residue else 0


def recovered(result: Result) -> str:
    """The last line of a recovery: what of the run is still there."""
    left = count(len(result.residue), "change")
    if result.settled:
        return f"closed by {one_line(result.settled.by)}, not recovered: {left} could not be put back"
    if result.residue:
        return f"✗ still broken: {left} could not be put back; exit {Exit.RESIDUE}; try again: drill.recover {result.run}"
    return "✓ recovered: everything that the run changed is put back"


def recovery_of(project: Project, folder: Path, out: Console, *, from_backup: bool = False) -> Recovery:
    """The recovery of the run in ``folder``, shown in ``out``."""
    return Recovery(
        folder,
        lambda plan, name: conduct.connect(plan.inventory, name),
        conduct.redactor_for,
        Progress(out),
        others=[other for other in project.runs() if other != folder],
        from_backup=from_backup,
        vouchers=ManifestKeys(project.root),
    )


def told_render(
    project: Project, folder: Path, before: Standing, written: Written, out: Console, *, occasion: str = "recovery"
) -> None:
    """Render and tell a run that was recovered, and sign what the recovery wrote; see ``standing``."""
    view, unsigned = render(project, folder, before, occasion, written)
    Teller(Manner.FULL).end(view, shown_path(folder / "report.html"))
    _tell_unsigned(folder, before, unsigned, out)


def _tell_unsigned(folder: Path, before: Standing, unsigned: str, out: Console) -> None:
    """Say why the run in ``folder`` was rendered and not signed."""
    if unsigned:
        out.print(
            Text(
                f"✗ not signed anew: {one_line(unsigned)}; see invoke report.verify {folder.name}",
                style="bold red" if before.doubt else "yellow",
            ),
            soft_wrap=True,
        )


def tell_contacts(project: Project, folder: Path, out: Console) -> None:
    """Tell the contacts what the recovery left, or that it left nothing; who could not be told is said here."""

    def record(what: OfContact) -> None:
        style = "yellow" if isinstance(what, ContactMissed) else "dim"
        out.print(Padding(Text(notes.contact(what), style=style), (0, 0, 0, 2), expand=False))

    view = conduct.judged(folder)
    Messenger(
        checked(view.plan),
        folder.name,
        str(folder / "report.html"),
        record,
        folder=anchors.relative(folder, project.reports),
    ).recovered(view.result, read(folder / FILE).events[-1])


@contextmanager
def patient() -> Iterator[None]:
    """While recovering, a first Ctrl-C is answered, not obeyed: stopping half-way helps nobody."""

    def answer(number: int, frame: FrameType | None) -> None:
        del number, frame
        if asked:
            sys.stderr.write("stopped half-way; run `invoke drill.recover` again\n")
            os._exit(Exit.RESIDUE)  # threads that wait for a host would keep the process; the journal is on the disk
        asked.append(True)
        sys.stderr.write("recovering; press Ctrl-C again to stop half-way\n")

    asked: list[bool] = []
    before: Any = signal.signal(signal.SIGINT, answer)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def report(project: Project, run: str) -> int:
    """Render the reports of a run again, those of its suite too. Raises JournalError when it is not what was attested.

    Signs only what a vouched key had signed before.
    """
    for folder in project.runs_of(run):
        before = standing.of_run(folder, project.root)
        if before.doubt:
            raise JournalError(f"{folder.name} is not rendered: {before.doubt}", hint=f"invoke report.verify {folder.name}")
        view, unsigned = render(project, folder, before, "report")
        Teller(Manner.FULL).end(view, shown_path(folder / "report.html"))
        _tell_unsigned(folder, before, unsigned, console())
    return 0


def render(
    project: Project, folder: Path, before: Standing, occasion: str, written: Written | None = None
) -> tuple[RunView, str]:
    """Write a run's reports anew, and attest what is vouched for; returns the run, and why it was not signed."""
    suite, whole = conduct.suite_of(folder), standing.of_suite(folder.parent, project.root)
    view = conduct.judged(folder)
    publish.write_run(folder, view)
    sealer = Sealer(project.root, conduct.operator(), occasion)
    unsigned = statement.seal_run(folder, view, sealer, written=written, before=before)
    if suite is not None:
        views = [conduct.judged(folder.parent / run["folder"]) for run in suite.runs]
        again = conduct.rejudged(suite, views)
        publish.write_suite(folder.parent, again, views)
        attested = {} if unsigned else {folder.name: statement.written_digest(folder)}
        statement.seal_suite(folder.parent, again, sealer, attested, whole)
    publish.write_index(project.reports)
    tell_missed(sealer.missed)
    return view, unsigned


def open_report(project: Project, run: str) -> int:
    """Show a run's report in the browser, or its path where there is none; without a run the newest, a suite's first."""
    report = project.run(run, suites=True) / "report.html"
    if not report.is_file():
        raise UnknownName(f"{report} is not there", hint="make it: invoke report " + report.parent.name)
    try:
        opened = bool(
            os.environ.get("DISPLAY")
            or os.environ.get("WAYLAND_DISPLAY")
            or os.environ.get("BROWSER")
            or sys.platform == "darwin"
        ) and webbrowser.open(report.resolve().as_uri())
    except webbrowser.Error:
        opened = False
    console().print(Text(f"opened {shown_path(report)}" if opened else str(report.resolve())), soft_wrap=True)
    return 0


def audit(project: Project, since: str, until: str, out: str, anchor: str = "") -> int:
    """The audit report of a period. Raises UsageError."""
    from drillbook.cli import audit as auditing  # noqa: PLC0415  no run needs it

    return auditing.audit(project, since, until, out, anchor)


def verify(project: Project, run: str) -> int:
    """Verify what a run or a suite left: 0 when all of it was, 1 when something is wrong, 3 when it could not be shown."""
    folder = project.run(run, suites=True, lost=True)
    found = anchor_check.compared(
        verifying.verify(folder, project.root), folder, project.reports, places.places(project.reports), asked=run
    )
    verifying.show(found, console())
    return verifying.EXIT[found.mark]
