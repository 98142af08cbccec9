"""Asks sudo, before a drill begins, if it would start the commands that the drill needs. No command is started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from drillbook.engine.step_context import Stage
from drillbook.findings import Finding, finding
from drillbook.hosts.privileged import PrivilegedHost
from drillbook.hosts.sudoers import every
from drillbook.installation.program_name import program
from drillbook.plan import privilege
from drillbook.plan.plan import Plan
from drillbook.plan.planned_step import PlannedStep
from drillbook.sdk.action import Action, Context, Effect
from drillbook.sdk.become import Become
from drillbook.sdk.host import once_more, shown

SUDO = ("sudo", "-n")
"""First words of a command that is run with sudo.

Such commands are, for example, the commands of a service manager for which the inventory has the key `sudo`.
"""
READY_S = 30.0
Argv = tuple[str, ...]


def refused(stage: Stage, step: PlannedStep, action: Action, context: Context) -> Finding | None:
    """Ask sudo on the host of ``context`` if it would start the commands of a step and of its undo. Commands that are not
    known yet are left out.

    Return a finding about the first refused command, or None if sudo refuses no command. Raises the errors of the host.
    """
    name = context.host.name
    become = stage.become(step.id, name)
    if become is None and not stage.plan.inventory.target(name).manager.sudo:
        return None
    if become and (name, become.user) in stage.wrong_passwords:  # another finding tells it
        return None
    if allows_all(stage, name, become or Become()):
        return None
    for argv in dict.fromkeys(_commands(action, context)):
        by_sudo = argv[: len(SUDO)] == SUDO
        if by_sudo == (become is None) and (why := refusal(stage, name, become, argv[len(SUDO) :] if by_sudo else argv)):
            return refused_command(stage, step.action, name, become, why=why, step=step.id)
    return None


def _commands(action: Action, context: Context) -> Iterator[Argv]:
    """Yield those commands of the action and of its undo that are known already.

    A command that contains the result of a step is not known before this step has run.
    """
    with suppress(Exception):  # the `ready` check has told what is wrong
        yield from map(tuple, action.commands(context) or ())
    if action.effect is not Effect.READ and "commands" in action.undo_kinds():
        with suppress(Exception):
            yield from map(tuple, action.undo(context).commands)


def recorded(stage: Stage) -> list[Finding]:
    """Ask sudo if it would start the commands that the newest passed run of the same plan used. Return at most one finding
    for each account on a host.
    """
    accounts = {(host, become.user): become for host, become in privilege.used(stage.plan)}
    known = stage.recorded() if accounts else ()
    findings: dict[tuple[str, str], Finding] = {}
    for host, account, argv in known:
        become = accounts.get((host, account))
        if (
            become
            and (host, account) not in findings
            and not allows_all(stage, host, become)
            and (why := refusal(stage, host, become, argv))
        ):
            findings[host, account] = refused_command(stage, f"become {account}", host, become, why=why)
    return list(findings.values())


def allows_all(stage: Stage, name: str, account: Become) -> bool:
    """Return True when sudo permits any command as ``account``. The answer is kept, so that sudo on the host is asked only
    once for each account.

    Raises HostError when the host cannot be used.
    """
    key = (name, account.user)
    if key not in stage.unlimited:
        host = PrivilegedHost(stage.host(name), account)
        stage.unlimited[key] = once_more(partial(host.may_all, deadline=stage.deadline(READY_S)))
    return stage.unlimited[key]


def refusal(stage: Stage, name: str, become: Become | None, argv: Argv) -> str:
    """Return a text with the command ``argv`` and the reason why sudo would not start it. The text is empty if sudo
    would start the command.

    Raises HostError when the host fails.
    """
    account = become or Become()
    host = PrivilegedHost(stage.host(name), account)
    why = once_more(partial(host.may, argv, deadline=stage.deadline(READY_S)))
    return stage.redactor.text(f"`{shown(argv)}` would not be started as {account.user}: {why}") if why else ""


def refused_command(
    stage: Stage, title: str, host: str, become: Become | None, *, why: str, step: str | None = None
) -> Finding:
    """Return the finding about a command that sudo refuses. ``become``: account to which sudo changes for the command. It is
    None for a command that calls sudo by itself, because the service manager of the host has the key `sudo` in the inventory.
    """
    account = f"{become.user}, by sudo" if become else "root, because the commands of the service manager contain `sudo`"
    return finding(
        "not-ready",
        title=title,
        wanted=f"permission to run commands as {account}",
        measured=f"{host}: {why}",
        remedy=how_to_allow(stage.plan, host, become.user if become else "root"),
        host=host,
        step=step,
    )


def how_to_allow(plan: Plan, host: str, account: str) -> str:
    """Return the remedy when sudo refuses a command as ``account``: the rule that allows all its commands. For an account of
    `become`, the remedy also names the task that prints narrower rules after the first run.
    """
    line = every(plan.inventory.target(host).user or "USER", account)
    told = f"Let an administrator of {host} write the line `{line}` with `visudo -f /etc/sudoers.d/drillbook`."
    if (host, account) not in {(name, become.user) for name, become in privilege.used(plan)}:
        return told
    narrow = f"`{program()} drill.sudoers {plan.drill}` prints rules for exactly its commands"
    return f"{told} Once the drill has passed with it, for example on staging, {narrow}, which replace this line."
