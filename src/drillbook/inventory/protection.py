"""Rules for protected environments. In such an environment, a drill needs ``--confirm`` and an approval. The
inventory's key `protected` and the name of the environment decide whether an environment is protected.
"""

from __future__ import annotations

import re

LAB, DOCKER_LAB = "lab", "docker-lab"
"""Environments of the two labs: the embedded lab and the Docker lab. They are different systems with different times, so the
figures of their runs are never compared with each other.
"""
DOCKER = "docker"
"""Value of the inventory's key `lab` for the Docker lab."""
OPEN = frozenset({LAB, "dev", "test", "staging"})
"""Names of the environments that are protected only if the inventory sets `protected: yes`. The environment of the Docker lab
is such an environment, too, but not by its name alone; see ``is_docker_lab``.
"""


def is_docker_lab(environment: str, lab: str) -> bool:
    """Return True for the environment of the Docker lab. ``lab``: value of the inventory's key `lab`. An inventory of real
    hosts may use the name, too, and has no such key.
    """
    return (environment, lab) == (DOCKER_LAB, DOCKER)


def is_production(environment: str) -> bool:
    """Return True when the name contains the word ``production`` or ``prod`` in any letter case.

    A digit ends a word, like a hyphen: ``prod2`` contains the word ``prod``.
    """
    return bool(set(re.split(r"[^a-z]+", environment.casefold())) & {"production", "prod"})


def is_protected(environment: str, said: bool | None, lab: str = "") -> bool:
    """Return True when ``environment`` is protected. ``said`` and ``lab``: values of the inventory's keys `protected` and
    `lab`.

    An environment for which ``is_production`` is true is always protected. For all other environments, the key decides. If
    the key is missing, they are protected unless they are in ``OPEN`` or the environment of the Docker lab.
    """
    return is_production(environment) or (not _is_open(environment, lab) if said is None else said)


def problem(environment: str, said: bool | None, lab: str = "") -> str:
    """Return the reason why an inventory of ``environment`` must not contain the key `protected` with the value ``said``.

    The result is empty when the value is allowed. ``lab``: value of the inventory's key `lab`.
    """
    if is_production(environment):
        return f"{environment!r} is production, which is always protected" if said is False else ""
    if said is None and not _is_open(environment, lab):
        return f"the name {environment!r} does not show whether drills in this environment need an approval"
    return ""


def _is_open(environment: str, lab: str) -> bool:
    return environment in OPEN or is_docker_lab(environment, lab)
