"""Findings of the period for all formats of an audit.

There is one entry for each finding code in each drill. The entry says whether the newest run of the drill still has the
finding. A refused run after one that did not end well is not the newest one (``verdicts.without_refused``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from typing import Any

from drillbook.audit.coverage import by_drill
from drillbook.audit.records import Record
from drillbook.findings import CATALOGUE, Finding, Severity
from drillbook.judge.recovered_later import RECOVERED
from drillbook.judge.verdicts import Verdict, without_refused
from drillbook.language.lists import listed
from drillbook.report import dead_runs, remedies
from drillbook.report.figures import count
from drillbook.report.open_findings import AT_END, DATA_LOSS, NOT_COUNTED, WITHIN, is_listed, recovered_later
from drillbook.report.rows import each_finding, findings_of
from drillbook.report.wording import NOT_VERIFIED, SHORT

SEVERITIES = tuple(map(str, Severity))
MOST_TEXTS = 3
OPEN = "open"
"""State of a finding of the newest run of a drill, if this run began."""
REASON = "a reason why the newest run was "
"""Start of the state of a finding of a newest run that never began. The verdict follows."""
RECOVERED_SINCE = "the unfinished run was recovered since"
REFUSAL = "a reason why a later run was refused"
"""State of a finding which says that a drill was refused because of unfinished runs, if all these runs have been recovered."""


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One code of a finding in one drill, with the number of its occurrences."""

    code: str
    severity: str
    title: str
    environment: str
    drill: str
    count: int
    runs: int
    first_seen: str
    last_seen: str
    state: str
    detail: str
    in_newest: int
    """Number of findings with this code in the newest run of the drill."""
    wanted: str = ""
    """Required value. ``detail`` holds the measured value. It is empty when the finding states no required value."""

    texts: tuple[str, ...] = ()
    """Texts with the required and the measured value of each finding with this code, from the last run with such a finding."""
    remedy: str = ""
    """Remedy from the last run with a finding of this code. It is empty when the finding has no remedy."""
    own_count: int | None = None
    """``count`` as the reports of the runs count: without findings that are only consequences of other findings, and with one
    finding for objectives that lack the same proof. The number is None if the reports count every finding.
    """
    own_runs: int | None = None
    """Number of runs with at least one finding of this code in their reports."""
    own_in_newest: int | None = None
    """``in_newest`` as the report of the newest run counts."""
    own_texts: tuple[str, ...] = ()
    """``texts`` of the findings that the report of the run shows. The report shows a consequence below its cause, and not as a
    finding of its own. The value is empty if it would equal ``texts``.
    """

    @property
    def first_step(self) -> str:
        """First instruction in the remedy, without its full stop. The text is empty if the remedy has no instruction. See
        ``remedies.first_instruction``. If other work is needed before the drill is repeated to close the finding, the text also
        names this work.
        """
        step = self.instruction
        return step + remedies.before_repeat(self.code, step) if step else ""

    @property
    def instruction(self) -> str:
        """First instruction in the remedy, without the other work that ``first_step`` names."""
        return remedies.first_instruction(self.code, self.remedy)

    @property
    def closing(self) -> str:
        """Other work that is needed before a repetition of the drill closes the finding. It is empty if there is none."""
        return remedies.closed_by(self.code, step) if (step := self.instruction) else ""

    @property
    def times(self) -> int:
        """Number of findings with this code in the period, as the reports of the runs count them."""
        return self.count if self.own_count is None else self.own_count

    @property
    def seen(self) -> str:
        """Text with the number of findings with this code, and the number of runs that have them."""
        return f"{count(self.times, 'time')} in {count(self.runs if self.own_runs is None else self.own_runs, 'run')}"

    @property
    def open_now(self) -> int:
        """Number of open findings with this code, as the report of the newest run counts them."""
        return self.known_now if self.state == OPEN else 0

    @property
    def counted_now(self) -> int:
        """Number of findings with this code that lists count beside the newest run. They also count a finding that a later recovery
        solved, because the run itself did not prove that the service was good again.
        """
        return self._newest if self.state == OPEN or self.state.startswith(RECOVERED) else 0

    @property
    def known_now(self) -> int:
        """Number of findings with this code that are open, or are reasons why the newest run never began."""
        return self._newest if self.state == OPEN or self.state.startswith(REASON) else 0

    @property
    def _newest(self) -> int:
        return self.in_newest if self.own_in_newest is None else self.own_in_newest

    @property
    def told(self) -> str:
        """Text with the first entries of ``own_texts``, and the number of entries that are left out. If ``own_texts`` is
        empty, the entries are those of ``texts``. If both are empty, the text is ``detail``.
        """
        return listed(self.own_texts or self.texts, MOST_TEXTS, "; ") or self.detail


def each_counted(rows: Iterable[FindingRow]) -> list[FindingRow]:
    """Return each row once for each finding with its code that lists count beside the newest run of the drill."""
    return [row for row in rows for _ in range(row.counted_now)]


@dataclass(frozen=True, slots=True)
class _Run:
    """A run with its findings as the reports show them."""

    record: Record
    every: tuple[Finding, ...]
    own: tuple[Finding, ...]
    """Findings of the run as its report counts them; see ``report.rows.findings_of``."""

    def with_code(self, code: str) -> tuple[list[Finding], list[Finding]]:
        """Return two lists of findings with the code ``code``: those in ``every``, and those in ``own``."""
        every, own = ([finding for finding in findings if finding.code == code] for findings in (self.every, self.own))
        return every, own


