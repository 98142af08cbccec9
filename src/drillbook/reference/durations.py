"""Updates the measured durations in the catalogue from the newest passed runs on a lab, for `invoke docs --results`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from drillbook.catalog import entries
from drillbook.journal.run_state import RunState, RunStates
from drillbook.project import newest_runs
from drillbook.project.project import Project

FILE = Path("src", "drillbook", "catalog", entries.DURATIONS)


def renew(project: Project) -> list[str]:
    """Update ``FILE``, the durations of the catalogue's drills and suites, by the runs of ``project``. Only a checkout of
    Drillbook's repository has this file. Returns the names of the written files.
    """
    path = project.root / FILE
    if not path.is_file():
        return []
    before = path.read_text(encoding="utf-8")
    labs = {entry.name: entry.lab for entry in entries.entries() if entry.sort in ("drill", "suite")}
    kept = {name: seconds for name, seconds in json.loads(before).items() if name in labs}
    text = json.dumps(dict(sorted((kept | measured(project, labs)).items())), indent=1) + "\n"
    if text == before:
        return []
    path.write_text(text, encoding="utf-8")
    return [entries.DURATIONS]


def measured(project: Project, labs: Mapping[str, str]) -> dict[str, float]:
    """Return the duration in seconds of the newest passed run of each drill and suite. ``labs``: for each drill or suite,
    the kind of lab for which it is made; runs elsewhere are ignored.
    """
    runs = list(project.runs())
    witnesses = {folder: folder for folder in runs} | {run.parent: run for run in runs if run.parent != project.reports}
    durations, states = {}, RunStates()
    for folder in sorted(witnesses, key=lambda folder: folder.name):
        ended = newest_runs.result(states.of(folder), states)
        if ended and ended.passed and labs.get(ended.name, "") == _lab(states.of(witnesses[folder])) != "":
            result = ended.state.result.parsed()
            begin, end = (datetime.fromisoformat(str(result[key])) for key in ("started", "finished"))
            durations[ended.name] = round((end - begin).total_seconds(), 1)
    return durations


def _lab(run: RunState) -> str:
    """Kind of the lab on which ``run`` took place. It is empty outside a lab."""
    data = run.first_line.get("data")
    inventory = data.get("plan", {}).get("inventory", {}) if isinstance(data, dict) else {}
    return str(inventory.get("lab") or "")
