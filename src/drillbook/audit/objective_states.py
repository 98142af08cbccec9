"""State of each objective at the end of an audit's period. ``judge.objective_proof.RULE`` states when an objective is proven."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from drillbook.audit.coverage import NO_RUN, by_drill, row_of, targets_of
from drillbook.audit.records import UNKNOWN, Record, planned_steps
from drillbook.judge import detection, objective_proof
from drillbook.judge.objective_proof import Answer, Standing
from drillbook.judge.verdicts import UNFINISHED, Verdict, without_refused
from drillbook.report import remarks
from drillbook.report.figures import moment, seconds
from drillbook.report.rows import DOES_NOT_COUNT, ObjectiveRow
from drillbook.report.wording import MET, MET_OF, MISSED, OBJECTIVES, SHORT, ended, objective_name

NOT_PROVEN = "not proven"


@dataclass(frozen=True, slots=True)
class UncountedFigure:
    """Figure that was measured last for an objective, if this objective is not proven. The figure does not prove the
    objective.
    """

    measured: str
    """Figure with its measurement error, and with its mark such as ``†`` if it has one."""
    at: str
    """Start of the run that measured the figure."""
    run: str
    why: str
    """Reason why the figure does not prove the objective."""
    state: str
    """State of the objective in the run that measured the figure, such as ``met`` or ``not verified``."""

    @property
    def said(self) -> str:
        """Text to show beside the figure. It says that the figure proves nothing, and gives the reason."""
        return f"{DOES_NOT_COUNT}: {self.why}"


@dataclass(frozen=True, slots=True)
class ProvenRow:
    """One objective of one drill. It contains the deciding run, which is the run of the period that gave the objective its
    state, and the value that this run measured.

    The objective is proven, met with a reservation, missed or not proven.
    """

    environment: str
    service: str
    drill: str
    key: str
    objective: str
    proven: bool
    measured: str
    target: str
    measured_s: float | None
    error_s: float | None
    target_s: float
    at: str
    """Start of the deciding run. It is empty when no run of the period proved, met or missed the objective."""
    run: str
    newest_run: str
    newest_at: str
    newest_verdict: str
    notes: tuple[str, ...]
    mark: str = ""
    """Sign, such as ``†``, beside an RPO with a reservation. The signs and their meanings are in ``report.remarks``."""
    by: str = ""
    """Observer that detected the fault: an alert, or the drill's own probe. It is empty for any objective other than a
    detection time.
    """
    reserved: bool = False
    """True when the objective is an RPO that was met with a reservation. The figure of the RPO then has a mark such as
    ``†``."""
    missed: bool = False
    """True when a run missed the objective after the last run that proved it. ``measured`` is then the figure of the run
    that missed it.
    """
    last_proof: str = ""
    """Start of the last run that proved the objective, even if a later run missed it. Runs before the period count, too."""
    uncounted: UncountedFigure | None = None
    """Newest measured figure of an objective that is not proven. It is None for other states, and when no run measured it."""
    by_probe: bool = False
    """True for the objective of a detection time that the drill's own probe measured. Counts of objectives leave it out; see
    ``remarks.by_probe``.
    """
    within: str = ""
    """Words for the state of an RPO if a part of the data was lost, and only the other part met the target. It is empty for
    other objectives.
    """
    lost: str = ""
    """Text about lost data, such as a number of rows, if the RPO perhaps does not cover this loss. It is empty for other
    figures.
    """
    unfinished: bool = False
    """True if the newest run still needs a recovery because its controller died."""

    @property
    def met(self) -> bool:
        """True when the objective is proven, or met with a reservation."""
        return self.proven or self.reserved

    @property
    def state(self) -> str:
        """State of the objective in the words of the page, the screen and the Markdown file."""
        return MET if self.proven else remarks.RESERVED if self.reserved else MISSED if self.missed else NOT_PROVEN

    @property
    def said(self) -> str:
        """State in words: the text of the field ``within`` if the RPO was met only for a part of the data; `does not count`
        if the newest figure does not prove the objective; otherwise the text of the property ``state``.
        """
        return self.within if self.reserved and self.within else DOES_NOT_COUNT if self.uncounted else self.state

    @property
    def told(self) -> str:
        """State in words, as in ``said``. The words for an objective that was met with a reservation also say why it is not proven."""
        return remarks.not_proven(self.mark, self.said) if self.reserved else self.said

    @property
    def named(self) -> str:
        """Name of the objective. For an objective on detection, it contains who or what detected the fault."""
        return objective_name(self.key, remarks.BY_PROBE if self.by_probe else self.by, OBJECTIVES)

    @property
    def short(self) -> str:
        """Short name of the objective, such as ``RTO``."""
        return SHORT.get(self.key, self.objective)

    @property
    def lacking(self) -> str:
        """Text about an objective that is not met: its state, its drill and a figure. If a run missed the target, the text
        contains the figure of this run, and the target. Otherwise the text contains the newest figure, and the reason why this
        figure does not count. A mark of the figure is left out, because such a figure proves nothing.
        """
        text = f"{self.said}: {self.drill}"
        if self.missed:
            return f"{text} {self.measured}, target {self.target}"
        figure = f" ({remarks.without_marks(self.uncounted.measured)})" if self.uncounted else ""
        return f"{text}{figure}, {self.why}" if self.why else text

    @property
    def why(self) -> str:
        """Reason why the objective is not proven, in a few words. It is empty for an objective that was met or missed."""
        if self.met or self.missed:
            return ""
        if self.uncounted:
            return self.uncounted.why
        if self.run:
            return f"{ended(Verdict.FAILED)} before it was measured"
        if self.newest_verdict == NO_RUN:
            return "no run in the period"
        passed = self.newest_verdict == Verdict.PASSED
        return (
            "the newest run did not measure it" if passed else ended(UNFINISHED if self.unfinished else self.newest_verdict)
        )

    @property
    def aim(self) -> str:
        """Text with the target. If a loss of data is known, the text also names the data for which the target was met."""
        return self.short_aim + (f" {self.said}" if self.lost and self.reserved else "")

    @property
    def short_aim(self) -> str:
        """Text with the target alone."""
        return f"target {self.target}"

    @property
    def loss(self) -> str:
        """Text about a loss of data that the measured RPO perhaps does not include. The text names the mark of the RPO, the
        drill, the loss, and the target.
        """
        return f"{self.mark.strip()} {self.drill}: {self.lost}, {self.aim}"

    @property
    def marks(self) -> str:
        """Text that contains all signs of this row, such as ``†``. The signs are beside the figure and in the notes."""
        return " ".join((self.mark, *self.notes))


def told_marks(rows: Iterable[ProvenRow], *, met: bool = False) -> list[str]:
    """Return the signs beside the figures of objectives. The tables of objectives explain them, so later tables need not.
    ``met``: True for the objectives that were met, which are in the first table.
    """
    return [row.marks for row in rows if row.met or not met]


def reserved_counts(goals: Sequence[ProvenRow]) -> list[tuple[str, int]]:
    """Count the objectives that are met with a reservation. Each item of the result consists of words for a state, and of
    the number of objectives with this state. Objectives that are met only for a part of the data have their own words.
    """
    counts = Counter(row.said for row in goals if row.reserved)
    return sorted(counts.items(), key=lambda item: (item[0] != remarks.RESERVED, item[0]))


def proven(runs: Sequence[Record], earlier: Sequence[Record]) -> list[ProvenRow]:
    """Return the state of each drill's objectives at the end of the period. The state follows ``judge.objective_proof.RULE``.

    ``earlier``: runs before the period. They do not change the state, but notes may name them.
    """
    inside, before = by_drill(runs), by_drill(earlier)
    rows = []
    for drill in sorted({*inside, *before}):
        if drill[1] == UNKNOWN:
            continue
        mine, old = inside.get(drill, []), before.get(drill, [])
        keys = {key for record in [*mine, *old[-1:]] for key in targets_of(record)}
        rows += [_proven(drill, key, mine, old) for key in sorted(keys, key=_order)]
    return rows


def _order(key: str) -> tuple[int, str]:
    return (list(OBJECTIVES).index(key) if key in OBJECTIVES else len(OBJECTIVES), key)


def _answer(record: Record, key: str, target_s: float) -> Answer:
    """Return the result of one run for the objective ``key``, such as proved or missed. ``target_s``: target of the objective
    in the newest run that has it.
    """
    if key not in targets_of(record):
        return Answer.NONE
    row = row_of(record, key)
    met = MET_OF.get(row.state) if row else None
    held = row is None or objective_proof.within(row.measured_s, row.error_s, target_s)
    return objective_proof.answer(record.verdict, met, marked=bool(row and row.state == remarks.RESERVED), held=held)


def _proven(drill: tuple[str, str, str], key: str, runs: Sequence[Record], earlier: Sequence[Record]) -> ProvenRow:
    everything = [*earlier, *runs]
    newest = without_refused((runs or earlier)[::-1])[0]
    wanted = next((targets_of(record)[key] for record in reversed(everything) if key in targets_of(record)), 0.0)
    answers = [_answer(record, key, wanted) for record in everything]
    stands, whole = objective_proof.standing(answers[len(earlier) :]), objective_proof.standing(answers)
    decides = _deciding(runs, stands)
    row = row_of(decides, key) if decides else None
    figure = row if row and (row.measured_s is not None or row.state == MISSED) else None
    notes = [*_notes(key, stands, decides, newest, runs), *_target_changed(row, runs, key, wanted)]
    counts = stands.proven or stands.reserved is not None or (row is not None and row.state == MISSED)
    if not stands.proven:
        notes += _last_proof(key, everything, whole, len(earlier))
    return ProvenRow(
        *drill,
        key,
        OBJECTIVES.get(key, key),
        stands.proven,
        figure.measured if figure else "not measured" if decides else "not proven in the period",
        seconds(figure.target_s if figure else wanted),
        figure.measured_s if figure else None,
        figure.error_s if figure else None,
        figure.target_s if figure else wanted,
        (decides.started or "") if decides else "",
        decides.run if decides else "",
        newest.run if runs else "",
        (newest.started or "") if runs else "",
        newest.verdict if runs else NO_RUN,
        tuple(notes),
        figure.mark if figure else "",
        figure.by if figure else "",
        not stands.proven and stands.reserved is not None,
        row is not None and row.state == MISSED,
        (everything[whole.proof].started or "") if whole.proof is not None else "",
        None if counts else _uncounted(key, everything, wanted, len(earlier)),
        remarks.by_probe(key, figure.by if figure else _observer(newest)),
        figure.within if figure else "",
        figure.lost if figure else "",
        bool(runs) and newest.shown == UNFINISHED,
    )


def _observer(record: Record) -> str:
    """Return what detects a fault according to the plan of a run: the drill's own probe, or an empty text if the drill
    awaits an alert.
    """
    steps = ((str(step["id"]), str(step.get("action"))) for step in planned_steps(record))
    return "" if detection.awaits_alert(steps) else remarks.BY_PROBE


def _uncounted(key: str, runs: Sequence[Record], wanted: float, inside: int) -> UncountedFigure | None:
    """Return the newest measured figure of an objective that is not proven, with the reason why it proves nothing. ``inside``:
    index in ``runs`` of the first run of the period.
    """
    for number in range(len(runs) - 1, -1, -1):
        record, row = runs[number], row_of(runs[number], key)
        if row is not None and row.measured_s is not None:
            why = _why(record, row, wanted, before=number < inside)
            return UncountedFigure(row.marked, record.started or "", record.run, why, row.state)
    return None


def _why(record: Record, row: ObjectiveRow, wanted: float, *, before: bool) -> str:
    """Return the reason why a measured figure proves no objective. ``before``: True when ``record`` is before the period."""
    if before:
        return f"the run was before the period{', and missed the objective' if row.state == MISSED else ''}"
    if row.uncounted:
        return row.uncounted.removeprefix(f"{DOES_NOT_COUNT}: ")
    if record.verdict != Verdict.PASSED:
        return ended(record.shown)
    if not objective_proof.within(row.measured_s, row.error_s, wanted):
        return f"the figure is above the present target of {seconds(wanted)}"
    return "a later run failed without verifying the objective"


def _deciding(runs: Sequence[Record], stands: Standing) -> Record | None:
    """Return the run that gave an objective its state, or None if there is no such run. For a proven objective, it is the run
    that proved it. For any other objective, it is the run that met it with a reservation. Without such a run, it is the run
    that missed it.
    """
    number = stands.proof if stands.proven else stands.taken_back if stands.reserved is None else stands.reserved
    return None if number is None else runs[number]


def _notes(key: str, stands: Standing, decides: Record | None, newest: Record, runs: Sequence[Record]) -> Iterator[str]:
    """Yield notes to show beside an objective. ``decides``: the run whose result decides the state of the objective. One
    note says that this run failed without verifying the objective. Other notes say that a later run does not confirm the
    result of this run.
    """
    if decides is None:
        return
    if not stands.proven and stands.reserved is None and not _measured(decides, key):
        yield f"the run of {_day(decides)} failed, and did not verify this objective"
    if stands.proven and stands.reserved is not None:
        later = runs[stands.reserved]
        yield f"the run of {_day(later)} met this objective with a reservation: {_marked(later, key)}"
    if newest is not decides and newest.verdict != Verdict.PASSED:
        yield f"the newest run {newest.outcome} on {_day(newest)}"
    elif newest is not decides and key not in targets_of(newest):
        yield "the newest run passed, but does not have this objective"


def _target_changed(row: ObjectiveRow | None, runs: Sequence[Record], key: str, wanted: float) -> Iterator[str]:
    """Yield notes about an objective whose target was changed in the drill. ``wanted``: the new target. ``row``: the
    objective in the run that proved it, or None.

    The first note: the run that proved the objective also meets the new target. The second note: the last run that met an older
    target does not meet the new target.
    """
    if (
        row
        and wanted != row.target_s
        and row.measured_s is not None
        and objective_proof.within(row.measured_s, row.error_s, wanted)
    ):
        yield f"the target has changed to {seconds(wanted)} since that run: the figure is within the new target, too"
    met = [(run, goal) for run in runs if (goal := row_of(run, key)) and MET_OF.get(goal.state)]
    if met and not objective_proof.within(met[-1][1].measured_s, met[-1][1].error_s, wanted):
        record, goal = met[-1]
        yield (
            f"the target has changed to {seconds(wanted)} since the run of {_day(record)}: the figure of that run, "
            f"{goal.measured}, is NOT within the new target"
        )


def _last_proof(key: str, runs: Sequence[Record], whole: Standing, inside: int) -> Iterator[str]:
    """Yield a note about an objective that is not proven. It names the last run that proved the objective, or says that no
    run ever did. ``inside``: index in ``runs`` of the first run of the period.
    """
    last = whole.reserved if whole.proof is None else whole.proof
    if last is None:
        yield "not proven in any run of the record"
    elif last < inside or last != whole.reserved:
        text = (
            f"{'last proven' if last >= inside else 'before the period'}: {_marked(runs[last], key)} on {_day(runs[last])}"
        )
        missed = whole.taken_back
        yield (
            f"{text}; no longer proven since the run of {_day(runs[missed])}"
            if missed is not None and missed < inside
            else text
        )


def _measured(record: Record, key: str) -> bool:
    """Return True when the run missed the objective ``key``, or measured a figure for this objective."""
    row = row_of(record, key)
    return row is not None and (row.state == MISSED or row.measured_s is not None)


def _marked(record: Record, key: str) -> str:
    row = row_of(record, key)
    by = "the drill's probe" if row and row.by == remarks.BY_PROBE else row.by if row else ""
    return f"{row.marked} ({by})" if row and by else row.marked if row else "not measured"


def _day(record: Record) -> str:
    at = moment(record.started or "")
    return f"{at:%Y-%m-%d}" if at else "an unknown day"
