"""The table of measurements in docs/backup-methods.md. It has one row for each drill that rehearses a kind of backup.

Every figure is from the drill's newest run. The figures are stored in a record in docs/. `invoke docs --results` renews the
record from the journals in one machine's reports/. The record contains no path, no host and no output of a target.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drillbook.errors import UnknownName, UsageError
from drillbook.journal.journal import FILE as JOURNAL
from drillbook.journal.journal import read
from drillbook.judge.judge import judge
from drillbook.judge.result import RunView
from drillbook.judge.verdicts import Verdict
from drillbook.plan import spec
from drillbook.project.project import Project
from drillbook.reference.handbook.results import ended_runs
from drillbook.report import figures
from drillbook.sdk import discovery
from drillbook.sdk.backup_source import BackupSource
from drillbook.sdk.run_names import RUN_ID

SUITES = ("rehearsal-all", "rehearsal-docker")
PAGE, FILE = "backup-methods.md", "backup-methods-results.json"
BEGIN, END = "<!-- measured: begin; made by `invoke docs` -->\n", "<!-- measured: end -->\n"
RUNGS = ("Artefact", "Restore", "Structure", "Volume", "Content", "Cluster", "Integrity", "Semantics", "Service")
"""Levels at which a drill can verify a backup. The name of a step begins with its level.

