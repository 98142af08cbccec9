"""Functions of a campaign that run on a worker. They run the drills of sites, stop drills, and return the files of runs in pieces."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from drillbook.atomic_file import private_folder, replace_file
from drillbook.campaign import attempt, place, sites
from drillbook.campaign.attempt import Ending, Job
from drillbook.campaign.scheduler import SiteState
from drillbook.campaign.sites import SitesFile
from drillbook.errors import DrillbookError, UsageError

PIECE = 1 << 20
"""Largest number of bytes in one piece of a file."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a file that belongs to a run, with the digest of this part."""

    data: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Result of a function that the campaign called on a worker, or the reason why it failed."""

    value: Any = None
    error: str = ""


def answer(function: Callable[..., Any], *values: Any, dask_worker: Any = None) -> Answer:
    """Call ``function``, and return its result or its error as an ``Answer``. So an error of the function is never mistaken
    for an error of the connection.
    """
    more = {"dask_worker": dask_worker} if "dask_worker" in inspect.signature(function).parameters else {}
    try:
        return Answer(function(*values, **more))
    except Exception as error:  # noqa: BLE001  the campaign handles it
        return Answer(error=f"{type(error).__name__}: {error}")


def listens(dask_worker: Any) -> list[str]:
    """Return the addresses on which a worker or its nanny listens. Also return the addresses that it gives to other
    programs.
    """
    addresses = (
        dask_worker.address,
        *(address for listener in dask_worker.listeners for address in (listener.listen_address, listener.contact_address)),
    )
    return list(dict.fromkeys(addresses))


def identify() -> dict[str, str]:
    """Return the place of this worker, which is its project folder on its machine. If the worker cannot carry out drills, the
    result contains only the reason, under the key ``error``.
    """
    try:
        return asdict(place.of_worker())
    except (DrillbookError, OSError) as error:
        return {"error": str(error)}


def carry_out(job: Job) -> dict[str, Any]:
    """Drill a site. Returns the result as JSON data.

    If the disk of this worker already has the folder of the run, the drill was started before. The site is then not drilled
    again, and the function finds out how the earlier drill ended.
    """
    try:
        return attempt.carry_out(_own(job)).as_data()
    except (DrillbookError, OSError) as error:
        return Ending(job.site, SiteState.UNKNOWN, run=job.run, message=str(error)).as_data()


def approval(job: Job) -> dict[str, bytes]:
    """Return the content of two files: the approval of the campaign to which ``job`` belongs, and the signature of the
    approval. The key of each content is the name of the file.

    Raises OSError when a file cannot be read.
    """
    return {name: (job.folder / name).read_bytes() for name in (attempt.APPROVAL, f"{attempt.APPROVAL}.sig")}


def keep_approval(job: Job, files: dict[str, bytes]) -> None:
    """Store the approval of a campaign in the folder of the campaign on this worker. ``files``: result of the function
    ``approval``. The process of each drill verifies the approval. Raises OSError when a file cannot be written."""
    folder = replace(job, root=place.of_worker().root).folder
    private_folder(folder)
    for name, data in files.items():
        replace_file(folder / name, data, mode=None)


def cancel(job: Job) -> bool:
    """Ask the drill of ``job`` to stop. If the drill has not started, it will not start. Returns True when the process of
    the drill was asked.
    """
    return attempt.cancel(replace(job, root=place.of_worker().root))


def _own(job: Job) -> Job:
    """Return a copy of ``job`` whose paths lead into the project folder of this worker. Also write the inventory of the site
    to a file in that folder.

    Raises DrillbookError when the folder is not a project, and OSError when the site was started in another project folder
    or on another machine.
    """
    own = place.of_worker()
    if own.number != place.number_of(job.place):
        raise OSError(f"the site was started at {job.place}, but this worker is at {own.name}")
    root = Path(own.root)
    job = replace(job, root=own.root)
    private_folder(job.folder / "sites")
    file = SitesFile.model_validate({"sites": {job.site: job.entry}})
    try:
        bases = sites.inventories(root, file)
    except UsageError:  # an earlier attempt is examined without it; a new one is refused by the process of the drill
        return replace(job, inventory=file.sites[job.site].inventory or job.site)
    return replace(job, inventory=sites.write_inventories(file, job.folder / "sites", bases)[job.site])


def manifest(run: str) -> dict[str, tuple[int, str]]:
    """Return the size and the SHA-256 digest of each file of a run. The key of each entry is the path of the file in
    the folder of the run.
    """
    return files_of(_folder(run))


def files_of(folder: Path) -> dict[str, tuple[int, str]]:
    """Return the size and the SHA-256 digest of each file in ``folder``. The key of each entry is the path of the file,
    relative to ``folder``. Links are left out.
    """
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): _sum(path) for path in paths}


def pieces(run: str, wanted: Sequence[tuple[str, int]]) -> list[Piece]:
    """Read pieces of files of a run. ``wanted``: for each piece, the name of the file and the position in the file. Raises
    OSError when a file cannot be read.
    """
    return pieces_of(_folder(run), wanted)


def pieces_of(folder: Path, wanted: Sequence[tuple[str, int]]) -> list[Piece]:
    """Read pieces of files in ``folder``. ``wanted``: for each piece, the name of the file and the position in the file. Raises
    OSError when a file cannot be read.
    """
    return [_piece(folder, name, start) for name, start in wanted]


def _piece(folder: Path, name: str, start: int) -> Piece:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise FileNotFoundError(f"{name} is not a file of the run {folder.name}")
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(PIECE)
    return Piece(data, hashlib.sha256(data).hexdigest())


def _folder(run: str) -> Path:
    return Path(place.of_worker().root) / "reports" / run


def _sum(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()
