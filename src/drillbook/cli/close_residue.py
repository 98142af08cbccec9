"""Closes the residue of a run, or signs an approval to close it. The residue consists of the changes that the run could
not undo. The tasks `drill.recover` and `drill.approve` use this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.text import Text

from drillbook.attestation import trusted_content
from drillbook.cli import recover, render, run_identity
from drillbook.cli.console import console
from drillbook.cli.run_output import Manner
from drillbook.engine import lab_gone, manual_cleanup
from drillbook.engine.closure import Settlement
from drillbook.errors import DrillbookError, UsageError
from drillbook.events.event import last
from drillbook.events.first_event import opening
from drillbook.events.runs import SettlementRefused
from drillbook.exits import Exit
from drillbook.findings import Finding
from drillbook.journal.journal import History
from drillbook.journal.run_state import RunState, RunStates
from drillbook.judge import residue
from drillbook.judge.result import RunView
from drillbook.plan import closure_approval
from drillbook.plan.closure_approval import Closing
from drillbook.plan.planner import Plan, checked
from drillbook.project import finished_runs
from drillbook.project.project import Project
from drillbook.report.figures import count, shown
from drillbook.report.terminal import summary
from drillbook.report.terminal.prose import Prose
from drillbook.signing import account, keys
from drillbook.signing.texts import Look
from drillbook.values import Duration


def settle(project: Project, run: str, reason: str, manner: Manner = Manner.BRIEF) -> int:
    """Record why the remaining changes of a run need no undo. Returns 0 when this was recorded, and 4 if a fault is
    still active or an approval is missing.

    Raises UsageError when the run has no remaining changes, is still running, or has a damaged journal.
    """
    if not reason.strip():
        raise UsageError(
            "--settled needs --reason; the reason appears in the journal, the reports and the audit",
            hint='such as --reason "host decommissioned, ticket 4711"',
        )
    state = recover.single(project, run, "--settled")
    folder = state.folder
    before = trusted_content.of_run(state, project.root)
    history = _closable(state, before.doubt)
    out = console()
    out.print(f"{folder.name}", style="bold")
    plan, who = checked(opening(history.events).plan), run_identity.operator()
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

    recovery = recover.recovery_of(project, folder, out, manner=manner)
    with recover.patient():
        outcome = Settlement(recovery, reason.strip(), approved).run(run_identity.header(who))
    if outcome.refusals:
        render.render(project, folder, before, RunStates(), occasion="recovery", written=recovery.written)
        _show_refusals(outcome.refusals, out)
        return Exit.REFUSED
    view, state = render.told_render(project, folder, before, recovery.written, out, occasion="settlement", manner=manner)
    recover.tell_contacts(project, view, state, out)
    return _tell_closed(view, out, recover.OF_RUN if manner is Manner.FULL else "")


def _tell_closed(view: RunView, out: Console, note: str) -> int:
    """Print that the run is closed and the command has succeeded. Returns the exit status 0. ``note``: text after this status."""
    left = count(len(view.result.residue), "change")
    text = f"✓ closed: the journal records why {left} of the run needs no undo; exit {Exit.OK}{note}"
    out.print(Prose(Text(text, style="green"), 2, above=1))
    return Exit.OK


def approve(project: Project, run: str, reason: str, until: str, key: str) -> int:
    """Show the changes that a run left in place, and sign an approval to close the run for ``reason``. Raises
    UsageError when the run cannot be closed, or when the approval cannot be signed.
    """
    try:
        span = timedelta(seconds=Duration.parse(until))
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--until: {error}", hint="such as --until 24h") from None
    state = recover.single(project, run, "--reason")
    folder = state.folder
    history = _closable(state, trusted_content.of_run(state, project.root).doubt)
    plan, out = checked(opening(history.events).plan), console()
    out.print(summary.short_summary(finished_runs.judged(state)))
    _show_proofs(history, out)
    wanted = _closing(project, plan, folder.name, history.head, reason.strip())
    given, files = closure_approval.approve(
        wanted, project.root, now=datetime.now(UTC), until=span, key=Path(key) if key else None
    )
    if signed := given.approval:
        out.print(
            Text(
                f"✓ {signed.principal} approves closing the residue of {folder.name}, valid until "
                f"{signed.until:%Y-%m-%d %H:%M} UTC, because: {shown(wanted.reason)}",
                style="green",
            ),
            soft_wrap=True,
        )
        out.print(Text(f"  key {given.fingerprint}"), soft_wrap=True)
        out.print(
            Text(f"  {files.text.relative_to(project.root)} and its .sig: give both files to the operator"), soft_wrap=True
        )
    return Exit.OK


def _closable(state: RunState, doubt: str) -> History:
    """Return the journal of a run that a person may close. To close a run means to declare that its remaining changes need
    no undo. Raises UsageError when the run must not be closed, for example when it is still in progress.

    ``doubt``: text that tells how the run differs from its attestation. It is empty when there is no difference.
    """
    folder = state.folder
    if state.alive:
        raise UsageError(
            f"{folder.name} is still running: its journal is being written",
            hint=f"wait until it has ended, or stop it: invoke drill.stop {folder.name}",
        )
    if state.damage:
        raise UsageError(
            f"{folder.name}: {manual_cleanup.TITLE}: {state.damage}",
            hint=f"carry out the manual cleanup that `invoke drill.recover {folder.name}` shows, then move the folder of the "
            "run out of reports/ and keep the folder",
        )
    if doubt:
        raise UsageError(f"{folder.name} differs from its attestation: {doubt}", hint=f"invoke report.verify {folder.name}")
    history = state.history
    if (known := residue.settled(history.events)) and not state.needs_recovery:
        raise UsageError(
            (
                f"the residue of {folder.name} was closed by {known.by} at {known.at[:16].replace('T', ' ')} UTC: "
                f"{known.reason}"
            ),
            hint="no action is needed",
        )
    if not state.needs_recovery:
        raise UsageError(
            f"{folder.name} left no changes in place, so there is nothing to close", hint="see `invoke drill.list`"
        )
    if gone := lab_gone.lab_gone(state.first):
        raise UsageError(
            f"{folder.name}: {gone}", hint=f"to record that nothing is left: invoke drill.recover {folder.name}"
        )
    return history


def _closing(project: Project, plan: Plan, run: str, head: str, reason: str) -> Closing:
    approvers = plan.inventory.approvers or _approvers(project, plan.inventory.environment)
    return Closing(run, plan.inventory.environment, head, reason.strip(), approvers)


def _approvers(project: Project, environment: str) -> str:
    """Return the path of the file that lists the approvers for ``environment``. The path comes from the first inventory of
    the project that has this environment and names such a file. The result is empty if there is no such inventory.
    """
    for path in sorted((project.root / "inventory").glob("*.yml")):
        with suppress(DrillbookError):
            inventory = project.inventory(path.stem)
            if inventory.environment == environment and inventory.approvers:
                return inventory.approvers
    return ""


def _show_refusals(findings: Sequence[Finding], out: Console) -> None:
    out.print(Prose(Text("✗ the residue is not closed", style="bold red"), 2))
    for finding in findings:
        where = f" (step {finding.step} on {finding.host})" if finding.step else ""
        out.print(Prose(Text(shown(f"{finding.code}: {finding.title}{where}")), 4, above=1))
        for name, text in (("wanted", finding.wanted), ("measured", finding.measured), ("remedy", finding.remedy)):
            if text:
                out.print(Prose(Text(shown(f"{name}: {text}")), 6))


def _show_proofs(history: History, out: Console) -> None:
    """Print each remaining change and its state. The states were recorded when the last attempt to close the run was
    refused.
    """
    refused = last(history.events, SettlementRefused)
    for change in refused[1].changes if refused else ():
        text = f"{change['what']} on {change['host']} (step {change['step']}): {change['proof']}" + (
            f", {change['detail']}" if change["detail"] else ""
        )
        out.print(Prose(Text(shown(text)), 2))
