"""Alerts about objectives that are met only with a reservation.

A reservation is a reason to doubt an RPO that was met. For example, some data was lost, so the RPO is met, but not measured for
this data.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from drillbook.audit import old_backups
from drillbook.audit.alert import NEXT_RUN, NEXT_RUNS, Alert, Topic, drill_key, is_open, joint_owner, owner_of
from drillbook.audit.content import Audit
from drillbook.audit.objective_states import ProvenRow
from drillbook.audit.rehearsal_figures import STAYS
from drillbook.installation.program_name import NEUTRAL
from drillbook.report import action_references, next_steps, open_findings, remarks
from drillbook.report.figures import one_line
from drillbook.sdk import discovery

MOST_PROOFS = 3
RESERVATIONS = {
    remarks.FRESH: (": the drill itself took the restored backup", ""),
    remarks.MISSING: (
        ": less data came back than the fault removed",
        "back up more often or archive the WAL, so that a run brings all removed data back",
    ),
    remarks.UNKNOWN: (
        ": the recovery point covers the canary's own rows only",
        "compare the content before and after with `content.take` and `content.matches` to prove the recovery point",
    ),
}
"""Text and next step for an objective that is met with a reservation. The key of each entry is the reason for the
reservation. The step for a fresh backup depends on the service; see ``_routine_proofs``.
"""
SHOWN_BY = ("It shows how old the backup is; the reservation stays", "They show how old it is; the reservation stays")
"""Words for what a drill that restores a routine backup shows. The first text is about one drill, the second about several."""

LEFT = (
    "No shipped drill does this: 'Restores' on the page 'Drills and suites' (drills.md) of the documentation has an example. The "
    "reservation may also stay, because it only tells how the figure was measured"
)
"""Words about what removes the reservation of an RPO that was measured with a backup of the drill itself."""


def of(audit: Audit, owners: dict[tuple[str, str], str], told: Collection[str] = ()) -> Iterator[Alert]:
    """Return alerts about objectives that are met with a reservation. Each environment has one alert for each kind of
    reservation. ``told``: drills, such as ``cache-lost in lab``, whose own alert tells their reservations. They get no alert here.
    Only if other drills restored a backup that they took themselves, the alert about these names them too, because all of them
    have the mark. Alerts about routine backups that are too old for an RPO follow.
    """
    known = [goal for goal in audit.proven if goal.reserved]
    for environment in sorted({goal.environment for goal in known}):
        reserved = [goal for goal in known if goal.environment == environment]
        for reason, (why, usual) in RESERVATIONS.items():
            goals = [goal for goal in reserved if reason in remarks.reasons(goal.mark)]
            goals = [goal for goal in goals if reason != remarks.FRESH or not _age_known(audit, goal)]
            goals = [goal for goal in goals if reason != remarks.MISSING or not _told(audit, goal)]
            others = [goal for goal in goals if drill_key(goal.drill, goal.environment) not in told]
            goals = goals if others and reason == remarks.FRESH else others
            if drills := [goal.drill for goal in goals]:
                step, otherwise = _routine_proofs(audit, goals) if reason == remarks.FRESH else (usual, "")
                who = joint_owner(owner_of(owners, environment, drill) for drill in drills)
                when = NEXT_RUN if len(set(drills)) == 1 else NEXT_RUNS
                text = f"{_states(environment, goals)}{why}"
                yield Alert(text, step, who, when, topic=Topic.RESERVED, otherwise=otherwise)
    yield from old_backups.of(audit, owners)


def _states(environment: str, goals: Sequence[ProvenRow]) -> str:
    """Return the beginning of a sentence about the RPOs in ``goals``: the names of the drills, and the state of the RPOs. If they
    have several states, because some drills met the RPO only for a part of the data, the text has a state that covers all.
    """
    states = {goal.said for goal in goals}
    state = states.pop() if len(states) == 1 else "not fully proven"
    return f"The RPO of {open_findings.named([goal.drill for goal in goals])} in {environment} is {state}"


def _told(audit: Audit, goal: ProvenRow) -> bool:
    """Return True if the drill has an open finding about data that did not come back. Another alert then reports this
    finding, and ``goal`` needs no alert of its own.
    """
    return any(
        row.code == open_findings.LACKING and is_open(row) and (row.environment, row.drill) == (goal.environment, goal.drill)
        for row in audit.findings
    )


def _age_known(audit: Audit, goal: ProvenRow) -> bool:
    """Return True if the age of routine backups of the service is known: a rehearsal in the period restored a backup that no
    drill had taken, and measured how much data would be lost. In this case, the alert about RPOs of backups that drills took
    does not mention ``goal``; see ``rehearsal_figures.noted`` for the note that stands beside the RPO instead.
    """
    place = (goal.environment, goal.service)
    rows = [row for row in audit.rehearsed if (row.environment, row.service) == place]
    return any(row.tells_age for row in rows)


def _routine_proofs(audit: Audit, goals: Sequence[ProvenRow]) -> tuple[str, str]:
    """Return the next step for RPOs that have a reservation because the drill itself took the restored backup, and a remark on it.

    The step is to run a drill that restores a routine backup of each service. It has the commands that run drills of the project,
    then the command that copies drills of the catalogue, and then what must be written. Beside the command of a drill that
    passed in the period stands what it showed. A drill is not named if it restored a
    backup that a drill had taken. For more than ``MOST_PROOFS`` services, the step names no commands. A lab may keep no routine
    backups of a service. For such a service, the step says this, and names no drill that would have to run in the lab.
    """
    services = {goal.service for goal in goals}
    lab = {run.run for run in audit.runs if run.without_routine}
    bare = list(dict.fromkeys(goal.service for goal in goals if goal.run in lab))
    everywhere = len(bare) == len(services)
    several = len(services) > 1 and (everywhere or len(services) - len(bare) > 1)
    what = "drills that restore a routine backup" if several else "a drill that restores a routine backup"
    if everywhere:
        what += " with your own inventory"
    many = len(services) > MOST_PROOFS
    ways = f"run {what}, and write one for each service that has none" if many else _ways(audit, goals, what)
    lacks = f" (the lab keeps none of {open_findings.named(bare)})" if bare else ""
    return f"{ways or f'run {what}'}{lacks}. {SHOWN_BY[several]}", f"{STAYS.removeprefix('the reservation stays')}. {LEFT}"


def _ways(audit: Audit, goals: Sequence[ProvenRow], what: str) -> str:
    """Return the commands that run, copy or write drills which restore a routine backup of each service in ``goals``. No drill
    is copied or written for a service of a lab that has no routine backups of it. ``what``: words for the drills."""
    others = {(row.environment, row.drill) for row in audit.rehearsed if row.taken and not row.during}
    runs = {run.run: run for run in audit.runs}
    known: dict[str, str] = {}
    copied: dict[str, str] = {}
    written: dict[str, str] = {}
    for goal in goals:
        run = runs.get(goal.run)
        own, action = (run.routine, run.restoring) if run else ((), "")
        if run and (drill := next((name for name in own if (goal.environment, name) not in others), "")):
            inventory = next_steps.OWN_INVENTORY if run.without_routine else run.inventory
            command = f"`{next_steps.run_again(NEUTRAL, drill, inventory)}`"
            known[goal.service] = command + _ran(audit, goal, drill)
        elif run and run.without_routine:
            continue
        elif (drill := discovery.routine_drill(action)) and drill not in own:
            copied[goal.service] = drill
        else:
            written[goal.service] = f"{one_line(goal.service)} ({action_references.words(NEUTRAL, action)})"
    copies = dict.fromkeys(drill for service, drill in copied.items() if service not in known)
    lacking = [text for service, text in written.items() if service not in known | copied]
    commands = ", ".join(dict.fromkeys(known.values()))
    ways = [f"run {what}: {commands}"] if known else []
    ways += [f"copy and run {'more' if ways else what}: `{NEUTRAL} init --with {','.join(copies)}`"] if copies else []
    ways += [f"write {'one' if ways else f'{what},'} for {', '.join(lacking)}"] if lacking else []
    return "; ".join(ways)


def _ran(audit: Audit, goal: ProvenRow, drill: str) -> str:
    """Return a remark in brackets on a passed run of ``drill`` that did not show how old a routine backup of the service is. It is
    empty if no run of the drill passed in the period."""
    place = (goal.environment, goal.service, drill)
    rows = [row for row in audit.rehearsed if (row.environment, row.service, row.drill) == place and row.run]
    if not rows:
        return ""
    row = rows[-1]
    if row.loss_s is None:
        told = "did not measure how old the backup is; add a step `backup.measure`"
    else:
        told = f"restored {row.taken}, {row.figure} old; run it again after the next routine backup"
    return f" (its run of {row.at[:10]} passed, but {told})"
