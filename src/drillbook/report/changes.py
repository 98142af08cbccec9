"""Report rows about the differences between a run and the last run of the same drill."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from drillbook.findings import Finding, Severity
from drillbook.judge.changes import Comparison, FigureChange, FindingChange, LossChange, StepChange, TargetChange
from drillbook.judge.comparison import FIGURES, LEAST_PART, LEAST_S, least_change
from drillbook.judge.result import Result, RunView
from drillbook.judge.verdicts import Verdict
from drillbook.language.lists import leading, ranged
from drillbook.report import dead_runs, open_findings, remarks, rows
from drillbook.report.figures import bounded, count, figure, one_line, printed, rounded, seconds, took, utc
from drillbook.report.markdown_syntax import escape, table
from drillbook.report.objective_figures import alone_by, ends_with_sample
from drillbook.report.wording import PROBE_DETECTION, SHORT, ended

FIRST = "This is the first run of this drill in this environment that can be compared."
NOTE = (
    "Each figure of a run has a measurement error. A figure counts as changed only if the two runs differ by more than the "
    "sum of their errors. The figures as they are printed here must also differ by more than this sum. Steps are timed on the "
    "controller's monotonic clock, without sampling error. The duration of a step is compared with its duration in each "
    "compared run in which the step succeeded. The step counts as slower if its printed duration is longer than all of these "
    "durations, and as faster if it is shorter than all of them. Each difference must be more than "
    f"{seconds(LEAST_S)}, and more than {LEAST_PART:.0%} of the duration in the compared run."
)
INCOMPARABLE = "cannot be compared"
NEITHER = "neither figure counts"
LESS_BACK = "less data came back than the fault removed"
SHORT_RPO = f"{INCOMPARABLE}: {LESS_BACK}"
NONE_LOST = "none lost"
NOT_TRIED = "not tried in this run"
STOPPED = "aborted"
"""Code of the finding that a run was stopped. The sentence for the terminal leaves this finding out, because the verdict says
the same.
"""
MOST_SLOWER, MOST_FASTER = 3, 1
"""Largest number of slower steps, and of faster steps, that the sentence for the terminal names."""
WORDS = {"same": "no change greater than the measurement errors", "unknown": INCOMPARABLE}


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """Row of the table of differences. ``what``: name of the thing that differs, such as a step; ``before`` and ``now``: its
    value in the last run and in this run; ``change``: the change in words. ``loud``: True when the reader should look at it.
    """

    what: str
    before: str
    now: str
    change: str
    loud: bool = False


def lead(view: RunView) -> str:
    """Return a sentence about the run that this run is compared with.

    The sentence is empty when the journal records no earlier run.
    """
    known = view.comparison
    if known is None:
        return FIRST if view.first_run else ""
    text = f"Compared with the run {one_line(known.run)} of {utc(known.started)}, which ended {one_line(known.verdict)}."
    if known.aborted:
        number, names = len(known.aborted), ", ".join(map(one_line, known.aborted))
        why = f"{count(number, 'newer run')} {'was' if number == 1 else 'were'} aborted, and not compared with: {names}."
        text = f"{text} {why}"
    older = [one_line(name) for name in known.older]
    if not older or not _paced(view, known):
        return text
    runs, named = count(len(older), "run"), ", ".join(older)
    return f"{text} The durations of the steps are compared with the {runs} before it ({named}), too."


def change_rows(view: RunView) -> list[ChangeRow]:
    """Return the rows of all differences.

    The verdict and the figures are listed even if they did not change.
    """
    known = view.comparison
    return list(_rows(view, known)) if known else []


def summary(view: RunView) -> str:
    """Return a sentence for the terminal, with the differences since the last run.

    The sentence is empty when there is no earlier run to compare with.
    """
    known = view.comparison
    if known is None:
        return ""
    names = _names(view)
    told = {change.key: _change(view, change) for change in known.figures}
    parts = [
        f"{SHORT.get(target.key, one_line(target.key))} target {_target(target.now_s)} instead of {_target(target.before_s)}"
        for target in known.targets
    ]
    parts += [f"{it.now or NONE_LOST} instead of {it.before or NONE_LOST}" for it in known.losses if it.more]
    parts += [f"{names[key]} {text}" for key, text in told.items() if text.endswith(("longer", "shorter"))]
    new = [finding for finding in known.new_findings if not _is_expected(view, finding)]
    parts += [count(len(new), "new finding")] if new else []
    slower, faster = ([change for change in _paced(view, known) if change.slower is word] for word in (True, False))
    parts += [
        f"{count(number, thing)} {word}"
        for number, thing, word in (
            (len(known.gone_findings) if _passed(view) else 0, "finding", "gone"),
            (len(slower), "step", f"slower ({_most_changed(slower, MOST_SLOWER)})"),
            (len(faster), "step", f"faster ({_most_changed(faster, MOST_FASTER)})"),
            (len(known.added), "step", "added"),
            (len(known.removed), "step", "removed"),
        )
        if number
    ]
    missing = [names[key] for key, text in told.items() if text.startswith(INCOMPARABLE)]
    if not parts and (rows.untouched(view.result) or (told and len(missing) == len(told))):
        parts = [] if missing else ["nothing was measured in this run"]
    elif not parts:
        parts = [WORDS["same"]]
    parts += [f"{open_findings.named(missing)} {INCOMPARABLE}"] if missing else []
    left_out = f"; {count(len(known.aborted), 'aborted run')} since" if known.aborted else ""
    return f"since {utc(known.started)} ({one_line(known.verdict)}{left_out}): {', '.join(parts)}"


def markdown(view: RunView) -> list[str]:
    """Return a section of the Markdown report. The result is empty when the journal records no earlier run."""
    said, listed_rows = lead(view), change_rows(view)
    lines = [tuple(map(escape, (row.what, row.before, row.now, row.change))) for row in listed_rows]
    listed = [table(("What", "Last run", "This run", "Change"), lines), escape(NOTE)] if lines else []
    return ["## Since the last run", escape(said), *listed] if said else []


def _title(result: Result, new: FindingChange) -> str:
    """Return the title of a new finding in the words of the finding itself."""
    phases = {phase.phase: phase.status for phase in result.phases}
    return open_findings.at_end(Finding(code=new.code, severity=Severity.HIGH, title=new.title), phases).title


def _rows(view: RunView, known: Comparison) -> Iterator[ChangeRow]:
    verdict, names = dead_runs.word_of(view.result), _names(view)
    same = verdict == known.verdict
    yield ChangeRow("Verdict", one_line(known.verdict), verdict, "same" if same else "changed", not same)
    for target in known.targets:
        yield ChangeRow(_goal(target), _target(target.before_s), _target(target.now_s), "changed", loud=True)
    for change in known.figures:
        yield ChangeRow(names[change.key], *_figures(view, change), text := _change(view, change), text.endswith("longer"))
    yield from map(_loss, known.losses)
    for new in known.new_findings:
        within = open_findings.allowed(new.code, view.result.objectives)
        title = _title(view.result, new)
        title = open_findings.counting(f"{title}, {open_findings.WITHIN}" if within else title, view.result.verdict)
        what = f"Finding {new.code}: {one_line(title)}"
        yield ChangeRow(what, "absent", "present", "new", loud=not within)
    for gone in known.gone_findings:
        yield ChangeRow(f"Finding {gone.code}: {one_line(gone.title)}", "present", *_gone(view))
    for paced in sorted(_paced(view, known), key=_by, reverse=True):
        yield _pace(paced)
    for text in known.added:
        yield ChangeRow(f"Step {one_line(text)}", "absent", "present", "added")
    for text in known.removed:
        yield ChangeRow(f"Step {one_line(text)}", "present", "absent", "removed", loud=True)
    if not known.same_plan:
        yield ChangeRow("Plan", "another digest", "see Plan", "changed")
    if known.tool != view.result.tool:
        yield ChangeRow("Program", one_line(known.tool), one_line(view.result.tool), "changed")


def _loss(change: LossChange) -> ChangeRow:
    """Return the row about data that did not come back. A loss is counted, so it has no measurement error."""
    before, now = ("not known" if text is None else one_line(text) or NONE_LOST for text in (change.before, change.now))
    more = change.more
    text = INCOMPARABLE if more is None else "same" if more == 0 else f"{abs(more)} {'more' if more > 0 else 'fewer'}"
    return ChangeRow(f"Lost: {one_line(change.what)}", before, now, text, bool(more and more > 0))


def _names(view: RunView) -> dict[str, str]:
    """Return the names of the compared figures. If only the drill's own probe detected the fault, the name of the figure
    ``detection`` says so.
    """
    by_probe = remarks.observer(view.result.steps) == remarks.PROBE
    return {**SHORT, "detection": PROBE_DETECTION if by_probe else SHORT["detect"]}


def _is_expected(view: RunView, change: FindingChange) -> bool:
    """Return True for a new finding that needs no attention. There are two kinds. A finding about lost writes needs none if
    the RPO allows the loss. The finding that the run was stopped needs none, because the verdict says the same.
    """
    return change.code == STOPPED or open_findings.allowed(change.code, view.result.objectives)


def _passed(view: RunView) -> bool:
    return view.result.verdict is Verdict.PASSED


def _gone(view: RunView) -> tuple[str, str]:
    """Return two texts about a finding that the last run had and this run does not have: the state of the finding in this
    run, and the change. Only a run that passed proves that the problem is gone.
    """
    if _passed(view):
        return "absent", "gone"
    if rows.untouched(view.result):
        return "absent", NOT_TRIED
    return "absent", f"not proven gone: {ended(dead_runs.word_of(view.result))}"


def _goal(change: TargetChange) -> str:
    return f"{SHORT.get(change.key, one_line(change.key))} target"


def _target(value: float | None) -> str:
    return "none" if value is None else seconds(value)


def _unverified(view: RunView, change: FigureChange) -> str:
    """Return the reason why a figure of this run is not compared with that of the last run. The result is empty if the two
    figures can be compared.

    Figures are compared only if both count. A figure does not count if its objective could not be verified. A figure that
    missed the objective counts. If this run met the objective, its figure counts only if this run passed. For the last run
    there is another rule: a figure that met the objective does not count if the last run was aborted.
    """
    objective = view.result.objectives.get(FIGURES[change.key])
    now, before = False, not change.before_verified and change.before_s is not None
    if objective is not None and change.now_s is not None:
        now = objective.met is None or (objective.met and not _passed(view))
    if not before and objective is not None and view.comparison and change.before_s is not None:
        target = _target_before(view.comparison, FIGURES[change.key], objective.target_s)
        before = view.comparison.verdict == Verdict.ABORTED and (target is None or change.before_s <= target)
    if not (now or before):
        return ""
    whose = NEITHER if now and before else f"{'this' if now else 'the last'} run's figure {rows.DOES_NOT_COUNT}"
    return f"{INCOMPARABLE}: {whose}"


def _target_before(known: Comparison, key: str, now_s: float | None) -> float | None:
    """Return the target that the objective ``key`` had in the last run. ``now_s``: its target in this run."""
    return next((target.before_s for target in known.targets if target.key == key), now_s)


def _figures(view: RunView, change: FigureChange) -> tuple[str, str]:
    """Return two texts: the figure in the last run, and the figure in this run.

    In one of the two runs, less data may have come back than the fault removed. The RPO of that run perhaps does not
    include this loss. Therefore, the text of that RPO names the loss, if it is known, and says how the RPO alone was
    measured.
    """
    before, now = _incomplete(view, change)
    latest_before, latest_now = _latest(view, change)
    losses = view.comparison.losses if view.comparison else ()
    rpo = view.result.objectives.get("rpo")
    by = alone_by(rpo.clock if rpo else "")
    old, new = (
        "not measured"
        if value is None
        else _beside_loss(f"{by} {figure(value, error, latest=latest)}", lost)
        if short
        else figure(value, error, latest=latest)
        for value, error, short, latest, lost in (
            (change.before_s, change.before_error_s, before, latest_before, [it.before for it in losses]),
            (change.now_s, change.now_error_s, now, latest_now, [it.now for it in losses]),
        )
    )
    return old, new


def _beside_loss(told: str, losses: Iterable[str | None]) -> str:
    """Return the text of an RPO, in the words of the index, after the known ``losses``. Older journals record no losses."""
    lost = " and ".join(one_line(loss) for loss in losses if loss)
    return f"{lost}; {told}" if lost else f"{told} ({LESS_BACK})"


def _latest(view: RunView, change: FigureChange) -> tuple[bool, bool]:
    """Return two truth values, for the last run and for this run. A value is True when the error of the figure goes only downwards.

    If it is not known what ended the detection of the last run, the value is False, so that its error is shown in both directions.
    """
    now = ends_with_sample(view.result, change.key)
    return change.before_by_alert is False if change.key == "detection" else now, now


def _incomplete(view: RunView, change: FigureChange) -> tuple[bool, bool]:
    """Return two truth values, for the last run and for this run. A value is True when the figure is an RPO, and less data came
    back in that run than the fault removed. The RPO then perhaps does not cover the data that did not come back.
    """
    known = view.comparison
    if change.key != "rpo" or known is None:
        return False, False
    now = any(finding.code == open_findings.LACKING for finding in view.result.every_finding)
    new, gone = (
        any(it.code == open_findings.LACKING for it in differences)
        for differences in (known.new_findings, known.gone_findings)
    )
    return gone or (now and not new), now


def _change(view: RunView, change: FigureChange) -> str:
    """Return the change of a figure in words. The figures of the two runs are compared twice: as exact figures, and as
    rounded figures. The figure counts as changed only if it differs by more than the errors in both comparisons.
    """
    if told := _unverified(view, change) or (SHORT_RPO if any(_incomplete(view, change)) else ""):
        return told
    if change.before_s is None or change.now_s is None or change.change in WORDS:
        return WORDS.get(change.change, WORDS["unknown"])
    before, now = change.before_error_s or 0.0, change.now_error_s or 0.0
    latest_before, latest_now = _latest(view, change)
    low, high = printed(change.before_s, before, latest=latest_before)
    lower, higher = printed(change.now_s, now, latest=latest_now)
    difference = abs(change.now_s - change.before_s)
    if not (high < lower or higher < low) or bounded(difference, before + now):
        return WORDS["same"]
    return f"{figure(difference, before + now)} {change.change}"


def _most_changed(steps: list[StepChange], most: int) -> str:
    """Return the steps that became slower or faster, with the seconds of the change. The greatest change comes first, and at
    most ``most`` steps are named.
    """
    named, more = leading(sorted(steps, key=_by, reverse=True), most)
    return ", ".join(f"{one_line(change.step)} by {took(_by(change))}" for change in named) + (
        f" and {more} more" if more else ""
    )


def _paced(view: RunView, known: Comparison) -> list[StepChange]:
    """Return the steps that became slower or faster. A step is left out if the difference of its rounded durations, which
    the report prints, is too small to count. Steps of the undo after an early end are left out, too: their durations are not those of
    the steps of the drill.
    """
    return [
        change
        for change in known.paced
        if (view.early_end is None or change.step.partition(".")[0] not in view.early_end.later)
        and _by(change) > least_change(rounded(change.high_s if change.slower else change.low_s))
    ]


def _by(change: StepChange) -> float:
    """Return the seconds by which a step was slower than in the slowest earlier run, or faster than in the fastest earlier
    run. It is the difference of the rounded durations that the report prints.
    """
    now, past = rounded(change.now_s), rounded(change.high_s if change.slower else change.low_s)
    return round(now - past if change.slower else past - now, 2)


def _pace(change: StepChange) -> ChangeRow:
    past = (
        took(change.low_s)
        if change.runs == 1
        else f"{ranged(took(change.low_s), took(change.high_s))} in {count(change.runs, 'run')}"
    )
    word = "slower" if change.slower else "faster"
    return ChangeRow(f"Step {one_line(change.step)}", past, took(change.now_s), f"{took(_by(change))} {word}", change.slower)
