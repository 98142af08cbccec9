"""Checks that a drill could begin. The checks change nothing.

Each check returns a finding for every probe, step or lease that is not ready.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from drillbook.engine import later_commands, unlisted_commands
from drillbook.engine.parallel import on_each
from drillbook.engine.step_context import Stage
from drillbook.engine.step_findings import of_missing_routine
from drillbook.engine.steps import for_ready
from drillbook.engine.verify_logins import Logins
from drillbook.errors import DrillbookError, WrongPassword, message_of
from drillbook.findings import Finding, finding
from drillbook.hosts.privileged import PrivilegedHost
from drillbook.inventory.inventory import CONTROLLER
from drillbook.language import explaining, template
from drillbook.plan import privilege
from drillbook.plan.planned_step import PlannedProbe, PlannedStep
from drillbook.plan.step_roles import origins, sources_verified
from drillbook.sdk.action import Action, Effect
from drillbook.sdk.become import Become
from drillbook.sdk.deadline import under
from drillbook.sdk.host import Deadline, once_more
from drillbook.sdk.probe import Availability, Canary, find_probe
from drillbook.sdk.programs import Programs

READY_S = 30.0
"""Time limit of one check in seconds."""


def made(stage: Stage, planned: PlannedProbe) -> Availability | Canary:
    """Create the planned probe, with every expression in its parameters evaluated. Raises ValueError when an expression
    uses an unknown value, or when a parameter has an invalid value."""
    params = template.evaluate(planned.params, stage.names())
    probe: Availability | Canary = explaining.validated(find_probe(planned.name), planned.params, params)
    return probe


def of_probes(stage: Stage) -> list[Finding]:
    """Take one sample of each availability probe, and log in for each canary. Return a finding for each failure.

    A canary writes nothing in this check.
    """
    return [problem for planned in stage.plan.probes if (problem := _of_probe(stage, planned))]


def _of_probe(stage: Stage, planned: PlannedProbe) -> Finding | None:
    try:
        probe = made(stage, planned)
        context = stage.context(planned.id, CONTROLLER, Deadline.after(READY_S))
        bad, hint = None, ""
        with under(context.deadline):
            if isinstance(probe, Availability):
                bad = probe.check(context)
            else:
                probe.reach(context)
    except Exception as error:  # noqa: BLE001  a driver may raise any error
        bad, hint = message_of(error), getattr(error, "hint", "")
    if bad is None:
        return None
    return finding(
        "not-ready",
        title=f"probe {planned.name}",
        wanted="a good sample of the probe",
        measured=bad,
        step=planned.id,
        remedy=hint,
    )


def of_steps(stage: Stage, doubts: list[str] | None = None, notes: list[str] | None = None) -> list[Finding]:
    """Run the `ready` check of every step on each of its hosts. Return a finding for each failure, in the order of the
    plan.

    The hosts are checked in parallel. The steps of one host are checked one after another. ``doubts``: list to which this
    function adds texts about things that the steps could not verify. ``notes``: list for remarks that are no problems.
    Only `drill.check` passes these lists; a run passes None.
    """
    checks = _checks(stage)
    by_host: dict[str, list[_Check]] = {}
    for check in checks:
        by_host.setdefault(check.host, []).append(check)
    problems: dict[_Check, Finding] = {}
    unverified: dict[_Check, list[str]] = {check: [] for check in checks}
    remarks: dict[_Check, list[str]] = {check: [] for check in checks}

    def look(todo: list[_Check]) -> None:
        for check in todo:
            doubt = None if doubts is None else unverified[check].append
            if problem := check.run(stage, doubt, None if notes is None else remarks[check].append):
                problems[check] = problem

    on_each(look, [*by_host.values()], name="ready")
    if doubts is not None:
        doubts += [text for check in checks for text in check.told(unverified[check])]
    if notes is not None:
        notes += dict.fromkeys(text for check in checks for text in remarks[check])
    return [problems[check] for check in checks if check in problems]


@dataclass(frozen=True, slots=True, eq=False)
class _Check:
    """The `ready` check of one step on one host.

    If the action could not be built, ``action`` is the error.
    """

    step: PlannedStep
    host: str
    action: Action | Exception
    programs: Programs
    changed: bool
    """True when an earlier step of the drill, other than a fault, may write files, such as backups."""

    disturbed: bool
    """True when an earlier step of the drill injects a fault by commands of the drill or by a person."""
    verified: frozenset[str]
    """Names of the backup sources that a step verifies before the first fault."""
    printed: dict[tuple[str, ...], Any]
    """First bytes of the output of those commands whose output is a backup. The key of each entry consists of the backup
    source, and of the host and the account of the command. The checks of all steps share this mapping; see
    ``Context.printed``.
    """
    unanswered: set[tuple[str, str, bool]]
    """Connections and logins that failed in the check of another step; see ``Context.unanswered``."""
    uploads: set[tuple[str, str, str]]
    """Places where the check of another step tried an upload that was not refused; see ``Context.uploads``."""
    logins: Logins
    """Logins that were tried for the steps of the phase `verify`. The checks of all steps share this object."""

    def told(self, unverified: Sequence[str]) -> list[str]:
        """Return the texts in ``unverified`` without repetitions. Each returned text begins with the step and the host."""
        return [f"{self.step.line}: {self.step.action} on {self.host}: {text}" for text in dict.fromkeys(unverified)]

    def run(self, stage: Stage, doubt: Callable[[str], None] | None, aside: Callable[[str], None] | None) -> Finding | None:
        """Carry out the check. Return a finding when it fails. ``doubt``: function that is called with a text about each
        thing that could not be verified. ``aside``: function that is called with each remark. Both are None in a run.
        """
        try:
            if isinstance(self.action, Exception):
                raise self.action
            context = replace(
                stage.context(self.step.id, self.host, stage.deadline(READY_S)),
                programs=self.programs,
                origins=origins(stage.plan.steps, self.step),
                changed=self.changed,
                disturbed=self.disturbed,
                no_backups=of_missing_routine(stage.plan),
                verified=self.verified,
                printed=self.printed,
                unanswered=self.unanswered,
                uploads=self.uploads,
                doubt=doubt,
                aside=aside,
            )
            with under(context.deadline):
                once_more(partial(self.action.ready, context))
                if doubt and self.step.phase == "verify":
                    for text in self.logins.refused(self.step, self.action, context):
                        doubt(text)
                return later_commands.refused(stage, self.step, self.action, context)
        except Exception as error:  # noqa: BLE001  any error of a `ready` check refuses the drill
            return finding(
                "not-ready",
                title=self.step.action,
                measured=message_of(error),
                step=self.step.id,
                host=self.host,
                remedy=getattr(error, "hint", ""),
            )


def _checks(stage: Stage) -> list[_Check]:
    """Return the checks of all steps on their hosts, in the order of the plan.

    All checks share the object ``programs``. It holds the names of the programs that the steps need on each host.
    """
    checks: list[_Check] = []
    printed: dict[tuple[str, ...], Any] = {}
    unanswered: set[tuple[str, str, bool]] = set()
    uploads: set[tuple[str, str, str]] = set()
    programs, names, logins = Programs(), stage.names(), Logins()
    changed = disturbed = False
    verified = sources_verified(stage.plan.steps)
    for step in stage.plan.steps:
        try:
            action: Action | Exception = for_ready(step, names)
        except Exception as error:  # noqa: BLE001  reported as a finding on each host of the step
            action = error
        wanted = _programs(stage, step, action)
        for host in step.hosts:
            become = stage.become(step.id, host)
            programs.expect(host, become.user if become else "", wanted)
            checks.append(
                _Check(step, host, action, programs, changed, disturbed, verified, printed, unanswered, uploads, logins)
            )
        changed = changed or step.effect is Effect.WRITE
        disturbed = disturbed or (step.effect is Effect.FAULT and isinstance(action, Action) and action.ANY_DATA)
    return checks


def _programs(stage: Stage, step: PlannedStep, action: Action | Exception) -> Sequence[str]:
    if isinstance(action, Action) and step.hosts:
        with suppress(Exception):  # the check itself then reports the error
            return action.programs(stage.context(step.id, step.hosts[0], stage.deadline(READY_S)))
    return ()


def of_privileges(stage: Stage) -> list[Finding]:
    """Run a harmless command as every account that the plan uses by `become`. Return a finding for each refusal.

    When no command was refused, a second check asks sudo if it would start the commands that the newest passed run of the plan
    used. Some actions cannot list their commands before a run. For these, the second check asks whether sudo would start their
    programs.
    """
    refusals = on_each(lambda place: _refused(stage, *place), [*privilege.used(stage.plan)], name="become")
    return [refusal for refusal in refusals if refusal] or _later(stage)


def _later(stage: Stage) -> list[Finding]:
    """Return findings about commands that sudo would refuse later in the run.

    A host that does not answer gets no finding from this function, because other checks report such a host.
    """
    with suppress(DrillbookError, TimeoutError):
        return later_commands.recorded(stage) or unlisted_commands.refused(stage)
    return []


def _refused(stage: Stage, name: str, become: Become) -> Finding | None:
    try:
        host = PrivilegedHost(stage.host(name), become, stage.note_used)
        host.check_password(deadline=stage.deadline(READY_S))
        once_more(partial(host.run, ("true",), deadline=stage.deadline(READY_S))).check()
    except (DrillbookError, TimeoutError) as error:
        if isinstance(error, WrongPassword):
            stage.wrong_passwords[name, become.user] = error
        return finding(
            "not-ready",
            title=f"become {become.user}",
            wanted=f"permission to run commands as {become.user}, by sudo",
            measured=message_of(error),
            remedy=getattr(error, "hint", ""),
            host=name,
        )
    return None


def of_leases(stage: Stage) -> list[Finding]:
    """Check that each host that needs a lease has the tools for it. Return a finding for each host that lacks them.

    Nothing is checked after a wrong password, which another finding names.
    """
    try:
        if stage.hold and not stage.wrong_passwords:
            stage.hold.ready()
    except (DrillbookError, TimeoutError) as error:
        return [finding("not-ready", title="lease", measured=message_of(error), remedy=getattr(error, "hint", ""))]
    return []
