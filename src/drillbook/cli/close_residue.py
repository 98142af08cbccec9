"""Closing the residue of a run, and approving that, in a terminal. Returns exit statuses."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from drillbook.attestation import standing
from drillbook.cli import commands, conduct
from drillbook.cli.console import console
from drillbook.engine import lab_gone, manual_cleanup
from drillbook.engine.closure import Settlement
from drillbook.engine.recovery import needs_recovery
from drillbook.errors import DrillbookError, UsageError
from drillbook.events.event import last
from drillbook.events.runs import SettlementRefused, opening
from drillbook.exits import Exit
from drillbook.findings import Finding
from drillbook.journal import damaged
from drillbook.journal.journal import FILE, History, read
from drillbook.judge import residue
from drillbook.plan import closure_approval
from drillbook.plan.closure_approval import Closing
from drillbook.plan.planner import Plan, checked
from drillbook.project.project import Project
from drillbook.report import folders
from drillbook.report.figures import shown
from drillbook.report.terminal import summary
from drillbook.signing import account, keys
from drillbook.signing.texts import Look
from drillbook.values import Duration


def settle(project: Project, run: str, reason: str) -> int:
    """Close the residue of a run for ``reason``: 0, or 4 when a proof or a missing approval speaks against it.

    Raises UsageError for a run that has none, is alive or damaged.
    """
    if not reason.strip():
        raise UsageError(
            "--settled needs --reason: it stands in the journal, the reports and the audit",
            hint='such as --reason "host decommissioned, ticket 4711"',
        )
    folder = commands.single(project, run, "--settled")
    before = standing.of_run(folder, project.root)
    history = _closable(folder, before.doubt)
    out = console()
    out.print(f"{folder.name}", style="bold")
    plan, who = checked(opening(history.events).plan), conduct.operator()
    first = history.events[0].data
    operators = (who, str(first["operator"]), *account.of(str(first.get("account", ""))))

    def approved(head: str) -> Look:
        return closure_approval.look(
            _closing(project, plan, folder.name, head, reason),
            project.root,
            now=datetime.now(UTC),
            operators=operators,
            signing=keys.fingerprint_of(project.root),
        )

    recovery = commands.recovery_of(project, folder, out)
    with commands.patient():
        outcome = Settlement(recovery, reason.strip(), approved).run(conduct.header(who))
    if outcome.refusals:
        commands.render(project, folder, before, "recovery", recovery.written)
        _show_refusals(outcome.refusals, out)
        return Exit.REFUSED
    commands.told_render(project, folder, before, recovery.written, out, occasion="settlement")
    commands.tell_contacts(project, folder, out)
    return 0


def approve(project: Project, run: str, reason: str, until: str, key: str) -> int:
    """Show what a run left, and sign an approval to close it for ``reason``. Raises UsageError."""
    try:
        span = timedelta(seconds=Duration.parse(until))
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--until: {error}", hint="such as --until 24h") from None
    folder = commands.single(project, run, "--reason")
    history = _closable(folder, standing.of_run(folder, project.root).doubt)
    plan, out = checked(opening(history.events).plan), console()
    out.print(summary.short_summary(conduct.judged(folder)))
    _show_proofs(history, out)
    wanted = _closing(project, plan, folder.name, history.head, reason.strip())
    given, files = closure_approval.approve(
        wanted, project.root, now=datetime.now(UTC), until=span, key=Path(key) if key else None
    )
    if signed := given.approval:
        out.print(
            Text(
                f"✓ {signed.principal} approves closing what {folder.name} left until "
                f"{signed.until:%Y-%m-%d %H:%M} UTC, because: {shown(wanted.reason)}",
                style="green",
            ),
            soft_wrap=True,
        )
        out.print(Text(f"  key {given.fingerprint}"), soft_wrap=True)
        out.print(Text(f"  {files.text.relative_to(project.root)} and its .sig: bring both to the operator"), soft_wrap=True)
    return 0


def _closable(folder: Path, doubt: str) -> History:
    """The journal of a run whose residue can be closed; ``doubt`` says why it is not what was attested. Raises UsageError."""
    if folders.alive(folder):
        raise UsageError(
            f"{folder.name} is alive: its journal is being written",
            hint=f"wait until it has ended, or stop it: invoke drill.stop {folder.name}",
        )
    if wrong := damaged.damage(folder):
        raise UsageError(
            f"{folder.name}: {manual_cleanup.TITLE}: {wrong}",
            hint="what is known and what to do by hand says: "
            f"invoke drill.recover {folder.name}; then move its folder out of reports/ and keep it",
        )
    if doubt:
        raise UsageError(f"{folder.name} is not what was attested: {doubt}", hint=f"invoke report.verify {folder.name}")
    history = read(folder / FILE)
    if (known := residue.settled(history.events)) and not needs_recovery(history):
        raise UsageError(
            f"{folder.name} was closed by {known.by} at {known.at[:16].replace('T', ' ')} UTC: {known.reason}",
            hint="nothing is to be done",
        )
    if not needs_recovery(history):
        raise UsageError(f"{folder.name} left nothing that could be closed", hint="see `invoke drill.list`")
    if gone := lab_gone.lab_gone(folders.first_event(folder)):
        raise UsageError(f"{folder.name}: {gone}", hint=f"to write that down: invoke drill.recover {folder.name}")
    return history


def _closing(project: Project, plan: Plan, run: str, head: str, reason: str) -> Closing:
    approvers = plan.inventory.approvers or _approvers(project, plan.inventory.environment)
    return Closing(run, plan.inventory.environment, head, reason.strip(), approvers)


def _approvers(project: Project, environment: str) -> str:
    """The approvers' file that an inventory of this project names for ``environment`` now; empty when none does."""
    for path in sorted((project.root / "inventory").glob("*.yml")):
        with suppress(DrillbookError):
            inventory = project.inventory(path.stem)
            if inventory.environment == environment and inventory.approvers:
                return inventory.approvers
    return ""


def _show_refusals(found: Sequence[Finding], out: Console) -> None:
    out.print(Padding(Text("✗ it is not closed", style="bold red"), (0, 0, 0, 2), expand=False))
    for one in found:
        where = f" (step {one.step} on {one.host})" if one.step else ""
        out.print(Padding(Text(shown(f"{one.code}: {one.title}{where}")), (1, 0, 0, 4), expand=False))
        for name, text in (("wanted", one.wanted), ("measured", one.measured), ("remedy", one.remedy)):
            if text:
                out.print(Padding(Text(shown(f"{name}: {text}")), (0, 0, 0, 6), expand=False))


def _show_proofs(history: History, out: Console) -> None:
    """Show the answer of each proof at the last attempt to close it."""
    refused = last(history.events, SettlementRefused)
    for one in refused[1].changes if refused else ():
        text = f"{one['what']} on {one['host']} (step {one['step']}): {one['proof']}" + (
            f", {one['detail']}" if one["detail"] else ""
        )
        out.print(Padding(Text(shown(text)), (0, 0, 0, 2), expand=False))
