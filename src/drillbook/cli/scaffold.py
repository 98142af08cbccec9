"""A new project folder, ready to run: inventories, a first drill and its suite, tasks, files for CI and for editors."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from rich.text import Text

from drillbook.cli.console import console
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
"""Files of a new project, and their templates."""
TREES = "diagnosis"
"""Folder of templates whose files are a new project's diagnosis trees."""
SCHEMA_OF_TREES = "# yaml-language-server: $schema=../../.drillbook/tree.schema.json\n"


def init(folder: Path) -> int:
    """Make a project in ``folder``. Raises UsageError when a file of it is there already; nothing is then written."""
    content = free(folder)
    for name, text in content.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as target:
                target.write(text)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}", hint="choose another folder") from None
    _tell(folder, list(content))
    return 0


def free(folder: Path) -> dict[str, str]:
    """The files of a new project in ``folder``, none of which is there yet. Raises UsageError."""
    content = contents()
    taken = [name for name in content if (folder / name).exists() or (folder / name).is_symlink()]
    if taken:
        raise UsageError(
            f"{folder.resolve()} holds {', '.join(taken[:3])} already; nothing was written",
            hint="name a new folder: init FOLDER",
        )
    return content


def contents() -> dict[str, str]:
    """The files of a new project by their path."""
    templates = files("drillbook.cli").joinpath("templates")
    found = {name: templates.joinpath(source).read_text(encoding="utf-8") for name, source in FILES.items()}
    found |= {
        f"drills/{TREES}/{tree.name}": SCHEMA_OF_TREES + tree.read_text(encoding="utf-8")
        for tree in sorted(templates.joinpath(TREES).iterdir(), key=lambda one: one.name)
    }
    found["reports/.gitkeep"] = ""
    return found | {f".drillbook/{kind}.schema.json": schema.text(kind) for kind in schema.KINDS}


def _tell(folder: Path, names: list[str]) -> None:
    out = console()
    out.print(Text(f"a new project in {folder.resolve()}:", style="bold"), soft_wrap=True)
    for name in names:
        out.print(Text(f"  {name}"))
    out.print(Text("\nNext", style="bold"))
    if folder.resolve() != Path.cwd():
        out.print(Text(f"  cd {folder}"))
    for command, what in (("drill.plan first", "what the first drill would do"), ("drill first", "run it on the lab")):
        out.print(Text(f"  {program()} {command:18}{what}"))
    out.print(Text("  then describe your own hosts in inventory/staging.yml"))
