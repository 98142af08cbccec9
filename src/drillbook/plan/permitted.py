"""Rule and words for the environments that the guard of a drill permits. Lists, plans, reports and audits use the same
words."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from drillbook.inventory.protection import DOCKER_LAB, LAB

FORBIDDEN = "guard-environment"
"""Code of the finding that the guard does not permit the environment."""
ANY_PERMITTED = "Run it with an inventory of a permitted environment (`--inventory NAME`)."
"""First sentence of the remedy of a refused run, if it is unknown which inventory has a permitted environment."""
NONE_PERMITTED = "Its guard permits no environment, because `guard.environments` is empty."
"""First sentence of the remedy of a refused run, if no inventory helps."""


def permits(environments: Collection[str], environment: str) -> bool:
    """Return True when a guard with these ``environments`` permits ``environment``. A guard that permits the embedded lab also
    permits the Docker lab.
    """
    return environment in environments or (environment == DOCKER_LAB and LAB in environments)


def demanded(environments: Collection[str], ran: Collection[str]) -> set[str]:
    """Return those of a guard's ``environments`` in which a drill is to run. ``ran``: environments in which the drill ran. A
    drill that ran in the Docker lab need not run in the embedded lab, too.
    """
    return {*environments} - ({LAB} if DOCKER_LAB in ran else set())


def only_in(environments: Sequence[str]) -> str:
    """Return the words for the permitted ``environments``, such as ``may run only in staging or test``."""
    if not environments:
        return "may run in no environment"
    return f"may run only in {' or '.join(filter(None, (', '.join(environments[:-1]), *environments[-1:])))}"
