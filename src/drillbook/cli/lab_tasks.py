"""The tasks ``lab.*``; the module ``cli.labs`` implements them."""

from __future__ import annotations

from invoke.context import Context

from drillbook.cli.current_project import here
from drillbook.cli.task_class import task
from drillbook.cli.task_exit import Dry, is_dry, told

KIND = {"kind": "embedded or docker (default: embedded)"}


@task(help={**KIND, "build_only": "with --kind docker: only build the images"})
@told(Dry.TELLS)
def up(context: Context, kind: str = "embedded", build_only: bool = False) -> int:
    """Start a lab. If the lab is running already, keep it."""
    from drillbook.cli import dry_run, labs  # noqa: PLC0415  keeps start-up fast

    if is_dry(context):
        return dry_run.lab(labs.folder(here(spare=True), kind), kind, "build the images of" if build_only else "start")
    return labs.up(here(spare=True), kind, build_only=build_only)


@task(help={**KIND, "images": "with --kind docker: also remove the images of the lab"})
@told(Dry.TELLS)
def down(context: Context, kind: str = "embedded", images: bool = False) -> int:
    """Stop a lab, and remove everything that it created."""
    from drillbook.cli import dry_run, labs  # noqa: PLC0415  keeps start-up fast

    if is_dry(context):
        return dry_run.lab(labs.folder(here(spare=True), kind), kind, "stop and remove")
    return labs.down(here(spare=True), kind, images=images)


@task(help={**KIND, "json": "print the components as JSON"})
@told(Dry.READS)
def status(_: Context, kind: str = "embedded", json: bool = False) -> int:
    """Show the state of a lab's components."""
    from drillbook.cli import labs  # noqa: PLC0415  keeps start-up fast

    return labs.status(here(spare=True), kind, as_json=json)
