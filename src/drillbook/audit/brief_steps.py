"""Next steps of alerts in a few words, for a printed page with little room. A step is never cut inside a clause."""

from __future__ import annotations

import re

from drillbook.audit import lost_amounts
from drillbook.audit.alert import AFTER, Alert, Topic
from drillbook.audit.gone_files import GONE, RETIRE_THOSE
from drillbook.installation.program_name import as_called

MOST = 64
"""Largest number of letters of a next step in a few words."""
PHRASES = {
    Topic.RECORD: "restore the folders that the audit names from a backup",
    Topic.RUN_AGAIN: "mend what the report names, then run the drill again",
    Topic.LEFT: "undo the changes",
    Topic.MISSING: "restore its folder from a backup",
    Topic.UNFINISHED: "run the suite again",
    Topic.NEVER_DRILLED: "run, copy or write a drill",
    Topic.NEVER_RAN: "run what never ran",
    Topic.FINDINGS: "mend what the report names, then run the drill again",
    Topic.NOT_RUN: "run the drill elsewhere, or retire it there",
    Topic.RESERVED: "run a drill that restores a routine backup",
    Topic.GAPS: "schedule a drill",
    Topic.OLD_BACKUPS: "take routine backups more often",
    Topic.REHEARSED: "run a drill that breaks the service and restores its backup",
    Topic.NO_RPO: "set an RPO in a drill",
    Topic.EXEMPT: "plan a rehearsal that restores the backup",
    Topic.OTHER: "run a drill",
}
"""Next step of each kind of alert, if no clause of the alert's own next step is short enough."""
OR_RETIRE = "run the drills again; retire those whose file is gone"
"""Next step of several drills, if the file of one of them is gone."""
AGAIN = f"{lost_amounts.ENTER}, then run the drill again"
"""Next step if the drill's newest run lost data of its service."""
_AGAIN = re.compile(rf"(?:\. {re.escape(AFTER)}|, then )`[^`]+`")
_BESIDE = re.compile(r" with `[^`]+`(?: and `[^`]+`)*| \([^()]*\)")
_ENDS = (r": `", r"\. |; |: `", r", (?:and|or|so that|then|for|with) ")
"""Patterns of the beginning of what is left out: a command, other sentences, and then other clauses."""


def action(alert: Alert) -> str:
    """Return a text like ``Alert.action``, with the next step in a few words."""
    return f"Next: {of(alert)}. {alert.deadline}"


def of(alert: Alert) -> str:
    """Return the next step of ``alert`` in a few words: its first clauses, without the commands beside them, or else the phrase for
    this kind of alert."""
    text = _AGAIN.sub(", then run it again", alert.step.replace(f"{GONE}: ", ""))
    text = _BESIDE.sub("", text)
    if alert.rows and lost_amounts.ENTER in text.casefold() and alert.topic is not Topic.LEFT:
        return AGAIN
    if as_called(RETIRE_THOSE) in alert.step:
        return OR_RETIRE
    clauses = (re.split(end, text, maxsplit=1)[0] for end in _ENDS)
    return next((clause for clause in clauses if len(clause) <= MOST), PHRASES[alert.topic])
