"""Alerts about objectives that are met only with a reservation.

A reservation is a reason to doubt an RPO that was met. For example, some data was lost, so the RPO is met except for
this data.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from drillbook.audit.alert import NEXT_RUN, NEXT_RUNS, Alert, Topic, drill_key, is_open, joint_owner, owner_of
from drillbook.audit.content import Audit
from drillbook.audit.objective_states import ProvenRow
from drillbook.audit.run_rows import RunRow
from drillbook.installation.program_name import NEUTRAL
from drillbook.report import next_steps, open_findings, remarks

MOST_PROOFS = 3
LACKING = "removed-data-missing"
"""Code of the finding about data that did not come back."""
RESERVATIONS = {
    remarks.FRESH: (": the drill itself took the restored backup", "measure how old a routine backup is"),
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
reservation.
"""


def of(audit: Audit, owners: dict[tuple[str, str], str], told: Collection[str] = ()) -> Iterator[Alert]:
    """Return alerts about objectives that are met with a reservation. Each environment has one alert for each kind of
    reservation. ``told``: drills, such as ``cache-lost in lab``, whose own alert tells their reservations. They get no alert here.
    Only if other drills restored a backup that they took themselves, the alert about these names them too, because all of them
    have the mark.
    """
    known = [goal for goal in audit.proven if goal.reserved]
    for environment in sorted({goal.environment for goal in known}):
        reserved = [goal for goal in known if goal.environment == environment]
        for reason, (why, step) in RESERVATIONS.items():
            goals = [goal for goal in reserved if reason in remarks.reasons(goal.mark)]
            goals = [goal for goal in goals if reason != remarks.FRESH or not _age_known(audit, goal)]
            goals = [goal for goal in goals if reason != remarks.MISSING or not _told(audit, goal)]
            others = [goal for goal in goals if drill_key(goal.drill, goal.environment) not in told]
            goals = goals if others and reason == remarks.FRESH else others
            if drills := [goal.drill for goal in goals]:
                proofs = _routine_proofs(audit, goals) if reason == remarks.FRESH else ""
                who = joint_owner(owner_of(owners, environment, drill) for drill in drills)
                when = NEXT_RUN if len(set(drills)) == 1 else NEXT_RUNS
                text = f"{_states(environment, goals)}{why}"
                yield Alert(text, step + proofs, who, when, topic=Topic.RESERVED)


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
        row.code == LACKING and is_open(row) and (row.environment, row.drill) == (goal.environment, goal.drill)
        for row in audit.findings
    )


def _age_known(audit: Audit, goal: ProvenRow) -> bool:
    """Return True if the age of routine backups of the service is known: a rehearsal in the period restored a backup that no
    drill had taken, and measured how much data would be lost. In this case, the alert about RPOs of backups that drills took
    does not mention ``goal``.
    """
    place = (goal.environment, goal.service)
    rows = [row for row in audit.rehearsed if (row.environment, row.service) == place]
    return any(row.loss_s is not None and not row.taken for row in rows)


def _routine_proofs(audit: Audit, goals: Sequence[ProvenRow]) -> str:
    """Return the last part of the next step for RPOs that have a reservation because the drill itself took the restored backup.
    For each service, this part names a drill of the project that restores a routine backup. If the project has no such drill,
    the part says that one must be copied or written. A drill is not named if it restored a backup that a drill had taken.

    For more than ``MOST_PROOFS`` services, the text names neither services nor drills. If a service is in a lab that has no
    routine backups of it, the part says so, and the command names an inventory of the team; see ``next_steps.outside_lab``.
    """
    others = {(row.environment, row.drill) for row in audit.rehearsed if row.taken}
    known: dict[str, str] = {}
    written: dict[str, str] = {}
    lacking: dict[str, str] = {}
    runs = {run.run: run for run in audit.runs}
    for goal in goals:
        run, service = runs.get(goal.run), goal.service
        drill = next((name for name in run.routine if (goal.environment, name) not in others), "") if run else ""
        if run and run.without_routine:
            lacking[service] = next_steps.outside_lab(service, _outside_lab(run, service, drill))
        elif run and drill:
            known[service] = f"{service} by `{next_steps.run_again(NEUTRAL, drill, run.inventory)}`"
        else:
            written[service] = _to_write(run, service)
    texts = [", ".join(known.values())] if known else []
    texts += [text for service, text in written.items() if service not in known]
    texts += [text for service, text in lacking.items() if service not in known | written]
    if len(known | written | lacking) <= MOST_PROOFS:
        drills = f": {'; '.join(texts)}"
    else:
        drills = " by drills that restore routine backups; write one for each service that has none"
        drills += f"; {next_steps.NO_ROUTINE.format(service=open_findings.named(list(lacking)))}" if lacking else ""
    return f"{drills}; {remarks.REMOVED_BY.format(reservation='the reservation')}"


def _outside_lab(run: RunRow, service: str, drill: str) -> str:
    """Return what to do for ``service`` outside of the lab: run ``drill``, or copy or write a drill if this is empty."""
    if not drill:
        return _to_write(run, service)
    command = next_steps.run_again(NEUTRAL, drill, next_steps.OWN_INVENTORY)
    return f"{next_steps.SEE_AGE.format(service=service)} (`{command}`)"


def _to_write(run: RunRow | None, service: str) -> str:
    """Return the text that a drill for ``service`` must be copied or written, with the command for this."""
    own = run.routine if run else ()
    text, command = next_steps.to_write(NEUTRAL, service, run.restoring if run else "", own)
    return f"{text} (`{command}`)"
