"""Reads the standings of drills and suites from the results of runs. A standing names the newest run and the newest passed
run in one environment.

Reading is fast even for hundreds of runs. For most runs, only the name and the first bytes of the result file are used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drillbook.exits import Exit
from drillbook.inventory.protection import DOCKER, DOCKER_LAB, LAB
from drillbook.journal.run_files import RESULT
from drillbook.journal.run_state import RunState, RunStates
from drillbook.judge.verdicts import Verdict, without_refused
from drillbook.project.project import Project
from drillbook.report import folders, open_findings, possible_reservations
from drillbook.report.figures import moment
from drillbook.sdk.run_names import drill_of, short

if TYPE_CHECKING:
    from drillbook.report.earlier_losses import Loss

HEAD = 4096
"""Number of bytes at the start of a result file. These bytes are searched for the verdict and the environment."""
LOST = "§"
"""Sign beside the verdict of a run that did not pass and lost data: ``remarks.SHORT_MARK``, which is slow to import."""
_VERDICT = re.compile(rb'^ {2}"verdict": "([a-z ]+)",$', re.MULTILINE)
_ENVIRONMENT = re.compile(rb'^ {2}"environment": "([^"\\]+)",$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Ended:
    """A finished run of a drill or suite, with the fields of its ``result.json``."""

    run: str
    state: RunState
    name: str
    """Name of the drill or suite."""
    environment: str
    verdict: str
    started: str
    exit: int
    settled: bool
    service: str = ""
    finished: str = ""
    """Time at which the run ended. It is empty when the result does not contain this time."""
    rto: tuple[float, float | None, float] | None = None
    """Three figures in seconds: the measured RTO, its measurement error, and its target. The value is None when the drill
    has no RTO, or when the RTO was not measured.
    """
    rto_counts: bool = True
    """True when the measured RTO counts. An RTO that missed its target always counts. An RTO that met its target counts only
    if the run passed. If the run could not verify the objective, the RTO does not count.
    """
    beside: str = ""
    """Text with the number of open findings. Only findings of medium severity or higher are counted. It is empty when there are
    none, and for a run that never began.
    """
    marks: str = ""
    """Signs, such as ``†``, of the reservations with which a run that passed met its RPO, and the sign ``‖`` of a rehearsal of no
    routine backup. A run that did not pass has the sign ``§`` if it lost data, and so has a suite. Empty if there are none.
    """
    recovered: str = ""
    """Text with the time and the operator of a `drill.recover` that undid the changes of the run after its end. It is empty
    if no `drill.recover` did so.
    """
    lost: str = ""
    """Clause about the service's data that did not come back, such as ``at least 12 rows lost``; for a suite, it names the drill."""
    suite: bool = False

    @property
    def ended(self) -> str:
        """Time at which the run itself ended. It is not the end of a recovery that continued the journal later."""
        from drillbook.report import own_end  # noqa: PLC0415  keeps start-up fast

        return own_end.of(self.state.folder) or self.finished

    @property
    def passed(self) -> bool:
        """True when the run passed and has undone all its changes."""
        return self.verdict == Verdict.PASSED and self.exit == Exit.OK

    @property
    def failed(self) -> bool:
        """True when the run failed, or has not undone all its changes."""
        return self.verdict == Verdict.FAILED or self.exit == Exit.RESIDUE

    @property
    def left(self) -> bool:
        """True when the run left changes, and nobody closed them."""
        return self.exit == Exit.RESIDUE and not self.settled

    @property
    def at(self) -> datetime | None:
        """Time at which the run started. It is None when the result does not contain this time."""
        return moment(self.started)


@dataclass(frozen=True, slots=True)
class Standing:
    """Standing of one drill or suite in one environment: its newest run, its newest passed run, and the start of its
    oldest run.
    """

    last: Ended
    """The newest run that lists show; see ``verdicts.without_refused``."""
    passed: Ended | None
    first: str
    """Start of the oldest run."""
    failed: str = ""
    """Start of the first run that failed after the newest passed run. It is empty when no run failed since then."""
    losses: tuple[Loss, ...] = ()
    """Data that runs before ``last`` lost and of which it does not tell; see ``report.earlier_losses``."""
    last_name: str = ""
    """Part of a run's name that selects ``last``. It is empty if the drill's name does, because no newer run has this name."""

    @property
    def lossy(self) -> bool:
        """True if ``last`` lost data, or if an earlier run did and ``last`` does not tell of it."""
        return bool(self.last.lost or self.losses)


Standings = dict[tuple[str, str], Standing]
"""Standings. Each key is a pair: the name of the drill or suite, and the environment."""


def begun(project: Project, states: RunStates) -> list[Path]:
    """Return the folders of the runs, oldest first. A run is left out if its journal was emptied or removed. ``states``: see
    ``read``.
    """
    return [folder for folder in project.runs() if not states.of(folder).lost]


