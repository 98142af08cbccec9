"""Suggests the next commands after a suite, for the terminal and for reports. What several drills have in common is said once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from drillbook.judge.result import Result, RunView, SuiteResult
from drillbook.judge.verdicts import Verdict
from drillbook.report import dead_runs, open_findings, stop_words
from drillbook.report.figures import one_line
from drillbook.report.next_steps import (
    MOST_DRILLS,
    first_remedy,
    in_own_inventory,
    in_permitted,
    lacking_backups,
    on,
    other_runs,
    proofs,
)
from drillbook.report.rows import findings_of

AFTER_CORRECTION = "after the correction"
SUITE_AGAIN = "then repeat the suite"
MOST_REMEDIES = 2
"""Largest number of different remedies in a terminal, if the suite passed. If there are more, one is shown, and the suggestion to
read the report names the other drills."""
FEW_DRILLS = 2
"""Number of drills that are repeated one by one. If there are more with the same remedy, or if more did not pass, the suite is
repeated. A report shows the commands of up to half of the drills, and a terminal those of one drill of a large suite with remedies."""


def in_suite(suite: SuiteResult, views: Sequence[RunView]) -> list[tuple[str, str]]:
    """Return suggestions for a reader of a suite's report. The list is empty if the suite ran no drill.

    The suggestions are those of ``after_suite`` for the terminal, without the suggestion to read the report, and with those about
    the routine backups that a lab lacks. After a suite that passed, the next suggestion is to repeat the suite. The last one is
    always to verify the record of the suite.
    """
    if not views:
        return []
    program, option = views[0].program, on(views[0].inventory)
    groups = _groups(views)[:MOST_DRILLS]
    steps = [
        *_left(program, views),
        *_to_do(program, suite, views, option, groups, few=min(MOST_DRILLS, max(FEW_DRILLS, len(views) // 2))),
        *proofs(views),
        *in_own_inventory(views),
    ]
    if suite.verdict is Verdict.PASSED:
        steps.append(("repeat the suite", f"{program} drill {one_line(suite.suite)}{option}"))
    return [*steps, ("verify this record", f"{program} report.verify {one_line(suite.run)}")]


def after_suite(program: str, suite: SuiteResult, views: Sequence[RunView], inventory: str) -> list[tuple[str, str]]:
    """Return suggestions for the terminal after a suite.

    The suggestions are: undo the changes that its drills left, recover the unfinished runs that caused refusals of drills,
    read the report, repeat drills that did not pass for another reason, follow the remedies of findings, repeat the whole
    suite if it did not pass, and run drills that show the age of a routine backup. If a drill left changes, the remedies and the
    drills about routine backups are only in the report, because the changes come first.
    """
    groups, left = _groups(views), _left_together(program, suite, views)
    most = 0 if left else MOST_REMEDIES if suite.verdict is Verdict.PASSED else 1
    shown = groups if len(groups) <= most else groups[: min(most, 1)]
    others = [view for group in groups[len(shown) :] for view in group]
    also = f", also the remedies for {_others(others)}" if others else ""
    steps = [*left, (f"read the report{also}", f"{program} report.open")]
    few = 1 if (shown or left) and len(views) > MOST_DRILLS else FEW_DRILLS
    return [
        *steps,
        *_to_do(program, suite, views, on(inventory), shown, few=few),
        *([] if left else _proofs_in_brief(views)),
    ]


def _others(views: Sequence[RunView]) -> str:
    return _few([view.result.drill for view in views], "other drills")


def grouped(steps: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """Return ``steps`` with the commands of neighbouring suggestions that have the same description together."""
    return [(what, [command for _, command in group]) for what, group in groupby(steps, key=lambda step: step[0])]


def _to_do(
    program: str, suite: SuiteResult, views: Sequence[RunView], option: str, groups: Sequence[Sequence[RunView]], *, few: int
) -> list[tuple[str, str]]:
    """Return the suggestions that the terminal and the report of a suite have in common. ``groups``: see ``_groups``. ``few``: number
    of drills that are repeated one by one; if more did not pass, the suite is repeated."""
    whole = f"{program} drill {one_line(suite.suite)}{option}"
    repeated = _not_passed(program, views, option)
    many = len(repeated) > few
    steps = [] if many else repeated
    steps += [step for group in groups for step in _of_findings(program, group, option, whole)]
    again = f"{AFTER_CORRECTION}, repeat the suite" if many else SUITE_AGAIN
    return steps if suite.verdict is Verdict.PASSED else [*steps, (again, whole)]


def _groups(views: Sequence[RunView]) -> list[list[RunView]]:
    """Return the passed drills with a finding of medium severity or higher, and other drills that lost rows, in groups of those with
    the same remedy."""
    groups: dict[tuple[str, str], list[RunView]] = {}
    for view in views:
        if not view.result.open_residue and open_findings.grave(findings_of(view.result)):
            remedy = first_remedy(view)
            if view.result.verdict is Verdict.PASSED or remedy[1]:
                groups.setdefault(remedy, []).append(view)
    return list(groups.values())


def _of_findings(program: str, group: Sequence[RunView], option: str, whole: str) -> list[tuple[str, str]]:
    """Return the suggestions for a group of drills with the same remedy.

    The description names the drills, their owners and the remedy. The commands repeat the drills, or the suite if there are more
    than ``FEW_DRILLS``. In two cases, a command opens a report instead: the remedy contains no instruction, or the finding would
    remain after a repetition of the drill. ``whole``: command that repeats the suite.
    """
    remedy, closing = first_remedy(group[0])
    many, named = len(group) > 1, _named(group)
    reports = [f"{program} report.open {one_line(view.result.run)}" for view in group]
    if closing:
        return [(f"for {named}: {remedy}, and read what closes the finding", reports[0])]
    if not remedy:
        what = f"for {named}: read the remedies of the findings" if many else f"for {named}: read the remedy of the finding"
        return [(what, command) for command in reports[:MOST_DRILLS]]
    if len(group) > FEW_DRILLS:
        return [(f"for {named}: {remedy}; {SUITE_AGAIN}", whole)]
    what = f"for {named}: {remedy}; then repeat the {'drills' if many else 'drill'}"
    return [(what, f"{program} drill {one_line(view.result.drill)}{option}") for view in group]


def _named(group: Sequence[RunView]) -> str:
    """Return the names of the drills of a group. An owner that all of them have is named once."""
    owners = {one_line(view.owner) for view in group}
    names = [one_line(view.result.drill) for view in group]
    if len(owners) == 1:
        (owner,) = owners
        return open_findings.named(names) + (f" (owner {owner})" if owner else "")
    return open_findings.named(
        [f"{name} (owner {one_line(view.owner)})" if view.owner else name for name, view in zip(names, group, strict=True)]
    )


def _proofs_in_brief(views: Sequence[RunView]) -> list[tuple[str, str]]:
    """Return the suggestions of ``_proofs`` for a terminal. The last one also names the services of which a lab keeps no routine
    backups. What can be done about these only outside of the lab is in the report."""
    steps, lacking = proofs(views), lacking_backups(views)
    if not steps or not lacking:
        return steps
    what, command = steps[-1]
    return [*steps[:-1], (f"{what} (the lab keeps none of {open_findings.named(list(lacking))})", command)]


def _left(program: str, views: Sequence[RunView]) -> list[tuple[str, str]]:
    """Return suggestions to undo what the drills left, and to recover unfinished runs that caused refusals of drills. Each
    command occurs only once."""
    results = [view.result for view in views]
    description_by_command = {
        f"{program} drill.recover {one_line(result.run)}": f"undo what {one_line(result.drill)} left"
        for result in results
        if result.open_residue
    }
    for description, command in other_runs(program, results):
        description_by_command.setdefault(command, description)
    return [(description, command) for command, description in description_by_command.items()]


def _left_together(program: str, suite: SuiteResult, views: Sequence[RunView]) -> list[tuple[str, str]]:
    """Return the suggestions of ``_left`` for a terminal. If several drills left changes, one command undoes those of all."""
    steps, drills = _left(program, views), [view.result.drill for view in views if view.result.open_residue]
    if len(drills) < 2:
        return steps
    own = {f"{program} drill.recover {one_line(view.result.run)}" for view in views if view.result.open_residue}
    together = f"undo what {_few(drills)} left", f"{program} drill.recover {one_line(suite.run)}"
    return [together, *(step for step in steps if step[1] not in own)]


def _few(drills: Sequence[str], many: str = "drills") -> str:
    """Return the names of a few drills, or the number of ``many``."""
    return f"{len(drills)} {many}" if len(drills) > FEW_DRILLS else open_findings.named(drills)


def _before_repeat(result: Result) -> str:
    """Return the description of the repetition of a drill that did not pass. A run that somebody stopped needs no correction."""
    stopped = result.verdict is Verdict.ABORTED and stop_words.is_stop(result.reason)
    return "run it again" if stopped else AFTER_CORRECTION


def _not_passed(program: str, views: Sequence[RunView], option: str) -> list[tuple[str, str]]:
    """Return the commands that repeat the drills that did not pass. Drills that were refused only because of an unfinished run
    are left out: nothing is wrong with them."""
    results = [view.result for view in views]
    asked = [result for result in results if result.verdict is not Verdict.PASSED]
    steps = {
        result.drill: in_permitted(program, result.findings)
        or (_before_repeat(result), f"{program} drill {one_line(result.drill)}{option}")
        for result in asked
        if not dead_runs.refused_only_by_them(result)
    }
    return list(steps.values())
