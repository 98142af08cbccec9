"""Commands of the alerts that ask for something at once, for the end of the audit on a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from drillbook.audit import lost_amounts
from drillbook.audit.alert import AFTER, AT_ONCE, Alert, Topic
from drillbook.audit.alert_causes import listed
from drillbook.audit.content import Audit
from drillbook.audit.run_rows import recover
from drillbook.installation.program_name import NEUTRAL, as_called

COMMAND = re.compile(rf"`((?:{re.escape(NEUTRAL)}|invoke) [^`]+)`")
"""Pattern of a command of Drillbook in the text of a next step. Other texts between backticks may be keys of files."""


def commands_at_once(audit: Audit, most: int) -> list[tuple[str, str]]:
    """Return at most ``most`` different commands, each with its purpose before it: of the alerts that ask for something at once, the
    most urgent first. An alert without a command is left out. The commands have the name of the program that the user called.
    """
    purposes: dict[str, str] = {}
    for purpose, command in _commands(audit):
        purposes.setdefault(as_called(command), purpose)
    return [(purpose, command) for command, purpose in islice(purposes.items(), most)]


def urgent(audit: Audit) -> int:
    """Return the number of the alerts that ask for something at once."""
    return sum(alert.when == AT_ONCE for alert in listed(audit))


def _commands(audit: Audit) -> Iterator[tuple[str, str]]:
    for alert in (alert for alert in listed(audit) if alert.when == AT_ONCE):
        commands = COMMAND.findall(recover(alert.run) if alert.topic is Topic.LEFT else alert.step)
        if alert.rows and not any(" drill.recover " in command for command in commands):
            own = [command for command in commands if " drill " in command or " schedule.retire " in command]
            yield _of_rows(alert, own)
        elif commands:
            yield _purpose(alert, commands[0]), commands[0]


def _of_rows(alert: Alert, commands: Sequence[str]) -> tuple[str, str]:
    """Return the purpose and the command of an alert about data that did not come back. ``commands``: commands of its next step. If
    there are none, the command is the one that shows the report.
    """
    enter = lost_amounts.ENTER.replace("the missing data", f"the missing data of {alert.about}")
    if not commands:
        return f"{enter}, as its report says", f"{NEUTRAL} report {alert.run}"
    return f"{enter}, then {_purpose(alert, commands[0]).replace(f' {alert.about} ', ' the drill ')}", commands[0]


def _purpose(alert: Alert, command: str) -> str:
    """Return the purpose of the first command of an alert, such as ``run api-down in lab again``."""
    if alert.topic is Topic.LEFT:
        return f"undo the changes of {alert.about}"
    if " drill.recover " in command:
        return f"recover {alert.about}"
    if alert.topic is Topic.NEVER_RAN:
        return "run what never ran" if " drill " in command else "see what never ran"
    if " schedule.retire " in command:
        return f"retire {alert.about}, or put its file back" if alert.about else str(alert.topic)
    if alert.topic is not Topic.RUN_AGAIN or not alert.about:
        return str(alert.topic)
    later = " after the correction" if f"{AFTER}`{command}`" in alert.step and not alert.rows else ""
    return f"run {alert.about} again{later}"
