"""Next steps of alerts about a drill that must run again, or that passed with open findings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from drillbook.audit import gone_files, lost_amounts
from drillbook.audit.alert import AFTER, is_known
from drillbook.audit.content import Audit
from drillbook.audit.findings import RECOVERED_SINCE, FindingRow
from drillbook.audit.records import IN_PROGRESS
from drillbook.audit.run_rows import RunRow, recover
from drillbook.installation.program_name import NEUTRAL
from drillbook.judge.verdicts import CONTROLLER_DIED, Verdict
from drillbook.report import next_steps, stop_words
from drillbook.report.open_findings import LACKING

RESIDUE = "residue"
"""Code of the finding about changes that are not undone. A separate alert is made for these changes."""


def after(audit: Audit, key: tuple[str, str], run: RunRow) -> tuple[str, str, bool]:
    """Return the next step after ``run``, which is the newest run of a drill and did not pass, with the fields ``otherwise`` and
    ``stopped`` of its alert. If the run lost data of the service, the first step is to enter this data again. ``key``: environment
    and drill.
    """
    rows = [row for row in audit.findings if (row.environment, row.drill) == key and row.code != RESIDUE]
    lacking = next((row for row in rows if row.code == LACKING and is_known(row)), None)
    if gone := gone_files.after(audit, run):
        return (f"{lost_amounts.step(lacking)}; {gone[0]}" if lacking else gone[0]), "", gone[1]
    if lacking is None or run.reason == IN_PROGRESS:
        step, stopped = _again(rows, run)
        return step, "", stopped
    again = f"`{next_steps.run_again(NEUTRAL, run.drill, run.inventory)}`"
    if run.reason == CONTROLLER_DIED and not run.finished:
        undo = f"recover the run with {recover(run.run)}, then {lost_amounts.ENTER} if it is still missing"
        return f"{undo}, then run the drill again: {again}", "", False
    others = (
        [] if run.reason == CONTROLLER_DIED else [row for row in rows if row is not lacking and row.state != RECOVERED_SINCE]
    )
    step = ". ".join(filter(None, (lost_amounts.step(lacking), _first_step(others))))
    closing = f". To close the finding, {lacking.closing}" if lacking.closing else ""
    return f"{step}. {AFTER}{again}", closing, False


def _again(rows: Sequence[FindingRow], run: RunRow) -> tuple[str, bool]:
    """Return the next step after ``run``, which did not lose data of the service, and the field ``stopped`` of its alert. ``rows``:
    findings of the drill.
    """
    if run.reason == IN_PROGRESS:
        return "repeat the audit after the run has ended", False
    recovered = [row for row in rows if row.state == RECOVERED_SINCE]
    died = run.reason == CONTROLLER_DIED  # nothing is to be corrected before the drill is repeated
    other = next_steps.named_inventory(run.reason) if run.verdict == Verdict.NOT_RUN else ""
    again = f"`{next_steps.run_again(NEUTRAL, run.drill, other or run.inventory)}`"
    if run.verdict == Verdict.NOT_RUN:
        return f"run the drill where these services are installed: {again}", False
    if died:
        undo = "" if run.finished else f"recover the run with {recover(run.run)}, then "
        return f"{undo}run it again: {again}", not undo
    if first := _first_step(row for row in rows if row not in recovered):
        return f"{first}. {AFTER}{again}", False
    if recovered:
        return f"{RECOVERED_SINCE}; run the drill again: {again}", True
    return (f"run it again: {again}", True) if _was_stopped(run) else (f"mend the cause, then {again}", False)


def _was_stopped(run: RunRow) -> bool:
    """Return True for a run that a person or a signal stopped. It shows no problem that must be corrected before the next run."""
    return run.verdict == Verdict.ABORTED and stop_words.is_stop(run.reason)


def _first_step(rows: Iterable[FindingRow]) -> str:
    """Return the first instruction in the remedies of ``rows``. Only findings count that ``is_known`` accepts. The result is empty if
    no remedy contains an instruction."""
    return next((step for row in rows if is_known(row) and (step := row.first_step)), "")


def closing(rows: Sequence[FindingRow]) -> tuple[str, str]:
    """Return the next step for the open findings ``rows`` of a drill that passed, and what else must be done before a repetition
    of the drill closes the finding. This is empty if a repetition is enough. Data that did not come back is entered again first.
    """
    row = next((row for row in sorted(rows, key=lambda row: row.code != LACKING) if row.instruction), None)
    step = "correct the problem" if row is None else lost_amounts.step(row) if row.code == LACKING else row.instruction
    if row is not None and row.closing:
        return f"{step}. Then close the finding as the report says", f": {row.closing}, and run the drill again"
    return f"{step}, then run the drill again", ""
