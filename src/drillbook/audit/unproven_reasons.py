"""Reasons why objectives are not proven. The printed summary has a table of services. Reasons for which this table has no room
are printed below it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from drillbook.audit.objective_states import NOT_PROVEN, ProvenRow
from drillbook.report.figures import one_line
from drillbook.report.open_findings import named

COLUMNS = ("rto", "rpo")
"""Objectives with a column of their own in the table."""


def without_column(goals: Sequence[ProvenRow]) -> list[ProvenRow]:
    """Return the objectives that have no column of their own in the table. Leave out objectives on detection if only the
    drill's own probe detects the fault.
    """
    return [goal for goal in goals if goal.key not in COLUMNS and not goal.by_probe]


def hidden(goals: Sequence[ProvenRow], measured: Collection[str]) -> list[ProvenRow]:
    """Return those objectives in ``goals`` that a dense table does not show. A column with a figure shows none of them. A
    column without a figure shows only the first of its objectives.

    ``goals``: objectives of the service that are not proven. ``measured``: keys of the columns with a figure.
    """
    shown = [next((goal for goal in goals if goal.key == key), None) for key in COLUMNS if key not in measured]
    return [goal for goal in goals if goal not in shown and not goal.by_probe]


def line(goals: Sequence[ProvenRow]) -> str:
    """Return the drills of ``goals`` with their objectives and the reasons, each reason once for each drill."""
    names: dict[tuple[str, str], list[str]] = {}
    for goal in goals:
        figure = f"{goal.measured}, target {goal.target}: missed"
        reason = figure if goal.missed else f"{NOT_PROVEN}, {goal.why}"
        names.setdefault((goal.drill, reason), []).append(goal.short)
    return "; ".join(f"{drill}: {' and '.join(dict.fromkeys(keys))} {reason}" for (drill, reason), keys in names.items())


def names(goals: Sequence[ProvenRow]) -> str:
    """Return the names of the drills of ``goals``, by their objectives, those that were missed first."""
    drills: dict[tuple[bool, str], list[str]] = {}
    for goal in sorted(goals, key=lambda goal: not goal.missed):
        drills.setdefault((goal.missed, goal.short), []).append(goal.drill)
    return one_line(
        "; ".join(
            f"{short} {'missed' if missed else NOT_PROVEN} by {named(known)}" for (missed, short), known in drills.items()
        )
    )
