"""The measured durations in the catalogue.

`invoke docs --results` renews them from the newest passed runs on a lab.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from drillbook.catalog import entries
from drillbook.project import standings
from drillbook.project.project import Project

FILE = Path("src", "drillbook", "catalog", entries.DURATIONS)
LAB = "lab"
"""Environment of the labs' inventories."""


def renew(project: Project) -> list[str]:
    """Write the durations of new runs to the catalogue of a checkout. Return the names of the written files."""
    path = project.root / FILE
    if not path.is_file():
        return []
    before = path.read_text(encoding="utf-8")
    known = {entry.name for entry in entries.entries() if entry.sort in ("drill", "suite")}
    kept = {name: seconds for name, seconds in json.loads(before).items() if name in known}
    text = json.dumps(dict(sorted((kept | measured(project, known)).items())), indent=1) + "\n"
    if text == before:
        return []
    path.write_text(text, encoding="utf-8")
    return [entries.DURATIONS]


def measured(project: Project, names: set[str]) -> dict[str, float]:
    """Return the seconds from start to end for each drill or suite in ``names``.

    They are those of its newest passed run on a lab.
    """
    found = {}
    for (name, environment), standing in standings.read(list(project.runs()), project).items():
        if name in names and environment == LAB and standing.passed:
            result = json.loads((standing.passed.folder / "result.json").read_bytes())
            begin, end = (datetime.fromisoformat(str(result[key])) for key in ("started", "finished"))
            found[name] = round((end - begin).total_seconds(), 1)
    return found
