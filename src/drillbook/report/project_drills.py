"""Words that tell how many drills and suites of ``drills/`` ran, and how many never ran. The index of all runs and the audit use
the same words.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from drillbook.language.lists import listed
from drillbook.report.figures import count, kinds_of, one_line
from drillbook.report.index_entries import Known

MOST_GONE = 3
"""Largest number of drills without a file that the clause names."""
NEVER_RAN, NOT_IN_PERIOD = "never ran", "did not run in the period"


def ran(names: Collection[str], known: Mapping[str, Known]) -> str:
    """Return a clause with the number of drills that ran, such as ``7 of the 9 drills in drills/ ran``. Drills that ran and have
    no file in ``drills/`` are counted and named apart.

    ``names``: drills that ran. ``known``: drills and suites in ``drills/``, by name. It must contain a drill.
    """
    own = {name for name, drill in known.items() if not drill.suite}
    others, inside = sorted(set(names) - own), len(own & set(names))
    if inside == len(own):
        text = f"All {inside} drills in drills/ ran" if inside > 1 else "The only drill in drills/ ran"
    else:
        text = f"{inside or 'None'} of the {count(len(own), 'drill')} in drills/ ran"
    gone = listed(list(map(one_line, others)), MOST_GONE)
    return text + (f", and {count(len(others), 'drill')} without a file there ({gone})" if others else "")


def missing(names: Collection[str], known: Mapping[str, Known]) -> tuple[list[str], list[str]]:
    """Return the drills and the suites in ``known`` that are not among ``names``, each sorted by name."""
    left = sorted(set(known) - set(names))
    return [name for name in left if not known[name].suite], [name for name in left if known[name].suite]


def never(names: Collection[str], known: Mapping[str, Known], verb: str = NEVER_RAN) -> str:
    """Return a sentence that counts the drills and suites that did not run, and those of them that have a schedule. It is empty
    if all of them ran. ``names``: drills and suites that ran. ``verb``: words such as ``never ran``.
    """
    drills, suites = missing(names, known)
    if not drills and not suites:
        return ""
    asked = [known[name].suite for name in (*drills, *suites) if known[name].scheduled]
    planned = f" (with a schedule: {kinds_of(asked.count(False), asked.count(True))})" if asked else ""
    if asked and len(drills) + len(suites) == 1:
        planned = " (it has a schedule)"
    return f"{kinds_of(len(drills), len(suites))} {verb}{planned}."
