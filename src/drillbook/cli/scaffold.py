"""Files of a new project, ready to run: inventories, a first drill and its suite, tasks, files for CI and for editors."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from rich.text import Text

from drillbook.cli import rehearsal_project
from drillbook.cli.console import console
from drillbook.cli.rehearsal_project import Answers, blanks
from drillbook.cli.views import program
from drillbook.errors import UsageError
from drillbook.plan import schema

FILES = {
    "inventory/lab.yml": "lab.yml",
    "inventory/staging.yml": "staging.yml",
    "drills/first.yml": "first.yml",
    "drills/pre-release.yml": "suite.yml",
    "tasks.py": "tasks.txt",
    ".gitignore": "gitignore",
    ".drillbook/.gitignore": "keyignore",
    "requirements.in": "requirements.in",
    ".gitlab-ci.yml": "gitlab-ci.yml",
    ".github/workflows/drills.yml": "github.yml",
}
"""Files of a new project, each with the name of its template."""
FIRST = (
    ("drill.plan first", "shows what the first drill would do"),
    ("drill first", "runs the first drill on the lab; then describe your own hosts in inventory/staging.yml"),
)
"""Next commands in a new project, each with its effect."""
REHEARSAL = (
    ("drill.check rehearse --inventory rehearsal", "tells if the rehearsal could begin now; reads only"),
    ("drill rehearse --inventory rehearsal", "restores the newest backup into the sandbox"),
)
"""Next commands in a project that rehearses backups."""
TREES = "diagnosis"
"""Folder of templates for a new project's diagnosis trees."""
SCHEMA_OF_TREES = "# yaml-language-server: $schema=../../.drillbook/tree.schema.json\n"


def init(folder: Path, answers: Answers | None = None) -> int:
    """Create a project in ``folder``; with ``answers`` one that rehearses a team's own backups.

    Raises UsageError, before writing anything, when one of the project's files exists, or an answer has the wrong form.
    """
    content = free(folder, answers)
    for name, text in content.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as target:
                target.write(text)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}", hint="choose another folder") from None
    missing = blanks(answers) if answers else []
    _tell(folder, list(content), REHEARSAL if answers else FIRST, missing)
    return 0


def free(folder: Path, answers: Answers | None = None) -> dict[str, str]:
    """Contents of a new project's files by path. Raises UsageError when one of them exists in ``folder``."""
    content = rehearsal_project.contents(answers, program(), contents()) if answers else contents()
    taken = [name for name in content if (folder / name).exists() or (folder / name).is_symlink()]
    if taken:
        raise UsageError(
            f"{folder.resolve()} already contains {', '.join(taken[:3])}; nothing was written",
            hint="name a new folder: init FOLDER",
        )
    return content


def contents() -> dict[str, str]:
    """Contents of a new project's files, by path."""
    templates = files("drillbook.cli").joinpath("templates")
    found = {name: templates.joinpath(source).read_text(encoding="utf-8") for name, source in FILES.items()}
    found |= {
        f"drills/{TREES}/{tree.name}": SCHEMA_OF_TREES + tree.read_text(encoding="utf-8")
        for tree in sorted(templates.joinpath(TREES).iterdir(), key=lambda one: one.name)
    }
    found["reports/.gitkeep"] = ""
    return found | {f".drillbook/{kind}.schema.json": schema.text(kind) for kind in schema.KINDS}


def _tell(folder: Path, names: list[str], commands: Sequence[tuple[str, str]], missing: Sequence[str]) -> None:
    out = console()
    out.print(Text(f"a new project in {folder.resolve()}:", style="bold"), soft_wrap=True)
    for name in names:
        out.print(Text(f"  {name}"))
    out.print(Text("\nNext", style="bold"))
    if folder.resolve() != Path.cwd():
        out.print(Text(f"  cd {folder}"))
    if missing:
        out.print(Text(f"  replace {', '.join(missing)} in inventory/rehearsal.yml"), soft_wrap=True)
    width = max(len(command) for command, _ in commands)
    for command, effect in commands:
        out.print(Text(f"  {program()} {command:{width}}  {effect}"), soft_wrap=True)
