"""Rows of text that every report format shows. They are made in one place, so that all formats agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from drillbook.exits import Exit
from drillbook.findings import Finding
from drillbook.judge.recovered_later import NOT_GOOD_AGAIN
from drillbook.judge.result import Injection, Objective, Result, RunView, Settled
from drillbook.judge.verdicts import Verdict
from drillbook.report import (
    canary_writes,
    consequences,
    dead_runs,
    objective_findings,
    open_findings,
    rehearsal_results,
    remarks,
    residue_state,
    step_output,
    stop_words,
    unproven_faults,
)
from drillbook.report.figures import bounded, count, one_line, readable, rounded_figure, seconds, shown, upper_end, utc
from drillbook.report.moments import MARKS, mark_name, meaning
from drillbook.report.objective_figures import alone, is_latest, objective_figure, with_signs
from drillbook.report.remarks import BY_PROBE, RESERVED, Remark
from drillbook.report.wording import (
    CLOCKS,
    MET,
    MISSED,
    NOT_VERIFIED,
    OBJECTIVES,
    PROBE_DETECTION,
    SHORT,
    ended,
    measured,
    objective_name,
    state_of,
    unmeasured,
    without_body,
    written,
)

UNPROVEN = ("objective-missed", "objective-not-verified")
UNEXPECTED = "http-unexpected"
DOES_NOT_COUNT = "does not count"
"""Words after a figure that proves no objective. The reason follows these words."""


@dataclass(frozen=True, slots=True)
class ObjectiveRow:
    """One objective with its measurement, both as texts and in seconds."""

    key: str
    name: str
    short: str
    target: str
    measured: str
    state: str
    """State of the objective: met, met with a reservation, missed or not verified."""
    reason: str
    """Reason for the state. If the figure does not count, this text is empty, and the reason is in ``uncounted``."""
    clock: str
    writes: str
    target_s: float
    measured_s: float | None
    error_s: float | None
    remark: str = ""
    """Remark on the figure, such as the observer of the fault. It is empty if there is no figure."""
    mark: str = ""
    """Short form of the remark beside the figure, for lists."""
    by: str = ""
    """Observer that detected the fault, as shown in lists: `probe`, or the alert with its name."""
    lost: str = ""
    """Text about a known loss of data, such as ``12 rows``. The measured RPO perhaps does not include this loss, so
    ``measured`` begins with this text. The text is empty for a figure without such a loss."""
    within: str = ""
    """Remark on a met objective whose figure does not include the lost data. It is empty for other objectives."""
    uncounted: str = ""
    """Text that says that the figure does not count, and why: the run did not verify the objective, or did not pass. The text
    is empty when the figure counts, and when there is no figure."""

    @property
    def met(self) -> bool:
        """True when the objective was measured and met, with or without a reservation."""
        return self.state in (MET, RESERVED)

    @property
    def said(self) -> str:
        """Text that reports show as the state: the first non-empty field of ``uncounted``, ``within`` and ``state``."""
        return self.uncounted or self.within or self.state

    @property
    def named(self) -> str:
        """Short name of the objective, with the observer of the fault."""
        return objective_name(self.key, self.by)

    @property
    def listed(self) -> str:
        """Text for lists of runs: the figure (without a mark such as ``†``) and the state. A figure that proves no
        objective is in parentheses.
        """
        if self.measured_s is None:
            return "not measured"
        return f"({self.measured}) {self.uncounted}" if self.uncounted else f"{self.measured}: {self.said}"

    @property
    def by_probe(self) -> bool:
        """True when the drill's own probe, and no alert, detected the fault. Reports count such detections separately."""
        return remarks.by_probe(self.key, self.by)

    @property
    def marked(self) -> str:
        """Figure with the short form of its remark."""
        return self.measured + self.mark

    @property
    def brief(self) -> str:
        """Rounded figure without its measurement error, for short lists. It is empty when there is no figure. If data was lost that
        the figure possibly does not include, the text names this data.
        """
        if self.lost or self.measured_s is None:
            return with_signs(self.lost)
        figure = rounded_figure(self.measured_s, self.error_s, self.target_s, latest=is_latest(self.clock))
        return with_signs(figure)

    @property
    def highest_s(self) -> float:
        """Largest possible true value, for charts. It is 0 if there is no figure."""
        return upper_end(self.measured_s or 0.0, self.error_s or 0.0, latest=is_latest(self.clock))

    @property
    def bounded(self) -> bool:
        """True when the figure is only a maximum, because its measurement error is at least as large as the figure."""
        return self.measured_s is not None and bounded(self.measured_s, self.error_s)