The level `Artefact` checks the stored backup, `Restore` restores it, and the other levels check the restored data.
"""
COLUMNS = (
    "method",
    "hosts need",
    "restored in",
    "lost since the newest backup",
    "levels of verification",
    "not seen in the backup",
)


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Rehearsed(_Value):
    """Results of the newest run of a drill on one inventory."""

    inventory: Annotated[str, Field(min_length=1, max_length=40)]
    run: Annotated[str, Field(pattern=f"^{RUN_ID.pattern}$")]
    started: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*Z$")]
    verdict: Verdict
    kind: str
    bytes: int | None
    seconds: dict[str, Seconds]
    """Duration of the restore in seconds, for each stage. The key ``total`` is the whole duration.

    The mapping is empty when nothing was restored.
    """
    loss_s: Seconds | None
    loss_error_s: Seconds | None
    basis: str
    rungs: tuple[str, ...]
    not_seen: tuple[str, ...]


class Record(_Value):
    """The whole record: the newest run of each drill on each inventory."""

    format: Literal["drillbook/backup-methods-results/1"] = "drillbook/backup-methods-results/1"
    results: dict[str, tuple[Rehearsed, ...]] = {}


def names(project: Project) -> tuple[str, ...]:
    """Return the names of the drills that rehearse a kind of backup, in the order of the suites.

    Raises SpecError when a drill or a suite is invalid.
    """
    suites = [project.drill(name) for name in SUITES if name in project.drill_names()]
    return tuple(dict.fromkeys(name for suite in suites if isinstance(suite, spec.Suite) for name in suite.drills))


def recorded(project: Project) -> Record:
    """Read the record. If the file is missing, the record is empty. Raises UsageError when the file is unreadable."""
    path = project.root / "docs" / FILE
    try:
        return Record.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Record()
    except (OSError, ValidationError) as error:
        raise UsageError(
            f"{path}: {error}",
            hint=("take the file from the last commit, or remove the file and run `invoke docs --results`"),
        ) from None


def renewed(project: Project) -> Record:
    """Return the record, updated with the results of the newest runs in reports/. A recorded result stays if reports/ has no
    newer run of the same drill and inventory.

    Two kinds of runs are skipped, because they measured nothing: refused runs, and runs that needed a service which is not
    installed. Raises JournalError when a journal is damaged.
    """
    known = recorded(project).results
    results = {(name, rehearsed.inventory): rehearsed for name in names(project) for rehearsed in known.get(name, ())}
    for (name, inventory), folders in ended_runs(project, names(project)).items():
        if (newest := _newest(inventory, folders)) is None:
            continue
        if (name, inventory) not in results or newest.run[:20] >= results[name, inventory].run[:20]:
            results[name, inventory] = newest
    rows = {name: tuple(results[key] for key in sorted(results) if key[0] == name) for name in names(project)}
    return Record(results={name: some for name, some in rows.items() if some})


def _newest(inventory: str, folders: Sequence[Path]) -> Rehearsed | None:
    """Return the newest run that was really carried out. Returns None when there is no such run."""
    for folder in reversed(folders):
        view = judge(read(folder / JOURNAL))
        if view.result.verdict not in (Verdict.REFUSED, Verdict.NOT_RUN):
            return _rehearsed(inventory, view)
    return None


def _rehearsed(inventory: str, view: RunView) -> Rehearsed:
    """Return the results that the table of backup methods shows for a run."""
    steps = {step["id"]: step for step in view.plan["steps"]}
    done = [step for step in view.result.steps if step.status == "done"]
    facts: dict[str, Mapping[str, Any]] = {step.action: step.facts for step in done}
    restored, loss = facts.get("backup.restore", {}), facts.get("backup.measure", {})
    return Rehearsed(
        inventory=inventory,
        run=view.result.run,
        started=view.result.started,
        verdict=view.result.verdict,
        kind=_kind(view.plan),
        bytes=restored.get("bytes") or restored.get("used_bytes"),
        seconds=restored.get("seconds", {}),
        loss_s=loss.get("loss_s"),
        loss_error_s=loss.get("error_s"),
        basis=loss.get("basis", ""),
        rungs=tuple(_rungs({str(steps[step.id]["name"] or "").partition(":")[0] for step in done}, facts)),
        not_seen=tuple(facts.get("backup.check", {}).get("not_covered", ())),
    )


def _kind(plan: Mapping[str, Any]) -> str:
    """Return the kind of the backup that the plan restores."""
    source = next(step["params"]["from"] for step in plan["steps"] if step["action"] == "backup.restore")
    return str(plan["inventory"]["services"][source]["kind"])


def _rungs(titles: Container[str], facts: Container[str]) -> Iterator[str]:
    """Yield the levels of verification that were carried out, in order."""
    actions = {"Artefact": "backup.check", "Restore": "backup.restore"}
    yield from (rung for rung in RUNGS if (actions[rung] in facts if rung in actions else rung in titles))


def table(project: Project) -> str:
    """Return the table as Markdown.

    Raises SpecError when a drill is invalid, and UsageError when the record is unreadable.
    """
    record = recorded(project)
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for name in names(project):
        rows = record.results.get(name) or (None,)
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(name, row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cells(name: str, rehearsed: Rehearsed | None) -> tuple[str, ...]:
    if rehearsed is None:
        return (f"`{name}`", "", "not run", "", "", "")
    title, needs = method(rehearsed.kind)
    verdict = "" if rehearsed.verdict is Verdict.PASSED else f"**{rehearsed.verdict}**<br>"
    return (
        f"**{title}**<br>`{name}`, {rehearsed.inventory}, {rehearsed.started[:10]}",
        needs,
        verdict + (_seconds(rehearsed) or "nothing"),
        _lost(rehearsed),
        ", ".join(rung.lower() for rung in rehearsed.rungs) or "nothing",
        "<br>".join(rehearsed.not_seen) or "nothing named",
    )


def method(kind: str) -> tuple[str, str]:
    """Return two texts about a kind of backup: the name of the backup tool, and the programs and rights that hosts need for
    this tool. If the kind is unknown or declares no method, return the name of the kind and an empty text.
    """
    try:
        source = discovery.service_class(kind)
    except UnknownName:
        return kind, ""
    title, needs = source.METHOD if issubclass(source, BackupSource) else ("", "")
    return title or kind, needs


def _lost(rehearsed: Rehearsed) -> str:
    """Return a text about the lost data: the length of the period whose data is lost, the measurement error of this length,
    and the source of the measurement.

    The error is left out when the source is the time of a commit.
    """
    if rehearsed.loss_s is None:
        return "not measured"
    figure = (
        figures.figure(rehearsed.loss_s, rehearsed.loss_error_s)
        if rehearsed.loss_error_s
        else figures.took(rehearsed.loss_s)
    )
    return f"{figure}<br>by the {rehearsed.basis}"


def _seconds(rehearsed: Rehearsed) -> str:
    """Return a text with the duration of a restore, the duration of each of its stages, and the size of the restored data, such
    as ``5.03 s (files 4.62 s, replay 0.28 s), 98 MiB``.
    """
    if not rehearsed.seconds:
        return ""
    stages = ", ".join(
        f"{stage.replace('_', ' ')} {figures.took(value)}" for stage, value in rehearsed.seconds.items() if stage != "total"
    )
    size = f"<br>{figures.size(rehearsed.bytes)}" if rehearsed.bytes else ""
    return figures.took(rehearsed.seconds["total"]) + (f" ({stages})" if stages else "") + size


def write(project: Project, *, renew: bool = False) -> list[str]:
    """Write the table of backup methods into its page of the documentation. The table is made from a record of results. When
    ``renew`` is true, first update this record from the newest runs.

    Return the names of the written files. Does nothing for a project whose page has no marks for the table. Raises the
    errors of ``table`` and ``renewed``.
    """
    page = project.root / "docs" / PAGE
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    if BEGIN not in text:
        return []
    written = []
    if renew:
        made = json.dumps(renewed(project).model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
        written += _put(project.root / "docs" / FILE, made)
    new = re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: f"{BEGIN}\n{table(project)}\n{END}", text, flags=re.S)
    return written + _put(page, new)


def _put(path: Path, text: str) -> list[str]:
    """Write a file if its content changes. Return a list with the name of the file, or an empty list."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return []
    path.write_text(text, encoding="utf-8")
    return [path.name]
