"""Suggests the next commands after a run, for the terminal and for reports. The suggestions depend on the verdict. Those after a
suite are in ``suite_steps``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from drillbook.findings import Finding
from drillbook.installation.program_name import NEUTRAL
from drillbook.judge.result import Result, RunView, StepResult
from drillbook.judge.verdicts import Verdict
from drillbook.plan.permitted import FORBIDDEN
from drillbook.report import (
    action_references,
    backup_origin,
    dead_runs,
    held_locks,
    listed_rows,
    open_findings,
    rehearsal_results,
)
from drillbook.report.figures import one_line
from drillbook.report.remarks import MARK, RECENT_MARK, RESERVED
from drillbook.report.remedies import CLOSED_BY, before_repeat, first_instruction
from drillbook.report.restore_steps import restores
from drillbook.report.rows import findings_of, row_of
from drillbook.sdk import discovery

DEFAULT_INVENTORY = "lab"
EXEMPT = "exempt a service in the inventory by `not_drilled: REASON`"
"""Next step for a service without a drill, as an alternative to a new drill."""
MOST_DRILLS = 4
"""Largest number of suggestions of one kind after a suite, such as drills to repeat or reports to read."""
NO_ROUTINE = "the lab keeps no routine backups of {service}"
"""Clause about a service in a lab in which no job takes backups of it."""
SEE_AGE = "see the age of a routine backup of {service}"
SEE_LATER = "after the next routine backup of {service}, see its age"
"""Replaces ``SEE_AGE`` if servers write their own backups: the newest backup is then one that the server wrote for the drill."""
REPEAT_LATER = "repeat the drill after the next routine backup"
OWN_INVENTORY = "NAME"
"""Placeholder for the name of an inventory of the team, in a command for it."""
_PERMITTED = re.compile(r"(.+?): `(?:drillbook|invoke) (drill [^`]+)`")
_OTHER = re.compile(r"--inventory ([\w.-]+)")


def next_steps(
    program: str,
    drill: str,
    run: str,
    verdict: Verdict,
    inventory: str,
    *,
    newest: bool = False,
    residue: bool = False,
    other: str = "",
    recover: Sequence[tuple[str, str]] = (),
    permitted: tuple[str, str] | None = None,
) -> list[tuple[str, str]]:
    """Return suggestions of what to do after a run, most urgent first. Each is a pair of a description and a command.

    ``newest``: True for the newest run; the command that opens its report then does not name the run. ``residue``: True if
    changes remain that could not be undone. ``other``: name of another inventory with which the drill can run, if services of
    ``inventory`` do not exist on this machine, or an empty text. ``recover``: suggestions about other runs that caused the
    refusal of the run; see ``other_runs``. ``permitted``: suggestion of ``in_permitted``.
    """
    option, steps = on(inventory), list(recover)
    undo = [("undo the remaining changes", f"{program} drill.recover {run}")] if residue else []
    steps += [*undo, *([permitted] if permitted else [])]
    if not permitted and verdict is Verdict.REFUSED and not residue and not recover:
        steps.append(("correct the failed preconditions, then check again", f"{program} drill.check {drill}{option}"))
    if verdict is Verdict.NOT_RUN and other:
        steps.append((f"run the drill with the inventory {other}", f"{program} drill {drill}{on(other)}"))
    elif verdict is Verdict.NOT_RUN:
        steps.append(("install the missing services, then check again", f"{program} drill.check {drill}{option}"))
    again = {
        Verdict.FAILED: "run the drill again after the problem is corrected",
        Verdict.INCONCLUSIVE: "run the drill again once its figures can be measured",
        Verdict.REFUSED: "then run the drill",
        Verdict.ABORTED: "run the drill again",
        Verdict.NOT_RUN: "" if other else "then run the drill",
    }.get(verdict)
    steps.append(("read the report", f"{program} report.open" + ("" if newest else f" {run}")))
    if again and not permitted:
        steps.append((again, f"{program} drill {drill}{option}"))
    return steps


def other_runs(program: str, results: Sequence[Result]) -> list[tuple[str, str]]:
    """Return suggestions about other runs that caused the refusal of runs in ``results``: to recover those that are unfinished,
    and to wait for those that hold a lock."""
    return [*dead_runs.to_recover(program, results), *held_locks.to_wait(program, results)]


def in_permitted(program: str, findings: Iterable[Finding]) -> tuple[str, str] | None:
    """Return the suggestion to run a drill in a permitted environment, if the guard refused the environment of the run. The
    suggestion is in the remedy of the finding. Returns None for any other run, and for a remedy without a command.
    """
    remedies = (finding.remedy for finding in findings if finding.code == FORBIDDEN)
    return next(filter(None, (_permitted(program, remedy) for remedy in remedies)), None)


def _permitted(program: str, remedy: str) -> tuple[str, str] | None:
    match = _PERMITTED.match(remedy)
    return (match[1][:1].lower() + match[1][1:], f"{program} {match[2]}") if match else None


def permitted_step(remedy: str) -> str:
    """Return the step to run a drill in a permitted environment, for a list of steps. ``remedy``: that of the finding that
    the guard does not permit the environment. An older journal has a remedy without a command.
    """
    if step := _permitted(NEUTRAL, remedy):
        return f"{step[0]}: `{step[1]}`"
    return "run it with an inventory of a permitted environment (`--inventory NAME`), or change `guard.environments`"


def other_inventory(view: RunView) -> str:
    """Return the name of another inventory that has the services which do not exist on this machine.

    The name is read from the key `missing` of a service in the plan. The result is empty if the finding `not-run-here` does not
    name the same inventory.
    """
    texts = (str(fields.get("missing") or "") for fields in (view.plan.get("inventory") or {}).get("services", {}).values())
    named = dict.fromkeys(match[1] for text in texts if (match := _OTHER.search(text)))
    lacking = " ".join(finding.measured for finding in view.result.findings if finding.code == "not-run-here")
    return next((name for name in named if f"--inventory {name}" in lacking), "")


def named_inventory(reason: str) -> str:
    """Return the name of an inventory from ``reason``, or an empty text if there is none. ``reason``: the reason why a run has
    the verdict `not run here`.
    """
    match = _OTHER.search(reason)
    return match[1] if match else ""


def age_of_routine(view: RunView) -> tuple[str, str] | None:
    """Return a suggestion of how to see the age of a routine backup of the service.

    The suggestion is made for a passed run whose RPO was met only with a reservation, because the restored backup was taken
    during the run. The suggested command runs a drill that restores a routine backup. If the project has no such drill, the
    suggestion is to copy or write one; see ``to_write``. A rehearsal, too, may be suggested: its run shows the age of the backup,
    but does not remove the reservation.

    Returns None for any other run, for a run in a lab without routine backups, and for a journal that does not record which
    drills restore routine backups.
    """
    return None if without_routine(view.plan, restoring(view.result.steps)) else _age_of_routine(view)


def _age_of_routine(view: RunView, inventory: str = "") -> tuple[str, str] | None:
    """Return the suggestion of ``age_of_routine`` for any inventory. ``inventory``: name of the inventory in the command, if it
    is not that of the run. No drill to copy is then named, because the copy could not work in the lab."""
    row = row_of(view.result, "rpo")
    fresh = row is not None and row.state == RESERVED and (MARK in row.mark or RECENT_MARK in row.mark)
    if not fresh or view.routine is None or view.result.verdict is not Verdict.PASSED:
        return None
    service, action = one_line(view.result.service), restoring(view.result.steps)
    if view.routine:
        said = SEE_LATER if discovery.own_backups(action) else SEE_AGE
        return said.format(service=service), run_again(view.program, view.routine[0], inventory or view.inventory)
    if inventory and discovery.routine_drill(action):
        return "choose a drill that restores one", f"{view.program} catalog --for {action.partition('.')[0]}"
    return to_write(view.program, service, action)


def without_routine(plan: Mapping[str, Any], action: str) -> bool:
    """Return True if a run was in a lab that has no routine backups of the service. A lab has no job that takes backups, so it
    has only those that a server writes itself.

    ``plan``: plan of the run. ``action``: action that restored a backup of the service.
    """
    inventory = plan.get("inventory")
    return isinstance(inventory, Mapping) and bool(inventory.get("lab")) and not discovery.own_backups(action)


def in_own_inventory(views: Sequence[RunView]) -> list[tuple[str, str]]:
    """Return suggestions after runs in a lab that has no routine backups of their services: how to see the age of these backups
    with an inventory of the team."""
    said = f"{NO_ROUTINE}; with an inventory of your own, "
    return _distinct((said.format(service=name) + what, command) for name, (what, command) in lacking_backups(views).items())


def lacking_backups(views: Sequence[RunView]) -> dict[str, tuple[str, str]]:
    """Return the suggestion of ``_age_of_routine`` for each service of which a lab has no routine backups. The key is the service."""
    steps: dict[str, tuple[str, str]] = {}
    for view in views:
        if without_routine(view.plan, restoring(view.result.steps)) and (step := _age_of_routine(view, OWN_INVENTORY)):
            steps.setdefault(one_line(view.result.service), step)
    return steps


def to_write(program: str, service: str, action: str, own: Container[str] = ()) -> tuple[str, str]:
    """Return the suggestion to copy or write a drill that restores a routine backup of ``service``.

    ``action``: action that restored another backup of the service. If the catalogue has such a drill for its system, the suggested
    command copies this drill, unless it is among ``own``, the drills of the project. Otherwise, the command shows the
    documentation of ``action``.
    """
    if (drill := discovery.routine_drill(action)) and drill not in own:
        return (
            f"copy a drill that shows the age of a routine backup of {one_line(service)}",
            f"{program} init --with {drill}",
        )
    return action_references.reading(program, f"write a drill that restores a routine backup of {one_line(service)}", action)


def restoring(steps: Sequence[StepResult]) -> str:
    """Return the action of the last step that restored a backup. It is empty if no step did."""
    return next((step.action for step in reversed(restores(steps))), "")


def before_run(
    program: str, name: str, inventory: str, *, confirm: str = "", refused: bool = False
) -> list[tuple[str, str]]:
    """Return suggestions for a reader of a plan. ``confirm``: environment to name with the option `--confirm`, if the run
    needs it. ``refused``: True when the drill cannot run now.
    """
    option = on(inventory)
    steps = [("check the preconditions", f"{program} drill.check {name}{option}")]
    confirmed = f" --confirm {shlex.quote(confirm)}" if confirm else ""
    return steps if refused else [*steps, ("run it", f"{program} drill {name}{option}{confirmed}")]


def in_report(view: RunView) -> list[tuple[str, str]]:
    """Return suggestions for a reader of a run's report; see ``with_remedy``. The last suggestion is to verify the record."""
    result = view.result
    suggestions = next_steps(
        view.program,
        one_line(result.drill),
        one_line(result.run),
        result.verdict,
        one_line(view.inventory),
        residue=bool(result.open_residue),
        other=other_inventory(view),
        recover=other_runs(view.program, [result]),
        permitted=in_permitted(view.program, result.findings),
    )
    steps = [step for step in suggestions if "report.open" not in step[1]]
    steps += [*proofs([view]), *in_own_inventory([view])]
    return [*with_remedy(view, steps), ("verify this record", f"{view.program} report.verify {one_line(result.run)}")]


