"""``reports/index.html``: a page with all runs, newest first, and the trend of each drill's figures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from drillbook.exits import Exit
from drillbook.installation.program_name import as_called, program
from drillbook.journal.run_files import PAGE
from drillbook.judge.later_steps import lasting
from drillbook.judge.result import Objective
from drillbook.judge.verdicts import UNFINISHED, Verdict, shown, without_refused
from drillbook.report import (
    index_attention,
    index_notice,
    open_findings,
    pages,
    project_drills,
    rehearsal_results,
    remarks,
    rows,
    stop_words,
    tolerated,
    wording,
)
from drillbook.report.audit_pages import AuditPages
from drillbook.report.earlier_losses import superseded
from drillbook.report.figures import count, lasted, link, moment, one_line, took
from drillbook.report.folders import begun
from drillbook.report.index_entries import RUNNING, DrillTrends, IndexEntry, Known, Point, Row, Trend
from drillbook.report.objective_figures import drawn, in_run
from drillbook.report.recovery_steps import Recovered
from drillbook.report.shortened import shortened
from drillbook.sdk.run_names import drill_of

WIDTH, HEIGHT, EDGE, STEP = 200.0, 44.0, 6.0, 26.0
"""Sizes of a trend in pixels. ``STEP``: largest distance between the points of two neighbouring runs. So a drawing of few runs
is narrower than ``WIDTH``.
"""
MOST_POINTS = 24
"""Largest number of runs in a drawing."""
MOST_REASON = 240
"""Largest length of the reason of a run that did not pass, in characters."""
DIED = "did not end: its controller died"
KINDS = {wording.MET: "dot", remarks.RESERVED: "reserved", wording.MISSED: "over", wording.NOT_VERIFIED: "gap"}
"""Words for the shape of a point in a trend. The key of each entry is the state of the objective. The word is also the CSS
class of the point.
"""


def entry(
    result: Mapping[str, Any], inner: Sequence[Mapping[str, Any]] = (), recoveries: Mapping[str, Recovered] | None = None
) -> IndexEntry:
    """Make the entry of a run from its ``result.json``.

    ``inner``: for a suite, the results of its drills. ``recoveries``: recoveries of the runs. The key of each entry is the run.
    """
    run, recoveries = str(result["run"]), recoveries or {}
    folders = {str(member.get("run")): str(member.get("folder", "")) for member in result.get("runs", ())}
    children = tuple(_entry(member, f"{run}/{folders.get(str(member['run']), '..')}", recoveries) for member in inner)
    return _entry(result, run, recoveries, children)


def unfinished(
    run: str, environment: str, *, alive: bool, service: str = "", children: tuple[IndexEntry, ...] = ()
) -> IndexEntry:
    """Make the entry of a run that has no result yet, or whose controller died.

    ``service``: service of the run's drill. ``children``: the drills of a suite.
    """
    if alive:
        verdict, note = RUNNING, f"in progress when this page was written; to see if it still is: `{program()} drill.list`"
    else:
        verdict, note = UNFINISHED, DIED if children else _died(run)
    return IndexEntry(
        run=run,
        kind="suite" if children else "drill",
        name=drill_of(run) or run,
        title=run,
        environment=environment,
        verdict=verdict,
        exit=Exit.UNVERIFIED,
        started=begun(run),
        seconds=None,
        objectives={},
        href="",
        children=children,
        note=note,
        service=service,
    )


def _died(run: str) -> str:
    return f"{DIED}; recover it: `{program()} drill.recover {run}`"


def _entry(
    result: Mapping[str, Any], folder: str, recoveries: Mapping[str, Recovered], children: tuple[IndexEntry, ...] = ()
) -> IndexEntry:
    kind = "suite" if "suite" in result else "drill"
    known = recoveries.get(str(result["run"]), Recovered())
    objectives = _objectives(result)
    began = [child for child in children if open_findings.is_listed(child.verdict)]
    findings = [*open_findings.of_result(result), *(finding for child in began for finding in child.findings)]
    return IndexEntry(
        run=str(result["run"]),
        kind=kind,
        name=str(result[kind]),
        title=str(result["title"]),
        environment=str(result["environment"]),
        verdict=(word := shown(str(result["verdict"]), str(result.get("reason") or ""), result.get("finished"))),
        note=_died(str(result["run"])) if word == UNFINISHED else "",
        exit=Exit.UNVERIFIED if word == UNFINISHED else int(result["exit"]),
        started=str(result["started"]),
        seconds=lasted(str(result["started"]), known.end or result.get("finished")),
        recovered=str(result.get("finished") or "") if known.end else "",
        objectives=objectives,
        href=f"{folder}/{PAGE}",
        children=children,
        closed=str((result.get("settled") or {}).get("by", "")),
        remarks=remarks.of_run(
            lasting(remarks.steps_of(result.get("steps", ())), known.steps), str(result["started"]), objectives.get("rpo")
        ),
        tolerated=tolerated.of_statuses([str(step.get("status")) for step in result.get("steps", ())]),
        service=str(result.get("service") or ""),
        rehearsed=rehearsal_results.brief(
            remarks.steps_of(result.get("steps", ())), str(result["started"]), broken=bool(result.get("faults"))
        ),
        findings=tuple(open_findings.grave(findings)),
        reason=_reason(result),
    )


def _objectives(result: Mapping[str, Any]) -> dict[str, Objective]:
    """Return the objectives of a run. If its controller died, their reasons have the same words as in the report of the run."""
    known, ending = open_findings.objectives_of(result), str(result.get("reason") or "")
    return {
        key: objective.model_copy(update={"reason": in_run(objective.reason, known, ending)})
        if objective.reason
        else objective
        for key, objective in known.items()
    }


def _reason(result: Mapping[str, Any]) -> str:
    """Return the reason why a run did not pass, or why it left changes. The body of an HTTP answer is left out, and a
    long reason is shortened to ``MOST_REASON`` characters."""
    if result.get("verdict") == Verdict.PASSED and result.get("exit") == Exit.OK:
        return ""
    return shortened(wording.without_body(as_called(stop_words.in_words(str(result.get("reason") or "")))), MOST_REASON)


def render(
    entries: Iterable[IndexEntry],
    known: Mapping[str, Known] | None = None,
    audit: AuditPages | None = None,
    going: Sequence[str] = (),
) -> str:
    """Render the index of ``entries``. The entries may be in any order.

    ``known``: names of the project's drills and suites. The page also lists those that never ran. ``audit``: newest audit,
    to which the page links. ``going``: runs in progress, as ``index_age`` names them.
    """
    newest_first = sorted(entries, key=_age)
    listed = [row for entry in newest_first for row in (_row(entry), *(_row(child, child=True) for child in entry.children))]
    return (
        pages.environment()
        .get_template("index.html.j2")
        .render(
            rows=listed,
            audit=audit,
            going=" ".join(going),
            notice=index_notice.notice(going),
            trends=(trends := _trends([row.entry for row in listed])),
            head=_head(trends, listed, known or {}),
            attention=index_attention.attention(trends, listed),
            height=HEIGHT,
            counted=_counted(listed),
            rehearsed=any(row.rehearsed for row in listed),
            legend=remarks.legend(row.rpo.mark for row in listed if row.rpo),
            not_routine=remarks.NOT_ROUTINE if any(row.entry.not_routine for row in listed) else "",
            drawn=bool(drawings := [it for trend in trends for it in (trend.rto, trend.rpo) if it and it.drawn]),
            kinds={point.kind for it in drawings for point in it.points},
            never=_never(known or {}, listed),
            program=program(),
            verdicts=sorted({row.entry.verdict for row in listed}),
            drills=sorted({row.entry.name for row in listed}),
            environments=sorted({row.entry.environment for row in listed}),
        )
    )


def _head(trends: Sequence[DrillTrends], listed: Sequence[Row], known: Mapping[str, Known]) -> str:
    """Return sentences that count the drills by the verdict of their last run. If ``known`` contains drills, the sentences also tell
    how many of all drills ran, and how many drills and suites never ran.
    """
    names = {trend.name for trend in trends}
    places = " in each environment" if len(trends) > len(names) else ""
    if all(drill.suite for drill in known.values()):
        return f"Last runs of {count(len(names), 'drill')}{places}: {_standing(trends)}."
    ran = project_drills.ran(names, known)
    never = project_drills.never({row.entry.name for row in listed}, known)
    return f"{ran}. Last runs{places}: {_standing(trends)}. {never}".rstrip()


def _never(known: Mapping[str, Known], listed: Sequence[Row]) -> list[tuple[str, list[str]]]:
    """Return the names of the drills and of the suites that never ran, each list with its kind."""
    return list(zip(("Drills", "Suites"), project_drills.missing({row.entry.name for row in listed}, known), strict=True))


def _counted(listed: Sequence[Row]) -> str:
    """Return a text with the number of drill runs. The text also tells how many of them belong to suites."""
    drills = [row for row in listed if row.entry.kind == "drill"]
    inside, suites = sum(row.child for row in drills), sum(row.entry.kind == "suite" for row in listed)
    text = count(len(drills), "run of a drill", "runs of drills")
    if not suites:
        return text
    part = "all" if inside == len(drills) else str(inside)
    return f"{text}, {part} of them in {count(suites, 'suite')}"


def _standing(trends: Sequence[DrillTrends]) -> str:
    """Return the number of drills by the verdict of their last run, such as "1 failed, 20 passed"."""
    counts = Counter(trend.last.entry.verdict for trend in trends)
    order = sorted(counts, key=lambda verdict: (-wording.badness(verdict), verdict))
    text = ", ".join(f"{counts[verdict]} {one_line(verdict)}" for verdict in order)
    beside = sum(bool(trend.last.entry.beside) for trend in trends)
    return text + (f"; with an open finding of medium severity or higher: {beside}" if beside else "")


def _age(entry: IndexEntry) -> tuple[float, str]:
    at = moment(entry.started)
    return (-at.timestamp() if at else math.inf, entry.run)


def _row(entry: IndexEntry, *, child: bool = False) -> Row:
    row_by_key = {row.key: row for row in rows.objective_rows(entry.objectives, entry.remarks, entry.verdict)}
    return Row(entry, child, link(entry.href), row_by_key.get("rto"), row_by_key.get("rpo"), entry.rehearsed)


def _trends(entries: Sequence[IndexEntry]) -> list[DrillTrends]:
    groups: dict[tuple[str, str], list[IndexEntry]] = {}
    for entry in sorted(entries, key=_age, reverse=True):
        if entry.kind == "drill":
            groups.setdefault((entry.name, entry.environment), []).append(entry)
    return [_trends_of(name, environment, runs) for (name, environment), runs in sorted(groups.items())]


def _trends_of(name: str, environment: str, runs: Sequence[IndexEntry]) -> DrillTrends:
    """Return the trends of one drill. The drawings have the figures of the runs that began and have a result: a run that never
    began, or did not end, has no figures. The figures beside them are those of the newest run that passed or failed, as in an
    audit: a run that was stopped neither proves an objective nor takes a proof back.
    """
    shown = without_refused(runs[::-1])
    tried = [run for run in runs if run.verdict not in wording.NOT_BEGUN and not run.unknown] or shown[::-1]
    return DrillTrends(
        name,
        environment,
        len(runs),
        _row(shown[0]),
        _row(_deciding(tried)),
        next((run.started for run in reversed(runs) if run.verdict == Verdict.PASSED and run.exit == Exit.OK), ""),
        _trend(tried, "rto", name),
        _trend(tried, "rpo", name),
        tuple(map(_row, superseded(shown, lambda run: run.lost, lambda run: run.verdict == Verdict.PASSED))),
    )


def _deciding(runs: Sequence[IndexEntry]) -> IndexEntry:
    """Return the newest of ``runs`` that passed or failed, or else the newest run."""
    return next((run for run in reversed(runs) if run.verdict in (Verdict.PASSED, Verdict.FAILED)), runs[-1])


def _trend(runs: Sequence[IndexEntry], key: str, name: str) -> Trend | None:
    """Make the trend of the objective ``key`` over the newest runs that set this objective, oldest run first.

    The line has a gap at a run without a figure, and at a run whose figure does not count.
    """
    setting = [entry for entry in runs if key in entry.objectives][-MOST_POINTS:]
    kept = [entry.objectives[key] for entry in setting]
    if not kept:
        return None
    shown = _deciding(setting)
    latest = rows.objective_rows({key: shown.objectives[key]}, shown.remarks, shown.verdict)[0]
    target = shown.objectives[key].target_s
    short = [key == "rpo" and bool(entry.remarks.get(key) and entry.remarks[key].lost) for entry in setting]
    values = [None if lost else drawn(objective) for objective, lost in zip(kept, short, strict=True)]
    top = max(
        [
            target if target <= 4 * max((v for v in values if v is not None), default=0) else 0.0,
            *(value for value in values if value is not None),
            1e-9,
        ]
    )
    points = tuple(_point(number, entry, key, len(kept), top) for number, entry in enumerate(setting))
    known = [value for value in values if value is not None]
    spread = f"{len(known)} of {len(kept)} runs with a figure, latest {latest.measured}, target at most {latest.target}"
    return Trend(
        f"{latest.short} of {one_line(name)}",
        spread,
        points,
        _lines(points),
        _y(target, top) if target <= top else None,
        latest,
        2 * EDGE + _step(len(kept)) * (len(kept) - 1),
        took(top) if known else "",
        shown,
    )


def _step(total: int) -> float:
    """Return the horizontal distance, in pixels, between neighbouring runs in a drawing of ``total`` runs."""
    return min(STEP, (WIDTH - 2 * EDGE) / max(total - 1, 1))


def _point(number: int, entry: IndexEntry, key: str, total: int, top: float) -> Point:
    objective = entry.objectives[key]
    x = EDGE + _step(total) * number
    (row,) = rows.objective_rows({key: objective}, entry.remarks, entry.verdict)
    if objective.measured_s is None or row.lost:
        return Point(x, HEIGHT - EDGE, "none")
    return Point(x, _y(drawn(objective) or 0.0, top), "gap" if row.uncounted else KINDS[row.state])


def _y(value: float, top: float) -> float:
    return HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * value / top


def _lines(points: Sequence[Point]) -> tuple[str, ...]:
    """Return the lines of a trend. They connect neighbouring runs if each of these runs has a measured value that counts.
    Each line is a list of points for SVG.
    """
    lines: list[list[str]] = [[]]
    for point in points:
        if point.kind in ("gap", "none"):
            lines.append([])
        else:
            lines[-1].append(f"{point.x:.1f},{point.y:.1f}")
    return tuple(" ".join(line) for line in lines if len(line) > 1)
