"""The page of the handbook.

For each drill, it shows fault, symptom, diagnosis, remedy and verification, read from the drill's file. The result of each
drill's last run comes from a record in docs/, so that the page is the same on every machine.
"""

from __future__ import annotations

from drillbook.plan import spec
from drillbook.project.project import Project
from drillbook.reference.handbook import results

SUITE = "handbook"
FILE = "handbook.md"
HEAD = """\
<!-- made by `invoke docs` from the drills of the suite `handbook`; change it there -->

# The handbook, as drills

Each failure of the troubleshooting handbook is a drill of the suite `handbook`: the drill injects the failure for real,
removes it, and proves that the service works again. If the drill has a phase `diagnose`, the [diagnosis
trees](diagnosis.md) find the cause before the failure is removed. `drillbook drill handbook` runs all of these drills, one
after another; `drillbook drill NAME` runs one of them. The last result of each drill on each inventory comes from [a
record](handbook-results.json). `invoke docs --results` renews this record from the journals of a machine. RTO and RPO
are measured by the monotonic [clock](clocks.md) of the controller. *changed since* marks a drill whose file has changed
since its last run.

"""
COLUMNS = ("drill", "fault", "symptom", "diagnosis", "remedy", "proof", "last result")


def names(project: Project) -> tuple[str, ...]:
    """Return the names of the drills of the handbook's suite.

    Raises UnknownName when there is no such suite, and SpecError when the suite is invalid.
    """
    suite = project.drill(SUITE)
    return suite.drills if isinstance(suite, spec.Suite) else ()


def page(project: Project) -> str:
    """Return the handbook page as Markdown: a table of the drills in the suite ``SUITE``.

    Raises UnknownName when this suite is missing, SpecError when a file is invalid, and UsageError when the record of results
    is unreadable.
    """
    record, files = results.recorded(project), project.drill_names()
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for name in names(project):
        drill = project.drill(name)
        if isinstance(drill, spec.Drill):
            cells = [*_cells(drill), results.cell(record, name, results.sha256(files[name]))]
            lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return HEAD + "\n".join(lines) + "\n"


def write(project: Project, *, renew: bool = False) -> list[str]:
    """Write the handbook page if it changed. When ``renew`` is true, first update the recorded results that the page shows.

    Return the names of the written files. Does nothing for a project without the suite ``SUITE``. Raises the errors of ``page``
    and ``results.renewed``.
    """
    if SUITE not in project.drill_names():
        return []
    written = results.write(project, names(project)) if renew else []
    path, text = project.root / "docs" / FILE, page(project)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return written
    path.write_text(text, encoding="utf-8")
    return [*written, FILE]


def _cells(drill: spec.Drill) -> list[str]:
    named = [f"**{drill.name}**<br>{drill.head.title}"]
    return named + [
        _diagnosis(drill) if phase == "diagnose" else _steps(drill, phase)
        for phase in ("inject", "detect", "diagnose", "restore", "verify")
    ]


def _steps(drill: spec.Drill, phase: str) -> str:
    """Return the names and actions of the steps of ``phase``, as a table cell."""
    return "<br>".join(
        f"{step.keywords.name} (`{step.action.name()}`)" if step.keywords.name else f"`{step.action.name()}`"
        for step in drill.phases.get(phase, ())
    )


def _diagnosis(drill: spec.Drill) -> str:
    """Return the cause that the diagnosis must find, with its service, as a table cell."""
    return "<br>".join(
        f"`{step.params['cause']}` of {step.params.get('service', '')}"
        for step in drill.phases.get("diagnose", ())
        if "cause" in step.params
    )
