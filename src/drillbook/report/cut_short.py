"""Notes about steps that were cut short: by a stop of the run, by the death of its controller, or by their time limit. The output
of such a step looks like the reason for its end, and is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from drillbook.judge.result import CommandView, Result, StepView
from drillbook.judge.verdicts import Verdict
from drillbook.report.consequences import STOPPED_BY
from drillbook.report.figures import one_line
from drillbook.report.stop_words import in_words

BY_PERSON = re.compile(re.escape(STOPPED_BY) + r"(SIGINT|the file \S+: .+|a request on the target: .+)")
"""Regular expression for the reason of a stop by a person. Other signals may be sent by the system."""
CTRL_C = {"SIGINT": "Ctrl-C"}
NOT_THE_REASON = "What its commands printed until then stands below; it is not the reason."
TIME_WAS_UP = re.compile(r"exceeded its time limit|before the step's timeout|the step's timeout expired")
"""Regular expression for the message of a step whose time was up."""
TIME = (
    "The time of the step was up. What its commands printed until then stands below; it tells how far the step came, and need "
    "not be the reason."
)
UNKNOWN = "No outcome of the step is recorded. What its commands printed stands below; it does not tell how the step ended."


def stop_of(result: Result) -> str:
    """Return a sentence which tells who stopped the run, and that a step stopped with it. It is general for a run that was not
    stopped, because other causes also stop the steps that run beside a failed one.
    """
    reason = one_line(result.reason).rstrip(".") if result.verdict is Verdict.ABORTED else ""
    if match := BY_PERSON.fullmatch(reason):
        how = CTRL_C.get(match[1], match[1])
        return f"The step did not fail: a person stopped the run (by {how}) while the step was in progress."
    return "The step did not fail: it was stopped before its end" + (f", because {in_words(reason)}." if reason else ".")


def note(step: StepView, stop: str, commands: Iterable[CommandView]) -> str:
    """Return the note about a step that was cut short. It is empty for every other step, and for a step that was cut short by
    something else than a stop, if no output is shown. ``stop``: see ``stop_of``. ``commands``: commands of the step whose output is
    shown.
    """
    printed = any(command.stdout or command.stderr for command in commands)
    match step.result.status:
        case "cancelled":
            return f"{stop} {NOT_THE_REASON}" if printed else stop
        case "unknown" if printed:
            return UNKNOWN
        case "error" | "failed" | "unverified" if printed and TIME_WAS_UP.search(step.message):
            return TIME
    return ""