def with_remedy(view: RunView, steps: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return ``steps``, the suggestions after a run. If the run passed, or a recovery did not bring back all data, the remedy of the
    worst finding stands before the repetition of the drill. After any other run, the remedy of lost rows stands first."""
    result = view.result
    if result.open_residue:
        return list(steps)
    again = f"{view.program} drill {one_line(result.drill)}{on(one_line(view.inventory))}"
    first, closing = first_remedy(view)
    what = f"{first}{_rows(view) if closing else ''}{closing}"
    if not (result.later_findings or result.verdict is Verdict.PASSED):
        if first and not closing:
            read = (first, f"{view.program} report.open {one_line(result.run)}")
            return [read, *(step for step in steps if "report.open" not in step[1])]
        return [*([_log_restore(view, what)] if closing else []), *steps]
    others = [step for step in steps if step[1] != again]
    if closing:
        return [_log_restore(view, what), ("then repeat the drill", again), *others]
    repeat = REPEAT_LATER if _is_repeated_later(result) else "repeat the drill"
    return [(f"{first}; then repeat the drill", again), *others] if first else [*others, (repeat, again)]


def _rows(view: RunView) -> str:
    """Return a clause that names steps after the restore which changed data, and list its rows, because these rows may help to find
    the missing data. The result is empty if no data is missing, and if there are no such steps."""
    missing = next((finding for finding in findings_of(view.result) if finding.code in CLOSED_BY), None)
    said = listed_rows.after_restore(view, missing.step) if missing else ""
    return f"; {said}" if said else ""


def on_terminal(view: RunView, steps: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the suggestions of ``with_remedy`` for the terminal. It has no room for the repetition of a drill that passed, unless
    there is a remedy, or the drill restored no routine backup.
    """
    if first_remedy(view)[0] or (view.result.verdict is Verdict.PASSED and _is_repeated_later(view.result)):
        return with_remedy(view, steps)
    return list(steps)


def _is_repeated_later(result: Result) -> bool:
    """Return True if the drill should be repeated after the next routine backup, because it restored no routine backup."""
    return backup_origin.during_drill(result.last_steps) or bool(rehearsal_results.beside_verdict(result))


def first_remedy(view: RunView) -> tuple[str, str]:
    """Return two texts about the worst finding that has an instruction. Only findings of medium severity or higher count. If a
    recovery did not bring back all data, only findings about lost data count; of any other run that did not pass, those about rows.

    The first text is the first instruction of the finding, with a small first letter. The second text tells what else must be
    changed to close the finding; see ``before_repeat``. Both texts are empty when no finding has an instruction.
    """
    passed, later = view.result.verdict is Verdict.PASSED, view.result.later_findings
    for finding in open_findings.grave(findings_of(view.result)):
        counts = (passed and not later) or finding.code in (open_findings.DATA_LOSS if later else CLOSED_BY)
        if counts and (text := first_instruction(finding.code, finding.remedy)):
            return one_line(text[:1].lower() + text[1:]), before_repeat(finding.code, text)
    return "", ""


def _log_restore(view: RunView, what: str) -> tuple[str, str]:
    """Return the suggestion ``what`` with the command that prints the documentation of a restore action: one that also brings back
    data newer than the backup, if the system has such an action, and otherwise the one that restored the backup."""
    action = restoring(view.result.last_steps)
    return action_references.reading(view.program, what, discovery.log_restore(action) or action)


def proofs(views: Sequence[RunView]) -> list[tuple[str, str]]:
    """Return suggestions of drills that show the age of routine backups. ``age_of_routine`` makes the suggestion for each
    run."""
    return _distinct(map(age_of_routine, views))


def _distinct(suggestions: Iterable[tuple[str, str] | None]) -> list[tuple[str, str]]:
    """Return at most ``MOST_DRILLS`` suggestions, each description once, because one drill is enough for a service."""
    steps: dict[str, tuple[str, str]] = {}
    for step in filter(None, suggestions):
        steps.setdefault(step[0], step)
    return list(steps.values())[:MOST_DRILLS]


def run_again(program: str, drill: str, inventory: str, task: str = "drill") -> str:
    """Return the command that runs a drill again, or that runs another ``task`` with this drill. ``inventory``: name of the
    inventory, as the journal records it.
    """
    return f"{program} {task} {one_line(drill)}{on(one_line(inventory))}"


def on(inventory: str) -> str:
    """Return the command line option for the inventory. The result is empty for the default inventory."""
    return "" if inventory in ("", DEFAULT_INVENTORY) else f" --inventory {shlex.quote(inventory)}"
