"""The labs of a project. The kind ``embedded`` runs as processes on this machine; the kind ``docker`` runs on a Docker
engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from drillbook.catalog import shipped_files
from drillbook.cli import tables
from drillbook.cli.console import console
from drillbook.errors import SecretError, UsageError
from drillbook.exits import Exit
from drillbook.installation import extras
from drillbook.project.project import Project

KINDS = ("embedded", "docker")
FILES = "lab"
"""Name of the folder with the project's own files for its Docker lab. Not every project has this folder."""


def _known(kind: str) -> bool:
    """Return True if ``kind`` is the Docker lab, False if it is the embedded lab. Raises UsageError for any other kind."""
    if kind not in KINDS:
        raise UsageError(f"{kind!r} is not a kind of lab", hint=f"kinds: {', '.join(KINDS)}")
    return kind == "docker"


def _docker() -> ModuleType:
    """Return the module that controls Docker labs. Raises MissingExtra when its packages are not installed."""
    extras.require("lab", "the Docker lab")
    from drillbook.lab.containers import control  # noqa: PLC0415  an extra

    return control


def _embedded() -> ModuleType:
    """Return the module that controls embedded labs. Raises MissingExtra when its packages are not installed."""
    extras.require("lab", "the embedded lab")
    from drillbook.lab import control  # noqa: PLC0415  an extra

    return control


def files(project: Project) -> Path:
    """Return the folder with the files of the Docker lab. This is the project's own folder `lab/` if it contains a
    Dockerfile, and otherwise the shipped folder. Raises UsageError when the installation of Drillbook is damaged.
    """
    own = project.root / FILES
    return own if (own / "Dockerfile").is_file() else shipped_files.root() / FILES


def folder(project: Project, kind: str) -> Path:
    """Return the folder in which the project's lab of ``kind`` stores its data. Raises UsageError for an unknown kind."""
    return project.docker_lab if _known(kind) else project.lab


def started(project: Project, kind: str, progress: Callable[[str], None], *, as_it_is: bool = True) -> None:
    """Start the lab if it is not running yet. Raises LabError when the lab cannot be started, and UsageError for an
    unknown kind.

    When ``as_it_is`` is true, a lab counts as running when its machines run, even if some of its services do not.
    """
    if _known(kind):
        docker = _docker()
        docker.up(project.docker_lab, files(project), progress=progress, as_it_is=as_it_is)
    else:
        control = _embedded()
        control.up(project.lab, progress=progress, as_it_is=as_it_is)


@contextmanager
def start_hinted(project: Project, kind: str) -> Iterator[None]:
    """Add a hint to a SecretError that is raised in the ``with`` block. The hint names the command that starts the lab. The
    error stays unchanged if it already has a hint, or if the folder of the lab exists: the lab was then started, and the
    error has another cause.

    ``kind``: the kind of the lab, or empty if the inventory describes no lab.
    """
    try:
        yield
    except SecretError as error:
        if error.hint or not kind or folder(project, kind).exists():
            raise
        command = "invoke lab.up" if kind == KINDS[0] else f"invoke lab.up --kind {kind}"
        raise SecretError(error.message, hint=f"the lab is not running: start it with `{command}`") from None


def docker_stands(project: Project) -> bool:
    """Return True when all machines of the project's Docker lab are running, so that the lab need not be started.
    Raises LabError when this cannot be determined.
    """
    return bool(_docker().status(project.docker_lab).standing)


def up(project: Project, kind: str, *, build_only: bool = False) -> int:
    """Start a lab, or only build its images."""
    out = console()
    progress: Callable[[str], None] = lambda text: out.print(f"lab: {text}", markup=False)  # noqa: E731
    if build_only:
        if not _known(kind):
            raise UsageError("only the Docker lab has images to build", hint="invoke lab.up --kind docker --build-only")
        docker = _docker()
        progress(f"the images of the lab are built, with the tag {docker.build(files(project), progress=progress)}")
        return Exit.OK
    started(project, kind, progress, as_it_is=False)
    return status(project, kind)


def down(project: Project, kind: str, *, images: bool = False) -> int:
    """Stop a lab, and remove everything that it created. Images of the Docker lab are removed only when ``images`` is
    true.
    """
    if _known(kind):
        docker = _docker()
        docker.down(project.docker_lab, with_images=images)
    else:
        control = _embedded()
        control.down(project.lab)
    stays = " except its images" if kind == "docker" and not images else ""
    console().print(f"the lab is down; everything that it created was removed{stays}")
    return Exit.OK


def status(project: Project, kind: str, *, as_json: bool = False) -> int:
    """Print the state of a lab's components."""
    if _known(kind):
        docker = _docker()
        return tables.lab(docker.status(project.docker_lab), console(), as_json=as_json)
    control = _embedded()
    return tables.lab(control.status(project.lab), console(), as_json=as_json)
