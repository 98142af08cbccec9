"""Rules for protected environments. In such an environment, a drill needs ``--confirm`` and an approval. The
inventory's key `protected` and the name of the environment decide whether an environment is protected.
"""

from __future__ import annotations

import re

LAB, DOCKER_LAB = "lab", "docker-lab"
"""Environments of the two labs: the embedded lab and the Docker lab. They are different systems with different times, so the
figures of their runs are never compared with each other.
"""
OPEN = frozenset({LAB, DOCKER_LAB, "dev", "test", "staging"})
"""Names of the environments that are protected only if the inventory sets `protected: yes`."""


def is_production(environment: str) -> bool:
    """Return True when the name contains the word ``production`` or ``prod`` in any letter case.

    A digit ends a word, like a hyphen: ``prod2`` contains the word ``prod``.
    """
    return bool(set(re.split(r"[^a-z]+", environment.casefold())) & {"production", "prod"})


def is_protected(environment: str, said: bool | None) -> bool:
    """Return True when ``environment`` is protected. ``said``: value of the inventory's key `protected`.

    An environment for which ``is_production`` is true is always protected. For all other environments, the key decides. If
    the key is missing, they are protected unless they are in ``OPEN``.
    """
    return is_production(environment) or (environment not in OPEN if said is None else said)


def problem(environment: str, said: bool | None) -> str:
    """Return the reason why an inventory of ``environment`` must not contain the key `protected` with the value ``said``.

    The result is empty when the value is allowed.
    """
    if is_production(environment):
        return f"{environment!r} is production, which is always protected" if said is False else ""
    if said is None and environment not in OPEN:
        return f"the name {environment!r} does not show whether drills in this environment need an approval"
    return ""
