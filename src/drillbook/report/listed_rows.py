"""Rows in the results of steps, such as those that an SQL statement changed and returned, as short text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import dropwhile
from typing import Any, NamedTuple

from drillbook.judge.result import RunView, StepResult
from drillbook.language.lists import leading
from drillbook.report.figures import count, one_line
from drillbook.report.step_texts import cut

MOST_ROWS, MOST_STEPS = 10, 3
"""Largest numbers of rows of one result, and of steps with such results, that are listed."""
LONGEST_VALUE = 40
"""Largest length of one value, in characters. A row with several values is as long as another fact at most."""
TOLD_AGAIN = frozenset({"rowcount", "truncated", "value"})
"""Facts that tell nothing more beside the rows."""


class ListedRows(NamedTuple):
    """Rows of a result. ``number``: number of rows with the names of the columns, such as ``5 rows (id)``. ``values``: the first rows,
    and the number of the others.
    """

    number: str
    values: str


def of_facts(facts: Mapping[str, Any]) -> ListedRows | None:
    """Return the rows in the facts of a step. Returns None for a step without rows. A single value that was read, such as a number of
    rows, is not listed either, because the fact ``value`` has it.
    """
    rows, columns = facts.get("rows"), facts.get("columns")
    if not (isinstance(rows, Sequence) and isinstance(columns, Sequence) and all(isinstance(row, list) for row in rows)):
        return None
    if not rows or (len(rows) == 1 and len(rows[0]) == 1 and not _wrote(facts)):
        return None
    total, known = len(rows), facts.get("rowcount")
    total = max(total, known) if isinstance(known, int) else total
    shown = [cut(", ".join(map(_value, row))) for row in leading(rows, MOST_ROWS)[0]]
    shown += [f"and {total - len(shown)} more"] if total > len(shown) else []
    names = cut(", ".join(map(_value, columns)))
    return ListedRows(f"{count(total, 'row')} ({names})", ("; " if len(columns) > 1 else ", ").join(shown))


def others(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the facts to show beside the rows of ``of_facts``: without rows, all of them."""
    return {name: value for name, value in facts.items() if name not in TOLD_AGAIN} if of_facts(facts) else facts


def after_restore(view: RunView, restore: str | None) -> str:
    """Return a clause that names the steps after the step ``restore`` which changed data, and whose results list rows. The result is
    empty if there are none. A recovery may have carried out these steps.
    """
    names = {step.result.id: step.name for step in view.steps}
    later = dropwhile(lambda step: step.id != restore, view.result.last_steps)
    told = {step.id: rows.number.partition(" (")[0] for step in later if _changed(step) and (rows := of_facts(step.facts))}
    clauses = [
        f"{one_line(step)}{f' ({one_line(names[step])})' if names.get(step) else ''} lists {number}"
        for step, number in told.items()
    ]
    return ", and ".join(leading(clauses, MOST_STEPS)[0])


def _changed(step: StepResult) -> bool:
    return step.status == "done" and _wrote(step.facts)


def _wrote(facts: Mapping[str, Any]) -> bool:
    return facts.get("effect") == "write"


def _value(value: Any) -> str:
    """Return one value of a row in at most ``LONGEST_VALUE`` characters."""
    text = one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"
