"""Finds out quickly if a run may have met its RPO with a reservation, or restored a backup of the time of a drill. Only such a run
needs the modules ``remarks`` and ``rehearsal_results``, which are slow to import.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from drillbook.report.figures import moment
from drillbook.sdk import discovery
from drillbook.sdk.fact_names import RESTORED
from drillbook.sdk.run_names import drill_of

if TYPE_CHECKING:
    from drillbook.judge.result import Objective  # builds models, which lists do not need

COMMANDS = frozenset(
    {"ansible.playbook", "command.run", "command.script", "docker.exec", "http.flow", "manual.confirm", "postgres.sql"}
)
"""Built-in actions that run a command or a statement of the team (``Action.ANY_DATA``)."""


def may_exist(result: Mapping[str, Any], rpo: Objective) -> bool:
    """Return True if a reservation about the RPO in a ``result.json`` is possible, and False if it is impossible. ``rpo``:
    this RPO, which was met."""
    steps = result.get("steps") or ()
    took = any(str(step.get("id")).startswith("backup.") and "location" in _facts(step) for step in steps)
    return any(
        bool(_facts(step).get(RESTORED))
        or (not rpo.lost_writes and _may_be_command(step))
        or _may_restore_fresh(step, str(result["started"]), took=took)
        for step in steps
    )


def may_be_of_drill(result: Mapping[str, Any]) -> bool:
    """Return True if the run with this ``result.json`` may have restored a backup that a drill took, or that was taken while a drill
    ran. Return False if this is impossible.
    """
    for step in result.get("steps") or ():
        if str(step.get("id")).startswith("restore."):
            told = _facts(step).get("backup")
            backup = told if isinstance(told, Mapping) else {}
            addresses = (_facts(step).get("manifest"), backup.get("id"))
            if backup.get("taken_during") or any(drill_of(part) for text in addresses for part in str(text).split("/")):
                return True
    return False


def _facts(step: Mapping[str, Any]) -> Mapping[str, Any]:
    return step.get("facts") or {}


def _may_be_command(step: Mapping[str, Any]) -> bool:
    """Return True for a step that may have changed data by a command or a statement which the team wrote. Also return True
    for an action of a plugin.
    """
    action = str(step.get("action"))
    if not str(step.get("id")).startswith(("inject.", "restore.")) or _facts(step).get("effect") == "read":
        return False
    return action in COMMANDS or bool(discovery.plugins((action,), ()))


def _may_restore_fresh(step: Mapping[str, Any], started: str, *, took: bool) -> bool:
    """Return True if a step may have restored a backup that was taken during the run. ``started``: start of the run;
    ``took``: whether the run stored a backup.
    """
    facts = _facts(step)
    if not str(step.get("id")).startswith("restore.") or not ("made" in facts or "backup" in facts):
        return False
    told = facts.get("backup")
    backup = told if isinstance(told, Mapping) else {"taken_at": facts.get("snapshot_at")}
    error, begun = backup.get("error_s"), moment(started)
    error_s = timedelta(seconds=float(error) if isinstance(error, int | float) else 0.0)
    times = [moment(str(backup.get(key))) for key in ("taken_at", "started_at")]
    return took or begun is None or any(time is not None and time + error_s >= begun for time in times)
