"""Tables of which a dump has the definition, but not the rows: each is a finding, unless the inventory gives a reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from drillbook.language.lists import listed

CODE, WANTED = "backup-incomplete", "the rows of each table"
MOST_NAMED = 10
"""Largest number of tables that a finding names."""


def reason(table: str, accepted: Mapping[str, str]) -> str:
    """Return the reason why a dump may lack the rows of ``table``. The result is empty if no reason is given. ``accepted``: reasons by
    name or pattern."""
    return next((why for name, why in accepted.items() if name == table or fnmatchcase(table, name)), "")


def unexpected(tables: Iterable[str], accepted: Mapping[str, str]) -> list[str]:
    """Return the ``tables`` for which ``accepted`` has no reason."""
    return [name for name in tables if not reason(name, accepted)]


def measured(tables: Sequence[str]) -> str:
    """Return the measured value of a finding about ``tables``."""
    number = "1 table" if len(tables) == 1 else f"{len(tables)} tables"
    return f"only the definitions of {number}: {listed(tables, MOST_NAMED)}"


def remedy(option: str, field: str) -> str:
    """Return the remedy of a finding. ``option``: option of the dump program that leaves out rows. ``field``: place of the reasons in
    the inventory."""
    return (
        f"Find out which option of the backup job leaves these rows out, such as `{option}`, and remove it. If nobody needs these "
        f"rows after a restore, name the tables and the reason in {field}."
    )


def not_covered(tables: Iterable[str], accepted: Mapping[str, str]) -> list[str]:
    """Return texts about the ``tables`` for which ``accepted`` has a reason."""
    return [f"the rows of {name}, which are not in the dump ({why})" for name in tables if (why := reason(name, accepted))]