def read(runs: Sequence[Path], project: Project, states: RunStates) -> Standings:
    """Read the standings from the run folders ``runs``, and from the suites that contain these runs. The newest runs
    are read first. ``states``: states of all runs and suites that the task reads.
    """
    suites = {folder.parent for folder in runs if folder.parent != project.reports}
    standings: Standings = {}
    told: dict[tuple[str, str], list[Ended]] = {}
    newest_of: dict[str, str] = {}
    begun_in: dict[tuple[str, str], list[tuple[RunState, bool]]] = {}
    for folder in sorted([*runs, *suites], key=lambda folder: folder.name, reverse=True):
        name, start = drill_of(folder.name), folders.begun(folder.name)
        state = states.of(folder)
        newest_of.setdefault(name, folder.name)
        verdict, environment = head(state)
        begun_in.setdefault((name or "", environment), []).append((state, verdict == Verdict.PASSED))
        known = standings.get((name, environment))
        if known and (
            known.passed or (verdict == Verdict.FAILED and told[name, environment][-1].verdict != Verdict.REFUSED)
        ):
            failed = known.failed if known.passed else start or known.failed
            standings[name, environment] = replace(known, first=start or known.first, failed=failed)
            continue
        ended = result(state, states)
        if ended is None:
            continue
        key = ended.name, ended.environment
        known = standings.get(key)
        good = ended if ended.passed else None
        failed = ended.started if ended.failed else known.failed if known else ""
        told.setdefault(key, []).append(ended)
        standings[key] = Standing(ended, good, ended.started, failed)
    standings = {key: _named(_shown(standing, told[key]), newest_of) for key, standing in standings.items()}
    return _with_losses(standings, begun_in, told) if any(states[1:] for states in begun_in.values()) else standings


def _shown(standing: Standing, runs: Sequence[Ended]) -> Standing:
    """Return ``standing`` with the run that lists show as the newest. ``runs``: those whose result was read, newest first."""
    return replace(standing, last=without_refused(runs)[0])


def _named(standing: Standing, newest_of: Mapping[str, str]) -> Standing:
    """Add to a standing the short name of its newest run, if it needs one. ``newest_of``: newest run by the name of its drill."""
    run = standing.last.run
    return standing if newest_of.get(drill_of(run)) == run else replace(standing, last_name=short(run))


def _with_losses(
    standings: Standings,
    runs: Mapping[tuple[str, str], Sequence[tuple[RunState, bool]]],
    read: Mapping[tuple[str, str], Sequence[Ended]],
) -> Standings:
    """Add to each standing the losses of its earlier runs. ``runs``: states of all its runs, newest first, and if they passed.
    ``read``: those whose result was read.
    """
    from drillbook.report import earlier_losses  # noqa: PLC0415  keeps start-up fast

    return {
        key: replace(
            standing,
            losses=earlier_losses.of_states(
                [run for run in runs.get(key, ()) if run[0].folder.name <= standing.last.run],
                {run.run: "" if run.suite else run.lost for run in read.get(key, ())},  # the rows of the drills tell
            ),
        )
        for key, standing in standings.items()
    }


def newest(standings: Standings) -> dict[str, Standing]:
    """Merge the standings of all environments into one standing for each drill and suite. The merged standing contains the
    newest run, the newest passed run, and the start of the oldest run.
    """
    merged: dict[str, Standing] = {}
    for (name, _), standing in standings.items():
        known = merged.get(name)
        if known is None:
            merged[name] = standing
            continue
        passes = [each.passed for each in (known, standing) if each.passed]
        newer = max(known, standing, key=lambda it: it.last.run)
        merged[name] = Standing(
            newer.last,
            max(passes, key=lambda ended: ended.run) if passes else None,
            min(known.first, standing.first),
            losses=newer.losses,
            last_name=newer.last_name,
        )
    return merged


def moved(standings: Standings, name: str, environment: str) -> bool:
    """Return True for the standing in the environment `lab` of a drill or suite that has moved to `docker-lab`.

    Older inventories of the Docker lab have the environment `lab`. A drill or suite has moved when its newest run in `lab` used
    the Docker lab, and a later run has the environment `docker-lab`. Its schedule then holds there, and no longer in `lab`.
    """
    old, new = standings.get((name, LAB)), standings.get((name, DOCKER_LAB))
    return environment == LAB and bool(old and new and new.last.started > old.last.started and _in_docker(old.last.state))


def _in_docker(state: RunState) -> bool:
    """Return True when the run used the Docker lab. For a suite, its drills decide."""
    runs = state.result.as_object().get("runs")
    inner = [run for run in runs if isinstance(run, Mapping)] if isinstance(runs, list) else []
    states = [state, *(RunState(state.folder / str(run.get("folder"))) for run in inner)]
    plans = [each.first_line.get("data", {}).get("plan") or {} for each in states]
    return any((plan.get("inventory") or {}).get("lab") == DOCKER for plan in plans)


