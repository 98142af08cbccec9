"""Words for changes that are not recorded as undone: the heading above a list of these changes, and the state of a change."""

from __future__ import annotations

import re
from collections.abc import Sequence

from drillbook.exits import Exit
from drillbook.findings import Finding
from drillbook.installation.program_name import as_called
from drillbook.inventory.inventory import CONTROLLER
from drillbook.judge import residue
from drillbook.judge.result import ByHand, Injection, Residue, RunView
from drillbook.judge.steps import NOTHING, ONLY_BY_RESTORE, by_commands
from drillbook.judge.verdicts import Verdict
from drillbook.report.figures import count, one_line

COMMANDS = "in this order:"
"""Words in the first line of the instructions for an undo by hand, if the instructions are a list of commands."""
_COMMAND = re.compile(r"on \S+( as \S+)?: ")
"""Pattern of the words before the only command of an undo by hand, such as ``on app-1: rm -rf /tmp/x``."""
RECOVER, OTHERWISE = (
    "To undo the changes, run",
    "Only if this command fails: undo a change by hand, then run the command again",
)
"""Words before the command that undoes the changes, and the heading above the instructions to undo them by hand."""
FIRST = "Undo the change with `{command}`. Only if this command fails, undo it by hand"
"""Begin of the remedy of a change that is not undone."""
FAILED, UNRECORDED = "could not be undone", "no undo recorded"
"""States of a change. ``UNRECORDED``: the controller died before an undo, so the target may have undone the change by itself."""
NOT_ALL_UNDONE = "some changes could not be undone"
NOT_AS_FOUND = "The system is not as the drill found it."
NOT_KNOWN = "The controller died before it recorded an undo, so it is not known if the system is as the drill found it."
BY_LEASE = "A target whose lease expired undoes the changes by itself."
"""Sentence after ``NOT_KNOWN`` if every change can be undone by commands on the target. The target undoes no other changes by
itself.
"""


def doubts(view: RunView) -> list[str]:
    """Return the reason why a run that passed with residue does not count as passed. The list is empty for every other run."""
    result = view.result
    return [NOT_ALL_UNDONE] if result.verdict is Verdict.PASSED and result.residue and result.exit == Exit.RESIDUE else []


def failed(view: RunView, change: Residue) -> bool:
    """Return True when the journal proves that the change could not be undone."""
    return residue.tried(change, view.steps, finished=view.finished)


def state(view: RunView, change: Residue) -> str:
    """Return the text that names the state of one change that is not recorded as undone."""
    return FAILED if failed(view, change) else UNRECORDED


def is_commands(by_hand: str) -> bool:
    """Return True when the instructions for an undo by hand are a list of commands, which reports show unchanged."""
    return COMMANDS in by_hand.partition("\n")[0]


def has_commands(by_hand: str) -> bool:
    """Return True when the instructions for an undo by hand contain a command that stands outside of backticks."""
    return is_commands(by_hand) or _COMMAND.match(by_hand) is not None


def by_hand(view: RunView, change: Residue) -> str:
    """Return the instructions to undo a change by hand: those that the whole journal gives, or else those of the result."""
    full = _whole(view, change)
    return full.text if full else change.by_hand


def place(view: RunView, change: Residue) -> str:
    """Return the host of the changed data. It is another one than the host of the step if the controller reached a service."""
    full = _whole(view, change)
    return full.place if full else change.host


def data_host(view: RunView, step: str, host: str) -> str:
    """Return the host of the data that ``step`` changed, also if its change was undone. ``host``: host of the step."""
    return view.places.get(step, host) if host == CONTROLLER else host


def findings(view: RunView, told: Sequence[Finding], *, alone: bool = False) -> list[Finding]:
    """Return the findings ``told`` of the run, with the program that began the run in each command of their remedies. Findings about
    changes that were not undone get the place that the report has for these changes, and the command that undoes them as the remedy.
    ``alone``: True for a format that shows the instructions to undo a change by hand nowhere else; the remedy then has them.
    """
    left: dict[tuple[str | None, str | None], Residue] = {
        (change.step, change.host): change for change in view.result.residue
    }
    return [
        _as_told(view, problem, left[problem.step, problem.host], alone=alone)
        if problem.code == "residue" and (problem.step, problem.host) in left
        else problem.model_copy(update={"remedy": as_called(problem.remedy, view.program)})
        for problem in told
    ]


def _as_told(view: RunView, problem: Finding, change: Residue, *, alone: bool) -> Finding:
    title = problem.title.removesuffix(f" on {change.host}")
    title = problem.title if title == problem.title else f"{title} on {place(view, change)}"
    return problem.model_copy(update={"title": title, "remedy": _remedy(view, change, alone=alone)})


def _remedy(view: RunView, change: Residue, *, alone: bool) -> str:
    """Return the remedy of a change that is not undone. Nobody has to undo one that a person closed."""
    told = by_hand(view, change)
    if view.result.settled:
        return told
    first = FIRST.format(command=f"{view.program} drill.recover {one_line(view.result.run)}")
    return f"{first}: {told}" if alone else f"{first}, as described above."


def _whole(view: RunView, change: Residue) -> ByHand | None:
    """Return what the whole journal says about the undo of ``change`` by hand, or None if it says nothing."""
    return next((full for full in view.by_hand if (full.step, full.host) == (change.step, change.host)), None)


def heading(view: RunView) -> str:
    """Return the heading above the changes, such as ``2 changes could not be undone``."""
    left, closed = view.result.residue, view.result.settled
    number = sum(failed(view, change) for change in left)
    text = f"{count(number, 'change')} {FAILED}" if number or not left else ""
    if number < len(left):
        rest = f"no undo of {count(len(left) - number, 'change')} was recorded"
        text = f"{text}, and {rest}" if text else f"{rest[0].upper()}{rest[1:]}"
    return f"{text}; closed later by a person" if closed else text


def meaning(view: RunView) -> str:
    """Return a sentence that tells whether the system is still changed, or that this is unknown."""
    left = view.result.residue
    if any(failed(view, change) or _remains(view, change) for change in left):
        return NOT_AS_FOUND
    return f"{NOT_KNOWN} {BY_LEASE}" if all(_leased(view, change) for change in left) else NOT_KNOWN


def _leased(view: RunView, change: Residue) -> bool:
    own = [step for step in view.steps if (step.result.id, step.result.host) == (change.step, change.host)]
    return bool(own) and all(map(by_commands, own))


def _remains(view: RunView, change: Residue) -> bool:
    """Return True when it is certain that the fault ``change`` is still in effect: the fault happened, neither commands nor
    an action can undo it, and no step of the restore phase began.

    The result is False for a fault that commands or an action can undo, because the controller may have died after the undo
    and before it recorded the undo.
    """
    own = [step for step in view.steps if (step.result.id, step.result.host) == (change.step, change.host)]
    if not any(step.undo.startswith((ONLY_BY_RESTORE, NOTHING)) for step in own):
        return False
    if any(step.phase == "restore" and step.start is not None for step in view.steps):
        return False
    done = {(step.result.id, step.result.host) for step in view.steps if step.result.status == "done"}
    return any(
        (fault.step, fault.host) == (change.step, change.host)
        and (
            fault.injection is Injection.INJECTED
            or (fault.injection is Injection.UNPROVEN and (change.step, change.host) in done)
        )
        for fault in view.result.faults
    )
