"""Durations of phases in earlier runs, for the live view of a run."""

from __future__ import annotations

import json

from drillbook.judge.result import Verdict
from drillbook.project.project import Project

RUNS = 20
"""Maximum number of results that are read, the newest first."""


def last(project: Project, drill: str) -> dict[str, float]:
    """Return the durations of the phases in the last passed run of ``drill``, in seconds. The result is empty if no such run
    is found.
    """
    paths = [*project.reports.glob(f"*-{drill}-*/result.json"), *project.reports.glob(f"*/*-{drill}-*/result.json")]
    known = [path for path in paths if "latest" not in path.parts]
    for path in sorted(known, key=lambda one: one.parent.name, reverse=True)[:RUNS]:
        try:
            result = json.loads(path.read_bytes())
            if result["drill"] == drill and result["verdict"] == Verdict.PASSED:
                return {str(one["phase"]): float(one["seconds"]) for one in result["phases"] if one["seconds"] is not None}
        except (OSError, ValueError, KeyError, TypeError):
            continue  # the result is damaged
    return {}
