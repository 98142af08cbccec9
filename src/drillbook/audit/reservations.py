"""Alerts about objectives that are met only with a reservation.

A reservation is a reason to doubt an RPO that was met. For example, some data was lost, so the RPO is met for the other data
only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from drillbook.audit.alert import NEXT_RUN, NEXT_RUNS, Alert, Topic, drill_key, is_open, joint_owner, owner_of
from drillbook.audit.content import Audit
from drillbook.audit.objective_states import ProvenRow
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
    reservation. ``told``: drills that get no alert here, such as ``cache-lost in lab``.
    """
    known = [goal for goal in audit.proven if goal.reserved and drill_key(goal.drill, goal.environment) not in told]
    for environment in sorted({goal.environment for goal in known}):
        reserved = [goal for goal in known if goal.environment == environment]
        for reason, (why, step) in RESERVATIONS.items():
            goals = [goal for goal in reserved if reason in remarks.reasons(goal.mark)]
            goals = [goal for goal in goals if reason != remarks.FRESH or not _age_known(audit, goal)]
            goals = [goal for goal in goals if reason != remarks.MISSING or not _told(audit, goal)]
            if drills := [goal.drill for goal in goals]:
                proofs = _routine_proofs(audit, goals) if reason == remarks.FRESH else ""
                who = joint_owner(owner_of(owners, environment, drill) for drill in drills)
                when = NEXT_RUN if len(set(drills)) == 1 else NEXT_RUNS
                text = f"{_states(environment, goals)}{why}"
                yield Alert(text, step + proofs, who, when, topic=Topic.RESERVED)


def _states(environment: str, goals: Sequence[ProvenRow]) -> str:
    """Return a part of a sentence about the RPOs in ``goals``. It first names the drills whose RPO is met with a reservation.
    Then it names the drills whose RPO is met only for a part of the data, because the other part was lost.
    """
    drills_by_state: dict[str, list[str]] = {}
    for goal in sorted(goals, key=lambda goal: goal.said != remarks.RESERVED):
        drills_by_state.setdefault(goal.said, []).append(goal.drill)
    (first, drills), *others = drills_by_state.items()
    text = f"The RPO of {open_findings.named(drills)} in {environment} is {first}"
    return text + "".join(f", that of {open_findings.named(names)} is {said}" for said, names in others)


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
    routine backups of it, the part says so, and the command names an inventory of the team.
    """
    others = {(row.environment, row.drill) for row in audit.rehearsed if row.taken}
    known: dict[str, str] = {}
    written: dict[str, str] = {}
    runs = {run.run: run for run in audit.runs}
    lacks = {goal.run for goal in goals if goal.run in runs and runs[goal.run].without_routine}
    for goal in goals:
        run = runs.get(goal.run)
        inventory = next_steps.OWN_INVENTORY if goal.run in lacks else run.inventory if run else ""
        if run and (drill := next((name for name in run.routine if (goal.environment, name) not in others), "")):
            known[goal.service] = f"{goal.service} by `{next_steps.run_again(NEUTRAL, drill, inventory)}`"
        else:
            own = run.routine if run else ()
            text, command = next_steps.to_write(NEUTRAL, goal.service, run.restoring if run else "", own)
            written[goal.service] = f"{text} (`{command}`)"
    texts = [", ".join(known.values())] if known else []
    texts += [text for service, text in written.items() if service not in known]
    many = " by drills that restore routine backups; write one for each service that has none"
    drills = f": {'; '.join(texts)}" if len(known.keys() | written.keys()) <= MOST_PROOFS else many
    lab = " (the lab itself has none)" if lacks else ""
    return f"{drills}{lab}; {remarks.REMOVED_BY.format(reservation='the reservation')}"
