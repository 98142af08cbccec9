"""The work of ``drill.sudoers``. It prints a sudoers file that allows exactly the commands that earlier runs of a drill
executed by sudo on a host.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import suppress

from drillbook.cli import access
from drillbook.cli.console import stdout
from drillbook.errors import DrillbookError, NotReady, UsageError
from drillbook.events.event import Event, each
from drillbook.events.first_event import opening
from drillbook.events.holds import PrivilegeUsed
from drillbook.events.steps import IntentRecorded
from drillbook.exits import Exit
from drillbook.hosts.sudoers import PATH, certificate, every, pattern, rule
from drillbook.installation.program_name import as_called
from drillbook.inventory.inventory import Inventory
from drillbook.journal.journal import FILE, History, read
from drillbook.judge.judge import judge
from drillbook.judge.verdicts import Verdict
from drillbook.plan import planner, privilege
from drillbook.plan.spec import Drill
from drillbook.project import planning
from drillbook.project.project import Project
from drillbook.sdk.host import Deadline

ANSWER_S = 30.0
MOST_RUNS = 20
"""Maximum number of earlier runs that are read. The newest runs are read first."""
# NAME...: print the account, then the path of each program, as sudo finds it; an empty line for a missing one.
_FIND = """
folders=$1; shift; id -un; IFS=:
for name; do
  found=; case $name in /*) found=$name;; esac
  for folder in $folders; do if test -z "$found" && test -x "$folder/$name"; then found=$folder/$name; fi; done
  echo "$found"
done
"""
Command = tuple[str, tuple[str, ...]]
"""Pair of an account and a command that sudo starts as this account."""
HEAD = """\
# Commands of the drill {drill} on {host}, as recorded in {runs}. Install with: visudo -f /etc/sudoers.d/drillbook
# After a change of a step, make this file again: run the drill once with its former rights, then: drillbook drill.sudoers.
# The rules for `true drillbook-plan-...` allow nothing; they tell drill.check for which plan this file was made.
# A rule names the file that a command writes, not its content; programs and processes are named by digest, unit, file or port.
# This file does not allow `kill`. So a command that runs as another account cannot be ended when it exceeds its time.
# This file does not allow leases through systemd, because they would amount to the rights of root. Where `lease` of the host is
# `auto`, leases then use a detached shell and cron.
"""


def show(project: Project, name: str, inventory_name: str, host: str = "") -> int:
    """Print the sudoers file for one host of a drill.

    Raises UsageError for a suite or an unsuitable host. Raises NotReady when no run has recorded commands on the host,
    or when a program is missing there. Raises HostError when the host cannot be reached.
    """
    drill, inventory = project.drill(name), project.inventory(inventory_name)
    if not isinstance(drill, Drill):
        raise UsageError(f"{name} is a suite", hint=f"name one of its drills: {', '.join(drill.drills)}")
    chosen = _host(planning.plan(project, drill, inventory), host)
    commands, runs, plans = _recorded(project, name, inventory, chosen)
    if not commands:
        raise NotReady(
            f"no recorded run of {name} in {inventory.environment} executed a command by sudo on {chosen}",
            hint="the first run needs rules that allow every command, such as "
            f"`{every(inventory.target(chosen).user or 'USER', 'ALL')}`; with them, run the drill once: "
            f"invoke drill {name} --inventory {inventory_name}",
        )
    accounts = dict.fromkeys(account for account, _ in commands)
    commands += [(account, ("true", certificate(plan))) for plan in plans for account in accounts]
    lines = _rules(inventory, chosen, commands)
    stdout().write(
        as_called(HEAD).format(drill=name, host=chosen, runs=", ".join(runs)) + "".join(f"{line}\n" for line in lines)
    )
    return Exit.OK


def _host(plan: planner.Plan, name: str) -> str:
    """Return the name of the host for which the sudoers file is printed. Raises UsageError when no host is suitable, or when
    several hosts are suitable and ``name`` is empty.
    """
    accounts = dict(privilege.used(plan))
    if not accounts:
        raise UsageError(
            f"{plan.drill} uses no other account: no host, service or step has `become`",
            hint="for `manager: {sudo: true}` and for `run_as`, write the rules of the page `Permissions` of the documentation",
        )
    if (name and name not in accounts) or (not name and len(accounts) > 1):
        raise UsageError(
            f"{name or 'the host'} must be one of the hosts on which the drill uses another account",
            hint=f"--host {' or '.join(accounts)}",
        )
    chosen = name or next(iter(accounts))
    if accounts[chosen].password:
        raise UsageError(
            f"sudo asks for a password on {chosen}, but the file is only for accounts that need no password",
            hint="remove `password` of `become`, run the drill once, then make the file",
        )
    return chosen


def _recorded(project: Project, drill: str, inventory: Inventory, host: str) -> tuple[list[Command], list[str], list[str]]:
    """Find the runs of ``drill`` that executed commands by sudo on ``host``, in the environment of ``inventory``. Return
    three lists: these commands, the ids of these runs, and the digests of the plans of those runs that passed.
    """
    command_by_pattern: dict[tuple[str, str], Command] = {}
    runs: list[str] = []
    plans: dict[str, None] = {}
    for path in sorted({*project.reports.glob(f"*/{FILE}"), *project.reports.glob(f"*/*/{FILE}")}):
        if "latest" in path.parts or f"-{drill}-" not in path.parent.name:
            continue
        try:
            recorded = read(path)
            events = recorded.events
            began = opening(events)
        except (DrillbookError, OSError):
            continue  # a damaged journal allows nothing
        plan = began.plan
        if plan.get("drill") != drill or plan.get("inventory", {}).get("environment") != inventory.environment:
            continue
        commands = list(_commands(events, host))
        command_by_pattern |= {(account, pattern(shlex.join(argv))): (account, argv) for account, argv in commands}
        runs += [began.run] if commands else []
        if commands and _passed(recorded):
            plans[began.plan_digest] = None
    return list(command_by_pattern.values()), runs, list(plans)


def _passed(recorded: History) -> bool:
    """Return True when the run passed. Return False when the journal of the run cannot be judged."""
    with suppress(DrillbookError, OSError, ValueError, KeyError):
        return judge(recorded).result.verdict is Verdict.PASSED
    return False


def of_last_run(project: Project, plan: planner.Plan) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return the commands that the newest passed run of exactly this plan executed by sudo, each with its host and
    account. Only the newest ``MOST_RUNS`` runs of the drill are read. The result is empty when none of them passed with
    this plan."""
    paths = [*project.reports.glob(f"*/{FILE}"), *project.reports.glob(f"*/*/{FILE}")]
    paths = [path for path in paths if "latest" not in path.parts and f"-{plan.drill}-" in path.parent.name]
    for path in sorted(paths, key=lambda path: path.parent.name, reverse=True)[:MOST_RUNS]:
        try:
            recorded = read(path)
            events = recorded.events
            passed = opening(events).plan_digest == plan.digest and _passed(recorded)
        except (DrillbookError, OSError):
            continue
        if passed:
            return [(host, *command) for host in plan.hosts() for command in dict.fromkeys(_commands(events, host))]
    return []


def _commands(events: tuple[Event, ...] | list[Event], host: str) -> Iterator[Command]:
    for event, used in each(events, PrivilegeUsed):
        if event.host == host:
            yield used.become, used.argv
    for event, intent in each(events, IntentRecorded):
        if event.host == host and intent.become:
            yield from ((intent.become, tuple(argv)) for argv in intent.undo.get("commands", ()))


def _rules(inventory: Inventory, name: str, commands: list[Command]) -> list[str]:
    """Return the sudoers rules for ``commands``. The rules contain the name of the login account and the paths of the
    programs. Both are first read on the host. Raises NotReady when a program is missing, and HostError when the host cannot
    be reached.
    """
    programs = sorted({argv[0] for _, argv in commands})
    host = access.connect(inventory, name)
    try:
        output = host.run(("sh", "-c", _FIND, "sh", PATH, *programs), deadline=Deadline.after(ANSWER_S)).check()
    finally:
        host.close()
    user, *paths = output.text.split("\n")
    where = dict(zip(programs, [*paths, *[""] * len(programs)], strict=False))
    if missing := [program for program in programs if not where[program].startswith("/")]:
        raise NotReady(
            f"{name}: a program that the drill used is missing: {', '.join(missing)}", hint=f"install it on {name}"
        )
    return sorted({rule(user, account, where[argv[0]], argv[1:]) for account, argv in commands})
