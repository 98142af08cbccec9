"""Identity of a run, recorded in its first event: name, operator, controller, and last hash of the previous run's journal."""

from __future__ import annotations

import os
import platform
import secrets
from datetime import UTC, datetime
from functools import cache

from drillbook import __version__
from drillbook.campaign.attempt import PREVIOUS_VARIABLE, RUN_VARIABLE
from drillbook.errors import JournalError, UsageError
from drillbook.events.runs import Session
from drillbook.installation.program_name import program
from drillbook.journal.journal import read
from drillbook.project.project import Project
from drillbook.report.folders import drill_of
from drillbook.signing import account


def new_run_id(name: str) -> str:
    """Create a run's name that sorts by time: UTC to the millisecond, drill, and four random hex digits."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}Z-{name}-{secrets.token_hex(2)}"


def given_run_id(name: str) -> str:
    """Return the run's name that a campaign gave to this process, once; else a new one. Raises UsageError for a wrong name."""
    given = os.environ.pop(RUN_VARIABLE, "")
    if not given:
        return new_run_id(name)
    if drill_of(given) != name:
        raise UsageError(f"{RUN_VARIABLE} must be the name of a run of {name}, not {given!r}", hint=f"unset {RUN_VARIABLE}")
    return given


@cache
def _given_previous() -> str:
    """Hash that a campaign gave to this process; taken out of the environment, so that no command of a drill inherits it."""
    return os.environ.pop(PREVIOUS_VARIABLE, "")


def of_campaign() -> bool:
    """Return True for a run of a campaign, which writes the index of all runs once, at its end."""
    return bool(_given_previous())


def operator() -> str:
    """Name of the operator: the variable DRILLBOOK_OPERATOR (set by pipelines), else the account reported by the kernel."""
    return os.environ.get("DRILLBOOK_OPERATOR") or f"{account.name()}@{platform.node()}"


def header(who: str) -> Session:
    """Names of the controller and the operator, for the first event of a run or of a recovery."""
    return {
        "tool": f"drillbook {__version__}",
        "operator": who,
        "program": program(),
        "account": account.told(),
        "controller": f"{platform.node()}, {platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }


def previous_head(project: Project, run_id: str) -> str | None:
    """Hash of the last event of the newest run before ``run_id``; recorded so that a deleted run is noticed.

    A run of a campaign names the intent of its site instead: the runs of a campaign may be on other machines.
    """
    if given := _given_previous():
        return given
    for folder in reversed([folder for folder in project.runs() if folder.name < run_id]):
        try:
            return read(folder / "journal.jsonl").head
        except JournalError:
            continue
    return None
