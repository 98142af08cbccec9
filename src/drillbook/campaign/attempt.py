"""Drills one site in a child process under a lock. The same call may be repeated any number of times, because a site is
never drilled twice.

The child process itself holds the lock of its site. The lock therefore shows whether a child process is alive, even if
another controller started it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Self

from drillbook.atomic_file import private_folder
from drillbook.campaign.expected_plans import SITE_VARIABLE, Expected
from drillbook.campaign.scheduler import SiteState
from drillbook.errors import NOTHING_RUN, DrillbookError
from drillbook.exits import Exit
from drillbook.journal.journal import FILE
from drillbook.journal.run_state import RunState, RunStates
from drillbook.judge.result import Result, RunView, SuiteResult
from drillbook.judge.verdicts import Verdict
from drillbook.project import finished_runs
from drillbook.report import remarks
from drillbook.sdk.host import excerpt

RUN_VARIABLE = "DRILLBOOK_RUN"
"""Environment variable that passes the name of the run to a child process."""
PREVIOUS_VARIABLE = "DRILLBOOK_PREVIOUS"
"""Environment variable that passes a hash to a child process. It is the hash of the event that records the intent to start
the site. The first event of the run contains this hash.
"""
CAMPAIGNS = "campaigns"
RECORD = "record"
APPROVAL = "approval.json"
"""Name of the file in a campaign's folder that approves the drills of all sites. The same folder contains the signature of
this file.
"""
PROGRAM = (sys.executable, "-m", "drillbook.cli")
STATES = {
    Exit.OK: SiteState.PASSED,
    Exit.FAILED: SiteState.FAILED,
    Exit.UNVERIFIED: SiteState.UNKNOWN,
    Exit.RESIDUE: SiteState.FAILED,
}


@dataclass(frozen=True, slots=True)
class Job:
    """The job to drill one site. It holds everything that a worker needs for this, and no secret."""

    campaign: str
    site: str
    run: str
    drill: str
    suite: bool
    inventory: str
    root: str
    """Folder of the project on the machine that carries out the job."""
    confirm: str = ""
    resumed: bool = False
    """True when the job may have been started before."""
    groups: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    """Labels that a worker must have to reach the targets of the site."""
    entry: dict[str, Any] = field(default_factory=dict)
    """Entry of the site in the sites file. It contains the inventory of the site, and the values that the site sets. A
    worker makes the inventory of the site from this entry.
    """
    place: str = ""
    """Name of the place that carries out the job. An empty text means this machine."""
    previous: str = ""
    """Hash of the event that records the intent to start the site."""
    plans: dict[str, str] = field(default_factory=dict)
    """Digests of the plans that the campaign made. The key of each digest is the name of the drill."""
    version: str = ""
    """Version of Drillbook that planned the campaign."""
    approved: bool = False
    """True when the folder of the campaign has an approval of all sites."""

    @property
    def folder(self) -> Path:
        """Folder of the campaign."""
        return Path(self.root) / "reports" / CAMPAIGNS / self.campaign

    @property
    def expected(self) -> Expected:
        """Name of the site, and the plans that the campaign made for it. The process of the drill compares its own plans
        with these plans.
        """
        approval = str(self.folder / APPROVAL) if self.approved else ""
        return Expected(self.site, self.plans, self.version, approval)


@dataclass(frozen=True, slots=True)
class Ending:
    """Result of the drill on one site: the state of the site, and facts about the run."""

    site: str
    state: SiteState
    run: str = ""
    verdict: str = ""
    residue: int = 0
    head: str = ""
    objectives: dict[str, Any] = field(default_factory=dict)
    message: str = ""

    def as_data(self) -> dict[str, Any]:
        """Return this result as JSON data, so that a worker can send it to the campaign."""
        return asdict(self)

    @classmethod
    def of(cls, data: dict[str, Any]) -> Self:
        """Make a result from its JSON data."""
        return cls(**{**data, "state": SiteState(data["state"])})


def carry_out(job: Job) -> Ending:
    """Drill the site of ``job`` in a child process. Returns when the child process has ended.

    If an earlier process of the campaign has already started this drill, the site is not drilled again. The function then
    finds out how the earlier drill ended.
    """
    try:
        with _locked(job) as lock:
            return _carry_out(job, lock)
    except OSError as error:
        return unknown(job, f"the site could not be drilled: {error.strerror or error}: {error.filename}")


def cancel(job: Job) -> bool:
    """Stop the drill of a site: ask the child process of the drill to end. The child process undoes the changes of the drill
    before it ends. A drill that has not been started will not be started. Returns True when a child process was asked. Returns
    False when there was no child process to ask. The caller must then call this function again, because a child process may
    just be starting.
    """
    path = _lock_path(job)
    try:
        private_folder(path.parent)
        _stop_path(job).touch(mode=0o600)
        with path.open("rb") as file:
            if not _is_held(file) or not (pid := int(file.read() or b"0")):
                return False
        os.kill(pid, _stop_signal(pid))
    except (OSError, ValueError):
        return False
    return True


def _stop_signal(pid: int) -> signal.Signals:
    """Return the signal that stops a child process. This is SIGINT, or SIGTERM if the process ignores SIGINT. A process
    ignores SIGINT when the program that started it ignores SIGINT. A process that carries out a recovery never ignores
    SIGINT. So it never gets SIGTERM, which would end the recovery before its last undo.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return signal.SIGINT
    match = re.search(r"^SigIgn:\s*([0-9a-f]+)$", status, re.MULTILINE)
    ignored = int(match[1], 16) if match else 0
    return signal.SIGTERM if ignored >> (signal.SIGINT - 1) & 1 else signal.SIGINT


