"""Tasks for developers of Drillbook. They are available only in a checkout of Drillbook."""

from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path
from typing import Any

from invoke.context import Context

from drillbook.cli.current_project import here
from drillbook.cli.task_class import task
from drillbook.cli.task_exit import Dry, told
from drillbook.exits import Exit

CHECKS = ("ruff check .", "ruff format --check .", "mypy", "codespell_lib", "bench.unused")
"""Commands of `invoke check`: each is the name of a Python module with its arguments."""


def checkout() -> Path | None:
    """Return the root of the Drillbook checkout that contains the current folder. Return None when the current folder is
    outside the checkout, or belongs to another project inside the checkout.
    """
    package = Path(__file__).resolve().parents[1]
    root = package.parents[1]
    nearest = next((path for path in (Path.cwd(), *Path.cwd().parents) if path == root or (path / "drills").is_dir()), None)
    if nearest != root or package != root / "src" / "drillbook":
        return None
    with contextlib.suppress(OSError):
        return root if 'name = "drillbook"' in (root / "pyproject.toml").read_text(encoding="utf-8") else None
    return None


@task(
    help={
        "all": "run all tests, including the slow ones: they kill the controller after each event of every drill, "
        "and run every example"
    }
)
def test(context: Context, all: bool = False) -> None:  # noqa: A002, PT028  the flag's name; no test
    """Run the tests (for developers of Drillbook). Without --all, the slowest tests try only a sample of their cases."""
    wanted = {"DRILLBOOK_MATRIX": "all", "DRILLBOOK_EXAMPLES": "10000"} if all else {}
    context.run(f"{sys.executable} -m pytest", pty=sys.stdout.isatty(), env=wanted)


@task
def check(context: Context) -> None:
    """Run ruff, mypy, codespell, vulture and, if installed, shellcheck (for developers of Drillbook)."""
    for module in CHECKS:
        context.run(f"{sys.executable} -m {module}")
    if shutil.which("shellcheck"):
        context.run("git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck")


@task
@told(Dry.REFUSED)
def docs(_: Context, results: bool = False) -> int:
    """Generate pages of docs/ from the code (for developers of Drillbook).

    --results also uses the newest benchmark results.
    """
    from drillbook.reference import backup_methods, durations, pages  # noqa: PLC0415  imports every action
    from drillbook.reference.handbook import page  # noqa: PLC0415  imports every action

    project = here()
    changed = [*pages.write(project.root / "docs"), *page.write(project, renew=results)]
    changed += backup_methods.write(project, renew=results)
    changed += durations.renew(project) if results else []
    sys.stdout.write(f"written: {', '.join(changed)}\n" if changed else "every page is current\n")
    return Exit.OK


TASKS: tuple[Any, ...] = (check, docs, test)
