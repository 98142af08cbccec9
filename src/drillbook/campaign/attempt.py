"""One site, carried out by a child process under a lock. The same call is safe any number of times: it never drills twice.

The lock of a site is held by the child process itself, so it tells whether a child is alive, whoever started it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from drillbook.campaign.scheduler import SiteState
from drillbook.errors import DrillbookError
from drillbook.exits import Exit
from drillbook.journal.journal import FILE
from drillbook.journal.run_state import RunState
from drillbook.judge.result import Result, RunView, SuiteResult, Verdict
from drillbook.project import finished_runs

RUN_VARIABLE = "DRILLBOOK_RUN"
"""Environment variable that gives the name of its run to a child process."""
PREVIOUS_VARIABLE = "DRILLBOOK_PREVIOUS"
"""Environment variable with the hash of the intent of its site, which the first event of the run names."""
CAMPAIGNS = "campaigns"
RECORD = "record"
PROGRAM = (sys.executable, "-m", "drillbook.cli")
STATES = {
    Exit.OK: SiteState.PASSED,
    Exit.FAILED: SiteState.FAILED,
    Exit.UNVERIFIED: SiteState.UNKNOWN,
    Exit.RESIDUE: SiteState.FAILED,
}


@dataclass(frozen=True, slots=True)
class Job:
    """The drill of one site: everything that a worker needs to carry it out. It holds no secret."""

    campaign: str
    site: str
    run: str
    drill: str
    suite: bool
    inventory: str
    root: str
    """Folder of the project on the machine that carries the job out."""
    confirm: str = ""
    resumed: bool = False
    """True when the job may have been started before."""
    groups: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    """Labels that a worker must have to reach the targets of the site."""
    entry: dict[str, Any] = field(default_factory=dict)
    """Inventory of the site and its own values, as in the sites file: workers make their inventory from it."""
    place: str = ""
    """Place that carries out the job; empty for this machine."""
    previous: str = ""
    """Hash of the event with the intent of the site."""

    @property
    def folder(self) -> Path:
        """Folder of the campaign."""
        return Path(self.root) / "reports" / CAMPAIGNS / self.campaign


@dataclass(frozen=True, slots=True)
class Ending:
    """End of a site: its state, and facts about its run."""

    site: str
    state: SiteState
    run: str = ""
    verdict: str = ""
    residue: int = 0
    head: str = ""
    objectives: dict[str, Any] = field(default_factory=dict)
    message: str = ""

    def as_data(self) -> dict[str, Any]:
        """Return the ending as JSON data, so that a worker can send it to the campaign."""
        return asdict(self)

    @classmethod
    def of(cls, data: dict[str, Any]) -> Self:
        """Make an ending from its JSON."""
        return cls(**{**data, "state": SiteState(data["state"])})


def carry_out(job: Job) -> Ending:
    """Drill the site of ``job`` in a child process, or find out how an earlier attempt ended; blocks until the end."""
    try:
        with _locked(job) as lock:
            return _carry_out(job, lock)
    except OSError as error:
        return unknown(job, f"the site could not be carried out: {error.strerror or error}: {error.filename}")


def cancel(job: Job) -> bool:
    """Ask the child process of a site to stop: it undoes its changes first. Returns False when none is running."""
    path = _lock_path(job)
    try:
        with path.open("rb") as file:
            pid = int(file.read() or b"0")
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        with contextlib.suppress(ProcessLookupError):
            if pid:
                os.kill(pid, signal.SIGINT)
                return True
    except (OSError, ValueError):
        pass
    return False


def _carry_out(job: Job, lock: int) -> Ending:
    folder = Path(job.root) / "reports" / job.run
    hidden = folder.with_name(f".{folder.name}")
    said = ""
    if not folder.exists():
        if hidden.exists():
            shutil.rmtree(hidden)  # a child that died before its first event touched nothing
        status = _child(job, lock, "drill", job.drill, "--inventory", job.inventory, "--quiet", *_confirmed(job))
        if not folder.exists():
            state = SiteState.REFUSED if status in (Exit.USAGE, Exit.REFUSED) else SiteState.UNKNOWN
            return Ending(job.site, state, message=f"the child process ended with status {status}: {_tail(job)}")
    if _unfinished(job, folder):
        _child(job, lock, "drill.recover", job.run)
        said = "the drill was interrupted, and recovered"
    return judged(job, said)


def judged(job: Job, said: str = "") -> Ending:
    """End of a site from the journals of its run, never from the status of its process alone; ``said`` precedes its reason."""
    folder = Path(job.root) / "reports" / job.run
    try:
        views, result = _views(job, folder)
    except (DrillbookError, OSError, ValueError) as error:
        return unknown(job, f"the run cannot be judged: {str(error).splitlines()[0]}")
    exit_status = result.exit if result else Exit.UNVERIFIED
    verdict = result.verdict if result else Verdict.INCONCLUSIVE
    state = STATES.get(Exit(exit_status), SiteState.REFUSED)
    if verdict is Verdict.ABORTED and state is SiteState.REFUSED:
        state = SiteState.UNKNOWN  # it was stopped half-way, which shows nothing about the recovery
    return Ending(
        job.site,
        state,
        run=job.run,
        verdict=str(verdict),
        residue=sum(len(view.result.open_residue) for view in views),
        head=",".join(_head(folder, view) for view in views),
        objectives=_objectives(views),
        message="" if state is SiteState.PASSED else "; ".join(filter(None, (said, _finding(views)))),
    )


def _views(job: Job, folder: Path) -> tuple[list[RunView], Result | SuiteResult | None]:
    """Judge the runs of a site; the result is None for a suite that did not end. Raises DrillbookError."""
    if not job.suite:
        view = finished_runs.judged(folder)
        return [view], view.result
    inner = sorted(path.parent for path in folder.glob(f"[!.]*/{FILE}"))
    views = [finished_runs.judged(one) for one in inner]
    suite = finished_runs.suite_of(inner[0]) if inner else None
    return views, finished_runs.rejudged(suite, views) if suite else None


def _finding(views: list[RunView]) -> str:
    """Title of the first finding of the runs; empty without a finding."""
    return next((finding.title for view in views for finding in view.result.findings), "")


def _head(folder: Path, view: RunView) -> str:
    own = folder / view.result.run
    return RunState(own if own.is_dir() else folder).history.head


def _objectives(views: list[RunView]) -> dict[str, Any]:
    """Objectives of the runs of a site by name; of several drills, those of each are prefixed by its name."""
    found = {view.result.drill: view.result.model_dump(mode="json")["objectives"] for view in views}
    if len(found) == 1:
        return dict(next(iter(found.values())))
    return {f"{drill} {name}": value for drill, those in found.items() for name, value in those.items()}


def _unfinished(job: Job, folder: Path) -> bool:
    """Return True when a run of the site needs a recovery; nothing is alive while its lock is held here."""
    runs = [path.parent for path in folder.glob(f"[!.]*/{FILE}")] if job.suite else [folder]
    return any(state.open for state in map(RunState, runs))


def _confirmed(job: Job) -> tuple[str, ...]:
    return ("--confirm", job.confirm) if job.confirm else ()


def _child(job: Job, lock: int, *arguments: str) -> int:
    """Run the program in a session of its own, with the lock of the site in its hands; returns its exit status."""
    with _output(job).open("ab") as out:
        process = subprocess.Popen(
            [*PROGRAM, *arguments],
            cwd=job.root,
            env={**os.environ, RUN_VARIABLE: job.run, PREVIOUS_VARIABLE: job.previous},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            pass_fds=(lock,),
            start_new_session=True,
        )
    os.pwrite(lock, f"{process.pid:<20}".encode(), 0)
    try:
        return process.wait()
    finally:
        os.ftruncate(lock, 0)


@contextlib.contextmanager
def _locked(job: Job) -> Iterator[int]:
    """Hold the lock of a site; waits until no child process of the site is alive."""
    path = _lock_path(job)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock_path(job: Job) -> Path:
    return job.folder / "sites" / f"{job.site}.lock"


def _output(job: Job) -> Path:
    return job.folder / "sites" / f"{job.site}.txt"


def _tail(job: Job) -> str:
    """Last line that the child process printed, other than a hint."""
    try:
        lines = _output(job).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    said = [line for line in lines if line.strip() and not line.lstrip().startswith("hint:")]
    return said[-1].strip()[:300] if said else "it printed nothing"


def unknown(job: Job, message: str) -> Ending:
    """End of a site about which nothing is known, with the reason."""
    return Ending(job.site, SiteState.UNKNOWN, run=job.run, message=message)