def _is_held(lock: IO[bytes]) -> bool:
    """Return True when a process holds the lock of a site. In this case, the lock file contains the pid of the child
    process that drills the site.
    """
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _carry_out(job: Job, lock: int) -> Ending:
    folder = Path(job.root) / "reports" / job.run
    hidden = folder.with_name(f".{folder.name}")
    said = ""
    if not folder.exists():
        if _stop_path(job).exists():
            return stopped(job)
        if hidden.exists():
            shutil.rmtree(hidden)  # a child that died before its first event touched nothing
        status = _child(job, lock, "drill", job.drill, "--inventory", job.inventory, "--quiet", *_confirmed(job))
        if not folder.exists():
            state = SiteState.REFUSED if status in (Exit.USAGE, Exit.REFUSED) else SiteState.UNKNOWN
            return Ending(job.site, state, message=f"the child process ended with status {status}: {_tail(job)}")
    if _unfinished(job, folder):
        _child(job, lock, "drill.recover", job.run)
        said = "the drill was interrupted, and a recovery then undid its changes"
    return judged(job, said)


def judged(job: Job, said: str = "") -> Ending:
    """Determine the result of a site from the journals of its run, because the exit status of the process alone is never
    enough. The state is `refused` if the plan that the run carried out differs from the plan that the campaign made.
    ``said``: text that is put in front of the reason in the result.
    """
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
    differs = "" if state is SiteState.REFUSED else job.expected.differing(view.plan for view in views)
    if differs:
        state = SiteState.REFUSED
    return Ending(
        job.site,
        state,
        run=job.run,
        verdict=str(verdict),
        residue=sum(len(view.result.open_residue) for view in views),
        head=",".join(view.journal_head for view in views),
        objectives=_objectives(views),
        message="" if state is SiteState.PASSED else "; ".join(filter(None, (differs, said, _finding(views)))),
    )


def _views(job: Job, folder: Path) -> tuple[list[RunView], Result | SuiteResult | None]:
    """Judge the runs of a site from their journals. Return two values: the judged runs, and the result of the site. The
    result is None when the site ran a suite that did not end. Raises DrillbookError when a run cannot be judged.
    """
    runs = RunStates()
    if not job.suite:
        view = finished_runs.judged(runs.of(folder))
        return [view], view.result
    inner = sorted(path.parent for path in folder.glob(f"[!.]*/{FILE}"))
    views = [finished_runs.judged(runs.of(path)) for path in inner]
    suite = finished_runs.suite_of(inner[0], runs) if inner else None
    return views, finished_runs.rejudged(suite, views) if suite else None


