"""Protected environments: those where a drill needs ``--confirm`` and an approval. The inventory says which they are."""

from __future__ import annotations

import re

OPEN = frozenset({"lab", "dev", "test", "staging"})
"""Words for environments that are not protected unless the inventory says so."""


def is_production(environment: str) -> bool:
    """``production`` and ``prod``, also as a word of a longer name, with a number or not, in any case."""
    return bool(set(re.split(r"[^a-z]+", environment.casefold())) & {"production", "prod"})


def is_protected(environment: str, said: bool | None) -> bool:
    """Is ``environment`` protected, given what the inventory said of it? A word that nobody explained is."""
    return is_production(environment) or (environment not in OPEN if said is None else said)


def problem(environment: str, said: bool | None) -> str:
    """Why an inventory that ``said`` this of ``environment`` is refused; empty when it is not."""
    if is_production(environment):
        return f"{environment!r} is production, which is always protected" if said is False else ""
    if said is None and environment not in OPEN:
        return f"nobody can tell from the word {environment!r} if drills there need an approval"
    return ""
