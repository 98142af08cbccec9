"""Rule and words for the environments that the guard of a drill permits. Lists, plans, reports and audits use the same
words."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from drillbook.inventory.protection import DOCKER, DOCKER_LAB, LAB, is_docker_lab

FORBIDDEN = "guard-environment"
"""Code of the finding that the guard does not permit the environment."""
ANY_PERMITTED = "Run it with an inventory of a permitted environment (`--inventory NAME`)."
"""First sentence of the remedy of a refused run, if it is unknown which inventory has a permitted environment."""
NONE_PERMITTED = "Its guard permits no environment, because `guard.environments` is empty."
"""First sentence of the remedy of a refused run, if no inventory helps."""


def permits(environments: Collection[str], environment: str, lab: str = DOCKER) -> bool:
    """Return True when a guard with these ``environments`` permits ``environment``. A guard that permits the embedded lab also
    permits the Docker lab.

    ``lab``: value of the inventory's key `lab`. Real hosts whose environment has the name of the Docker lab need this name in
    the guard. Lists that know only names of environments leave ``lab`` out.
    """
    return environment in environments or (is_docker_lab(environment, lab) and LAB in environments)


def demanded(environments: Collection[str], ran: Collection[str]) -> set[str]:
    """Return those of a guard's ``environments`` in which a drill is to run. ``ran``: environments in which the drill ran. A
    drill that ran in the Docker lab need not run in the embedded lab, too.
    """
    return {*environments} - ({LAB} if DOCKER_LAB in ran else set())


def named(environments: Sequence[str], environment: str, lab: str) -> tuple[str, ...]:
    """Return the ``environments`` of a guard as a text about one plan names them. If the plan is on the Docker lab, and only
    `lab` permits this, the text says so. ``environment`` and ``lab``: values of these keys of the plan's inventory.
    """
    by_lab = is_docker_lab(environment, lab) and DOCKER_LAB not in environments
    return tuple(
        f"{LAB} (and {DOCKER_LAB}, the lab in containers)" if by_lab and name == LAB else name for name in environments
    )


def only_in(environments: Sequence[str]) -> str:
    """Return the words for the permitted ``environments``, such as ``may run only in staging or test``."""
    if not environments:
        return "may run in no environment"
    return f"may run only in {' or '.join(filter(None, (', '.join(environments[:-1]), *environments[-1:])))}"
