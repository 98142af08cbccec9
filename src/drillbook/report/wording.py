"""Words of reports: names of verdicts, states and clocks, and a sentence about the result of a run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from drillbook.inventory.protection import DOCKER_LAB, LAB, is_protected
from drillbook.judge.result import Objective, Result
from drillbook.judge.verdicts import UNFINISHED, Verdict
from drillbook.report import dead_runs, remarks
from drillbook.report.figures import against, figure, one_line
from drillbook.report.objective_figures import ends_with_sample, in_run
from drillbook.report.remarks import RESERVED, Remark

VERDICTS = {
    Verdict.PASSED: "Every step succeeded, every objective was measured and met, and every verification passed.",
    Verdict.FAILED: "The service did not recover, or data is not as it should be.",
    Verdict.INCONCLUSIVE: "The drill could not determine if the service recovers as it should. This is not a pass.",
    Verdict.REFUSED: "The drill was not allowed to start, or the system was not ready for it.",
    Verdict.ABORTED: "The run was stopped before its end.",
    Verdict.NOT_RUN: "The drill needs a service that is not installed, so the drill was not run. This is not a pass.",
}
FALLIBLE = {
    "ready": "a precondition",
    "backup": "a backup",
    "detect": "the detection",
    "diagnose": "the diagnosis",
    "restore": "a restore",
    "verify": "a verification",
    "cleanup": "the cleanup",
}
"""Words for the sentence that names what failed. The key of each entry is the phase of the failed step."""
ENDINGS: dict[str, str] = {
    Verdict.FAILED: "failed",
    Verdict.INCONCLUSIVE: "was inconclusive",
    Verdict.REFUSED: "was refused",
    Verdict.ABORTED: "was aborted",
    UNFINISHED: "did not end",
}
"""Words that follow "the run" in a sentence about the end of a run. The key of each entry is the verdict."""
NOT_BEGUN: dict[str, str] = {Verdict.REFUSED: "refused", Verdict.NOT_RUN: "not run here"}
"""Verdicts of runs that tried nothing, with the words for them. Such runs are counted separately, and have no figures."""
ANSWERED = re.compile(r"(?s)((?:answered|(?<!with )status) \d{3}\b[^{}\[\]<>]*): *[\[{<].*")
"""Regular expression that matches the status of an HTTP answer, and the beginning of its body (JSON, HTML) after a colon. The
exit status of a program is not matched.
"""
SHAPES = {
    Verdict.PASSED: "\N{CHECK MARK}",
    Verdict.FAILED: "\N{BALLOT X}",
    Verdict.INCONCLUSIVE: "?",
    Verdict.REFUSED: "\N{CIRCLED DIVISION SLASH}",
    Verdict.ABORTED: "\N{BLACK SQUARE}",
    Verdict.NOT_RUN: "\N{WHITE CIRCLE}",
}

MET, MISSED, NOT_VERIFIED = "met", "missed", "not verified"
BADNESS = (
    *map(str, (Verdict.PASSED, Verdict.NOT_RUN, Verdict.REFUSED, Verdict.ABORTED, Verdict.INCONCLUSIVE)),
    NOT_VERIFIED,
    str(Verdict.FAILED),
)
"""Verdicts from the best to the worst."""
STATES = {MET: "\N{CHECK MARK}", RESERVED: "~", MISSED: "\N{BALLOT X}", NOT_VERIFIED: "?"}
MET_OF = {MET: True, RESERVED: True, MISSED: False}
"""True for each state in which an objective was met, and False for the state in which it was missed. The key of each entry
is the state.
"""
STATE_CLASSES = {RESERVED: "unverified", NOT_VERIFIED: "unverified", UNFINISHED: "failed"}
"""CSS classes of states in HTML pages. A state that is not listed has a class of the same name. An objective that was met with
a reservation has the same colour as an objective that was not verified, and an unfinished run has that of a failed one.
"""

STEP_SHAPES = {
    "done": "\N{CHECK MARK}",
    "failed": "\N{BALLOT X}",
    "error": "\N{BALLOT X}",
    "unverified": "?",
    "unknown": "?",
    "allowed": "!",
    "skipped": "\N{EN DASH}",
    "no steps": "\N{EN DASH}",
    "cancelled": "\N{BLACK SQUARE}",
    "interrupted": "\N{BLACK SQUARE}",
    "stopped": "\N{BLACK SQUARE}",
}
STOPPED = "stopped"
"""State of a phase, when the run was stopped during this phase."""
NO_STEPS = "no steps"
"""State of a phase without steps, if the phase ended well."""
STEP_WORDS = {
    "done": "done",
    "failed": "failed: the step found a problem",
    "error": "error: the step itself failed",
    "unverified": "unverified: the step could not be completed",
    "unknown": "unknown: the step began, but its outcome was not recorded",
    "allowed": "failed, and the drill allows this failure with a written reason",
    "skipped": "skipped",
    "cancelled": "stopped",
    "interrupted": "interrupted: the phase began but did not finish",
}

OBJECTIVES = {"rto": "Recovery time (RTO)", "rpo": "Recovery point (RPO)", "detect": "Detection"}
SHORT = {"rto": "RTO", "rpo": "RPO", "detect": "Detection"}
PROBE_DETECTION = "Detection by the drill's probe"
"""Name of the figure ``detection`` when the drill awaits no alert. This name tells the reader that no alert of the service
was tested."""
OBJECTIVE_CLOCKS = {"rto": "rto", "rpo": "rpo", "detect": "detection"}
ENDED = {
    "open": "no event reports the undo of the change",
    "residue": "the change could not be undone",
    "closed": "the change could not be undone, and a person closed it later",
}
_UNRECORDED = "no undo of the change was recorded"
UNRECORDED = {"open": _UNRECORDED, "residue": _UNRECORDED, "closed": f"{_UNRECORDED}, and a person closed the change later"}
"""Words for a run without an end in its journal. They replace ``ENDED``, because it is unknown whether a lease undid the change."""
TEST_ENVIRONMENT = "a test environment, not production"
PHASES = ("ready", "backup", "inject", "detect", "diagnose", "restore", "verify", "cleanup")


@dataclass(frozen=True, slots=True)
class Clock:
    """A duration that reports show, such as the RTO: its start and end (``span``), and the source of its error."""

    key: str
    name: str
    span: str
    error: str


BEGAN = "when the program began to prepare the run"
"""Moment from which all times of a report are measured. The reports explain the time 0 s with these words."""
_SAMPLED = (
    "The time from the last probe sample before the change at the clock's end to the first sample after it: the probe's interval "
    "and the latency of the sample. Each clock ends with a change of its own, and so has an error of its own."
)
_SAMPLED_TWICE = (
    "Samples showed both ends: the error is that of the recovery time, plus such a time for the first bad sample."
)
_WRITES = (
    "The true recovery point lies between the last write that survived and the first write that was lost. The error is "
    "the time between these two writes."
)
_JOURNAL = (
    "Both ends are journal entries of the controller. Their times are read from the clock itself, without "
    "sampling, so there is no sampling error."
)
CLOCKS = (
    Clock("disruption", "Disruption", f"from 0 s, {BEGAN}, to the start of the injection", _JOURNAL),
    Clock(
        "detection",
        "Detection",
        "from the start of the injection to the expected alert, or to the end of the first bad sample",
        _SAMPLED,
    ),
    Clock(
        "outage",
        "Outage",
        "from the start of the first bad sample to the first good sample of the sustained recovery",
        _SAMPLED_TWICE,
    ),
    Clock(
        "rto",
        "Recovery time (RTO)",
        "from the start of the injection to the first good sample of the sustained recovery; counts only if the verification "
        "passed",
        _SAMPLED,
    ),
    Clock("restore", "Restore", "from the start to the end of the restore phase", _JOURNAL),
    Clock("verified", "Verified", "from the start of the injection to the end of the verification", _JOURNAL),
    Clock("waiting", "Waiting", "time spent waiting for people at manual steps and approvals", _JOURNAL),
    Clock(
        "rpo",
        "Recovery point (RPO)",
        "from the newest write before the first lost write to the last acknowledged write",
        _WRITES,
    ),
)
_ALERTED = (
    "The duration of the query to Prometheus for the start of the alert, plus the evaluation interval of the alert's "
    "rule and the longest scrape interval of the rule's targets."
)
_RECEIVED = (
    "The time between two polls of Alertmanager: from the last query that found no active alert to the first answer with "
    "the alert. If already the first poll found the alert, the error is as large as the measured time itself."
)
ERROR_NAMES = {
    _SAMPLED: "two samples",
    _SAMPLED_TWICE: "two samples at each end",
    _WRITES: "two writes",
    _JOURNAL: "none",
    _ALERTED: "the alert",
    _RECEIVED: "two polls",
}
"""Short names of the sources of measurement errors, for the table of clocks."""


def state_of(met: bool | None, measured_s: float | None, told: Remark | None = None) -> str:
    """Return the state of an objective: met, met with a reservation, missed or not verified.

    ``met``: None if the objective was not verified. ``told``: remark on the figure. If this remark has a mark, the objective
    is met only with a reservation. An objective without a measured value is never met: even if ``met`` is True, it is not
    verified.
    """
    if met is None or (met and measured_s is None):
        return NOT_VERIFIED
    return MISSED if not met else RESERVED if told and told.mark else MET


def objective_name(key: str, by: str = "", names: Mapping[str, str] = SHORT) -> str:
    """Return the name of an objective. That of `detect` also names ``by``, the observer of the fault, as in ``Remark.by``."""
    if key == "detect" and by == remarks.BY_PROBE:
        return PROBE_DETECTION
    name = names.get(key, one_line(key))
    return f"{name} ({by})" if by else name


def error_notes(result: Result, shown: Sequence[str]) -> dict[str, str]:
    """Return the explanations of some measurement errors, each as a key whose value is the short name of the error.
    ``shown``: keys of the clocks whose errors are explained.
    """
    texts = [clock.error for clock in clocks_of(result) if clock.key in shown]
    return {text: ERROR_NAMES[text] for text in dict.fromkeys(texts)}


def clocks_of(result: Result) -> tuple[Clock, ...]:
    """Return all clocks, which are measured durations. The clock ``detection`` gets the name and the texts for this run.

    The detection of a run ends in one of three ways: with the start of the expected alert, with Alertmanager's first answer
    that contains the alert, or with a bad sample of the drill's own probe.
    """
    by = remarks.observer(result.steps)
    name, span, error = (
        PROBE_DETECTION,
        "from the start of the injection to the end of the first bad sample of the drill's probe",
        _SAMPLED,
    )
    alert = by.removeprefix("by ")
    if by != remarks.PROBE:
        name = SHORT["detect"]
    if remarks.received(result.steps):
        span, error = (
            f"from the start of the injection to the first answer of Alertmanager that {alert} is active",
            _RECEIVED,
        )
    elif by != remarks.PROBE:
        span, error = f"from the start of the injection to the start of {alert}", _ALERTED
    return tuple(
        replace(clock, name=name, span=span, error=error) if clock.key == "detection" else clock for clock in CLOCKS
    )


def of_environment(inventories: Iterable[object]) -> str:
    """Return the explanation of the environment of a lab, `lab` or `docker-lab`, for readers who do not know it.

    ``inventories``: inventory of each run's plan. The name alone does not prove that the environment is for tests. So the
    result is empty if an inventory is protected and does not describe a lab of Drillbook. The result is also empty if an
    inventory is missing or has another environment.
    """
    known = list(inventories)
    return TEST_ENVIRONMENT if known and all(map(_is_test_lab, known)) else ""


def environment(name: str, inventories: Iterable[object]) -> str:
    """Return the name of an environment on one line, with its explanation if there is one."""
    return ", ".join(filter(None, (one_line(name), of_environment(inventories))))


def _is_test_lab(inventory: object) -> bool:
    if not isinstance(inventory, Mapping) or inventory.get("environment") not in (LAB, DOCKER_LAB):
        return False
    return bool(inventory.get("lab")) or not is_protected(str(inventory["environment"]), inventory.get("protected"))


def residue(result: Result) -> str:
    """Return the text to show beside a verdict.

    The text is ``residue`` if changes were not undone, and ``residue, closed`` if a person later declared that these changes
    need no undo. Otherwise it is empty.
    """
    return "residue, closed" if result.settled else "residue" if result.residue else ""


def ended(verdict: str) -> str:
    """Return a clause that tells how a run ended, such as ``the run failed``."""
    return f"the run {ENDINGS.get(verdict, f'ended {one_line(verdict)}')}"


def without_body(text: str) -> str:
    """Return ``text`` without the body of an HTTP answer.

    Journals of earlier versions quote this body after the status. Nothing is lost, because the facts of the step contain
    it.
    """
    return ANSWERED.sub(r"\1", text)


def explained(result: Result) -> str:
    """Return the meaning of the verdict.

    The text about a passed run does not claim more than the run did. It mentions no objective that the drill does not set,
    and no success of a step whose failure was allowed.
    """
    text = VERDICTS[result.verdict]
    if result.verdict is Verdict.FAILED:
        return _why_failed(result)
    if result.verdict is Verdict.ABORTED and result.reason:  # the sentence before says that and why it was stopped
        return f"An {dead_runs.word_of(result)} run is not a pass."
    if result.verdict is Verdict.PASSED and (reserved := _reserved(result)):
        text = f"Every step succeeded, and every verification passed. {reserved}."
    if result.verdict is Verdict.PASSED and not result.objectives:
        text = "Every step succeeded, and every verification passed. The drill sets no objectives."
    if result.verdict is Verdict.PASSED and any(step.status == "allowed" for step in result.steps):
        return text.replace("Every step succeeded", "Every step succeeded or was allowed to fail")
    return text


def _why_failed(result: Result) -> str:
    """Return a sentence that names what failed: a backup, a restore, a verification, or an objective that was missed."""
    bad = {(step.id.partition(".")[0], step.status) for step in result.steps}
    broken = {phase for phase, status in bad if status == "failed" or (status == "error" and phase in ("backup", "restore"))}
    failures = [f"{name} failed" for phase, name in FALLIBLE.items() if phase in broken]
    missed = [SHORT.get(key, one_line(key)) for key, objective in result.objectives.items() if objective.met is False]
    many = "s were" if len(missed) > 1 else " was"
    failures += [f"the {' and '.join(missed)} objective{many} missed"] if missed else []
    text = " and ".join(filter(None, (", ".join(failures[:-1]), *failures[-1:]))) or VERDICTS[result.verdict].rstrip(".")
    return f"{text[0].upper()}{text[1:]}."


def _reserved(result: Result) -> str:
    """Return a sentence without its full stop. It names first the objectives that were met, then those met with a reservation,
    and the reason. The result is empty without reservations."""
    told = remarks.of_result(result)
    objectives = sorted(result.objectives.items(), key=lambda pair: ([*SHORT, pair[0]].index(pair[0]), pair[0]))
    states = {key: state_of(objective.met, objective.measured_s, told.get(key)) for key, objective in objectives}
    probed = {key: remark.by for key, remark in told.items() if remark.by == remarks.BY_PROBE}
    names = {key: f"the {_inside(objective_name(key, probed.get(key, '')))}" for key in states}
    met = [names[key] for key, state in states.items() if state == MET]
    reserved = [
        f"{names[key]} was {told[key].state}: {remarks.why(told[key])}" for key, state in states.items() if state == RESERVED
    ]
    if not reserved:
        return ""
    listed = " and ".join(filter(None, (", ".join(met[:-1]), *met[-1:])))
    text = "; ".join([*([f"{listed} {'was' if len(met) == 1 else 'were'} met"] if met else []), *reserved])
    if any(told[key].lost for key in states if key in told):  # no figure measures the lost data
        return f"{text[:1].upper()}{text[1:]}"
    return f"Every objective was measured; {text}"


def _inside(name: str) -> str:
    """Return ``name`` as it is written inside a sentence: `detection`, but `RTO`."""
    return name if name[:2].isupper() else f"{name[:1].lower()}{name[1:]}"


def measured(result: Result, clock: str) -> tuple[float | None, float | None]:
    """Return a clock (a measured duration) and its measurement error, in seconds.

    If the result lacks the value or the error of the clock, return that of the objective that the clock measures.
    """
    value, error = result.clocks.get(f"{clock}_s"), result.clocks.get(f"{clock}_error_s")
    objective = _objective_of(result, clock)
    if objective is not None:
        value = objective.measured_s if value is None else value
        error = objective.error_s if error is None else error
    return value, error


def written(result: Result, clock: str) -> str:
    """Return the value of a clock with its measurement error, as text for the table of objectives.

    The text is empty when the clock was not measured.
    """
    value, error = measured(result, clock)
    if value is None:
        return ""
    objective, latest = _objective_of(result, clock), ends_with_sample(result, clock)
    if objective and (objective.measured_s, objective.error_s) == (value, error):
        return against(value, error, objective.target_s, latest=latest)
    return figure(value, error, latest=latest)


def _objective_of(result: Result, clock: str) -> Objective | None:
    return next((result.objectives.get(key) for key, name in OBJECTIVE_CLOCKS.items() if name == clock), None)


def unmeasured(result: Result, clock: str) -> str:
    """Return the reason why a clock has no figure. The result is empty when no reason is recorded."""
    keys = [clock, f"{clock}_s", *(key for key, name in OBJECTIVE_CLOCKS.items() if name == clock)]
    reasons = [result.unmeasured[key] for key in keys if result.unmeasured.get(key)]
    objectives = [result.objectives[key].reason for key in keys if key in result.objectives]
    return one_line(
        in_run(next((reason for reason in [*reasons, *objectives] if reason), ""), result.objectives, result.reason)
    )


def badness(verdict: str) -> int:
    """Return the position of a verdict in the order from the best to the worst. An unknown verdict counts as `not verified`."""
    return BADNESS.index(verdict) if verdict in BADNESS else BADNESS.index(NOT_VERIFIED)