def findings(runs: Sequence[Record]) -> list[FindingRow]:
    """Return one row for each finding code in each drill, the most severe first. The field ``state`` of a row tells whether the
    newest run still has the finding.
    """
    rows, done = [], {record.run for record in runs if _nothing_left(record)}
    for drill, mine in by_drill(runs).items():
        seen: dict[str, list[_Run]] = {}
        for record in mine:
            if record.result and not record.damage:
                run = _Run(record, tuple(each_finding(record.result)), tuple(findings_of(record.result)))
                for finding in record.result.every_finding:
                    seen.setdefault(finding.code, []).append(run)
        newest = without_refused(mine[::-1])[0]
        rows += [_finding(drill, code, where, newest, done) for code, where in sorted(seen.items())]
    return sorted(rows, key=_rank)


def _rank(row: FindingRow) -> tuple[int, bool, str, str, str]:
    return SEVERITIES.index(row.severity), row.code not in DATA_LOSS, row.code, row.environment, row.drill


def _nothing_left(record: Record) -> bool:
    """Return True for a run that ended or was recovered, and whose changes were all undone, or closed by a person."""
    result = record.result
    if result is None or not result.finished or record.verdict == NOT_VERIFIED:
        return False
    return bool(result.settled) or not result.residue


def _finding(drill: tuple[str, str, str], code: str, where: Sequence[_Run], newest: Record, done: Set[str]) -> FindingRow:
    """Return the row of one finding code. ``where``: the run of each finding with this code, the oldest first. ``done``: runs of
    the period that left nothing to recover."""
    runs = list({run.record.folder: run for run in where}.values())
    last = runs[-1].record
    open_now = last is newest
    items = [
        finding
        for run in runs
        for finding in run.with_code(code)[0]
        if run.record is newest or not open_now  # an open finding is as severe as in the newest run
    ]
    worst = min(items, key=lambda finding: SEVERITIES.index(finding.severity))
    allowed = worst.severity == Severity.INFORMATION
    now = _allowed(newest) if allowed else _recovered(items, done) or _now(newest)
    state = now if open_now else _earlier(last, newest)
    title = _title(worst) if code in CATALOGUE and not allowed else worst.title
    return FindingRow(
        code,
        str(worst.severity),
        title,
        drill[0],
        drill[2],
        len(where),
        len(runs),
        runs[0].record.started or "",
        last.started or "",
        state,
        items[-1].measured or items[-1].title,
        len(items) if open_now else 0,
        items[-1].wanted if items[-1].measured else "",
        tuple(map(_text, runs[-1].with_code(code)[0])),
        items[-1].remedy,
        **_own(code, runs, newest),
    )


def _now(newest: Record) -> str:
    """Return the state of a finding of the newest run of a drill. The findings of a run that never began are the reasons for this. No
    drill has shown such a problem, so it is not open; see ``open_findings.is_listed``.
    """
    return OPEN if is_listed(newest.verdict) else f"{REASON}{newest.verdict}"


def _earlier(last: Record, newest: Record) -> str:
    """Return the state of a finding that the newest run of the drill does not have. ``last``: the last run with the finding."""
    if last.verdict == Verdict.REFUSED and (last.started or "") > (newest.started or ""):
        return REFUSAL
    return "not seen again" if newest.verdict == Verdict.PASSED else f"unknown: the newest run {newest.outcome}"


def _title(item: Finding) -> str:
    """Return the title of the catalogue for ``item``. For a run whose verification did not end, it names the end of the run, as in the
    report of this run; see ``open_findings.at_end``.
    """
    known = CATALOGUE[item.code].title
    told = (known.replace(recorded, shown) for recorded, shown in AT_END.items())
    return next((title for title in told if title != known and item.title.startswith(title)), known)


def _allowed(newest: Record) -> str:
    """Return the state of a finding about lost writes if the loss is within the RPO. The state depends on the verdict of the
    newest run, because the figures of a run that did not pass do not count.
    """
    return WITHIN if newest.verdict == Verdict.PASSED else NOT_COUNTED


def _own(code: str, runs: Sequence[_Run], newest: Record) -> dict[str, Any]:
    """Return the fields of a row whose names begin with ``own_``. They count again, as the reports of the runs count. The result is
    empty if this gives the same numbers.
    """
    every, own = zip(*(run.with_code(code) for run in runs), strict=True)
    if every == own:
        return {}
    texts = tuple(map(_text, own[-1]))
    return {
        "own_count": sum(map(len, own)),
        "own_runs": sum(map(bool, own)),
        "own_in_newest": len(own[-1]) if runs[-1].record is newest else 0,
        "own_texts": texts if texts != tuple(map(_text, every[-1])) else (),
    }


def _recovered(items: Sequence[Finding], done: Set[str]) -> str:
    """Return a text which says that `drill.recover` undid the changes later. It is returned only if this is true for all
    findings in ``items``; otherwise the result is empty. If an unfinished run is outside of the period, its recovery is unknown.
    ``done``: runs that left nothing to recover.
    """
    unfinished = dead_runs.in_the_way(items)
    if unfinished and all(item.code == dead_runs.CODE for item in items) and done >= set(unfinished):
        return RECOVERED_SINCE
    recoveries = [recovered_later([item.title]) for item in items]
    return recoveries[-1] if recoveries and all(recoveries) else ""


def _text(item: Finding) -> str:
    """Return a text with the wanted and the measured value of a finding. If the finding's title names its subject, such as
    one of several objectives, the text begins with this subject.
    """
    known = CATALOGUE[item.code].title if item.code in CATALOGUE else item.title
    about = item.title.removeprefix(f"{known}: ") if item.title != known else ""
    measured = item.measured if item.measured.startswith("not measured") else f"measured {item.measured}"
    told = f"wanted {item.wanted}, {measured}" if item.wanted and item.measured else item.measured
    return ": ".join(filter(None, (SHORT.get(about.lower(), about), told))) or item.title
