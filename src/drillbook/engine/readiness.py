"""Whether a drill may begin, asked without changing anything: a finding for each thing that is not ready."""

from __future__ import annotations

from functools import partial

from drillbook.engine.steps import Stage, for_ready
from drillbook.errors import DrillbookError
from drillbook.findings import Finding, finding
from drillbook.inventory.inventory import CONTROLLER
from drillbook.language import template
from drillbook.plan.plan import PlannedProbe, PlannedStep
from drillbook.sdk.deadline import under
from drillbook.sdk.host import Deadline, once_more
from drillbook.sdk.probe import Availability, Canary, find_probe

READY_S = 30.0
"""Time for one such question."""


def made(stage: Stage, planned: PlannedProbe) -> Availability | Canary:
    """The probe with its parameters. Raises ValueError when these have no value."""
    params = template.evaluate(planned.params, stage.names())
    probe: Availability | Canary = find_probe(planned.name).model_validate(params)
    return probe


def of_probes(stage: Stage) -> list[Finding]:
    """One sample of each availability probe; a canary is not tried, since it writes."""
    wrong: list[Finding] = []
    for planned in stage.plan.probes:
        try:
            probe = made(stage, planned)
            context = stage.context(planned.id, CONTROLLER, Deadline.after(READY_S))
            with under(context.deadline):
                bad = probe.check(context) if isinstance(probe, Availability) else None
        except Exception as error:  # noqa: BLE001  a driver may raise anything
            bad = str(error)
        if bad is not None:
            wrong.append(
                finding("not-ready", title=f"probe {planned.name}", wanted="a good sample", measured=bad, step=planned.id)
            )
    return wrong


def of_steps(stage: Stage) -> list[Finding]:
    """Ask every step on each of its hosts."""
    return [problem for step in stage.plan.steps for host in step.hosts if (problem := _of_step(stage, step, host))]


def _of_step(stage: Stage, step: PlannedStep, host: str) -> Finding | None:
    try:
        context = stage.context(step.id, host, stage.deadline(READY_S))
        with under(context.deadline):
            once_more(partial(for_ready(step, stage.names()).ready, context))
    except Exception as error:  # noqa: BLE001  whatever keeps a step from being ready refuses the drill
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


def of_leases(stage: Stage) -> list[Finding]:
    """Can the targets keep the leases of this drill?"""
    try:
        if stage.hold:
            stage.hold.ready()
    except (DrillbookError, TimeoutError) as error:
        return [
            finding(
                "not-ready", title="lease", measured=getattr(error, "message", str(error)), remedy=getattr(error, "hint", "")
            )
        ]
    return []