def _finding(views: list[RunView]) -> str:
    """Return the title of the first finding of the runs. If the drill was refused because of this finding, the measured
    value and the remedy are added. The result is empty when there is no finding.
    """
    for view in views:
        for finding in view.result.findings:
            refused = view.result.verdict is Verdict.REFUSED
            return (
                f"{finding.title}: {finding.measured}. {finding.remedy}" if refused and finding.measured else finding.title
            )
    return ""


def _objectives(views: list[RunView]) -> dict[str, Any]:
    """Return the objectives of a site's runs. The key of each entry is the name of the objective. If the site ran several
    drills, the key begins with the name of the drill.
    """
    by_drill = {view.result.drill: _of_run(view.result) for view in views}
    if len(by_drill) == 1:
        return dict(next(iter(by_drill.values())))
    return {f"{drill} {name}": value for drill, those in by_drill.items() for name, value in those.items()}


def _of_run(result: Result) -> dict[str, Any]:
    """Return the objectives of a run with their measurements. In the report, a measurement may have a sign such as ``†``,
    which refers to a remark. The objective then contains this sign as ``mark``.
    """
    told = remarks.of_result(result)
    marks = {key: remark.mark.strip() for key, remark in told.items()}
    objectives = result.model_dump(mode="json")["objectives"]
    return {key: objective | ({"mark": marks[key]} if marks.get(key) else {}) for key, objective in objectives.items()}


def _unfinished(job: Job, folder: Path) -> bool:
    """Return True when a run of the site needs a recovery. The caller holds the lock of the site, so none of its runs
    is in progress.
    """
    runs = [path.parent for path in folder.glob(f"[!.]*/{FILE}")] if job.suite else [folder]
    return any(state.open for state in map(RunState, runs))


def _confirmed(job: Job) -> tuple[str, ...]:
    return ("--confirm", job.confirm) if job.confirm else ()


def _child(job: Job, lock: int, *arguments: str) -> int:
    """Run the program as a child process in a new session. The child process inherits the lock of the site. Returns its
    exit status.
    """
    with _output(job).open("ab") as out:
        process = subprocess.Popen(
            [*PROGRAM, *arguments],
            cwd=job.root,
            env={
                **os.environ,
                RUN_VARIABLE: job.run,
                PREVIOUS_VARIABLE: job.previous,
                SITE_VARIABLE: job.expected.as_text(),
            },
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
    """Hold the lock of a site during the ``with`` block. Waits until no child process of the site is alive."""
    path = _lock_path(job)
    private_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.ftruncate(descriptor, 0)  # the pid of an earlier holder may now be that of an unrelated process
        yield descriptor
    finally:
        os.close(descriptor)


def _lock_path(job: Job) -> Path:
    return job.folder / "sites" / f"{job.site}.lock"


def _stop_path(job: Job) -> Path:
    """Return the path of a file that exists when the operator has stopped the site."""
    return job.folder / "sites" / f"{job.site}.stop"


def _output(job: Job) -> Path:
    return job.folder / "sites" / f"{job.site}.txt"


def _tail(job: Job) -> str:
    """Return the last line that the child process printed. Hints, and the line which says that no drill was run, are
    ignored.
    """
    try:
        lines = _output(job).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    said = [line for line in lines if not line.lstrip().startswith("hint:") and line.strip() not in ("", NOTHING_RUN)]
    return excerpt(said[-1].strip(), limit=300) if said else "it printed nothing"


def unknown(job: Job, message: str) -> Ending:
    """Return a result with the state `unknown` for a site. ``message``: reason why nothing is known."""
    return Ending(job.site, SiteState.UNKNOWN, run=job.run, message=message)


def stopped(job: Job) -> Ending:
    """Return the result of a site whose drill had not started when the operator stopped the campaign."""
    return Ending(job.site, SiteState.REFUSED, message="not started: the operator stopped the campaign")