def findings_of(result: Result) -> list[Finding]:
    """Return the findings of a run as all reports show and count them. Findings that only follow from another one are left out.
    Objectives that lack the same proof share a finding.
    """
    return objective_findings.joined(consequences.folded(each_finding(result), result.objectives), result.reason)


def findings_beside_residue(result: Result) -> list[Finding]:
    """Return the findings without those about changes that could not be undone. The terminal prints these changes in full,
    with the next step, so it does not print their findings again."""
    residue = {("residue", change.step, change.host) for change in result.residue}
    return [finding for finding in findings_of(result) if (finding.code, finding.step, finding.host) not in residue]


def each_finding(result: Result) -> list[Finding]:
    """Return all findings of a run and of its recoveries, with the texts that the formats show.

    A finding about lost writes also names the RPO. If the RPO is within the objective, the finding is only information. If the
    run did not pass, the finding's title says that the RPO does not count. A finding about a missed objective also names the
    measurement error of the figure.
    """
    recovered = open_findings.is_recovered(result.reason, result.finished, result.residue)
    listed = open_findings.as_shown(result.every_finding, result.objectives, recovered=recovered)
    shown_ = [_shown(unproven_faults.brief_finding(finding, result), result) for finding in listed]
    return [
        finding.model_copy(update={key: readable(getattr(finding, key)) for key in ("wanted", "measured")})
        for finding in shown_
    ]


def _shown(finding: Finding, result: Result) -> Finding:
    if finding.code == open_findings.LOST_WRITES:
        figure = written(result, "rpo")
        rpo = f" ({canary_writes.numbered(result)}); RPO {figure}" if figure else ""
        told = f"{canary_writes.lost(finding.measured, result)}{rpo}"
        wanted = objective_findings.wanted(finding.wanted, result.objectives.get("rpo"))
        title = open_findings.counting(finding.title, result.verdict)
        return finding.model_copy(update={"title": title, "measured": told, "wanted": wanted})
    if finding.code in UNPROVEN:
        for key, objective in result.objectives.items():
            if objective.measured_s is not None and finding.title.endswith(f": {key.upper()}"):
                plain, row = f"{objective.measured_s:.3f} s", row_of(result, key)
                figure = row.measured if row and row.lost else objective_figure(objective)
                figure = f"({figure}) {DOES_NOT_COUNT}" if row and row.uncounted else figure
                told = finding.measured.replace(plain, figure, 1)
                finding = finding.model_copy(
                    update={"measured": told, "wanted": objective_findings.wanted(finding.wanted, objective)}
                )
        return finding.model_copy(update={"remedy": objective_findings.remedy(finding, result)})
    if finding.code in NOT_GOOD_AGAIN:
        phases = {phase.phase: phase.status for phase in result.phases}
        return open_findings.at_end(finding, phases, dead="" if result.finished else one_line(result.run))
    if finding.code == open_findings.LACKING:
        return finding.model_copy(update={"remedy": objective_findings.missing_remedy(finding, result)})
    if finding.code == UNEXPECTED:
        return finding.model_copy(update={"measured": without_body(finding.measured)})
    return stop_words.shown(step_output.shown(finding, result), result.every_finding)


