"""The short text that the program prints when it is called without a task: where to begin, and the most important tasks."""

from __future__ import annotations

from drillbook.errors import DrillbookError
from drillbook.project.project import Project

TASKS = (
    ("drill.list", "see the drills and their last results"),
    ("drill.plan NAME", "see what a drill would do; changes nothing"),
    ("drill NAME", "run a drill or a suite"),
    ("drill.due", "see what is due or overdue, and what to run next"),
    ("diagnose", "find the cause of an incident; changes nothing"),
    ("drill.recover", "undo what a run that died has left"),
    ("report.open", "read the report of the newest run"),
)
"""Tasks for everyday use, each with its purpose."""
NEW = ("init FOLDER", "begin here: make a project with a first drill")


def text() -> str:
    """Return the text to print when the program is called without a task. Outside of a project, it begins with the task
    that makes a project."""
    rows = [*TASKS, ("catalog", "see the drills that can be copied into a project")] if _in_project() else [NEW, *TASKS]
    width = max(len(task) for task, _ in rows)
    lines = [f"  drillbook {task:{width}}  {purpose}" for task, purpose in rows]
    ends = ["All tasks: drillbook --list. One task: drillbook --help TASK."]
    return "\n".join(["Drillbook runs disaster-recovery drills as code.", "", *lines, "", *ends])


def _in_project() -> bool:
    try:
        Project.here()
    except DrillbookError:
        return False
    return True