def head(state: RunState) -> tuple[str, str]:
    """Return the verdict and the environment of a run. Both are read from the start of the result. A value that is not found
    there is empty. The verdict is ``unread`` when the result cannot be read.
    """
    try:
        head = state.result.data[:HEAD]
    except OSError:
        return "unread", ""
    verdict, environment = _VERDICT.search(head), _ENVIRONMENT.search(head)
    return verdict[1].decode() if verdict else "", environment[1].decode(errors="replace") if environment else ""


def _rto(data: Mapping[str, Any]) -> tuple[float, float | None, float] | None:
    rto = data.get("objectives", {}).get("rto") or {}
    if rto.get("measured_s") is None:
        return None
    error = rto.get("error_s")
    return float(rto["measured_s"]), None if error is None else float(error), float(rto["target_s"])


def _rto_counts(data: Mapping[str, Any]) -> bool:
    met = (data.get("objectives", {}).get("rto") or {}).get("met")
    return met is False or (met is True and data["verdict"] == Verdict.PASSED)


def _beside(data: Mapping[str, Any], folder: Path, states: RunStates) -> str:
    """Return a text with the number of open findings of a run. Only findings of medium severity or higher count. The findings
    of a suite are those of its drills that began. The text is empty for a run that never began, and when the findings cannot
    be read.
    """
    try:
        inner = [folder / str(run["folder"]) for run in data.get("runs") or () if run.get("folder")]
        told = [data, *(states.of(path).result.parsed() for path in inner if (path / RESULT).is_file())]
        began = [each for each in told if open_findings.is_listed(str(each.get("verdict")))]
        return open_findings.in_list(
            str(data["verdict"]), [finding for each in began for finding in open_findings.of_result(each)]
        )
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return ""


def _lost(state: RunState) -> str:
    from drillbook.report import earlier_losses  # noqa: PLC0415  keeps start-up fast

    return earlier_losses.of_state(state)


def _lost_in_suite(data: Mapping[str, Any], folder: Path, states: RunStates) -> str:
    from drillbook.report import earlier_losses  # noqa: PLC0415  keeps start-up fast

    return earlier_losses.of_drills(
        (str(run.get("drill", "")), _lost(states.of(folder / str(run["folder"]))))
        for run in data.get("runs") or ()
        if run.get("folder")
    )


def _marks(data: Mapping[str, Any], lost: str) -> str:
    """Return the signs beside the verdict of a run; see ``Ended.marks``. Without an RPO, this may only be ``‖`` if the run passed.
    ``lost``: clause about data that did not come back.
    """
    if data["verdict"] != Verdict.PASSED or "suite" in data:
        return LOST if lost else ""
    objective = open_findings.objectives_of(data).get("rpo")
    if objective is None:
        return _not_routine(data)
    if not objective.met or not possible_reservations.may_exist(data, objective):
        return ""
    from drillbook.report import remarks  # noqa: PLC0415  keeps start-up fast

    told = remarks.of_run(remarks.steps_of(data.get("steps") or ()), str(data["started"]), objective).get("rpo")
    return told.mark.strip() if told else ""


def _not_routine(data: Mapping[str, Any]) -> str:
    """Return the sign ``‖`` for a rehearsal that restored only backups which an earlier run of a drill took, or which were taken
    while a drill ran. Its result tells nothing about routine backups. The text is empty for any other run.
    """
    if data.get("faults") or not possible_reservations.may_be_of_drill(data):
        return ""
    from drillbook.report import rehearsal_results, remarks  # noqa: PLC0415  keeps start-up fast

    told = rehearsal_results.brief(remarks.steps_of(data.get("steps") or ()), str(data["started"]), broken=False)
    return told.mark if told and told.mark == remarks.EARLIER_MARK else ""


def result(state: RunState, states: RunStates) -> Ended | None:
    """Read the result of a run or suite. Returns None when the file is missing or damaged. In this case, `invoke report
    RUN` can write it again. ``states``: states of all runs that the task reads, such as those of the drills of a suite.
    """
    try:
        data = state.result.parsed()
        lost = _lost_in_suite(data, state.folder, states) if "suite" in data else _lost(state)
        return Ended(
            state.folder.name,
            state,
            str(data.get("drill") or data["suite"]),
            str(data.get("environment", "")),
            str(data["verdict"]),
            str(data["started"]),
            int(data["exit"]),
            bool(data.get("settled")),
            str(data.get("service", "")),
            str(data.get("finished") or ""),
            _rto(data),
            _rto_counts(data),
            _beside(data, state.folder, states),
            _marks(data, lost),
            open_findings.recovered_later(str(finding.get("title", "")) for finding in data.get("findings") or ()),
            lost,
            "suite" in data,
        )
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None
