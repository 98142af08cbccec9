"""The identity of a run: its name, its operator, its controller, and the last hash in the journal of the previous run.
A run records its identity in its first event.
"""

from __future__ import annotations

import os
import platform
import secrets
from datetime import UTC, datetime
from functools import cache

from drillbook import __version__
from drillbook.campaign.attempt import PREVIOUS_VARIABLE, RUN_VARIABLE
from drillbook.errors import JournalError, UsageError
from drillbook.events.session import Session
from drillbook.installation.program_name import program
from drillbook.journal.run_state import RunStates
from drillbook.project.project import Project
from drillbook.sdk.run_names import drill_of
from drillbook.signing import account


def new_run_id(name: str) -> str:
    """Create the name of a new run. It consists of the time in UTC with milliseconds, the name of the drill, and four
    random hexadecimal digits. Sorting names of runs sorts the runs by time.
    """
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}Z-{name}-{secrets.token_hex(2)}"


def given_run_id(name: str) -> str:
    """Return the name of a new run of the drill or suite ``name``. If a campaign started this process, the first call
    returns the name that the campaign chose. Every other call creates a name. Raises UsageError when the chosen name is not
    that of a run of ``name``.
    """
    given = os.environ.pop(RUN_VARIABLE, "")
    if not given:
        return new_run_id(name)
    if drill_of(given) != name:
        raise UsageError(f"{RUN_VARIABLE} must be the name of a run of {name}, not {given!r}", hint=f"unset {RUN_VARIABLE}")
    return given


@cache
def _given_previous() -> str:
    """Return the hash that a campaign passed to this process in an environment variable. The result is empty outside a
    campaign. The variable is removed, so that the commands of a drill do not inherit it.
    """
    return os.environ.pop(PREVIOUS_VARIABLE, "")


def of_campaign() -> bool:
    """Return True when the run belongs to a campaign. Such a run does not write the index of all runs, because the campaign
    writes this index once, at its end.
    """
    return bool(_given_previous())


def operator() -> str:
    """Return the name of the operator. It is the value of the variable DRILLBOOK_OPERATOR, which pipelines set. If the
    variable is not set, the name has the form ``ACCOUNT@MACHINE``, with the account that the kernel reports.
    """
    return os.environ.get("DRILLBOOK_OPERATOR") or f"{account.name()}@{platform.node()}"


def header(who: str) -> Session:
    """Return the fields that describe the operator and the controller. The first event of a run or recovery contains
    these fields.
    """
    return {
        "tool": f"drillbook {__version__}",
        "operator": who,
        "program": program(),
        "account": account.told(),
        "controller": f"{platform.node()}, {platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }


def previous_head(project: Project, run_id: str, states: RunStates) -> str | None:
    """Return the hash of the last event in the journal of the newest run before ``run_id``. Each run records this hash,
    so that a deleted run is noticed. The result is None when there is no earlier run with a readable journal.

    In a campaign, earlier runs may be on other machines. A run then records the hash of the event by which the campaign
    announced the run.

    ``states``: cache of the journals that the task has read. This function adds the journal that it reads, so that the task
    does not read this journal again.
    """
    if given := _given_previous():
        return given
    for folder in reversed([folder for folder in project.runs() if folder.name < run_id]):
        try:
            return states.of(folder).history.head
        except JournalError:
            continue
    return None
