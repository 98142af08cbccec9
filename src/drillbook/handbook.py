"""The page of the handbook: each drill of a suite with its fault, symptom, diagnosis, remedy and proof, from its file.

Last results stand in it only when they are asked for: the page of a repository says what is drilled, not how it went.
"""

from __future__ import annotations

import json
from pathlib import Path

from drillbook import spec
from drillbook.errors import DrillbookError
from drillbook.project import Project

SUITE = "handbook"
FILE = "handbook.md"
HEAD = """\
<!-- made by `invoke docs` from the drills of the suite `handbook`; change it there -->

# The handbook, as drills

Each failure of the troubleshooting handbook is a drill of the suite `handbook`: it is injected for real, located by the
[diagnosis trees](diagnosis.md) where the drill has that phase, remedied and proven. `invoke drill handbook` runs all of
them, one after another; `invoke drill NAME` runs one; `invoke docs --results` adds how each last ended here.

"""
COLUMNS = ("drill", "fault", "symptom", "diagnosis", "remedy", "proof")


def page(project: Project, *, results: bool = False) -> str:
    """The page as Markdown; with ``results`` the newest run of each drill. Raises UnknownName, SpecError."""
    suite = project.drill(SUITE)
    names = suite.drills if isinstance(suite, spec.Suite) else ()
    head = (*COLUMNS, "last result") if results else COLUMNS
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name in names:
        drill = project.drill(name)
        if isinstance(drill, spec.Drill):
            cells = _cells(drill) + ([last(project, name)] if results else [])
            lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return HEAD + "\n".join(lines) + "\n"


def write(project: Project, *, results: bool = False) -> list[str]:
    """Write the page when it differs; returns its name then, and nothing for a project without the suite."""
    if SUITE not in project.drill_names():
        return []
    path, text = project.root / "docs" / FILE, page(project, results=results)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return []
    path.write_text(text, encoding="utf-8")
    return [FILE]


def _cells(drill: spec.Drill) -> list[str]:
    named = [f"**{drill.name}**<br>{drill.head.title}"]
    return named + [_diagnosis(drill) if phase == "diagnose" else _steps(drill, phase)
                    for phase in ("inject", "detect", "diagnose", "restore", "verify")]


def _steps(drill: spec.Drill, phase: str) -> str:
    """The steps of a phase in words, with their actions."""
    return "<br>".join(f"{step.keywords.name} (`{step.action.name()}`)" if step.keywords.name else f"`{step.action.name()}`"
                       for step in drill.phases.get(phase, ()))


def _diagnosis(drill: spec.Drill) -> str:
    """The cause that has to be found."""
    return "<br>".join(f"`{step.params['cause']}` of {step.params.get('service', '')}"
                       for step in drill.phases.get("diagnose", ()) if "cause" in step.params)


def last(project: Project, name: str) -> str:
    """How the newest run of a drill ended, and when."""
    try:
        folder: Path = project.run(name)
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        return f"{result['verdict']}, {str(result['started'])[:10]}"
    except (DrillbookError, OSError, ValueError, KeyError, TypeError):
        return "never run"
