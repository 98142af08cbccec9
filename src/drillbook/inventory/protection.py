"""Protected environments, in which a drill needs ``--confirm`` and an approval; set by the inventory's key `protected`."""

from __future__ import annotations

import re

OPEN = frozenset({"lab", "dev", "test", "staging"})
"""Names of environments that are unprotected unless the inventory sets `protected`."""


def is_production(environment: str) -> bool:
    """Return True when the name contains the word ``production`` or ``prod``, in any letter case; digits also separate words."""
    return bool(set(re.split(r"[^a-z]+", environment.casefold())) & {"production", "prod"})


def is_protected(environment: str, said: bool | None) -> bool:
    """Return True when ``environment`` is protected; ``said`` is the value of the inventory's key `protected`.

    Production is always protected. Without the key, an environment is protected unless its name is in OPEN.
    """
    return is_production(environment) or (environment not in OPEN if said is None else said)


def problem(environment: str, said: bool | None) -> str:
    """Reason to refuse the value ``said`` of the inventory's key `protected` for ``environment``; empty when it is valid."""
    if is_production(environment):
        return f"{environment!r} is production, which is always protected" if said is False else ""
    if said is None and environment not in OPEN:
        return f"the name {environment!r} does not show if drills in this environment need an approval"
    return ""
