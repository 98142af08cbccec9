"""Read-only checks if a drill could begin: one finding for each probe, step or lease that is not ready."""

from __future__ import annotations

from functools import partial

from drillbook.engine.stage import Stage
from drillbook.engine.steps import for_ready
from drillbook.errors import DrillbookError, NotReady
from drillbook.findings import Finding, finding
from drillbook.hosts.privileged import privileged
from drillbook.inventory.inventory import CONTROLLER
from drillbook.language import template
from drillbook.plan import privilege
from drillbook.plan.plan import PlannedProbe, PlannedStep
from drillbook.sdk.action import find
from drillbook.sdk.deadline import under
from drillbook.sdk.host import Deadline, once_more
from drillbook.sdk.probe import Availability, Canary, find_probe

READY_S = 30.0
"""Time limit of one check in seconds."""


def made(stage: Stage, planned: PlannedProbe) -> Availability | Canary:
    """Create the planned probe, with every expression in its parameters evaluated. Raises ValueError for an unknown value."""
    params = template.evaluate(planned.params, stage.names())
    probe: Availability | Canary = find_probe(planned.name).model_validate(params)
    return probe


def of_probes(stage: Stage) -> list[Finding]:
    """Take one sample of each availability probe; returns a finding for each bad sample.

    Canaries write, so they are skipped.
    """
    wrong: list[Finding] = []
    for planned in stage.plan.probes:
        try:
            probe = made(stage, planned)
            context = stage.context(planned.id, CONTROLLER, Deadline.after(READY_S))
            with under(context.deadline):
                bad = probe.check(context) if isinstance(probe, Availability) else None
        except Exception as error:  # noqa: BLE001  a driver may raise any error
            bad = str(error)
        if bad is not None:
            wrong.append(
                finding(
                    "not-ready",
                    title=f"probe {planned.name}",
                    wanted="a good sample of the probe",
                    measured=bad,
                    step=planned.id,
                )
            )
    return wrong


def of_steps(stage: Stage) -> list[Finding]:
    """Run the `ready` check of every step on each of its hosts; returns a finding for each failure."""
    return [problem for step in stage.plan.steps for host in step.hosts if (problem := _of_step(stage, step, host))]


def _of_step(stage: Stage, step: PlannedStep, host: str) -> Finding | None:
    try:
        context = stage.context(step.id, host, stage.deadline(READY_S))
        with under(context.deadline):
            once_more(partial(for_ready(step, stage.names()).ready, context))
    except Exception as error:  # noqa: BLE001  any error of a `ready` check refuses the drill
        hint = getattr(error, "hint", "")
        return finding(
            "not-ready",
            title=step.action,
            measured=getattr(error, "message", str(error)),
            step=step.id,
            host=host,
            remedy=hint,
        )
    return None


def of_privileges(stage: Stage) -> list[Finding]:
    """Run a harmless command as every account that the plan uses by `become`; returns a finding for each refusal."""
    wrong: list[Finding] = []
    for name, become in privilege.used(stage.plan):
        try:
            host = privileged(stage.host(name), become)
            once_more(partial(host.run, ("true",), deadline=stage.deadline(READY_S))).check()
        except (DrillbookError, TimeoutError) as error:
            wrong.append(
                finding(
                    "not-ready",
                    title=f"become {become.user}",
                    wanted=f"commands as {become.user}, by sudo",
                    measured=getattr(error, "message", str(error)),
                    remedy=getattr(error, "hint", ""),
                    host=name,
                )
            )
    return wrong


def of_leases(stage: Stage) -> list[Finding]:
    """Check that each host that needs a lease has the tools for one; returns a finding when a host has not."""
    try:
        _without_password(stage)
        if stage.hold:
            stage.hold.ready()
    except (DrillbookError, TimeoutError) as error:
        return [
            finding(
                "not-ready", title="lease", measured=getattr(error, "message", str(error)), remedy=getattr(error, "hint", "")
            )
        ]
    return []


def _without_password(stage: Stage) -> None:
    """Raise NotReady for a change with a lease that only a sudo with a password can undo: no password lies on a target."""
    for step in stage.plan.steps:
        if step.restore_only or not find(step.action).may_lease(step.effect):
            continue
        for host in step.hosts:
            become = stage.become(step.id, host)
            if become and become.password:
                raise NotReady(
                    f"{host}: the lease of {step.action} ({step.id}) cannot undo a change as {become.user}: sudo asks for a "
                    "password there",
                    hint="allow the account on the host without a password (NOPASSWD)",
                )
