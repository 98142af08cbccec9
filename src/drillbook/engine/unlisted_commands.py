"""Checks commands that become known only when a drill starts them. Their programs are known earlier, so sudo is asked about
these programs before the drill begins.

It is certain that sudo will start such a command in two cases: sudo allows the program with any arguments, or
`drill.sudoers` wrote the rules of sudo for exactly this plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drillbook.engine.later_commands import SUDO, Argv, allows_all, refusal, refused_command
from drillbook.engine.step_context import Stage
from drillbook.findings import Finding
from drillbook.hosts.privileged import PrivilegedHost
from drillbook.hosts.sudoers import certificate
from drillbook.plan import privilege
from drillbook.plan.planned_step import PlannedProbe, PlannedStep
from drillbook.sdk import host_needs
from drillbook.sdk.action import Effect, find
from drillbook.sdk.become import Become
from drillbook.sdk.host_needs import BARE, MANAGERS, BySudo, HostNeeds
from drillbook.sdk.manager import manager_of
from drillbook.sdk.service import Service

ANY = "any-arguments-of-drillbook"
"""Argument for tests of the rules of sudo. No rule contains this argument. So if sudo allows a program with this argument, a
rule allows the program with any arguments.
"""
SHELL = (("sh", "-c", ANY),)
BARES = tuple(((name, ANY),) for name in BARE)
Step = PlannedStep | PlannedProbe
Choice = tuple[Argv, ...]
"""Alternative commands. It is enough when sudo allows one of these commands."""


@dataclass(frozen=True, slots=True)
class Way:
    """Account that the commands of a step use on a host. ``wanted``: commands that sudo must allow for this account.

    ``become`` is None for a step that runs as the SSH user, and whose commands call sudo themselves.
    """

    step: Step
    host: str
    account: Become
    become: Become | None
    wanted: tuple[Choice, ...]


def refused(stage: Stage) -> list[Finding]:
    """Ask sudo if it would start the programs of those steps and probes that cannot list their commands beforehand. Return one
    finding for each account with which sudo refuses a program.

    Raises the errors of the hosts.
    """
    findings: dict[tuple[str, str], Finding] = {}
    known: dict[tuple[str, str], bool] = {}
    for way in ways(stage):
        key = (way.host, way.account.user)
        if key in findings or allows_all(stage, way.host, way.account):
            continue
        if why := _why(stage, way):
            if key not in known:
                known[key] = _certified(stage, way)
            if not known[key]:
                findings[key] = _finding(stage, way, why)
    return list(findings.values())


def ways(stage: Stage) -> Iterator[Way]:
    """Yield, for each host, the accounts of those steps and probes that cannot list their commands beforehand."""
    plan = stage.plan
    watched = [condition.step or condition.probe for condition in plan.guard.conditions]
    for step in (*plan.steps, *plan.probes, *(planned for planned in watched if planned)):
        for host in plan.hosts():
            if privilege.acts(plan, step, host):
                yield from ways_of(stage, step, host)


def ways_of(stage: Stage, step: Step, host: str) -> Iterator[Way]:
    """Yield the accounts that ``step`` uses on ``host`` for commands which cannot be listed before the run."""
    needs = host_needs.of(_name(step)) or HostNeeds()
    become = stage.become(step.id, host)
    if become is not None and not _listed(step, become) and (needs.programs or needs.rights):
        yield Way(
            step, host, become, become, (SHELL, *_programs(stage, step, host, needs), *_unit(stage, step, host, needs))
        )
    if become is not None or _listed(step, None):
        return
    if stage.plan.inventory.target(host).manager.sudo:
        wanted = (*((SHELL, *BARES) if BySudo.ROOT in needs.by_sudo else ()), *_unit(stage, step, host, needs))
        if wanted:
            yield Way(step, host, Become(), None, wanted)
    users = [service.run_as for service in _services(stage, step, host) if service.run_as]
    for user in dict.fromkeys(users if BySudo.RUN_AS in needs.by_sudo else []):
        yield Way(step, host, Become(user=user), None, (SHELL, *_programs(stage, step, host, needs)))


def _listed(step: Step, become: Become | None) -> bool:
    """Return True when the step can list all its commands beforehand. The result is False when sudo asks for a password: a
    lease then runs the commands inside commands of its own, which no step can list.
    """
    if not isinstance(step, PlannedStep) or not find(step.action).lists_commands(step.params):
        return False
    return become is None or become.password is None


def _name(step: Step) -> str:
    return step.action if isinstance(step, PlannedStep) else step.name


def _services(stage: Stage, step: Step, host: str) -> list[Service]:
    services = stage.plan.inventory.services
    named = [value for value in step.params.values() if isinstance(value, str) and value in services]
    return [services[name] for name in dict.fromkeys(named) if services[name].host == host]


def _programs(stage: Stage, step: Step, host: str, needs: HostNeeds) -> Iterator[Choice]:
    """Yield the programs of the action, each with a wildcard in place of its arguments. Programs that the host lacks may be
    included, because sudo's check does not refuse them. Programs that start only inside scripts are left out.
    """
    yield from BARES
    if needs.scripted:
        return
    folders = [folder.rstrip("/") for service in _services(stage, step, host) if (folder := getattr(service, "bin", ""))]
    yield from (((f"{folder}/{name}", ANY),) for folder in folders or [""] for name in needs.commands if folder)
    yield from (((name, ANY),) for name in needs.commands if not folders)
    yield from (tuple((name, ANY) for name in group) for group in needs.either if not MANAGERS & {*group})


def _unit(stage: Stage, step: Step, host: str, needs: HostNeeds) -> tuple[Choice, ...]:
    """Commands that start and stop the units of the step's services. The value is empty when the action does not start or stop
    units.
    """
    if BySudo.UNIT not in needs.by_sudo or not isinstance(step, PlannedStep) or step.effect is Effect.READ:
        return ()
    become = stage.become(step.id, host)
    seen = PrivilegedHost(stage.host(host), become) if become else stage.host(host)
    manager = manager_of(seen)
    return tuple(
        (argv,)
        for unit in (service.unit for service in _services(stage, step, host) if service.unit)
        for verb, own in (("stop", manager.stop(unit)), ("start", manager.start(unit)))
        for argv in (own, *manager.by_sudo(verb, unit))
    )


def _why(stage: Stage, way: Way) -> str:
    """Return the reason why sudo refuses one of the wanted commands, or an empty text if sudo would start all of them.

    Raises HostError when the host cannot be used.
    """
    for choice in way.wanted:
        said = [_asked(stage, way, argv) for argv in choice]
        if said and all(said):
            return said[0]
    return ""


def _asked(stage: Stage, way: Way, argv: Argv) -> str:
    by_sudo = argv[: len(SUDO)] == SUDO
    if way.become is None and not by_sudo and argv[-1] != ANY:
        return ""  # the SSH user itself starts this one
    argv = argv[len(SUDO) :] if by_sudo else argv
    return refusal(stage, way.host, way.account, argv)


def _certified(stage: Stage, way: Way) -> bool:
    """Return True if there is evidence that sudo permits commands of the account in ``way``. There is evidence in two cases:
    the rules of sudo were made for this plan, or a passed run of this plan recorded commands of the account.
    """
    if not refusal(stage, way.host, way.account, ("true", certificate(stage.plan.digest))):
        return True
    return any((host, user) == (way.host, way.account.user) for host, user, _ in stage.recorded())


def _finding(stage: Stage, way: Way, why: str) -> Finding:
    name = _name(way.step)
    why = why.replace(f" {ANY}", " ...")
    said = f"{why}; the commands of {name} are known only when they start"
    step = way.step.id
    if way.become is None and way.account.user != "root":
        return refused_command(stage, name, way.host, way.account, why=said, step=step)
    return refused_command(stage, name, way.host, way.become, why=said, step=step)
