"""Short result of a recovery in a terminal: what was undone on each host, and the state of the run. The report has the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from drillbook.inventory.inventory import CONTROLLER
from drillbook.journal.intents import NEVER_HAPPENED
from drillbook.judge.faultstate import PUT_BACK_GONE
from drillbook.judge.recovered_later import RECOVERED
from drillbook.judge.recovery_record import Act, Recovery
from drillbook.judge.result import RunView
from drillbook.language.lists import listed
from drillbook.report import end_state, lost_data, open_findings, recovery_rows, residue_state, rows, stop_words, wording
from drillbook.report.figures import count, one_line, shown
from drillbook.report.terminal import summary
from drillbook.report.terminal.prose import Prose
from drillbook.report.terminal.tables import COLOURS

MOST_STEPS = 4
"""Largest number of steps that a line names."""
GOOD = ("done", "skipped")
NONE_NEEDED = (PUT_BACK_GONE, NEVER_HAPPENED)
"""Outcomes of changes that needed no undo. They have no line."""
BY_HOST = "undone by the host itself"


def recovery_summary(view: RunView, report: str) -> RenderableType:
    """Return the result of the newest recovery of a run: a line for each host, what could not be undone, and the report."""
    lines = [line for recovery in view.recoveries[-1:] for line in _hosts(recovery, view)]
    return Group(
        *lines,
        Text(),
        *summary.residue_lines(view, failed=True),
        *_findings(view),
        summary.where("" if report else view.result.run, report, view.result.environment, [view]),
    )


def state_of_run(view: RunView) -> RenderableType:
    """Return sentences about the service after the recovery, about the verdict of the run, which no recovery changes, and a
    line about the data that was lost. What to do about it is among the next steps.
    """
    result = view.result
    residue = wording.residue(result)
    verdict = f"{result.verdict}{f' with {residue}' if residue else ''}"
    why = stop_words.in_words(result.reason) or "see the report"
    ended = f"The verdict of the run stays {verdict} (exit {result.exit}): {shown(why)}"
    told = Prose(Text(" ".join(filter(None, (end_state.after_recovery(view), f"{ended.rstrip('.')}.")))), 2)
    lost = lost_data.after_recovery(view)
    return Group(told, *([Prose(Text(f"! {shown(lost)}", style="yellow"), 2)] if lost else []))


def _findings(view: RunView) -> list[RenderableType]:
    """Return a line that counts the findings of the run as its report shows them, and names the worst, and those about lost data."""
    known = open_findings.grave(rows.findings_of(view.result))
    if not known:
        return []
    brief = [finding.model_copy(update={"title": finding.title.partition(f"; {RECOVERED}")[0]}) for finding in known]
    told = f"findings of the run: {', '.join(open_findings.counts(known))}: {open_findings.first(brief)}"
    return [Prose(Text(shown(told)), 2)]


def _hosts(recovery: Recovery, view: RunView) -> Iterator[RenderableType]:
    """Yield a line for each host on which changes were undone or should have been, and for other acts that did not succeed."""
    acts_by_host: dict[str, list[Act]] = {}
    for act in recovery.acts:
        host = residue_state.data_host(view, act.step, act.host) if act.sort == "undo" else act.host
        acts_by_host.setdefault(one_line(host) or CONTROLLER, []).append(act)
    room = max(map(cell_len, acts_by_host), default=0)
    for host, acts in acts_by_host.items():
        undos = [act for act in acts if act.sort == "undo" and (act.by_target or act.message not in NONE_NEEDED)]
        undos = [act for act in undos if recovery_rows.result(act)[0] != "skipped"]
        bad = any(recovery_rows.result(act)[0] != "done" for act in undos)
        if undos:
            status = "failed" if bad else "unverified" if any(map(_unverified, undos)) else "done"
            yield _line(host, room, "; ".join(_undone(undos)), status)
        names_by_result: dict[tuple[str, str, str], list[str]] = {}
        for act in acts:
            if act.sort not in ("undo", "step") and (told := recovery_rows.result(act))[0] not in GOOD:
                names_by_result.setdefault(told, []).append(recovery_rows.name(act))
        for (status, words, why), names in names_by_result.items():
            first = why.partition("\n")[0]  # the report has the rest
            yield _line(host, room, f"{', '.join(names)}: {words}{f': {first}' if first else ''}", status)


def _undone(undos: Sequence[Act]) -> Iterator[str]:
    """Yield one clause for each outcome of undos on a host: the number of the changes, the outcome, and the steps."""
    steps_by_outcome: dict[str, list[str]] = {}
    for act in undos:
        status, words, told = recovery_rows.result(act)
        outcome = f"{words} ({told})" if told and status != "failed" else words
        outcome = BY_HOST if act.by_target and status == "done" else outcome
        outcome = ", ".join(filter(None, (outcome, _unverified(act))))
        steps_by_outcome.setdefault(outcome, []).append(one_line(f"{act.step} {act.what}"))
    for outcome, steps in steps_by_outcome.items():
        yield f"{count(len(steps), 'change')} {outcome}: {listed(steps, MOST_STEPS)}"


def _unverified(act: Act) -> str:
    """Return why nothing proves that an undo which succeeded removed the fault. The result is empty if this is proven."""
    told, loud = recovery_rows.verified(act, brief=True)
    return told if loud and recovery_rows.result(act)[0] == "done" else ""


def _line(host: str, room: int, text: str, status: str) -> RenderableType:
    known = wording.STEP_SHAPES.get(status, "?")
    label = Text(f"{known} {host}{' ' * (room - cell_len(host))}  ", style=COLOURS.get(status, "yellow"))
    return Prose(Text(shown(text)), 2, label=label)