def rows_of(result: Result) -> list[ObjectiveRow]:
    """Return the rows of a run's objectives, with the remarks on their figures."""
    return objective_rows(
        unproven_faults.brief_objectives(result),
        remarks.of_result(result),
        dead_runs.word_of(result),
    )


def row_of(result: Result, key: str) -> ObjectiveRow | None:
    """Return the row of the objective ``key`` of a run, or None if the run has no such objective."""
    return next((row for row in rows_of(result) if row.key == key), None)


def objective_rows(
    objectives: Mapping[str, Objective], told: Mapping[str, Remark] | None = None, verdict: str = Verdict.PASSED
) -> list[ObjectiveRow]:
    """Return the rows of the objectives: RTO, RPO and detection first, then any other objective by name.

    ``told``: remarks on the figures. The key of a remark is the key of its objective. ``verdict``: verdict of the run. If the
    run did not pass, an objective does not count, even if its figure is within the target.
    """
    known = [key for key in OBJECTIVES if key in objectives]
    ordered = [*known, *sorted(set(objectives) - set(known))]
    goals = [_objective(key, objectives[key], (told or {}).get(key)) for key in ordered]
    return [_counted(row, "" if verdict == Verdict.PASSED else ended(verdict)) for row in goals]


def _counted(row: ObjectiveRow, end: str) -> ObjectiveRow:
    """Return ``row``. If its figure does not count, move the reason for this into ``uncounted``. The row may have a reason,
    such as a failed step of the verification. If it has none, ``end`` is the reason. ``end``: words for the end of a run
    that did not pass; empty if the run passed.
    """
    if row.measured_s is None or row.state == MISSED or (row.met and not end):
        return row
    return replace(row, uncounted=f"{DOES_NOT_COUNT}: {row.reason or end or 'the result gives no reason'}", reason="")


def _objective(key: str, objective: Objective, told: Remark | None) -> ObjectiveRow:
    told = None if objective.measured_s is None else told
    state = state_of(objective.met, objective.measured_s, told)
    reason = one_line(objective.reason or "")
    if not reason and state == NOT_VERIFIED and objective.measured_s is None:
        reason = "the objective was not measured"
    writes = ""
    if objective.lost_writes is not None and objective.acknowledged_writes is not None:
        known = objective.acknowledged_writes
        writes = f"{objective.lost_writes} of {count(known, 'test write')} of the drill lost"
        if not objective.lost_writes:
            writes = f"none of the drill's {count(known, 'test write')} acknowledged before the disruption was lost"
    return ObjectiveRow(
        key=key,
        name=PROBE_DETECTION if told and told.by == BY_PROBE else OBJECTIVES.get(key, one_line(key)),
        short=SHORT.get(key, one_line(key)),
        target=seconds(objective.target_s),
        measured=f"{told.lost}; {alone(objective)}" if told and told.lost else objective_figure(objective),
        state=state,
        reason=reason,
        clock=one_line(objective.clock),
        writes=writes,
        target_s=objective.target_s,
        measured_s=objective.measured_s,
        error_s=objective.error_s,
        remark=told.text if told else "",
        mark=told.mark if told else "",
        by=told.by if told else "",
        lost=told.lost if told else "",
        within=told.state if told and told.lost and state == RESERVED else "",
    )


def untouched(result: Result) -> str:
    """Return the reason why a run that ended before any fault has no figures. The result is empty for any other run."""
    if any(fault.injection is Injection.UNKNOWN for fault in result.faults):
        return ""
    if result.verdict is Verdict.PASSED or any(
        measured(result, clock.key)[0] is not None for clock in CLOCKS if clock.key != "waiting"
    ):
        return ""
    return unmeasured(result, "disruption")


def targets(goals: Sequence[ObjectiveRow]) -> str:
    """Return the targets of the objectives, on one line."""
    return ", ".join(f"{row.name} at most {row.target}" for row in goals)


