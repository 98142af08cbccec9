"""The last result of each drill of a suite on each inventory. It is stored in docs/ as a small record for the handbook page.

The record is made from the journals in one machine's reports/ and committed, so that the page is the same everywhere. The
record contains no path, no host and no output of a target.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drillbook.errors import PlanError, SpecError, UsageError
from drillbook.journal.journal import FILE as JOURNAL
from drillbook.journal.journal import read
from drillbook.judge.judge import judge
from drillbook.judge.result import Objective
from drillbook.judge.verdicts import Verdict
from drillbook.plan import planner, spec
from drillbook.plan.plan import checked
from drillbook.project.project import Project
from drillbook.report import figures
from drillbook.report.folders import alive, first_event
from drillbook.sdk import stored_backup
from drillbook.sdk.run_names import RUN_ID, drill_of

FILE = "handbook-results.json"
NOT_RUN = "not run"
MOST_NAME = 40
"""Largest length of an inventory's name in the record, in characters."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Measured(_Value):
    """A duration with its error. ``clock`` says how the duration was measured. ``seconds`` is None if there is no measurement."""

    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    error_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    clock: Annotated[str, Field(pattern=r"^[a-z ]{1,60}$")]


class Last(_Value):
    """Newest run of a drill on one inventory.

    ``drill_sha256``: digest of the drill's file. It is None when the file was changed after the run, so that the drill now
    has another plan.
    """

    inventory: Annotated[str, Field(min_length=1, max_length=MOST_NAME)]
    run: Annotated[str, Field(pattern=f"^{RUN_ID.pattern}$")]
    started: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*Z$")]
    verdict: Verdict
    residue: bool
    rto: Measured | None
    rpo: Measured | None
    drill_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None


class Record(_Value):
    """The whole record: the newest run of each drill on each inventory."""

    format: Literal["drillbook/handbook-results/1"] = "drillbook/handbook-results/1"
    results: dict[str, tuple[Last, ...]] = {}


def path_of(project: Project) -> Path:
    """Return the path of the file that records the newest results of the handbook's drills."""
    return project.root / "docs" / FILE


def recorded(project: Project) -> Record:
    """Read the record of a project. If the file is missing, the record is empty. Raises UsageError when it is unreadable."""
    path = path_of(project)
    try:
        return Record.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Record()
    except (OSError, ValidationError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        where = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"{path}: {where}{': ' if where else ''}{first['msg']}",
            hint="take the file from the last commit, or remove the file and run `invoke docs --results`",
        ) from None


def renewed(project: Project, names: Iterable[str]) -> Record:
    """Return the record of the drills ``names``, updated with their newest runs in reports/.

    Results without a newer run stay. Raises JournalError when a journal is damaged, and UsageError when the record is
    unreadable.
    """
    names = list(names)
    results = {
        (name, last.inventory): last for name, some in recorded(project).results.items() for last in some if name in names
    }
    for (name, inventory), folders in ended_runs(project, names).items():
        folder = folders[-1]
        known = results.get((name, inventory))
        if known is None or folder.name[:20] >= known.run[:20]:
            results[name, inventory] = _last(project, name, inventory, folder)
    return Record(
        results={
            name: tuple(results[key] for key in sorted(results) if key[0] == name)
            for name in names
            if any(key[0] == name for key in results)
        }
    )


def ended_runs(project: Project, names: Collection[str]) -> dict[tuple[str, str], list[Path]]:
    """Find the runs that have ended. Return their folders in lists, oldest first.

    There is one list for each drill on each inventory. Its key is a pair: the name of the drill and of the inventory.
    """
    folders: dict[tuple[str, str], list[Path]] = {}
    for folder in project.runs():
        name = drill_of(folder.name)
        if name in names and not alive(folder) and (inventory := _inventory(folder)):
            folders.setdefault((name, inventory), []).append(folder)
    return folders


def write(project: Project, names: Iterable[str]) -> list[str]:
    """Update the file that records the newest results of ``names``. Return a list with the name of the
    file. The list is empty if nothing changed.

    Raises JournalError when a journal is damaged, and UsageError when the record is unreadable.
    """
    made = json.dumps(renewed(project, names).model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
    path = path_of(project)
    if path.is_file() and path.read_text(encoding="utf-8") == made:
        return []
    path.write_text(made, encoding="utf-8")
    return [FILE]


def sha256(path: Path) -> str:
    """Return the SHA-256 of the file ``path``, in hexadecimal digits."""
    return stored_backup.sha256(path.read_bytes())


def cell(record: Record, name: str, now_sha256: str) -> str:
    """Return a table cell with the results of a drill, with one line for each inventory.

    ``now_sha256``: digest of the drill's file.
    """
    return "<br>".join(_line(last, now_sha256) for last in record.results.get(name, ())) or NOT_RUN


def _line(last: Last, now_sha256: str) -> str:
    left = " with residue" if last.residue else ""
    parts = [f"**{last.verdict}**{left} on {_escaped(last.inventory)}", figures.utc(last.started)]
    parts += [
        f"{label} {_figure(value, latest=label == 'RTO')}"
        for label, value in (("RTO", last.rto), ("RPO", last.rpo))
        if value
    ]
    return ", ".join(parts) + ("" if last.drill_sha256 == now_sha256 else " (changed since)")


def _escaped(text: str) -> str:
    """Escape ``text`` for Markdown. Pipes are left as they are, because the function that makes the table escapes them."""
    return re.sub(r"([\\`*_\[\]<>&#!])", r"\\\1", figures.one_line(text))


def _figure(value: Measured, *, latest: bool) -> str:
    return "not measured" if value.seconds is None else figures.figure(value.seconds, value.error_s, latest=latest)


def _inventory(folder: Path) -> str:
    """Return the name of a run's inventory: the kind of its lab, or its environment. The result is empty when neither is known."""
    data = first_event(folder).get("data")
    inventory: Any = data.get("plan", {}).get("inventory", {}) if isinstance(data, dict) else {}
    return str(inventory.get("lab") or inventory.get("environment") or "")[:MOST_NAME]


def _last(project: Project, name: str, inventory: str, folder: Path) -> Last:
    view = judge(read(folder / JOURNAL))
    result, path = view.result, project.drill_names()[name]
    same = _same(path, view.plan, result.plan_digest)
    return Last(
        inventory=inventory,
        run=result.run,
        started=result.started,
        verdict=result.verdict,
        residue=bool(result.residue),
        rto=_measured(result.objectives.get("rto")),
        rpo=_measured(result.objectives.get("rpo")),
        drill_sha256=sha256(path) if same else None,
    )


def _same(path: Path, carried_out: dict[str, Any], plan_digest: str) -> bool:
    """Return True when the plan made from the present file of the drill is the plan that the run executed."""
    try:
        drill = spec.load(path)
        return isinstance(drill, spec.Drill) and planner.make(drill, checked(carried_out).inventory).digest == plan_digest
    except (PlanError, SpecError):
        return False


def _measured(objective: Objective | None) -> Measured | None:
    if objective is None:
        return None
    return Measured(seconds=objective.measured_s, error_s=objective.error_s, clock=objective.clock)
