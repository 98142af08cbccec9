"""The section of proven and unproven objectives of an audit in Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from drillbook.audit import rehearsal_figures, wording
from drillbook.audit.content import Audit
from drillbook.audit.objective_states import ProvenRow
from drillbook.report import remarks
from drillbook.report.markdown_syntax import code, escape, table
from drillbook.report.wording import PROBE_DETECTION


def section(audit: Audit) -> list[str]:
    """Return the paragraphs and tables, in Markdown, of the section about proven and unproven objectives."""
    if not audit.proven:
        return ["No known drill sets objectives.", *rehearsal_figures.markdown(audit.rehearsed)]
    probed = [row for row in audit.proven if row.by_probe]
    proven, unproven = ([row for row in audit.proven if row.met is known and not row.by_probe] for known in (True, False))
    shown = [
        (
            *_goal(row),
            f"{escape(row.measured + row.mark)}: **{escape(row.told)}**",
            row.at[:10],
            code(row.run),
            escape("; ".join(row.notes)),
        )
        for row in proven
    ]
    head = ("Drill", "Service", "Environment", "Objective", "Target")
    paragraphs = [escape(wording.proven_counts(audit.proven))]
    paragraphs += [table((*head, "Last figure", "When", "Run", "Notes"), shown)] if shown else []
    paragraphs += legend(row.marks for row in proven)
    if unproven:
        listed = [(*_goal(row), *_unproven(row), escape("; ".join(row.notes))) for row in unproven]
        paragraphs += [
            f"### {wording.UNPROVEN_TITLE}",
            table((*head, "State", "When", "Run", "Does not count", "Notes"), listed),
        ]
        paragraphs += legend((row.marks for row in unproven), (row.marks for row in proven))
    if probed:
        listed = [(*_goal(row), *_probed(row), escape("; ".join(row.notes))) for row in probed]
        paragraphs += [f"### {PROBE_DETECTION}", wording.PROBE_LEAD]
        paragraphs += [table((*head, "State", "When", "Run", "Does not count", "Notes"), listed)]
    return [*paragraphs, *rehearsal_figures.markdown(audit.rehearsed)]


def _unproven(row: ProvenRow) -> tuple[str, ...]:
    """Return the last four cells of a row about an objective that is not proven. The cells are: the state of the objective,
    the day of the run that gave the objective this state, the name of this run, and the newest figure (see ``_uncounted``). If
    the run missed the objective, the first cell also has the missed figure.
    """
    figure = f"{escape(row.measured + row.mark)}: " if row.missed else ""
    return f"{figure}**{row.said}**", row.at[:10], code(row.run) if row.run else "", _uncounted(row)


def _probed(row: ProvenRow) -> tuple[str, ...]:
    """Return the last four cells in the row of an objective on detection, when only the drill's own probe detected the fault.
    For an unmet objective, these are the cells of ``_unproven``.
    """
    if not row.met:
        return _unproven(row)
    return f"{escape(row.measured)}: **{row.state}**", row.at[:10], code(row.run), ""


def _uncounted(row: ProvenRow) -> str:
    """Return a text about an objective that is not proven: the newest figure, the run that measured this figure, and the
    reason why the figure proves nothing. The text is empty when no run measured the objective.
    """
    figure = row.uncounted
    return f"{figure.at[:10]}: ({escape(figure.measured)}) {escape(figure.said)} ({code(figure.run)})" if figure else ""


def _goal(row: ProvenRow) -> tuple[str, ...]:
    """Return the cells that name an objective: drill, service, environment, objective and target."""
    names = (row.drill, row.service, row.environment, row.named)
    return (*map(escape, names), f"at most {row.target}")


def legend(marks: Iterable[str], before: Iterable[str] = ()) -> list[str]:
    """Explain the sign, such as ``†``, beside an RPO that was met with a reservation. Returns no lines if no RPO has a sign.
    ``before``: signs that the file has already explained.
    """
    text = remarks.legend(marks, before)
    return [escape(text)] if text else []