def nothing_measured(view: RunView) -> str:
    """Return a sentence to show instead of the tables when nothing was measured. The result is empty when there are figures."""
    why = untouched(view.result)
    if not why:
        return ""
    asked = targets(rows_of(view.result))
    waited = measured(view.result, "waiting")[0]
    lead = (
        f"The objectives were not measured and are {NOT_VERIFIED}"
        if asked
        else "No outage, detection or recovery was measured"
    )
    if why == "no fault was injected" and rehearsal_results.injects_nothing(view.plan):
        why = "the drill injects no fault"
        lead = lead if asked else "There is no outage, detection or recovery to measure"
    return (
        f"{lead}: {why}. The drill "
        + (f"asks for: {asked}." if asked else "sets no objectives.")
        + (f" The drill waited {seconds(waited, 1)} for people." if waited else "")
    )


def note_rows(view: RunView) -> list[tuple[str, str, bool]]:
    """Return rows about locks, leases, abort conditions, requests to stop, alerts, contacts, pruned backups and traces.

    Each row has a time, a text, and True if the note needs attention.
    """
    return [
        (
            seconds(note.at, 2),
            readable(one_line(note.text))
            + (f", on {one_line(note.host)}" if note.host else "")
            + (f" (step {one_line(note.step)})" if note.step else ""),
            note.loud,
        )
        for note in view.notes
    ]


def moment_rows(view: RunView) -> list[tuple[str, str, float]]:
    """Return the name, the meaning and the time of every measured moment, in order of time."""
    known = sorted((at, key) for key, at in view.timeline.marks.items() if key in MARKS)
    return [(mark_name(view.result, key), meaning(view.result, key), at) for at, key in known]


def contradictions(view: RunView) -> list[str]:
    """Return the facts that contradict the verdict ``passed``, such as a failed step.

    The result is empty if nothing contradicts the verdict. A run may pass with residue: changes that were not undone. The
    exit status of such a run is ``Exit.RESIDUE``. With any other exit status, changes that were not undone contradict the
    verdict.
    """
    result = view.result
    if result.verdict is not Verdict.PASSED:
        return []
    doubts = [f"{row.name} is {row.state}" for row in rows_of(result) if not row.met]
    doubts += [
        f"{step.id} on {step.host} is {step.status}"
        for step in result.steps
        if step.status in ("failed", "error", "unverified", "unknown", "cancelled")
    ]
    doubts += [
        f"the verification {step.id} was skipped"
        for step in result.steps
        if step.status == "skipped" and step.id.startswith("verify.")
    ]
    doubts += [residue_state.NOT_ALL_UNDONE] if result.residue and result.exit != Exit.RESIDUE else []
    return [one_line(text) for text in doubts]


def settled_sentence(settled: Settled) -> str:
    """Return a sentence which says that a person declared that the remaining changes need no undo.

    It contains the name of the person, the time, the reason and the approval.
    """
    second = settled.approval
    approved = f", approved by {second['principal']} until {utc(str(second['until']))}" if second else ""
    return shown(f"Closed by {settled.by} at {utc(settled.at)}{approved}, because: {settled.reason}")


def settled_rows(settled: Settled) -> list[str]:
    """Return texts about the changes that a person closed. To close a change is to declare that it needs no undo.

    One text for each change tells the state that a check found right before the closing. Further texts name the locks and
    leases that remain on hosts.
    """
    texts = [
        f"{change.what} on {change.host} (step {change.step}): the check of the change reported {change.proof}"
        + (f": {change.detail}" if change.detail else "")
        for change in settled.changes
    ]
    return [shown(text) for text in (*texts, *settled.kept)]


def contact_rows(view: RunView) -> list[tuple[str, dict[str, str], bool]]:
    """Return a row for each contact: its name, its details, and whether it is the owner of the drill.

    The owner comes first. The other contacts follow, sorted by name.
    """
    names = sorted(view.contacts, key=lambda name: (name != view.owner, name))
    return [
        (name, {key: shown(value) for key, value in sorted(view.contacts[name].items())}, name == view.owner)
        for name in names
    ]
